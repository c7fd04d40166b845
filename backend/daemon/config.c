/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.c - the configuration file: lines and sections
 *
 * The file is a list of `[section]` lines, `key = value` lines, comments
 * (`#` or `;` first in the line) and empty lines. Sections are `[vtoed]`, once,
 * and `[guest NAME]`. A key may be set once in its section. The first mistake
 * ends the parsing: the caller shows FILE:LINE: and the message, and nothing
 * has been done. What a guest's keys are and mean is config_guest.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/config.h"

#define CONFIG_LINE_MAX 512
#define CONFIG_KEYS_MAX 32

enum config_section { SECTION_NONE, SECTION_VTOED, SECTION_GUEST };

struct config_parser {
	struct config *config;
	struct config_error *error;
	enum config_section section;
	struct config_guest guest; /* the section's, until it is complete */
	unsigned int line;
	bool have_vtoed;
	char seen[CONFIG_KEYS_MAX][20]; /* keys of this section */
	unsigned int seen_count;
};

__attribute__((format(printf, 2, 3)))
static int config_refuse(struct config_error *error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return -1;
}

static const char *const config_levels[] = {
	[VTOE_LOG_ERROR] = "error",
	[VTOE_LOG_WARNING] = "warning",
	[VTOE_LOG_INFO] = "info",
	[VTOE_LOG_DEBUG] = "debug",
};

#define CONFIG_LEVELS (sizeof(config_levels) / sizeof(config_levels[0]))

int config_parse_log_level(const char *text, uint32_t *level, char *why)
{
	uint32_t i;

	for (i = 0; i < CONFIG_LEVELS; i++) {
		if (!config_levels[i] || strcmp(text, config_levels[i]))
			continue;
		*level = i;
		return 0;
	}
	snprintf(why, VALUE_WHY_MAX,
		 "\"%.64s\" is not a level: use error, warning, info or debug",
		 text);
	return -1;
}

const char *config_log_level_name(uint32_t level)
{
	return level < CONFIG_LEVELS && config_levels[level] ?
		config_levels[level] : "?";
}

void config_init(struct config *config)
{
	memset(config, 0, sizeof(*config));
	strcpy(config->run_dir, "/run/vtoe");
	config->log_level = VTOE_LOG_INFO;
}

void config_free(struct config *config)
{
	free(config->guests);
	config->guests = NULL;
	config->guest_count = 0;
}

static int config_set_run_dir(struct config *config, const char *value,
			      struct config_error *error)
{
	/* RUN_DIR/NAME.sock must fit into a struct sockaddr_un. */
	if (value[0] != '/' || strlen(value) >= sizeof(config->run_dir))
		return config_refuse(error, "run_dir: \"%.64s\" is not an "
				     "absolute path of less than %zu "
				     "characters: write one as /run/vtoe",
				     value, sizeof(config->run_dir));
	strcpy(config->run_dir, value);
	return 0;
}

static int config_set_account(const char *key, char *to, size_t size,
			      const char *value, struct config_error *error)
{
	if (!*value || strlen(value) >= size || strpbrk(value, ":/ \t"))
		return config_refuse(error, "%s: \"%.64s\" is not the name of "
				     "an account: see getent(1) for those that "
				     "exist", key, value);
	strcpy(to, value);
	return 0;
}

static int config_set_vtoed(struct config *config, const char *key,
			    const char *value, struct config_error *error)
{
	char why[VALUE_WHY_MAX];

	if (!strcmp(key, "run_dir"))
		return config_set_run_dir(config, value, error);
	if (!strcmp(key, "worker_user"))
		return config_set_account(key, config->worker_user,
					  sizeof(config->worker_user), value,
					  error);
	if (!strcmp(key, "control_group"))
		return config_set_account(key, config->control_group,
					  sizeof(config->control_group), value,
					  error);
	if (!strcmp(key, "log_level")) {
		if (config_parse_log_level(value, &config->log_level, why))
			return config_refuse(error, "log_level: %s", why);
		return 0;
	}
	return config_refuse(error, "\"%.64s\" is not a key of [vtoed]: use "
			     "run_dir, worker_user, control_group or "
			     "log_level", key);
}

/* The section of a guest ends: it joins the list. */
static int config_end_section(struct config_parser *p)
{
	struct config *config = p->config;
	struct config_guest *grown;

	if (p->section != SECTION_GUEST)
		return 0;
	p->section = SECTION_NONE;
	p->error->line = p->guest.line;
	if (config->guest_count == CONFIG_GUESTS_MAX)
		return config_refuse(p->error, "more than %d guests",
				     CONFIG_GUESTS_MAX);
	grown = realloc(config->guests,
			(config->guest_count + 1) * sizeof(*grown));
	if (!grown)
		return config_refuse(p->error, "out of memory");
	grown[config->guest_count++] = p->guest;
	config->guests = grown;
	return 0;
}

static int config_begin_section(struct config_parser *p, char *text)
{
	char *end = strchr(text, ']');

	if (config_end_section(p))
		return -1;
	p->error->line = p->line;
	p->seen_count = 0;
	if (!end || end[1])
		return config_refuse(p->error, "\"%.64s\" is not a section: "
				     "write [vtoed] or [guest NAME]", text);
	*end = '\0';
	text++;
	if (!strcmp(text, "vtoed")) {
		if (p->have_vtoed)
			return config_refuse(p->error, "[vtoed] is here a "
					     "second time: merge the two");
		p->have_vtoed = true;
		p->section = SECTION_VTOED;
		return 0;
	}
	if (strncmp(text, "guest", 5) || (text[5] != ' ' && text[5] != '\t'))
		return config_refuse(p->error, "\"[%.64s]\" is not a section: "
				     "write [vtoed] or [guest NAME]", text);
	text += 5 + strspn(text + 5, " \t");
	if (config_init_guest(&p->guest, text, p->error))
		return -1;
	p->guest.line = p->line;
	p->section = SECTION_GUEST;
	return 0;
}

static int config_note_key(struct config_parser *p, const char *key)
{
	unsigned int i;

	for (i = 0; i < p->seen_count; i++)
		if (!strcmp(p->seen[i], key))
			return config_refuse(p->error, "%s is set a second "
					     "time in this section: remove "
					     "one", key);
	if (p->seen_count < CONFIG_KEYS_MAX &&
	    strlen(key) < sizeof(p->seen[0]))
		strcpy(p->seen[p->seen_count++], key);
	return 0;
}

static char *config_trim(char *text)
{
	size_t length;

	text += strspn(text, " \t");
	length = strlen(text);
	while (length && strchr(" \t\r", text[length - 1]))
		text[--length] = '\0';
	return text;
}

static int config_parse_line(struct config_parser *p, char *line)
{
	char *text = config_trim(line);
	char *key, *value;

	if (!*text || *text == '#' || *text == ';')
		return 0;
	if (*text == '[')
		return config_begin_section(p, text);
	value = strchr(text, '=');
	if (!value)
		return config_refuse(p->error, "\"%.64s\" is neither a "
				     "[section] nor key = value: put # before "
				     "a comment", text);
	*value++ = '\0';
	key = config_trim(text);
	value = config_trim(value);
	if (p->section == SECTION_NONE)
		return config_refuse(p->error, "\"%.64s\" stands before any "
				     "section: put [vtoed] or [guest NAME] "
				     "above it", key);
	if (config_note_key(p, key))
		return -1;
	if (p->section == SECTION_VTOED)
		return config_set_vtoed(p->config, key, value, p->error);
	return config_set_guest(&p->guest, key, value, p->error);
}

static int config_parse_lines(struct config_parser *p, const char *text,
			      size_t length)
{
	char line[CONFIG_LINE_MAX];
	const char *end;
	size_t bytes;

	while (length) {
		end = memchr(text, '\n', length);
		bytes = end ? (size_t)(end - text) : length;
		p->error->line = ++p->line;
		if (bytes >= sizeof(line))
			return config_refuse(p->error, "the line is longer "
					     "than %d characters: shorten it",
					     CONFIG_LINE_MAX - 1);
		if (memchr(text, '\0', bytes))
			return config_refuse(p->error, "the line has a NUL "
					     "character: write plain text");
		memcpy(line, text, bytes);
		line[bytes] = '\0';
		if (config_parse_line(p, line))
			return -1;
		text += bytes + (end ? 1 : 0);
		length -= bytes + (end ? 1 : 0);
	}
	return config_end_section(p);
}

/* What needs [vtoed], which may stand behind the guests, and each other. */
static int config_check_guests(struct config *config,
			       struct config_error *error)
{
	size_t i, j;

	for (i = 0; i < config->guest_count; i++) {
		error->line = config->guests[i].line;
		if (config_check_guest(&config->guests[i], config->run_dir,
				       error))
			return -1;
		for (j = 0; j < i; j++)
			if (config_check_pair(&config->guests[i],
					      &config->guests[j], error))
				return -1;
	}
	return 0;
}

int config_parse(struct config *config, const char *text, size_t length,
		 struct config_error *error)
{
	struct config_parser parser = { .config = config, .error = error };

	memset(error, 0, sizeof(*error));
	config_init(config);
	if (config_parse_lines(&parser, text, length) ||
	    config_check_guests(config, error)) {
		config_free(config);
		return -1;
	}
	return 0;
}

/* Reads all of @fd, at most CONFIG_FILE_MAX bytes. */
static ssize_t config_read_file(int fd, char *text)
{
	size_t length = 0;
	ssize_t n;

	while (length < CONFIG_FILE_MAX) {
		n = read(fd, text + length, CONFIG_FILE_MAX - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (!n)
			return (ssize_t)length;
		length += (size_t)n;
	}
	errno = EFBIG;
	return -1;
}

int config_load(struct config *config, const char *path,
		struct config_error *error)
{
	ssize_t length;
	int result;
	char *text;
	int fd;

	memset(error, 0, sizeof(*error));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return config_refuse(error, "cannot read the configuration: "
				     "%s: name another file with -c",
				     strerror(errno));
	text = malloc(CONFIG_FILE_MAX);
	if (!text) {
		close(fd);
		return config_refuse(error, "out of memory");
	}
	length = config_read_file(fd, text);
	if (length < 0)
		result = config_refuse(error, "cannot read the configuration: "
				       "%s: name another file with -c",
				       strerror(errno));
	else
		result = config_parse(config, text, (size_t)length, error);
	free(text);
	close(fd);
	return result;
}
