/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device_user [-n TIMES] [-r PAGES] [-h MS] [-p]: opens /dev/vtoeN, as often as
 * told, and says how that went, a line for each: "open: NAME in MS ms".
 *   -r  registers that many pages of its own, and says the same of that
 *   -h  holds the device open for that long
 *   -p  waits, at most 10 s, until poll() says that the backend has ended
 * The device is the only one in /dev. Exits 0 whatever became of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <vtoe_control.h>
#include <vtoe_ioctl.h>

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void report(const char *what, int rc, long began)
{
	printf("%s: %s in %ld ms\n", what,
	       rc < 0 ? strerrorname_np(errno) : "OK", now_ms() - began);
}

static void use(const char *path, uint64_t pages, int hold, int to_poll)
{
	struct vtoe_ioc_register q = { .bytes = pages * VTOE_PAGE,
				       .rights = VTOE_REGION_READ |
						 VTOE_REGION_WRITE };
	struct pollfd p;
	long began = now_ms();
	void *memory;
	int fd, rc;

	fd = open(path, O_RDWR | O_CLOEXEC);
	report("open", fd, began);
	if (fd < 0)
		return;
	if (pages) {
		memory = mmap(NULL, q.bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		q.address = (uintptr_t)memory;
		began = now_ms();
		rc = ioctl(fd, VTOE_IOC_REGISTER, &q);
		report("register", rc, began);
	}
	if (to_poll) {
		p = (struct pollfd){ .fd = fd };
		began = now_ms();
		rc = poll(&p, 1, 10000);
		errno = ETIME;
		report("end", rc > 0 && p.revents & POLLHUP ? 0 : -1, began);
	}
	usleep((useconds_t)hold * 1000);
	began = now_ms();
	rc = close(fd);
	report("close", rc, began);
}

int main(int argc, char **argv)
{
	int times = 1, hold = 0, to_poll = 0, option;
	uint64_t pages = 0;
	glob_t found;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt(argc, argv, "n:r:h:p")) != -1) {
		switch (option) {
		case 'n':
			times = atoi(optarg);
			break;
		case 'r':
			pages = strtoull(optarg, NULL, 10);
			break;
		case 'h':
			hold = atoi(optarg);
			break;
		case 'p':
			to_poll = 1;
			break;
		default:
			return 99;
		}
	}
	if (glob("/dev/vtoe*", 0, NULL, &found)) {
		printf("open: no device in 0 ms\n");
		return 0;
	}
	while (times--)
		use(found.gl_pathv[0], pages, hold, to_poll);
	globfree(&found);
	return 0;
}
