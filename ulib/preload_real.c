/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_real.c - finds the C library's own functions
 *
 * Theory of operation: the pointers are written once with values that do not
 * change, so two threads that resolve at the same time do no harm.
 */
#include <dlfcn.h>

#include "preload.h"

struct vt_real vt_real;

void vt_real_resolve(void)
{
#define X(type, name, args)                                           \
	__atomic_store_n((void **)&vt_real.name, dlsym(RTLD_NEXT, #name), \
			 __ATOMIC_RELAXED);
	VT_REAL_LIST(X)
#undef X
}
