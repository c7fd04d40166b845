/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker.h - the process of one guest device (`vtoed --worker`)
 */
#ifndef VTOE_DAEMON_WORKER_H
#define VTOE_DAEMON_WORKER_H

#include "daemon/setup.h"
#include "path/path.h"

/* Runs until the supervisor says so or is gone; -> the exit status. */
int worker_main(void);

/* worker_report.c: answers to the supervisor's questions, on `fd`. */
int worker_report_sockets(struct device *d, int fd);
int worker_report_peers(struct device *d, int fd);
int worker_report_flows(const struct device *d, int fd); /* TTO started */
int worker_report_end(int fd, uint32_t value);

#endif
