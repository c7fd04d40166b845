/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/wire_session.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum {
	SQ = 1024,
	CQ = 4096,
	ANSWER_MS = 1000,
	/* Long: a Xen guest grants all of the connection's memory first. */
	OPEN_MS = 5000,
};

void session_forget(struct session *s)
{
	vtoe_forget(s->ctx);
	free(s->buffers);
	free(s->owed);
	free(s);
}

void session_free(struct session *s)
{
	if (s->lane)
		vtoe_lane_close(s->lane);
	session_forget(s);
}

static uint32_t at_most(uint32_t most, uint64_t n)
{
	return n < most ? (uint32_t)n : most;
}

static int session_memory(struct session *s)
{
	uint64_t room = vtoe_device(s->ctx)->memory_bytes / 3;
	uint32_t i;

	s->slot_count = at_most(SLOTS_MAX, room / SLOT_BYTES);
	s->buffer_count = at_most(BUFFERS_MAX, room / BUFFER_BYTES);
	if (s->slot_count < 2 * SPARE || s->buffer_count < 64)
		return -ENOMEM;
	s->slots = vtoe_alloc(s->ctx, (size_t)s->slot_count * SLOT_BYTES);
	s->memory = vtoe_alloc(s->ctx, (size_t)s->buffer_count * BUFFER_BYTES);
	s->buffers = calloc(s->buffer_count, sizeof(*s->buffers));
	s->owed = calloc(s->buffer_count, sizeof(*s->owed));
	if (!s->slots || !s->memory || !s->buffers || !s->owed)
		return -ENOMEM;
	for (i = 0; i < s->slot_count; i++)
		s->free_slot[s->free_slots++] = (uint16_t)i;
	for (i = 0; i < s->buffer_count; i++) {
		s->buffers[i].b.at = s->memory + (size_t)i * BUFFER_BYTES;
		s->buffers[i].session = s;
	}
	i = vtoe_translate(s->ctx, s->slots, 1, &s->slots_key,
			   &s->slots_offset) ||
	    vtoe_translate(s->ctx, s->memory, 1, &s->key, &s->offset);
	return i ? -EFAULT : 0;
}

struct vtoe_sqe *session_sqe(struct session *s)
{
	struct vtoe_sqe *sqe = vtoe_get_sqe(s->lane);

	/* the worker takes them at once, unless it is dead */
	if (!sqe && !vtoe_wait_sqe(s->lane, ANSWER_MS))
		sqe = vtoe_get_sqe(s->lane);
	s->due = true;
	return sqe;
}

bool session_lend(struct session *s, uint32_t first, uint32_t count)
{
	struct vtoe_sqe *sqe = vtoe_get_sqe(s->lane);
	uint32_t i;

	if (!sqe)
		return false;
	vtoe_sqe_set(sqe, VTOE_OP_AGGREGATE, 0, USER(USER_BUFFERS, 0, 0));
	sqe->key = s->key;
	sqe->offset = s->offset + (uint64_t)first * BUFFER_BYTES;
	sqe->length = count * BUFFER_BYTES;
	sqe->op_flags = count;
	for (i = 0; i < count; i++)
		s->buffers[first + i].lent = true;
	s->back += count;
	return true;
}

void session_lend_owed(struct session *s)
{
	while (s->owed_count && session_lend(s, s->owed[s->owed_count - 1], 1))
		s->owed_count--;
}

int session_open(const char *path, struct session **out)
{
	struct vtoe_params params = {
		.path = path,
		.name = "vtoe-stack",
		.timeout_ms = OPEN_MS,
	};
	struct session *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	rc = vtoe_open(&s->ctx, &params);
	if (rc)
		s->ctx = NULL;
	if (!rc && !(vtoe_device(s->ctx)->features & VTOE_F_TTO))
		rc = -EOPNOTSUPP;
	if (!rc)
		rc = vtoe_lane_open(s->ctx, &s->lane, SQ, CQ, 0);
	if (!rc)
		rc = session_memory(s);
	if (rc) {
		session_free(s);
		return rc;
	}
	vtoe_lane_set_spin(s->lane, 0);
	(void)session_lend(s, 0, s->buffer_count); /* the queue is empty */
	*out = s;
	return 0;
}

void session_submit(struct session *s)
{
	s->due = false;
	s->back = 0;
	vtoe_submit(s->lane);
}

bool session_is_ours(const struct session *s, uint64_t key, uint64_t offset,
		     uint64_t length, uint32_t *which)
{
	uint64_t at = offset - s->offset, i = at / BUFFER_BYTES;

	*which = (uint32_t)i;
	return key == s->key && offset >= s->offset && !(at % BUFFER_BYTES) &&
	       i < s->buffer_count && length <= BUFFER_BYTES &&
	       s->buffers[i].lent;
}

/* -- the thread that opens the next one ------------------------------------ */

static void *opener_run(void *arg)
{
	struct session_opener *o = arg;

	o->error = session_open(o->path, &o->session);
	__atomic_store_n(&o->done, true, __ATOMIC_RELEASE);
	return NULL;
}

int session_thread(pthread_t *thread, void *(*run)(void *), void *arg)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

static int opener_begin(struct session_opener *o, const char *path)
{
	int rc;

	o->path = path;
	o->session = NULL;
	o->done = false;
	rc = session_thread(&o->thread, opener_run, o);
	o->runs = !rc;
	return rc ? rc : -EAGAIN;
}

int session_opener_ask(struct session_opener *o, const char *path,
		       struct session **out)
{
	if (!o->runs)
		return opener_begin(o, path);
	if (!__atomic_load_n(&o->done, __ATOMIC_ACQUIRE))
		return -EAGAIN;
	pthread_join(o->thread, NULL);
	o->runs = false;
	*out = o->session;
	return o->error;
}

void session_opener_end(struct session_opener *o)
{
	if (!o->runs)
		return;
	pthread_join(o->thread, NULL);
	o->runs = false;
	if (!o->error)
		session_free(o->session);
}
