/* SPDX-License-Identifier: BSD-2-Clause */
#include "path/spin.h"

#include <string.h>

void spin_init(struct spin *s, uint32_t most)
{
	memset(s, 0, sizeof(*s));
	s->most = s->window = most;
}

static void spin_retry(struct spin *s)
{
	if (s->window || !s->most || ++s->skipped % SPIN_RETRY)
		return;
	s->window = s->most;
	s->trial = true;
}

void spin_found(struct spin *s, uint64_t now, uint64_t bytes)
{
	uint64_t moved = bytes - s->bytes;

	s->bytes = bytes;
	if (s->looking && spin_is_on(s, now)) {
		s->window = s->most;
		s->trial = false;
	}
	s->looking = false;
	s->until = 0;
	if (moved > SPIN_BULK_BYTES)
		return;
	spin_retry(s);
	if (s->window)
		s->until = now + s->window;
}

void spin_slept(struct spin *s, uint64_t bytes)
{
	s->bytes = bytes;
	s->looking = false;
	s->until = 0;
	spin_retry(s);
}

void spin_missed(struct spin *s, uint64_t now)
{
	if (!s->until)
		return;
	s->looking = true;
	if (spin_is_on(s, now))
		return;
	s->looking = false;
	s->until = 0;
	/* where entering the kernel takes longer than the window, each try costs
	 * such an entry and finds nothing */
	s->window = s->trial ? 0 : s->window / 2;
}
