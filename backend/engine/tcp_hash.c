/* SPDX-License-Identifier: BSD-2-Clause */
/* tcp_hash.c - SipHash-2-4 (Aumasson and Bernstein, 2012) */
#include "engine/tcp_hash.h"

#include <string.h>

struct sip {
	uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t v, unsigned n)
{
	return v << n | v >> (64 - n);
}

static void round_once(struct sip *v)
{
	v->a += v->b;
	v->b = rotate(v->b, 13) ^ v->a;
	v->a = rotate(v->a, 32);
	v->c += v->d;
	v->d = rotate(v->d, 16) ^ v->c;
	v->a += v->d;
	v->d = rotate(v->d, 21) ^ v->a;
	v->c += v->b;
	v->b = rotate(v->b, 17) ^ v->c;
	v->c = rotate(v->c, 32);
}

static void take(struct sip *v, uint64_t word)
{
	v->d ^= word;
	round_once(v);
	round_once(v);
	v->a ^= word;
}

static uint64_t load(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

uint64_t tcp_hash(const uint8_t key[16], uint64_t use, const void *bytes,
		  size_t length)
{
	uint64_t k0 = load(key, 8), k1 = load(key + 8, 8);
	struct sip v = {
		k0 ^ 0x736f6d6570736575u,
		k1 ^ 0x646f72616e646f6du,
		k0 ^ 0x6c7967656e657261u,
		k1 ^ 0x7465646279746573u,
	};
	uint64_t total = length + 8;
	const uint8_t *p = bytes;
	unsigned i;

	take(&v, use);
	for (; length >= 8; length -= 8, p += 8)
		take(&v, load(p, 8));
	take(&v, total << 56 | load(p, length));
	v.c ^= 0xff;
	for (i = 0; i < 4; i++)
		round_once(&v);
	return v.a ^ v.b ^ v.c ^ v.d;
}
