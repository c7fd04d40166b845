// SPDX-License-Identifier: BSD-2-Clause
/*
 * domtime - one sample for the comparison: domtime DOMID INTERFACE, in dom0
 *
 * Prints nanoseconds of the clock, processor nanoseconds of dom0 and of the
 * domain as the hypervisor counts them, and the bytes and packets that the
 * interface has received and sent. Exits 99 when one cannot be had.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <xenctrl.h>

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(99);
}

static uint64_t processor_ns(xc_interface *xc, uint32_t domid)
{
	xc_domaininfo_t info;

	if (xc_domain_getinfolist(xc, domid, 1, &info) != 1 ||
	    info.domain != domid)
		fail("xc_domain_getinfolist");
	return info.cpu_time;
}

static uint64_t statistic(const char *interface, const char *name)
{
	char path[128];
	uint64_t value;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/statistics/%s",
		 interface, name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%" SCNu64, &value) != 1)
		fail(path);
	fclose(f);
	return value;
}

int main(int argc, char **argv)
{
	struct timespec now;
	xc_interface *xc;

	if (argc != 3) {
		fprintf(stderr, "usage: domtime DOMID INTERFACE\n");
		return 99;
	}
	xc = xc_interface_open(NULL, NULL, 0);
	if (!xc)
		fail("xc_interface_open");
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
	       " %" PRIu64 " %" PRIu64 "\n",
	       now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec,
	       processor_ns(xc, 0), processor_ns(xc, (uint32_t)atoi(argv[1])),
	       statistic(argv[2], "rx_bytes"), statistic(argv[2], "tx_bytes"),
	       statistic(argv[2], "rx_packets"),
	       statistic(argv[2], "tx_packets"));
	xc_interface_close(xc);
	return 0;
}
