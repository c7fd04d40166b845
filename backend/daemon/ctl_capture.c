/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_capture.c - `vtoectl capture`: from a worker's socket to a file
 *
 * The supervisor answers with a socket on which the guest's worker tells of
 * each packet (control_capture.c). To end in order is to shut that socket down for
 * reading, which a signal handler can do: the worker's next packet finds it
 * so, what is under way is still read, and then comes the end of the file. When
 * that comes without our doing, the worker has ended.
 *
 * Who reads our output may end it, too: that is as good as an interrupt.
 */
#include "daemon/ctl_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/ctl_pcapng.h"
#include "daemon/ctl_request.h"

static volatile sig_atomic_t capture_told_to_end;
static volatile sig_atomic_t capture_socket = -1;

struct capture {
	const struct ctl_capture *options;
	const char *guest;
	const char *file; /* as it is called in messages */
	FILE *out;
	struct pcapng pcapng;
	uint8_t message[PCAPNG_MESSAGE_MAX];
};

static void capture_on_signal(int number)
{
	int error = errno;

	(void)number;
	capture_told_to_end = 1;
	shutdown(capture_socket, SHUT_RD);
	errno = error;
}

/* The second signal has its usual effect: an output that takes nothing must
 * not keep us. */
static void capture_take_signals(const struct ctl_capture *options)
{
	struct sigaction end = {
		.sa_handler = capture_on_signal,
		.sa_flags = (int)(SA_RESTART | SA_RESETHAND),
	};

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	sigaction(SIGALRM, &end, NULL);
	if (options->seconds)
		alarm(options->seconds);
}

/* -- the question ---------------------------------------------------------- */

static void capture_add(struct json_object *request, const char *key,
			uint32_t value)
{
	if (value)
		json_object_object_add(request, key,
				       json_object_new_int64(value));
}

/* -> the socket; -1 after a message. */
static int capture_ask(const struct ctl_capture *options, const char *path,
		       struct json_object *request)
{
	struct json_object *answer, *ok = NULL, *error = NULL;
	int fd = -1;

	capture_add(request, "claim", options->claim);
	capture_add(request, "snap", options->snap);
	answer = ctl_request_descriptor(path, request, &fd);
	if (!answer)
		return -1;
	json_object_object_get_ex(answer, "ok", &ok);
	json_object_object_get_ex(answer, "error", &error);
	if (!json_object_get_boolean(ok))
		fprintf(stderr, "vtoectl: %s\n",
			error ? json_object_get_string(error) : "no answer");
	else if (fd < 0)
		fprintf(stderr, "vtoectl: %s: no socket came with the answer: "
			"is vtoed of another version?\n", path);
	json_object_put(answer);
	return fd;
}

/* Packets are nobody else's to read. */
static FILE *capture_open(const char *file)
{
	FILE *out = NULL;
	int fd;

	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0)
		out = fdopen(fd, "w");
	if (!out) {
		fprintf(stderr, "vtoectl: -w %s: %s: name a file that can be "
			"written\n", file, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	return out;
}

/* -- packets --------------------------------------------------------------- */

/* The output failed. -> the exit status */
static int capture_failed(const struct capture *c)
{
	if (errno == EPIPE)
		return 0;
	fprintf(stderr, "vtoectl: %s: %s: the capture ends here\n", c->file,
		strerror(errno));
	return 1;
}

/* All has been read: waits for more, or until nobody reads what we write. -1:
 * go on, else the exit status */
static int capture_wait(struct capture *c)
{
	struct pollfd wait[2] = {
		{ .fd = capture_socket, .events = POLLIN },
		{ .fd = fileno(c->out) },
	};

	if (fflush(c->out))
		return capture_failed(c);
	if (poll(wait, 2, -1) > 0 && wait[1].revents & POLLERR)
		return 0;
	return -1;
}

/* Nothing more comes. -> the exit status */
static int capture_hung_up(const struct capture *c)
{
	if (capture_told_to_end)
		return 0;
	fprintf(stderr, "vtoectl: guest %s: its worker has ended, and the "
		"capture with it: see vtoed's log\n", c->guest);
	return 1;
}

static int capture_take(struct capture *c, size_t bytes)
{
	const uint32_t count = c->options->count;
	bool wrong;

	if (pcapng_packet(&c->pcapng, c->message, bytes, &wrong))
		return capture_failed(c);
	if (wrong) {
		fprintf(stderr, "vtoectl: guest %s: its worker sent what is no "
			"packet: the capture ends here\n", c->guest);
		return 1;
	}
	return count && c->pcapng.packets == count ? 0 : -1;
}

static int capture_turn(struct capture *c)
{
	ssize_t n;

	n = recv(capture_socket, c->message, sizeof(c->message),
		 MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && errno == EINTR)
		return -1;
	if (n < 0 && errno == EAGAIN)
		return capture_wait(c);
	if (n <= 0)
		return capture_hung_up(c);
	if ((size_t)n > sizeof(c->message))
		n = 0; /* none of a worker's is so long */
	return capture_take(c, (size_t)n);
}

static int capture_all(struct capture *c)
{
	int status = -1;

	if (pcapng_begin(&c->pcapng, c->out, c->guest))
		return capture_failed(c);
	while (status < 0)
		status = capture_turn(c);
	if (pcapng_end(&c->pcapng) && !status)
		status = capture_failed(c);
	fprintf(stderr, "vtoectl: %" PRIu64 " packets captured, %" PRIu64
		" not captured\n", c->pcapng.packets, c->pcapng.missed);
	return status;
}

int ctl_capture_run(const struct ctl_capture *options, const char *socket_path,
		    struct json_object *request)
{
	static struct capture c;
	struct json_object *name;
	int status = 1;

	if (!options->file && isatty(STDOUT_FILENO)) {
		fputs("vtoectl: standard output is a terminal, and packets are "
		      "none of its: name a file with -w, or a reader: vtoectl "
		      "capture NAME | tcpdump -r -\n", stderr);
		return 2;
	}
	json_object_object_get_ex(request, "name", &name);
	c.options = options;
	c.guest = json_object_get_string(name);
	c.file = options->file ? options->file : "standard output";
	capture_socket = capture_ask(options, socket_path, request);
	if (capture_socket < 0)
		return 1;
	c.out = options->file ? capture_open(options->file) : stdout;
	if (c.out) {
		capture_take_signals(options);
		status = capture_all(&c);
		if (fclose(c.out) && !status)
			status = capture_failed(&c);
	}
	close(capture_socket);
	return status;
}
