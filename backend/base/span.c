/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/span.h"

#include <string.h>

uint32_t span_copy_in(struct span to, const void *from, uint32_t bytes)
{
	if (bytes > to.length)
		bytes = to.length;
	memcpy(to.at, from, bytes);
	return bytes;
}

uint32_t span_copy_out(void *to, struct span from, uint32_t bytes)
{
	if (bytes > from.length)
		bytes = from.length;
	memcpy(to, from.at, bytes);
	return bytes;
}
