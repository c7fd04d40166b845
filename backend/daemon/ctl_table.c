/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_table.c - text in columns
 *
 * Columns are as wide as their widest cell, so the rows are read twice. The
 * last column is not padded.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/ctl_table.h"

#define CELL_MAX 160
#define COLUMNS_MAX 16

static void ctl_table_append(char *cell, const char *text)
{
	size_t length = strlen(cell);

	snprintf(cell + length, CELL_MAX - length, "%s%s", length ? "," : "",
		 text);
}

static void ctl_table_cell(struct json_object *row, const char *key,
			   char cell[CELL_MAX])
{
	struct json_object *value = NULL;
	size_t i;

	cell[0] = '\0';
	json_object_object_get_ex(row, key, &value);
	if (json_object_is_type(value, json_type_array)) {
		for (i = 0; i < json_object_array_length(value); i++)
			ctl_table_append(cell, json_object_get_string(
				json_object_array_get_idx(value, i)));
	} else if (value) {
		ctl_table_append(cell, json_object_get_string(value));
	}
	if (!cell[0])
		strcpy(cell, "-");
}

static void ctl_table_print_cell(const struct ctl_column *column, int width,
				 bool last, const char *cell)
{
	if (column->right)
		printf("%*s", width, cell);
	else if (last)
		fputs(cell, stdout);
	else
		printf("%-*s", width, cell);
	fputs(last ? "\n" : "  ", stdout);
}

void ctl_table_print(const struct ctl_column *columns, size_t count,
		     struct json_object *rows)
{
	size_t n = json_object_array_length(rows);
	int widths[COLUMNS_MAX] = { 0 };
	char cell[CELL_MAX];
	size_t row, i;

	for (i = 0; i < count && i < COLUMNS_MAX; i++) {
		widths[i] = (int)strlen(columns[i].title);
		for (row = 0; row < n; row++) {
			ctl_table_cell(json_object_array_get_idx(rows, row),
				       columns[i].key, cell);
			if ((int)strlen(cell) > widths[i])
				widths[i] = (int)strlen(cell);
		}
	}
	for (i = 0; i < count; i++)
		ctl_table_print_cell(&columns[i], widths[i], i + 1 == count,
				     columns[i].title);
	for (row = 0; row < n; row++) {
		for (i = 0; i < count; i++) {
			ctl_table_cell(json_object_array_get_idx(rows, row),
				       columns[i].key, cell);
			ctl_table_print_cell(&columns[i], widths[i],
					     i + 1 == count, cell);
		}
	}
}
