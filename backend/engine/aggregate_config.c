/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/aggregate_config.h"

#include <errno.h>
#include <string.h>

#include "engine/delivery.h"

enum {
	SIZE_LIMIT = 1 << 20
};

void aggregate_config_default(struct aggregate_config *c)
{
	memset(c, 0, sizeof(*c));
	c->flows = 4096;
	c->hold_max = 8192;
	c->backlog = 1024;
	c->mode = AGGREGATE_ENDPOINT;
	c->create = CREATE_ON_DATA;
	c->window = WINDOW_SHRINK;
	c->bytes_max = 65535;
	c->count_max = 64;
	c->ack_change_max = 4;
	c->duplicate_max = 1;
	c->timeout = 50 * 1000;	      /* 50 us */
	c->idle = 60ull * 1000000000; /* 60 s */
}

int aggregate_config_check(const struct aggregate_config *c)
{
	if (!c->flows || c->flows > SIZE_LIMIT || c->flows & (c->flows - 1))
		return -EINVAL;
	if (!c->hold_max || c->hold_max > SIZE_LIMIT)
		return -EINVAL;
	if (c->backlog < AGGREGATE_OUT || c->backlog > SIZE_LIMIT)
		return -EINVAL;
	if (c->mode > AGGREGATE_REVERSIBLE || c->create > CREATE_ON_SYN ||
	    c->window > WINDOW_ANY)
		return -EINVAL;
	if (!c->bytes_max || c->bytes_max > 65535 || !c->count_max)
		return -EINVAL;
	if ((c->ack_merge_max || c->push_joins) &&
	    c->mode == AGGREGATE_REVERSIBLE)
		return -EINVAL;
	return 0;
}
