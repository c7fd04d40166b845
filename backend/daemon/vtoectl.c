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
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ctl_capture.h"
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
	"  capture NAME              write the packets of the TTO service, as the\n"
	"                            guest gets and sends them, as pcapng (-w,\n"
	"                            --claim, --seconds, --count, --snap)\n"
	"  log-level [NAME] LEVEL    error, warning, info or debug\n"
	"  link NAME up|down         tell the guest about its link\n"
	"options:\n"
	"  -r, --run-dir DIR         vtoed's run_dir (/run/vtoe)\n"
	"  -s, --socket SOCKET       its control socket (DIR/vtoed.ctl)\n"
	"      --json                print the answer as it is\n"
	"      --watch SECONDS       repeat until interrupted\n"
	"  -w, --write FILE          capture to this file (standard output)\n"
	"      --claim ID            capture one claim (see flows)\n"
	"      --seconds N           capture so long\n"
	"      --count N             capture so many packets\n"
	"      --snap BYTES          capture so much of each\n"
	"      --help, --version\n"
	"See vtoectl(8).\n";

struct ctl_options {
	const char *socket;
	char path[256];
	bool json;
	unsigned int watch; /* seconds; 0: once */
	struct ctl_capture capture;
	bool captures; /* some option of its was given */
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
	{ "capture", ctl_build_name, NULL },
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

/* Packets come of it, and no answer to show. */
static bool ctl_is_capture(const struct ctl_command *command)
{
	return !strcmp(command->name, "capture");
}

static int ctl_run(const struct ctl_options *options,
		   const struct ctl_command *command,
		   struct json_object *request)
{
	struct json_object *answer;
	int status;

	if (ctl_is_capture(command))
		return ctl_capture_run(&options->capture, options->socket,
				       request);
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

/* -1: go on; else the exit status. */
static int ctl_parse_number(const char *option, const char *of, uint32_t max,
			    const char *text, uint32_t *number)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || *text < '0' || *text > '9' || !n || n > max) {
		fprintf(stderr, "vtoectl: --%s: \"%s\" is not a number%s from "
			"1 to %" PRIu32 "\n", option, text, of, max);
		return 2;
	}
	*number = (uint32_t)n;
	return -1;
}

static void ctl_set_run_dir(struct ctl_options *options, const char *dir)
{
	snprintf(options->path, sizeof(options->path), "%s/vtoed.ctl", dir);
	options->socket = options->path;
}

enum { CTL_JSON = 256, CTL_WATCH, CTL_HELP, CTL_VERSION,
       CTL_CLAIM, CTL_SECONDS, CTL_COUNT, CTL_SNAP };

static int ctl_parse_capture(struct ctl_options *options, int option,
			     const char *text)
{
	struct ctl_capture *capture = &options->capture;

	options->captures = true;
	switch (option) {
	case CTL_CLAIM:
		return ctl_parse_number("claim", "", UINT32_MAX, text,
					&capture->claim);
	case CTL_SECONDS:
		return ctl_parse_number("seconds", "", 1000000, text,
					&capture->seconds);
	case CTL_COUNT:
		return ctl_parse_number("count", " of packets", UINT32_MAX,
					text, &capture->count);
	case CTL_SNAP:
		return ctl_parse_number("snap", " of bytes", 262144, text,
					&capture->snap);
	}
	capture->file = strcmp(text, "-") ? text : NULL;
	return -1;
}

/* -1: go on; else the exit status. */
static int ctl_parse(int argc, char **argv, struct ctl_options *options)
{
	static const struct option longs[] = {
		{ "run-dir", required_argument, NULL, 'r' },
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, CTL_JSON },
		{ "watch", required_argument, NULL, CTL_WATCH },
		{ "write", required_argument, NULL, 'w' },
		{ "claim", required_argument, NULL, CTL_CLAIM },
		{ "seconds", required_argument, NULL, CTL_SECONDS },
		{ "count", required_argument, NULL, CTL_COUNT },
		{ "snap", required_argument, NULL, CTL_SNAP },
		{ "help", no_argument, NULL, CTL_HELP },
		{ "version", no_argument, NULL, CTL_VERSION },
		{ NULL, 0, NULL, 0 },
	};
	int status = -1;
	int option;

	while (status < 0 &&
	       (option = getopt_long(argc, argv, "r:s:w:", longs, NULL)) >= 0) {
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
			status = ctl_parse_number("watch", " of seconds", 86400,
						  optarg, &options->watch);
			break;
		case 'w':
		case CTL_CLAIM:
		case CTL_SECONDS:
		case CTL_COUNT:
		case CTL_SNAP:
			status = ctl_parse_capture(options, option, optarg);
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
	if (ctl_is_capture(command) ? options.json || options.watch :
				      options.captures)
		fprintf(stderr, "vtoectl: wrong options for %s: see vtoectl "
			"--help\n", command->name);
	else if (command->build(request, argc - optind - 1, argv + optind + 1))
		fprintf(stderr, "vtoectl: wrong arguments for %s: see vtoectl "
			"--help\n", command->name);
	else
		status = ctl_run(&options, command, request);
	json_object_put(request);
	return status;
}
