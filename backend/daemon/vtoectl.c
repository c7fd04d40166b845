/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vtoectl.c - the administrator's command
 *
 * Each command is a request to the supervisor (control.h), built here from the
 * arguments; what is right or wrong with a value is the supervisor's to say.
 * The exit status is 0, 1 after a refusal (one line on stderr says why), or 2
 * for a command line that is no request at all.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ctl_request.h"
#include "daemon/ctl_show.h"

static const char ctl_usage[] =
	"usage: vtoectl [-r DIR | -s SOCKET] [--json] COMMAND\n"
	"  attach NAME KEY=VALUE...  add a guest; the keys of vtoed.conf(5)\n"
	"  detach NAME               end a guest and remove what it has\n"
	"  list                      show the guests\n"
	"  stats [NAME]              show the counters (--watch SECONDS)\n"
	"  sockets [NAME]            show the sockets, and why some are left\n"
	"                            to the kernel\n"
	"  peers [NAME]              show the connected applications\n"
	"  flows [NAME]              show the flows of the TTO service, and why\n"
	"                            aggregates ended\n"
	"  log-level [NAME] LEVEL    error, warning, info or debug\n"
	"  link NAME up|down         tell the guest about its link\n"
	"options:\n"
	"  -r, --run-dir DIR         vtoed's run_dir (/run/vtoe)\n"
	"  -s, --socket SOCKET       its control socket (DIR/vtoed.ctl)\n"
	"      --json                print the answer as it is\n"
	"      --watch SECONDS       repeat until interrupted\n"
	"      --help, --version\n"
	"See vtoectl(8).\n";

struct ctl_options {
	const char *socket;
	char path[256];
	bool json;
	unsigned int watch; /* seconds; 0: once */
};

struct ctl_command {
	const char *name;
	/* Adds the arguments; -1 if they are wrong. */
	int (*build)(struct json_object *request, int count, char **arguments);
	void (*show)(struct json_object *guests);
};

static void ctl_add_text(struct json_object *request, const char *key,
			 const char *text)
{
	json_object_object_add(request, key, json_object_new_string(text));
}

static int ctl_build_none(struct json_object *request, int count,
			  char **arguments)
{
	(void)request;
	(void)arguments;
	return count ? -1 : 0;
}

static int ctl_build_name(struct json_object *request, int count,
			  char **arguments)
{
	if (count != 1)
		return -1;
	ctl_add_text(request, "name", arguments[0]);
	return 0;
}

static int ctl_build_any_name(struct json_object *request, int count,
			      char **arguments)
{
	return count ? ctl_build_name(request, count, arguments) : 0;
}

static int ctl_build_attach(struct json_object *request, int count,
			    char **arguments)
{
	struct json_object *keys = json_object_new_object();
	char *value;
	int i;

	json_object_object_add(request, "keys", keys);
	if (!count || strchr(arguments[0], '='))
		return -1;
	ctl_add_text(request, "name", arguments[0]);
	for (i = 1; i < count; i++) {
		value = strchr(arguments[i], '=');
		if (!value) {
			fprintf(stderr, "vtoectl: \"%s\" is not KEY=VALUE: see "
				"vtoed.conf(5) for the keys\n", arguments[i]);
			return -1;
		}
		*value++ = '\0';
		ctl_add_text(keys, arguments[i], value);
	}
	return 0;
}

static int ctl_build_log_level(struct json_object *request, int count,
			       char **arguments)
{
	if (count < 1 || count > 2)
		return -1;
	if (count == 2)
		ctl_add_text(request, "name", arguments[0]);
	ctl_add_text(request, "level", arguments[count - 1]);
	return 0;
}

static int ctl_build_link(struct json_object *request, int count,
			  char **arguments)
{
	if (count != 2)
		return -1;
	ctl_add_text(request, "name", arguments[0]);
	ctl_add_text(request, "link", arguments[1]);
	return 0;
}

static const struct ctl_command ctl_commands[] = {
	{ "attach", ctl_build_attach, NULL },
	{ "detach", ctl_build_name, NULL },
	{ "list", ctl_build_none, ctl_show_guests },
	{ "stats", ctl_build_any_name, ctl_show_stats },
	{ "sockets", ctl_build_any_name, ctl_show_sockets },
	{ "peers", ctl_build_any_name, ctl_show_peers },
	{ "flows", ctl_build_any_name, ctl_show_flows },
	{ "log-level", ctl_build_log_level, NULL },
	{ "link", ctl_build_link, NULL },
};

static const struct ctl_command *ctl_find_command(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(ctl_commands) / sizeof(ctl_commands[0]); i++)
		if (!strcmp(name, ctl_commands[i].name))
			return &ctl_commands[i];
	return NULL;
}

/* Guests whose worker could not be asked: each has its line. */
static int ctl_report_errors(struct json_object *guests)
{
	struct json_object *guest, *error, *name;
	int failed = 0;
	size_t i;

	for (i = 0; guests && i < json_object_array_length(guests); i++) {
		guest = json_object_array_get_idx(guests, i);
		if (!json_object_object_get_ex(guest, "error", &error) ||
		    !error)
			continue;
		json_object_object_get_ex(guest, "name", &name);
		fprintf(stderr, "vtoectl: guest %s: %s\n",
			json_object_get_string(name),
			json_object_get_string(error));
		failed = 1;
	}
	return failed;
}

static int ctl_show(const struct ctl_options *options,
		    const struct ctl_command *command,
		    struct json_object *answer)
{
	struct json_object *ok = NULL, *error = NULL, *guests = NULL;
	struct json_object *guest;

	if (options->json)
		puts(json_object_to_json_string_ext(answer,
			JSON_C_TO_STRING_PLAIN |
			JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_object_get_ex(answer, "ok", &ok);
	if (!json_object_get_boolean(ok)) {
		json_object_object_get_ex(answer, "error", &error);
		fprintf(stderr, "vtoectl: %s\n",
			error ? json_object_get_string(error) : "no answer");
		return 1;
	}
	json_object_object_get_ex(answer, "guests", &guests);
	if (!options->json && command->show && guests)
		command->show(guests);
	if (!options->json && json_object_object_get_ex(answer, "guest",
							&guest))
		ctl_show_attached(guest);
	fflush(stdout);
	return ctl_report_errors(guests);
}

static int ctl_run(const struct ctl_options *options,
		   const struct ctl_command *command,
		   struct json_object *request)
{
	struct json_object *answer;
	int status;

	for (;;) {
		answer = ctl_request(options->socket, request);
		if (!answer)
			return 1;
		status = ctl_show(options, command, answer);
		json_object_put(answer);
		if (status || !options->watch || ferror(stdout))
			return status;
		sleep(options->watch);
		if (!options->json)
			putchar('\n');
	}
}

static int ctl_parse_watch(struct ctl_options *options, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || !n || n > 86400) {
		fprintf(stderr, "vtoectl: --watch: \"%s\" is not a number of "
			"seconds from 1 to 86400\n", text);
		return 2;
	}
	options->watch = (unsigned int)n;
	return -1;
}

static void ctl_set_run_dir(struct ctl_options *options, const char *dir)
{
	snprintf(options->path, sizeof(options->path), "%s/vtoed.ctl", dir);
	options->socket = options->path;
}

enum { CTL_JSON = 256, CTL_WATCH, CTL_HELP, CTL_VERSION };

/* -1: go on; else the exit status. */
static int ctl_parse(int argc, char **argv, struct ctl_options *options)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, CTL_JSON },
		{ "watch", required_argument, NULL, CTL_WATCH },
		{ "help", no_argument, NULL, CTL_HELP },
		{ "version", no_argument, NULL, CTL_VERSION },
		{ NULL, 0, NULL, 0 },
	};
	int status = -1;
	int option;

	while (status < 0 &&
	       (option = getopt_long(argc, argv, "r:s:", longs, NULL)) >= 0) {
		switch (option) {
		case 'r':
			ctl_set_run_dir(options, optarg);
			break;
		case 's':
			options->socket = optarg;
			break;
		case CTL_JSON:
			options->json = true;
			break;
		case CTL_WATCH:
			status = ctl_parse_watch(options, optarg);
			break;
		case CTL_HELP:
			fputs(ctl_usage, stdout);
			return 0;
		case CTL_VERSION:
			puts("vtoectl " VTOE_VERSION);
			return 0;
		default:
			fputs(ctl_usage, stderr);
			return 2;
		}
	}
	return status;
}

int main(int argc, char **argv)
{
	const struct ctl_command *command = NULL;
	struct ctl_options options = { 0 };
	struct json_object *request;
	int status;

	ctl_set_run_dir(&options, "/run/vtoe");
	status = ctl_parse(argc, argv, &options);
	if (status >= 0)
		return status;
	if (optind < argc)
		command = ctl_find_command(argv[optind]);
	if (!command) {
		if (optind < argc)
			fprintf(stderr, "vtoectl: \"%s\" is not a command: see "
				"vtoectl --help\n", argv[optind]);
		else
			fputs(ctl_usage, stderr);
		return 2;
	}
	request = json_object_new_object();
	ctl_add_text(request, "command", command->name);
	status = 2;
	if (command->build(request, argc - optind - 1, argv + optind + 1))
		fprintf(stderr, "vtoectl: wrong arguments for %s: see vtoectl "
			"--help\n", command->name);
	else
		status = ctl_run(&options, command, request);
	json_object_put(request);
	return status;
}
