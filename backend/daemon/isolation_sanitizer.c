/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * isolation_sanitizer.c - what a sanitizer's runtime adds to the list
 *
 * A build for tests with -fsanitize=address or thread makes calls of its own:
 * to look at its memory, and to print its report. Opening a path leads
 * nowhere, as the worker's root is empty. A normal build adds nothing.
 */
#include <seccomp.h>
#include <stdbool.h>

#include "daemon/isolation.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ISOLATION_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define ISOLATION_SANITIZED 1
#endif
#endif

#define ANY(call) { SCMP_SYS(call), { 0, 0, 0, 0 }, { 0, 0, 0, 0 } }

#ifdef ISOLATION_SANITIZED
const struct isolation_syscall isolation_sanitizer[] = {
	ANY(sigaltstack),
	ANY(prlimit64),
	ANY(getrlimit),
	ANY(sched_getaffinity),
	ANY(mprotect),
	ANY(mmap),
	ANY(open),
	ANY(openat),
	ANY(readlink),
	ANY(readlinkat),
	ANY(lseek),
	ANY(stat),
	ANY(fstat),
	ANY(newfstatat),
	ANY(read),
	ANY(sched_yield),
	ANY(nanosleep),
	ANY(clock_nanosleep),
	ANY(getuid),
	ANY(geteuid),
	ANY(getppid),
	ANY(uname),
	ANY(sysinfo),
};
const size_t isolation_sanitizer_count =
	sizeof(isolation_sanitizer) / sizeof(isolation_sanitizer[0]);
#else
const struct isolation_syscall isolation_sanitizer[1];
const size_t isolation_sanitizer_count;
#endif

static bool isolation_leaks_skipped;

/* The runtime asks here before its check at exit. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return isolation_leaks_skipped;
}

void isolation_sanitizer_skip_leaks(void)
{
	isolation_leaks_skipped = true;
}
