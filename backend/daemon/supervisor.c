/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * supervisor.c - all guests of this machine
 *
 * The supervisor reads the configuration, attaches its guests, and then waits:
 * for workers, for `vtoectl`, for signals. It never touches a guest's memory or
 * data. What it owns in the machine (namespaces, interfaces, sockets, groups)
 * it removes when it ends; if it is killed, its workers end by themselves, as
 * their channel closes, and the next supervisor on the same run_dir removes the
 * rest (left_over.c) and starts anew: all but the claims of the TTO service,
 * which it takes over (pins.c). SIGUSR2 ends it in order and leaves them too.
 *
 * Start: every guest of the configuration must start, or none does: the first
 * failure stops all that was begun, and the exit status is 1. Only then is
 * READY=1 said. After that, failures of one guest are that guest's alone.
 *
 * SIGHUP reads the configuration again. Guests that it no longer has are
 * detached; when they are gone, new ones are attached. One that has changed is
 * reported and left as it is, because its connections would be lost; guests of
 * `vtoectl attach` stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/control.h"
#include "daemon/guest_xen.h"
#include "daemon/left_over.h"
#include "daemon/notify.h"
#include "daemon/pins.h"
#include "daemon/supervisor.h"

static struct guest *supervisor_guest(struct list *at)
{
	return list_entry(at, struct guest, link);
}

struct guest *supervisor_find(struct supervisor *s, const char *name)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &s->guests)
		if (!strcmp(supervisor_guest(at)->config.name, name))
			return supervisor_guest(at);
	return NULL;
}

static bool supervisor_has(struct supervisor *s, enum guest_state state)
{
	struct list *at, *next;

	list_for_each_safe(at, next, &s->guests)
		if (supervisor_guest(at)->state == state)
			return true;
	return false;
}

static void supervisor_stop(struct supervisor *s)
{
	struct list *at, *next;

	s->stopping = true;
	list_for_each_safe(at, next, &s->guests)
		guest_stop(supervisor_guest(at));
	if (list_empty(&s->guests))
		loop_stop(&s->loop);
}

int supervisor_attach(struct supervisor *s, struct config_guest *config,
		      struct guest_waiter *waiter, char *why, size_t size)
{
	struct config_error error = { 0 };
	char reason[GUEST_WHY_MAX];
	struct list *at, *next;
	struct guest *guest;

	if (s->stopping) {
		snprintf(why, size, "vtoed is stopping");
		return -1;
	}
	if (config_check_guest(config, s->config.run_dir, &error))
		goto refuse;
	list_for_each_safe(at, next, &s->guests)
		if (config_check_pair(config, &supervisor_guest(at)->config,
				      &error))
			goto refuse;
	guest = guest_attach(&s->host, config, s->config.log_level, reason);
	if (!guest) {
		snprintf(why, size, "guest %s: %s", config->name, reason);
		return -1;
	}
	guest->waiter = waiter;
	list_add_tail(&s->guests, &guest->link);
	return 0;
refuse:
	snprintf(why, size, "%s", error.text);
	return -1;
}

int supervisor_detach(struct supervisor *s, const char *name,
		      struct guest_waiter *waiter, char *why, size_t size)
{
	struct guest *guest = supervisor_find(s, name);

	if (!guest) {
		snprintf(why, size, "there is no guest \"%.64s\": see `vtoectl "
			 "list` for those that exist", name);
		return -1;
	}
	if (guest->waiter || guest->state == GUEST_LEAVING) {
		snprintf(why, size, "guest %s is being attached or detached: "
			 "try again when that is done", guest->config.name);
		return -1;
	}
	guest->waiter = waiter;
	guest_stop(guest);
	return 0;
}

static void supervisor_tell_waiter(struct guest *guest, const char *error)
{
	struct guest_waiter *waiter = guest->waiter;

	guest->waiter = NULL;
	if (waiter)
		waiter->done(waiter, error);
}

/* All guests of the configuration run: those who wait for us may go on. */
static void supervisor_check_started(struct supervisor *s)
{
	if (!s->starting || supervisor_has(s, GUEST_PROBING) ||
	    supervisor_has(s, GUEST_STARTING))
		return;
	s->starting = false;
	notify_send("READY=1");
	vtoe_log(VTOE_LOG_INFO, "ready");
}

static void supervisor_on_started(struct guest *guest, const char *error)
{
	struct supervisor *s = guest->host->owner;

	if (!error) {
		supervisor_tell_waiter(guest, NULL);
		supervisor_check_started(s);
		return;
	}
	vtoe_log(VTOE_LOG_ERROR, "guest %s: %s", guest->config.name, error);
	if (!s->starting) {
		guest_stop(guest); /* its waiter is told when it is gone */
		return;
	}
	s->failed = true;
	supervisor_stop(s);
}

static void supervisor_attach_configured(struct supervisor *s);

static void supervisor_on_gone(struct guest *guest)
{
	struct supervisor *s = guest->host->owner;
	char why[GUEST_WHY_MAX + 64];

	list_del(&guest->link);
	snprintf(why, sizeof(why), "guest %s: %s", guest->config.name,
		 guest->failure[0] ? guest->failure : "vtoed is stopping");
	supervisor_tell_waiter(guest, guest->was_ready ? NULL : why);
	guest_free(guest);
	if (s->stopping && list_empty(&s->guests))
		loop_stop(&s->loop);
	else if (s->reloading && !supervisor_has(s, GUEST_LEAVING))
		supervisor_attach_configured(s);
}

/* Attaches what the configuration has and we have not. */
static void supervisor_attach_configured(struct supervisor *s)
{
	char why[GUEST_WHY_MAX + 64];
	size_t i;

	s->reloading = false;
	for (i = 0; i < s->config.guest_count && !s->stopping; i++) {
		struct config_guest *config = &s->config.guests[i];

		if (supervisor_find(s, config->name) ||
		    !supervisor_attach(s, config, NULL, why, sizeof(why)))
			continue;
		vtoe_log(VTOE_LOG_ERROR, "%s:%u: %s", s->config_path,
			 config->line, why);
		if (!s->starting)
			continue;
		s->failed = true;
		supervisor_stop(s);
	}
	if (!s->stopping)
		supervisor_check_started(s);
}

static const struct config_guest *
supervisor_find_configured(const struct config *config, const char *name)
{
	size_t i;

	for (i = 0; i < config->guest_count; i++)
		if (!strcmp(config->guests[i].name, name))
			return &config->guests[i];
	return NULL;
}

static void supervisor_compare_guests(struct supervisor *s)
{
	const struct config_guest *wanted;
	struct list *at, *next;
	struct guest *guest;

	list_for_each_safe(at, next, &s->guests) {
		guest = supervisor_guest(at);
		wanted = supervisor_find_configured(&s->config,
						    guest->config.name);
		if (!wanted && guest->config.line && !guest->waiter)
			guest_stop(guest);
		else if (wanted && !config_guest_equal(wanted, &guest->config))
			vtoe_log(VTOE_LOG_WARNING, "%s:%u: guest %s has changed "
				 "and stays as it is: detach it, and reload "
				 "again", s->config_path, wanted->line,
				 guest->config.name);
	}
}

static void supervisor_reload(struct supervisor *s)
{
	struct config_error error;
	struct config config;

	if (s->starting || s->stopping)
		return;
	if (config_load(&config, s->config_path, &error)) {
		vtoe_log(VTOE_LOG_ERROR, "%s:%u: %s: nothing was changed",
			 s->config_path, error.line, error.text);
		return;
	}
	if (strcmp(config.run_dir, s->config.run_dir) ||
	    strcmp(config.worker_user, s->config.worker_user) ||
	    strcmp(config.control_group, s->config.control_group))
		vtoe_log(VTOE_LOG_WARNING, "%s: run_dir, worker_user and "
			 "control_group change only by a restart",
			 s->config_path);
	free(s->config.guests);
	s->config.guests = config.guests;
	s->config.guest_count = config.guest_count;
	vtoe_log(VTOE_LOG_INFO, "%s: read again", s->config_path);
	supervisor_compare_guests(s);
	/* From here on the last one to go brings the new ones. */
	s->reloading = true;
	if (!supervisor_has(s, GUEST_LEAVING))
		supervisor_attach_configured(s);
}

static void supervisor_on_signal(struct loop_watch *watch, uint32_t events)
{
	struct supervisor *s = list_entry(watch, struct supervisor, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(watch->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		supervisor_reload(s);
		return;
	}
	s->host.hands_over = info.ssi_signo == SIGUSR2;
	vtoe_log(VTOE_LOG_INFO, "stopping (%s)%s",
		 strsignal((int)info.ssi_signo), s->host.hands_over ?
		 ": claims are left to the next vtoed" : "");
	notify_send("STOPPING=1");
	supervisor_stop(s);
}

static int supervisor_watch_signals(struct supervisor *s)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -1;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -1;
	s->signals.ready = supervisor_on_signal;
	return loop_add(&s->loop, &s->signals, fd, EPOLLIN);
}

/* The user that workers become. */
static int supervisor_find_user(struct supervisor *s)
{
	const char *name = s->config.worker_user;
	const struct passwd *user;

	if (!*name) {
		user = getpwnam("vtoe");
		if (!user)
			user = getpwnam("nobody");
	} else {
		user = getpwnam(name);
	}
	if (!user) {
		vtoe_log(VTOE_LOG_ERROR, "worker_user: there is no user "
			 "\"%s\": name one that exists", *name ? name : "vtoe");
		return -1;
	}
	if (!user->pw_uid && *name)
		vtoe_log(VTOE_LOG_WARNING, "worker_user is root: workers run "
			 "as root, without capabilities");
	s->host.uid = user->pw_uid;
	s->host.gid = user->pw_gid;
	return 0;
}

/* One supervisor a directory: the lock goes with the process. */
static int supervisor_lock_run_dir(struct supervisor *s)
{
	const char *dir = s->config.run_dir;
	struct stat open_file, named;
	char path[128];

	s->made_run_dir = !mkdir(dir, 0755);
	if (!s->made_run_dir && errno != EEXIST) {
		vtoe_log(VTOE_LOG_ERROR, "run_dir %s: %s: create its parent "
			 "directory, or set another", dir, strerror(errno));
		return -1;
	}
	snprintf(path, sizeof(path), "%s/vtoed.lock", dir);
	for (;;) {
		s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
			       0600);
		if (s->lock < 0) {
			vtoe_log(VTOE_LOG_ERROR, "%s: %s: run vtoed as root, "
				 "or set another run_dir", path,
				 strerror(errno));
			return -1;
		}
		if (flock(s->lock, LOCK_EX | LOCK_NB)) {
			vtoe_log(VTOE_LOG_ERROR, "another vtoed uses %s: stop "
				 "it, or set another run_dir", dir);
			close(s->lock);
			return -1;
		}
		/* Its last owner may have removed it meanwhile. */
		if (!fstat(s->lock, &open_file) && !stat(path, &named) &&
		    open_file.st_ino == named.st_ino)
			return 0;
		close(s->lock);
	}
}

static void supervisor_unlock_run_dir(struct supervisor *s)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/vtoed.lock", s->config.run_dir);
	unlink(path);
	close(s->lock);
	if (s->made_run_dir)
		rmdir(s->config.run_dir);
}

static void supervisor_init(struct supervisor *s, const char *config_path,
			    struct config *config)
{
	memset(s, 0, sizeof(*s));
	s->config_path = config_path;
	s->config = *config;
	list_init(&s->guests);
	s->host.loop = &s->loop;
	s->host.cgroup = &s->cgroup;
	s->host.run_dir = s->config.run_dir;
	s->host.started = supervisor_on_started;
	s->host.gone = supervisor_on_gone;
	s->host.owner = s;
	s->starting = true;
}

static int supervisor_serve(struct supervisor *s)
{
	int error;

	supervisor_attach_configured(s);
	error = loop_run(&s->loop);
	if (error)
		vtoe_log(VTOE_LOG_ERROR, "waiting for events: %s",
			 strerror(-error));
	return error || s->failed;
}

int supervisor_run(const char *config_path, struct config *config)
{
	struct supervisor s;
	int failed = 1;

	supervisor_init(&s, config_path, config);
	if (supervisor_find_user(&s) || supervisor_lock_run_dir(&s))
		return 1;
	if (loop_init(&s.loop))
		goto unlock;
	if (supervisor_watch_signals(&s))
		goto close_loop;
	left_over_clean(s.config.run_dir);
	pins_clean(s.config.run_dir, &s.config);
	cgroup_init(&s.cgroup);
	s.control = control_open(&s);
	if (!s.control)
		goto close_cgroup;
	failed = supervisor_serve(&s);
	control_close(s.control);
	guest_xen_close(&s.host);
	if (!s.host.hands_over)
		pins_clean(s.config.run_dir, NULL);
close_cgroup:
	cgroup_close(&s.cgroup);
	close(s.signals.fd);
close_loop:
	loop_close(&s.loop);
unlock:
	supervisor_unlock_run_dir(&s);
	config_free(&s.config);
	return failed;
}
