/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_service.h - which service of the device vtoe-run's program has
 */
#ifndef VTOE_RUN_SERVICE_H
#define VTOE_RUN_SERVICE_H

/*
 * `service`: "toe": nothing is to be done; "tto": vtoe-stack is started, and
 * VTOE_SOCKET is its socket from then on; "auto": "tto" where the device offers
 * that and the stack can run. Where a stack of vtoe-run's is the device already,
 * that stays. Exits with a message if it cannot be.
 */
void run_service(const char *service);

/* -- vtoe_run.c's -- */
/* Says so, exits 125. */
_Noreturn void run_fail(const char *what, const char *why);
/* A file that belongs to us: the one that the variable of the environment names; or
 * `beside` our own in the build tree, if it allows access of this mode; or
 * `installed`. Until the next call. */
const char *run_find(const char *variable, const char *beside,
		     const char *installed, int mode);

#endif
