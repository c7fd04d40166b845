/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_table.h - text in columns
 */
#ifndef VTOE_DAEMON_CTL_TABLE_H
#define VTOE_DAEMON_CTL_TABLE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

struct ctl_column {
	const char *title;
	const char *key; /* of a row's object; arrays are joined by commas */
	bool right;	 /* a number */
};

/* Prints the title line and a line for each of @rows; null is "-". */
void ctl_table_print(const struct ctl_column *columns, size_t count,
		     struct json_object *rows);

#endif
