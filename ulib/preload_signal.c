/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_signal.c - signal handlers of the program
 *
 * Theory of operation. A handler may use sockets, or leave by longjmp; while
 * its thread holds the process's lock, either would be the end. So handlers
 * are installed behind a trampoline: with the lock held it only remembers the
 * signal, which the thread sends to itself again, with its information, after
 * it has given the lock up. That costs nothing while there is no signal, where
 * blocking signals would cost two system calls an operation.
 *
 * The trampoline also tells what the kernel knows when a call is interrupted:
 * whether a handler ran that has no SA_RESTART.
 *
 * Signals that come from the thread's own faults are left alone. What
 * sigaction() says about a handler is what the program installed.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload.h"

#define VT_SIGNALS 65
#define VT_PENDING 8 /* of one thread, in some microseconds */

static struct sigaction vt_actions[VT_SIGNALS]; /* as the program sees them */
static pthread_mutex_t vt_actions_lock = PTHREAD_MUTEX_INITIALIZER;

VT_TLS volatile sig_atomic_t vt_holding; /* the lock */
VT_TLS int vt_cancel_state; /* before */
VT_TLS volatile sig_atomic_t vt_pending_count;
VT_TLS siginfo_t vt_pending[VT_PENDING];
VT_TLS volatile sig_atomic_t vt_ran, vt_ran_once; /* handlers, since reset */

/* Those come from one's own doing, not while one sleeps. */
static bool vt_is_fault(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE ||
	       sig == SIGILL || sig == SIGTRAP || sig == SIGSYS;
}

/* For later. As in the kernel, one of a standard signal stands for all. */
static void vt_remember(int sig, const siginfo_t *info)
{
	int i;

	for (i = 0; i < vt_pending_count; i++)
		if (vt_pending[i].si_signo == sig && sig < SIGRTMIN)
			return;
	if (i == VT_PENDING)
		return;
	vt_pending[i] = *info;
	vt_pending[i].si_signo = sig;
	vt_pending_count = i + 1;
}

static void vt_trampoline(int sig, siginfo_t *info, void *context)
{
	struct sigaction a = vt_actions[sig];

	if (vt_holding) {
		vt_remember(sig, info);
		return;
	}
	vt_ran = 1;
	if (!(a.sa_flags & SA_RESTART))
		vt_ran_once = 1;
	if ((unsigned)a.sa_flags & SA_RESETHAND) {
		struct sigaction none = { .sa_handler = SIG_DFL };

		REAL(sigaction)(sig, &none, NULL);
	}
	if (a.sa_flags & SA_SIGINFO)
		a.sa_sigaction(sig, info, context);
	else
		a.sa_handler(sig);
}

/* Nor may the thread be cancelled: notifying is a point where it could be. */
void vt_signals_hold(void)
{
	int state;

	if (vt_holding)
		return; /* a fork's child */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	vt_cancel_state = state;
	vt_holding = 1;
}

/*
 * The lock was given up: signals that came meanwhile come again, all at once,
 * as they are blocked until the last is on its way. The kernel lets one forge
 * anything towards oneself.
 */
void vt_signals_release(void)
{
	int i, err = errno;
	sigset_t all, mask;

	vt_holding = 0;
	pthread_setcancelstate(vt_cancel_state, NULL);
	if (!vt_pending_count)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &mask);
	for (i = 0; i < vt_pending_count; i++)
		syscall(SYS_rt_tgsigqueueinfo, getpid(),
			(pid_t)syscall(SYS_gettid), vt_pending[i].si_signo,
			&vt_pending[i]);
	vt_pending_count = 0;
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	errno = err;
}

/* Before a sleep that a signal may interrupt. */
void vt_signals_reset(void)
{
	vt_ran = vt_ran_once = 0;
}

/*
 * May a call that a signal interrupted go on? The kernel restarts it when the
 * handler has SA_RESTART and the socket no time-out. For handlers that were
 * installed without us, all of them must have it.
 */
bool vt_restart(bool timed)
{
	struct sigaction action;
	int sig;

	if (timed)
		return false;
	if (vt_ran)
		return !vt_ran_once;
	for (sig = 1; sig < VT_SIGNALS; sig++) {
		if (vt_is_fault(sig) ||
		    REAL(sigaction)(sig, NULL, &action))
			continue;
		if (action.sa_handler != SIG_DFL &&
		    action.sa_handler != SIG_IGN &&
		    !(action.sa_flags & SA_RESTART))
			return false;
	}
	return true;
}

static bool vt_is_ours(const struct sigaction *a)
{
	return a->sa_flags & SA_SIGINFO && a->sa_sigaction == vt_trampoline;
}

static int vt_sigaction(int sig, const struct sigaction *act,
			struct sigaction *old)
{
	struct sigaction before = vt_actions[sig], now, was;
	bool handler = act && (act->sa_flags & SA_SIGINFO ||
			       (act->sa_handler != SIG_DFL &&
				act->sa_handler != SIG_IGN));

	if (act) {
		now = *act;
		if (handler) {
			now.sa_flags |= SA_SIGINFO;
			now.sa_flags &= ~SA_RESETHAND; /* done by us */
			now.sa_sigaction = vt_trampoline;
			vt_actions[sig] = *act;
		}
	}
	if (REAL(sigaction)(sig, act ? &now : NULL, &was)) {
		vt_actions[sig] = before;
		return -1;
	}
	if (old)
		*old = vt_is_ours(&was) ? before : was;
	return 0;
}

VT_EXPORT int sigaction(int sig, const struct sigaction *act,
			struct sigaction *old)
{
	sigset_t all, mask;
	int rc;

	if (sig < 1 || sig >= VT_SIGNALS || vt_is_fault(sig))
		return REAL(sigaction)(sig, act, old);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &mask);
	pthread_mutex_lock(&vt_actions_lock);
	rc = vt_sigaction(sig, act, old);
	pthread_mutex_unlock(&vt_actions_lock);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return rc;
}

/* BSD's signal(), as the C library's: restarts. */
VT_EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler,
				 .sa_flags = SA_RESTART }, old;

	if (sig < 1 || sig >= VT_SIGNALS || vt_is_fault(sig))
		return REAL(signal)(sig, handler);
	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, sig);
	if (sigaction(sig, &act, &old))
		return SIG_ERR;
	return old.sa_handler;
}
