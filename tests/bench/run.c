/* SPDX-License-Identifier: BSD-2-Clause */
/* run.c - the table of workloads, and what their bodies share */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "workload.h"

const struct workload *const workload_table[] = {
	&workload_bulk_tx, &workload_bulk_rx, &workload_rr,
	&workload_connect, &workload_idle,    NULL,
};

int run_fail(struct run *run, int error, const char *what)
{
	snprintf(run->r->what, sizeof(run->r->what), "%s: %s", what,
		 strerror(-error));
	return error;
}

int run_connect(struct run *run, unsigned *stream)
{
	int error;

	error = run->t->ops->connect(run->t,
				     (const struct sockaddr *)&run->o->to,
				     run->o->to_len, stream);
	return error ? run_fail(run, error, "connect") : 0;
}

int run_open_stream(struct run *run, uint8_t mode, uint32_t size,
		    unsigned *stream)
{
	const struct transport_ops *ops = run->t->ops;
	struct transport_event event;
	int error;

	if (!run->header)
		run->header = ops->alloc(run->t, sizeof(*run->header));
	if (!run->header)
		return run_fail(run, -ENOMEM, "memory for the header");
	*run->header = (struct far_header){
		.mode = mode,
		.verify = run->o->verify,
		.size = htonl(size),
	};
	error = run_connect(run, stream);
	if (error)
		return error;
	error = ops->send(run->t, *stream, run->header, sizeof(*run->header),
			  false, 0);
	if (!error)
		error = ops->wait(run->t, &event);
	if (!error && event.result != sizeof(*run->header))
		error = event.result < 0 ? (int)event.result : -EIO;
	return error ? run_fail(run, error, "sending the header") : 0;
}
