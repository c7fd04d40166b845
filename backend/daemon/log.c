/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *log_who = "vtoed";
static enum vtoe_log_level log_level = VTOE_LOG_INFO;
static int log_journal;

void vtoe_log_init(const char *who, enum vtoe_log_level level)
{
	log_who = who;
	log_level = level;
	log_journal = getenv("JOURNAL_STREAM") != NULL;
}

void vtoe_log_set_level(enum vtoe_log_level level)
{
	log_level = level;
}

enum vtoe_log_level vtoe_log_get_level(void)
{
	return log_level;
}

void vtoe_log(enum vtoe_log_level level, const char *format, ...)
{
	static const int priority[] = { 3, 4, 6, 7 };
	char line[512];
	va_list args;
	int at = 0, n;

	if (level > log_level)
		return;
	if (log_journal)
		at = snprintf(line, sizeof(line), "<%d>", priority[level]);
	at += snprintf(line + at, sizeof(line) - at, "%s: ", log_who);
	va_start(args, format);
	n = vsnprintf(line + at, sizeof(line) - at - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	at += n;
	if (at > (int)sizeof(line) - 2)
		at = sizeof(line) - 2;
	line[at++] = '\n';
	/* one write, so that lines of several processes do not mix */
	if (write(STDERR_FILENO, line, at) < 0)
		return;
}
