/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * guest.c - the life of one guest
 *
 *   attach ─► PROBING ─► STARTING ─READY─► RUNNING ─stop─► LEAVING ─end─► gone
 *                │          │ ▲               │ end
 *                │          │ └─timer─ WAITING ◄┘
 *                └──────────┴─conflict, or end before the first READY─► the
 *                             owner is told, and stops it
 *
 * A guest of Xen is IDLE in place of STARTING and WAITING while its driver is
 * not there: guest_xen.c says when a worker starts and ends.
 *
 * The network, its steering and the listening socket live from attach to gone;
 * the network is connected when it is steered, as there may be claims that an
 * earlier supervisor left. Workers come and go. One that ends is followed by the
 * next at once. If one after another ends within QUICK_MS, each waits twice as
 * long as the one before it, up to BACKOFF_MAX_MS: a guest that kills its worker
 * with every request costs the machine little.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vtoe_device.h>

#include "daemon/log.h"
#include "daemon/endpoint.h"
#include "daemon/guest.h"
#include "daemon/guest_xen.h"

#define QUICK_MS 10000
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define LEAVE_MS 1000

static struct guest *guest_of_timer(struct loop_timer *timer)
{
	return list_entry(timer, struct guest, timer);
}

void guest_finish(struct guest *guest)
{
	struct guest_host *host = guest->host;

	loop_timer_clear(&guest->timer);
	probe_stop(&guest->probe);
	guest_fail_queries(guest, "the guest was detached");
	if (guest->listener >= 0) {
		unlink(guest->config.socket);
		close(guest->listener);
		guest->listener = -1;
	}
	cgroup_remove(host->cgroup, guest->config.name);
	if (host->hands_over)
		steering_hand_over(&guest->steering);
	else
		steering_close(&guest->steering, &guest->config, host->run_dir);
	network_destroy(&guest->network);
	vtoe_log(VTOE_LOG_INFO, "guest %s: detached", guest->config.name);
	host->gone(guest);
}

static unsigned int guest_next_delay(struct guest *guest)
{
	unsigned int delay = BACKOFF_MIN_MS;
	unsigned int i;

	if (loop_now() - guest->started_at >= QUICK_MS) {
		guest->quick_ends = 0;
		return 0;
	}
	if (!guest->quick_ends++)
		return 0;
	for (i = 2; i < guest->quick_ends && delay < BACKOFF_MAX_MS; i++)
		delay *= 2;
	return delay < BACKOFF_MAX_MS ? delay : BACKOFF_MAX_MS;
}

static void guest_wait_for_restart(struct guest *guest)
{
	unsigned int delay = guest_next_delay(guest);

	guest->state = GUEST_WAITING;
	guest->restarts++;
	if (delay)
		vtoe_log(VTOE_LOG_WARNING, "guest %s: its workers end quickly: "
			 "the next one starts in %u ms", guest->config.name,
			 delay);
	loop_timer_set(guest->host->loop, &guest->timer, delay);
}

/* The first worker could not start: whoever attached the guest is told. */
static void guest_announce_failure(struct guest *guest)
{
	guest->announced = true;
	guest->state = GUEST_WAITING;
	guest->host->started(guest, guest->failure);
}

/* What follows a worker's end that is expected, or that of any of Xen. */
static void guest_after_worker(struct guest *guest, const char *why)
{
	if (!guest->xen) {
		guest_finish(guest);
		return;
	}
	if (guest->state != GUEST_LEAVING)
		guest->state = GUEST_IDLE;
	if (!guest->announced)
		loop_timer_set(guest->host->loop, &guest->timer, 0);
	guest_xen_ended(guest, why);
}

void guest_on_ended(struct loop_watch *watch, uint32_t events)
{
	struct guest *guest = list_entry(watch, struct guest, ended);
	char how[160];

	(void)events;
	/* What it said last may explain its end. */
	if (guest->channel.fd >= 0)
		guest_on_channel(&guest->channel, EPOLLIN);
	loop_remove(guest->host->loop, &guest->ended);
	loop_remove(guest->host->loop, &guest->channel);
	loop_timer_clear(&guest->timer);
	process_reap(&guest->process, how, sizeof(how));
	guest_fail_queries(guest, "the worker ended");
	if (guest->state == GUEST_LEAVING || (guest->xen &&
					      guest->xen->ending)) {
		guest_after_worker(guest, how);
		return;
	}
	if (!guest->failure[0])
		snprintf(guest->failure, sizeof(guest->failure),
			 "its worker %s", how);
	vtoe_log(VTOE_LOG_WARNING, "guest %s: its worker %s%s%s",
		 guest->config.name, how,
		 strstr(guest->failure, how) ? "" : ": ",
		 strstr(guest->failure, how) ? "" : guest->failure);
	guest->restarts += guest->xen ? 1 : 0;
	if (guest->xen)
		guest_after_worker(guest, guest->failure);
	else if (!guest->was_ready && !guest->announced)
		guest_announce_failure(guest);
	else
		guest_wait_for_restart(guest);
}

void guest_on_ready(struct guest *guest)
{
	guest->state = GUEST_RUNNING;
	guest->was_ready = true;
	guest->failure[0] = '\0';
	loop_timer_clear(&guest->timer);
	vtoe_log(VTOE_LOG_INFO, "guest %s: worker %d is ready",
		 guest->config.name, guest->process.pid);
	if (!guest->announced) {
		guest->announced = true;
		guest->host->started(guest, NULL);
	}
	if (guest->xen)
		guest_xen_ready(guest);
}

static void guest_on_timer(struct loop_timer *timer)
{
	struct guest *guest = guest_of_timer(timer);
	char why[GUEST_WHY_MAX];

	switch (guest->state) {
	case GUEST_STARTING:
		snprintf(guest->failure, sizeof(guest->failure),
			 "its worker was not ready in time");
		process_kill(&guest->process);
		break;
	case GUEST_WAITING:
		if (!guest_start_worker(guest, why))
			break;
		vtoe_log(VTOE_LOG_ERROR, "guest %s: %s", guest->config.name,
			 why);
		guest->started_at = loop_now();
		guest_wait_for_restart(guest);
		break;
	case GUEST_LEAVING:
		vtoe_log(VTOE_LOG_WARNING, "guest %s: its worker does not "
			 "leave, and is killed", guest->config.name);
		process_kill(&guest->process);
		break;
	case GUEST_IDLE:
		if (guest->announced)
			break;
		guest->announced = true;
		guest->host->started(guest, NULL);
		break;
	case GUEST_PROBING:
	case GUEST_RUNNING:
		break;
	}
}

static int guest_begin(struct guest *guest, char *why)
{
	if (!guest->xen)
		return guest_start_worker(guest, why);
	guest_xen_begin(guest);
	return 0;
}

static void guest_on_probed(struct probe *probe, const char *conflict)
{
	struct guest *guest = list_entry(probe, struct guest, probe);
	char why[GUEST_WHY_MAX];

	if (!conflict && !guest_begin(guest, why))
		return;
	snprintf(guest->failure, sizeof(guest->failure), "%s",
		 conflict ? conflict : why);
	guest_announce_failure(guest);
}

/* Nobody else can have an address that is not on a network of ours. */
static int guest_probe(struct guest *guest)
{
	const struct network *network = &guest->network;
	int error;

	if (!guest->config.check_address || !network->ours ||
	    !network->inside[0] ||
	    (!network->address4.given && !network->address6.given))
		return -1;
	guest->state = GUEST_PROBING;
	error = probe_start(&guest->probe, guest->host->loop, network);
	if (error)
		vtoe_log(VTOE_LOG_WARNING, "guest %s: cannot ask the network "
			 "for its addresses: %s", guest->config.name,
			 strerror(-error));
	return error;
}

static struct guest *guest_new(struct guest_host *host,
			       const struct config_guest *config)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return NULL;
	list_init(&guest->link);
	list_init(&guest->queries);
	list_init(&guest->xen_link);
	loop_timer_init(&guest->timer, guest_on_timer);
	loop_timer_init(&guest->query_timer, guest_on_query_timer);
	network_init(&guest->network);
	steering_init(&guest->steering);
	probe_init(&guest->probe, guest_on_probed);
	guest->host = host;
	guest->config = *config;
	guest->listener = -1;
	guest->ended.fd = -1;
	guest->channel.fd = -1;
	guest->link_state = VTOE_LINK_UP;
	return guest;
}

struct guest *guest_attach(struct guest_host *host,
			   const struct config_guest *config,
			   uint32_t log_level, char *why)
{
	struct guest *guest = guest_new(host, config);

	if (!guest) {
		snprintf(why, GUEST_WHY_MAX, "out of memory");
		return NULL;
	}
	guest->log_level = log_level;
	if (config->port == CONFIG_PORT_XEN && guest_xen_attach(guest, why))
		goto free_guest;
	if (network_create(&guest->network, config, host->run_dir, why))
		goto free_guest;
	if (!guest->xen)
		guest->listener = endpoint_listen(config->socket,
						  config->socket_mode, why,
						  GUEST_WHY_MAX);
	if (!guest->xen && guest->listener < 0)
		goto destroy_network;
	steering_open(&guest->steering, &guest->network, config,
		      host->run_dir);
	if (network_connect(&guest->network, why))
		goto close_listener;
	if (guest_probe(guest) && guest_begin(guest, why))
		goto close_listener;
	return guest;
close_listener:
	if (guest->listener >= 0) {
		unlink(config->socket);
		close(guest->listener);
	}
	steering_close(&guest->steering, config, host->run_dir);
destroy_network:
	cgroup_remove(host->cgroup, config->name);
	network_destroy(&guest->network);
free_guest:
	guest_free(guest);
	return NULL;
}

void guest_stop(struct guest *guest)
{
	struct worker_header leave = { .message = WORKER_LEAVE };

	if (guest->state == GUEST_LEAVING)
		return;
	if (!guest->process.pid && !guest->xen) {
		guest_finish(guest);
		return;
	}
	guest->announced = true;
	loop_timer_clear(&guest->timer);
	if (guest->process.pid) {
		if (guest->state == GUEST_STARTING ||
		    write(guest->process.channel, &leave, sizeof(leave)) < 0)
			process_kill(&guest->process);
		loop_timer_set(guest->host->loop, &guest->timer, LEAVE_MS);
	}
	guest->state = GUEST_LEAVING;
	if (guest->xen)
		guest_xen_leave(guest);
}

void guest_free(struct guest *guest)
{
	if (guest->stats)
		munmap((void *)guest->stats, VTOE_STATS_BYTES);
	guest_xen_free(guest);
	list_del(&guest->link);
	loop_timer_clear(&guest->query_timer);
	free(guest);
}

const char *guest_tto_failure(const struct guest *guest)
{
	return guest->steering.why[0] ? guest->steering.why :
					guest->tto_failure;
}

const char *guest_state_name(const struct guest *guest)
{
	static const char *const names[] = {
		[GUEST_PROBING] = "probing",
		[GUEST_STARTING] = "starting",
		[GUEST_RUNNING] = "running",
		[GUEST_WAITING] = "waiting",
		[GUEST_LEAVING] = "leaving",
		[GUEST_IDLE] = "idle",
	};

	return names[guest->state];
}

double guest_cpu_seconds(const struct guest *guest)
{
	return cgroup_cpu_seconds(guest->host->cgroup, guest->config.name,
				  guest->process.pid);
}
