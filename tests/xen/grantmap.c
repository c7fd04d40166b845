// SPDX-License-Identifier: BSD-2-Clause
/*
 * grantmap.c - `grantmap DOMID REF ro|rw`: does the hypervisor map this page of
 * that domain so? Prints yes or no; for what a backend that is hostile could do
 * (MECHANISMS O8).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xengnttab.h>

int main(int argc, char **argv)
{
	xengnttab_handle *grants = xengnttab_open(NULL, 0);
	int prot = PROT_READ;
	void *at;

	if (argc != 4 || !grants)
		return 99;
	if (!strcmp(argv[3], "rw"))
		prot |= PROT_WRITE;
	at = xengnttab_map_grant_ref(grants, (uint32_t)atoi(argv[1]),
				     (uint32_t)strtoul(argv[2], NULL, 0), prot);
	puts(at ? "yes" : "no");
	if (at)
		xengnttab_unmap(grants, at, 1);
	xengnttab_close(grants);
	return 0;
}
