/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_pcapng.c - a worker's captured packets as pcapng
 *
 * A section with one interface, whose name is the guest's, in this machine's
 * byte order and nanoseconds. A packet has its direction, as the guest sees it,
 * how many were missed just before it, and as a comment what the packet itself
 * does not show: of how many segments it is, and why it ended.
 *
 * A worker may be a guest's that took it over. A message is checked here before
 * anything of it is used; that a packet is what it says nobody can check.
 *
 * Each block is made in memory and written at once, so that who reads a pipe
 * gets whole ones.
 */
#include "daemon/ctl_pcapng.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_STATISTICS = 5,
	BLOCK_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	LINKTYPE_ETHERNET = 1,
	NANOSECONDS = 9,
	INBOUND = 1,
	OUTBOUND = 2,
};

enum { TEXT_MAX = 128 };

enum {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	SECTION_PROGRAM = 4,
	INTERFACE_NAME = 2,
	INTERFACE_RESOLUTION = 9,
	PACKET_FLAGS = 2,
	PACKET_DROPS = 4,
	STATISTICS_END = 3,
	STATISTICS_RECEIVED = 4,
	STATISTICS_DROPPED = 5,
};

/* -- blocks ---------------------------------------------------------------- */

/* What is written has room: see struct pcapng. */
static void put(struct pcapng *p, const void *from, uint32_t bytes)
{
	memcpy(p->block + p->used, from, bytes);
	p->used += bytes;
	while (p->used % 4)
		p->block[p->used++] = 0;
}

static void put32(struct pcapng *p, uint32_t value)
{
	put(p, &value, sizeof(value));
}

static void put_time(struct pcapng *p, uint64_t ns)
{
	put32(p, (uint32_t)(ns >> 32));
	put32(p, (uint32_t)ns);
}

static void put_option(struct pcapng *p, uint16_t code, const void *value,
		       size_t bytes)
{
	const uint16_t head[2] = { code, (uint16_t)bytes };

	put(p, head, sizeof(head));
	put(p, value, (uint32_t)bytes);
}

static void put_text(struct pcapng *p, uint16_t code, const char *text)
{
	size_t bytes = strlen(text);

	put_option(p, code, text, bytes < TEXT_MAX ? bytes : TEXT_MAX);
}

static void block_begin(struct pcapng *p, uint32_t type)
{
	p->used = 0;
	put32(p, type);
	put32(p, 0); /* its length */
}

static int block_end(struct pcapng *p)
{
	uint32_t length = p->used + 8;

	put32(p, OPTION_END);
	put32(p, length);
	memcpy(p->block + 4, &length, sizeof(length));
	return fwrite(p->block, length, 1, p->out) == 1 ? 0 : -1;
}

static int section_write(struct pcapng *p)
{
	const uint16_t version[2] = { 1, 0 };
	const int64_t unknown = -1;

	block_begin(p, BLOCK_SECTION);
	put32(p, BYTE_ORDER_MAGIC);
	put(p, version, sizeof(version));
	put(p, &unknown, sizeof(unknown));
	put_text(p, SECTION_PROGRAM, "vtoectl " VTOE_VERSION);
	return block_end(p);
}

static int interface_write(struct pcapng *p, const char *name)
{
	const uint16_t link[2] = { LINKTYPE_ETHERNET, 0 };
	const uint8_t resolution = NANOSECONDS;

	block_begin(p, BLOCK_INTERFACE);
	put(p, link, sizeof(link));
	put32(p, 0); /* no limit */
	put_text(p, INTERFACE_NAME, name);
	put_option(p, INTERFACE_RESOLUTION, &resolution, sizeof(resolution));
	return block_end(p);
}

int pcapng_begin(struct pcapng *p, FILE *out, const char *interface)
{
	p->out = out;
	p->packets = p->missed = 0;
	return section_write(p) || interface_write(p, interface) ? -1 : 0;
}

/* -- packets --------------------------------------------------------------- */

static bool message_is_right(const struct pcapng *p,
			     const struct tto_captured *m, size_t bytes)
{
	return m->magic == TTO_CAPTURED_MAGIC &&
	       m->version == TTO_CAPTURED_VERSION &&
	       m->captured == bytes - sizeof(*m) &&
	       m->captured <= m->original &&
	       m->original <= TTO_CAPTURE_BYTES && m->missed >= p->missed &&
	       (m->direction == TTO_DELIVERED || m->direction == TTO_SENT);
}

static void reason_clean(char *reason, size_t size)
{
	size_t i;

	reason[size - 1] = '\0';
	for (i = 0; reason[i]; i++)
		if (reason[i] < ' ' || reason[i] > '~')
			reason[i] = '?';
}

static void put_comment(struct pcapng *p, struct tto_captured *m)
{
	const char *plural = m->segments == 1 ? "" : "s";
	char text[80];

	reason_clean(m->reason, sizeof(m->reason));
	if (m->direction == TTO_SENT)
		snprintf(text, sizeof(text), "to be %u segment%s, claim %"
			 PRIu32, m->segments, plural, m->claim);
	else
		snprintf(text, sizeof(text), "%u segment%s, %s, claim %" PRIu32,
			 m->segments, plural, m->reason, m->claim);
	put_text(p, OPTION_COMMENT, text);
}

int pcapng_packet(struct pcapng *p, const void *message, size_t bytes,
		  bool *wrong)
{
	struct tto_captured m;
	uint64_t missed;
	uint32_t flags;

	*wrong = true;
	if (bytes < sizeof(m))
		return 0;
	memcpy(&m, message, sizeof(m));
	if (!message_is_right(p, &m, bytes))
		return 0;
	*wrong = false;
	missed = m.missed - p->missed;
	p->missed = m.missed;
	flags = m.direction == TTO_SENT ? OUTBOUND : INBOUND;
	block_begin(p, BLOCK_PACKET);
	put32(p, 0); /* the interface */
	put_time(p, m.time);
	put32(p, m.captured);
	put32(p, m.original);
	put(p, (const uint8_t *)message + sizeof(m), m.captured);
	put_comment(p, &m);
	put_option(p, PACKET_FLAGS, &flags, sizeof(flags));
	if (missed)
		put_option(p, PACKET_DROPS, &missed, sizeof(missed));
	p->packets++;
	return block_end(p);
}

int pcapng_end(struct pcapng *p)
{
	uint64_t received = p->packets + p->missed;
	struct timespec now;
	uint64_t ns;
	uint32_t end[2];

	clock_gettime(CLOCK_REALTIME, &now);
	ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	end[0] = (uint32_t)(ns >> 32);
	end[1] = (uint32_t)ns;
	block_begin(p, BLOCK_STATISTICS);
	put32(p, 0); /* the interface */
	put_time(p, ns);
	put_option(p, STATISTICS_END, end, sizeof(end));
	put_option(p, STATISTICS_RECEIVED, &received, sizeof(received));
	put_option(p, STATISTICS_DROPPED, &p->missed, sizeof(p->missed));
	return block_end(p) || fflush(p->out) ? -1 : 0;
}
