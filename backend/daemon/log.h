/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - messages of the daemon's processes, on standard error
 *
 * One line each, prefixed with <N> (syslog priority) when the journal reads
 * them. Only backend/daemon logs: the layers below return errors and count.
 */
#ifndef VTOE_DAEMON_LOG_H
#define VTOE_DAEMON_LOG_H

enum vtoe_log_level {
	VTOE_LOG_ERROR = 0,
	VTOE_LOG_WARNING = 1,
	VTOE_LOG_INFO = 2,
	VTOE_LOG_DEBUG = 3,
};

/* `who` is prefixed to each line ("vtoed", "worker web1"); kept, not copied. */
void vtoe_log_init(const char *who, enum vtoe_log_level level);
void vtoe_log_set_level(enum vtoe_log_level level);
enum vtoe_log_level vtoe_log_get_level(void);
void vtoe_log(enum vtoe_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
