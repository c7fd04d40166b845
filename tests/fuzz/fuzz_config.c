/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_config.c - the configuration file
 *
 * Whatever the text: an error with a line that exists and a text, or a
 * configuration whose values are in the bounds that the worker relies on, and
 * whose guests do not collide.
 */
#include "fuzz.h"

#include "daemon/config.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	return 0;
}

static unsigned count_lines(const uint8_t *data, size_t bytes)
{
	unsigned lines = 1;

	while (bytes--)
		lines += *data++ == '\n';
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct config_error error = { 0 };
	struct config c;
	char text[128];
	size_t i;

	config_init(&c);
	if (config_parse(&c, (const char *)data, bytes, &error)) {
		FUZZ_MUST(memchr(error.text, 0, sizeof(error.text)));
		FUZZ_MUST(error.text[0]);
		FUZZ_MUST(error.line <= count_lines(data, bytes));
		return 0;
	}
	FUZZ_MUST(c.guest_count <= CONFIG_GUESTS_MAX);
	FUZZ_MUST(config_log_level_name(c.log_level));
	for (i = 0; i < c.guest_count; i++) {
		struct config_guest *g = &c.guests[i];

		FUZZ_MUST(memchr(g->name, 0, sizeof(g->name)) && g->name[0]);
		FUZZ_MUST(g->line && g->line <= count_lines(data, bytes));
		FUZZ_MUST(config_guest_equal(g, g));
		/* Names become names of files and of interfaces. */
		FUZZ_MUST(!strchr(g->name, '/') && strcmp(g->name, ".."));
		FUZZ_MUST(!strchr(g->netns, '/') && strcmp(g->netns, ".."));
		FUZZ_MUST(g->peer_memory % 4096 == 0);
		FUZZ_MUST(g->peer_memory <= g->total_memory);
		FUZZ_MUST(g->allow_count <= CONFIG_ALLOW_MAX);
		config_print_uplink(g, text);
		if (i)
			FUZZ_MUST(!config_check_pair(g, &c.guests[i - 1],
						     &error));
	}
	config_free(&c);
	return 0;
}
