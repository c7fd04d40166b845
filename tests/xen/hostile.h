/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostile.h - a frontend of Xen that lies
 *
 * A program in a guest, in place of vtoe.ko: it shares pages and makes event
 * channels by /dev/xen/{gntalloc,evtchn}, writes the frontend's keys in xenstore
 * and speaks vtoe_xen.h by hand. Nothing is checked that a lie might break.
 */
#ifndef VTOE_TESTS_XEN_HOSTILE_H
#define VTOE_TESTS_XEN_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

#include <vtoe_control.h>
#include <vtoe_device.h>
#include <vtoe_ring.h>
#include <vtoe_xen.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#define BACKEND_DOMID 0
#define FRONT "device/vtoe/0"
#define CALL_MS 10000

struct pages {
	uint8_t *at;
	uint32_t *refs;
	uint32_t count;
};

struct front {
	struct xs_handle *xs;
	xengntshr_handle *shares;
	xenevtchn_handle *events;
	char backend[128];
	struct pages ring;
	xenevtchn_port_or_error_t port;
	struct vtoe_ring requests, completions;
	uint64_t serial;
};

/* A connection's memory, and the pages that list its references. */
struct memory {
	struct pages pages, lists;
	xenevtchn_port_or_error_t port;
};

/* All of these return NULL, or what is wrong: a text that lives until the next
 * call. */
const char *wrong(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
#define TRY(call)                          \
	do {                               \
		const char *text_ = (call);\
		if (text_)                 \
			return text_;      \
	} while (0)

uint64_t now_ms(void);
void nap(unsigned int ms);
uint32_t random32(void);

/* -- xenstore -- */
void front_write(struct front *f, const char *key, const char *value);
void front_write_number(struct front *f, const char *key, uint32_t value);
/* A number of the backend's; -1: none there. */
int front_backend_number(struct front *f, const char *key);
const char *front_wait_backend(struct front *f, int state, unsigned int ms);

/* -- pages -- */
const char *pages_share(struct front *f, struct pages *p, uint32_t count);
void pages_unshare(struct front *f, struct pages *p);

/* -- the device -- */
/* The handshake, to Connected and back to Closed. */
const char *front_begin(struct front *f);
const char *front_end(struct front *f);
/* Makes ring and channel, and writes none of the keys. */
const char *front_prepare(struct front *f);
void front_unprepare(struct front *f);

void front_notify(struct front *f);
/* Puts it into the ring, if there is room, and notifies. */
const char *front_send(struct front *f, struct vtoe_xen_request *q);
/* The next answer, whatever it answers. */
const char *front_next(struct front *f, struct vtoe_xen_completion *c,
		       unsigned int ms);
/* Sends, and waits for the answer of this one. */
const char *front_call(struct front *f, struct vtoe_xen_request *q,
		       struct vtoe_xen_completion *c);
/* The answer's result is a negated errno, or that one. */
const char *front_refuses(struct front *f, struct vtoe_xen_request *q);
const char *front_answers(struct front *f, struct vtoe_xen_request *q,
			  int32_t result);

/* -- connections -- */
const char *memory_make(struct front *f, struct memory *m, uint32_t pages);
void memory_free(struct front *f, struct memory *m);
void memory_describe(const struct memory *m, struct vtoe_xen_request *q);
const char *memory_connect(struct front *f, struct memory *m, uint32_t number);
const char *front_disconnect(struct front *f, uint32_t number);
/* HELLO and one lane, by the control ring in that memory. */
const char *memory_hello(struct front *f, struct memory *m);
/* No byte of another guest's load (load.c marks each of its pages). */
const char *memory_is_clean(const struct memory *m);

struct lie {
	const char *name;
	const char *(*run)(struct front *f);
	bool alone; /* makes the handshake itself */
};

extern const struct lie lies_device[], lies_store[];
extern const unsigned int lies_device_count, lies_store_count;

#endif
