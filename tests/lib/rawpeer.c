/* SPDX-License-Identifier: BSD-2-Clause */
#include "rawpeer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int64_t raw_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int raw_dial(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, error;

	if (strlen(path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

static int raw_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = poll(&p, 1, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n;
}

int raw_receive(int socket, int64_t *value, int *fd, int timeout_ms)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec v = { .iov_base = value, .iov_len = sizeof(*value) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	*fd = -1;
	if (raw_readable(socket, timeout_ms) <= 0)
		return -ETIME;
	n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC | MSG_WAITALL);
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	if (n == 0)
		return -ENOTCONN;
	return n == sizeof(*value) ? 0 : -EPROTO;
}

static int raw_map(struct raw_peer *p, uint64_t bytes)
{
	void *at;

	p->bytes = bytes;
	if (p->bytes < VTOE_GUEST_OFFSET)
		return -EPROTO;
	at = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		  p->memory_fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	p->memory = at;
	memcpy(&p->page, at, sizeof(p->page));
	if (p->page.magic != VTOE_MAGIC || p->page.max_lanes == 0 ||
	    p->page.max_lanes >= RAW_VECTORS)
		return -EPROTO;
	vtoe_ring_init(&p->requests, p->memory + VTOE_CTL_REQUEST_OFFSET,
		       p->page.control_entries);
	vtoe_ring_init(&p->completions, p->memory + VTOE_CTL_COMPLETION_OFFSET,
		       p->page.control_entries);
	p->cursor = VTOE_GUEST_OFFSET;
	return 0;
}

static int raw_expect(struct raw_peer *p, int64_t value, int *fd)
{
	int64_t got;
	int error = raw_receive(p->socket, &got, fd, RAW_TIMEOUT_MS);

	if (error)
		return error;
	return got == value && *fd >= 0 ? 0 : -EPROTO;
}

/* /dev/vtoeN, which a Xen guest has in place of the socket: its descriptor is
 * what hangs up, what is mapped, and what rings. */
static int raw_open_device(struct raw_peer *p, const char *path)
{
	struct vtoe_ioc_info info;
	struct vtoe_ioc_eventfd e;
	int error;

	p->socket = open(path, O_RDWR | O_CLOEXEC);
	if (p->socket < 0)
		return -errno;
	p->memory_fd = dup(p->socket);
	p->doorbell = dup(p->socket);
	if (p->memory_fd < 0 || p->doorbell < 0 ||
	    ioctl(p->socket, VTOE_IOC_INFO, &info))
		return -errno;
	p->id = info.connection + 1;
	error = raw_map(p, info.memory_bytes);
	while (!error && p->vector_count < 1 + p->page.max_lanes) {
		e.vector = p->vector_count;
		e.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		p->vectors[p->vector_count++] = e.fd;
		if (e.fd < 0 || ioctl(p->socket, VTOE_IOC_EVENTFD, &e))
			error = -errno;
	}
	return error;
}

int raw_connect(struct raw_peer *p, const char *path)
{
	struct stat s;
	int64_t value;
	int error, fd;
	unsigned i;

	memset(p, 0, sizeof(*p));
	p->socket = p->memory_fd = p->doorbell = -1;
	for (i = 0; i < RAW_VECTORS; i++)
		p->vectors[i] = -1;
	if (!stat(path, &s) && S_ISCHR(s.st_mode)) {
		error = raw_open_device(p, path);
		if (error)
			raw_close(p);
		return error;
	}
	p->socket = raw_dial(path);
	if (p->socket < 0)
		return p->socket;
	error = raw_receive(p->socket, &value, &fd, RAW_TIMEOUT_MS);
	if (!error && value != 0)
		error = value < 0 && value > -4096 ? (int)value : -EPROTO;
	if (!error)
		error = raw_receive(p->socket, &p->id, &fd, RAW_TIMEOUT_MS);
	if (!error && (p->id < 1 || p->id > 65535))
		error = -EPROTO;
	if (!error)
		error = raw_expect(p, -1, &p->memory_fd);
	if (!error && fstat(p->memory_fd, &s) < 0)
		error = -errno;
	if (!error)
		error = raw_map(p, (uint64_t)s.st_size);
	if (!error)
		error = raw_expect(p, 0, &p->doorbell);
	while (!error && p->vector_count < 1 + p->page.max_lanes) {
		error = raw_expect(p, p->id, &p->vectors[p->vector_count]);
		p->vector_count++;
	}
	if (error)
		raw_close(p);
	return error;
}

void raw_close(struct raw_peer *p)
{
	unsigned i;

	if (p->memory)
		munmap(p->memory, p->bytes);
	for (i = 0; i < RAW_VECTORS; i++) {
		if (p->vectors[i] >= 0)
			close(p->vectors[i]);
		p->vectors[i] = -1;
	}
	if (p->doorbell >= 0)
		close(p->doorbell);
	if (p->memory_fd >= 0)
		close(p->memory_fd);
	if (p->socket >= 0)
		close(p->socket);
	p->memory = NULL;
	p->socket = p->memory_fd = p->doorbell = -1;
}

void raw_ring_doorbell(struct raw_peer *p)
{
	uint64_t one = 1;
	ssize_t n = write(p->doorbell, &one, sizeof(one));

	(void)n; /* full: a notification is pending anyway */
}

uint32_t raw_status(const struct raw_peer *p, uint32_t *violation)
{
	const struct vtoe_device_page *page = (const void *)p->memory;
	uint32_t status = __atomic_load_n(&page->status, __ATOMIC_ACQUIRE);

	*violation = __atomic_load_n(&page->violation, __ATOMIC_RELAXED);
	return status;
}

uint32_t raw_lane_status(const struct raw_lane *l, uint32_t *violation)
{
	uint32_t status = __atomic_load_n(&l->cq.shared->p.status,
					  __ATOMIC_ACQUIRE);

	*violation = __atomic_load_n(&l->cq.shared->p.violation,
				     __ATOMIC_RELAXED);
	return status;
}

/* Sleeps until the vector is notified, the backend hangs up, or the time is
 * over. A notification is consumed. */
static int raw_sleep(struct raw_peer *p, unsigned vector, int64_t until)
{
	struct pollfd f[2] = {
		{ .fd = p->vectors[vector], .events = POLLIN },
		{ .fd = p->socket, .events = POLLRDHUP },
	};
	int64_t left = until - raw_now_ms();
	uint64_t count;
	ssize_t n;

	if (left <= 0)
		return -ETIME;
	if (poll(f, 2, (int)left) < 0 && errno != EINTR)
		return -errno;
	if (f[0].revents & POLLIN) {
		n = read(p->vectors[vector], &count, sizeof(count));
		(void)n;
		return 0;
	}
	return f[1].revents ? -ENOTCONN : 0;
}

static int raw_ring_next(struct raw_peer *p, struct vtoe_ring *r,
			 unsigned vector, void *to, int timeout_ms)
{
	int64_t until = raw_now_ms() + timeout_ms;
	uint32_t violation;
	void *entry;
	int error;

	for (;;) {
		entry = vtoe_ring_peek(r);
		if (!entry && vtoe_ring_arm(r))
			entry = vtoe_ring_peek(r);
		if (entry) {
			memcpy(to, entry, VTOE_RING_ENTRY);
			vtoe_ring_advance(r);
			if (vtoe_ring_release(r))
				raw_ring_doorbell(p);
			return 0;
		}
		if (raw_status(p, &violation) == VTOE_STATUS_PARKED)
			return -EPROTO;
		if (r->shared->p.status == VTOE_STATUS_PARKED)
			return -EPROTO;
		error = raw_sleep(p, vector, until);
		if (error)
			return error;
	}
}

int raw_control_next(struct raw_peer *p, struct vtoe_ctl_completion *to,
		     int timeout_ms)
{
	return raw_ring_next(p, &p->completions, VTOE_VECTOR_CONTROL, to,
			     timeout_ms);
}

int raw_control_submit(struct raw_peer *p,
		       const struct vtoe_ctl_request *request)
{
	void *entry = vtoe_ring_reserve(&p->requests);

	if (!entry)
		return -ENOBUFS;
	memcpy(entry, request, sizeof(*request));
	vtoe_ring_submit(&p->requests);
	raw_ring_doorbell(p);
	return 0;
}

int raw_control(struct raw_peer *p, struct vtoe_ctl_request *request,
		struct vtoe_ctl_completion *to)
{
	int error;

	if (request->user_data == 0)
		request->user_data = ++p->serial;
	error = raw_control_submit(p, request);
	while (!error) {
		error = raw_control_next(p, to, RAW_TIMEOUT_MS);
		if (!error && to->op == request->op &&
		    to->user_data == request->user_data)
			return 0;
	}
	return error;
}

int raw_hello(struct raw_peer *p)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_HELLO };
	struct vtoe_ctl_completion c;
	int error;

	r.u.hello.version = VTOE_VERSION_1;
	r.u.hello.pid = (uint32_t)getpid();
	r.u.hello.features = p->page.features;
	memcpy(r.u.hello.name, "rawpeer", 8);
	error = raw_control(p, &r, &c);
	return error ? error : c.result;
}

uint64_t raw_alloc(struct raw_peer *p, uint64_t bytes)
{
	uint64_t at = p->cursor;

	bytes = (bytes + VTOE_PAGE - 1) & ~(uint64_t)(VTOE_PAGE - 1);
	if (bytes > p->bytes - at)
		return 0;
	p->cursor += bytes;
	return at;
}

int raw_lane_add(struct raw_peer *p, struct raw_lane *l, uint32_t sq_entries,
		 uint32_t cq_entries, unsigned vector)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_ADD };
	struct vtoe_ctl_completion c;
	int error;

	memset(l, 0, sizeof(*l));
	l->peer = p;
	l->vector = vector;
	l->sq_offset = raw_alloc(p, VTOE_RING_BYTES(sq_entries));
	l->cq_offset = raw_alloc(p, VTOE_RING_BYTES(cq_entries));
	if (!l->sq_offset || !l->cq_offset)
		return -ENOMEM;
	memset(p->memory + l->sq_offset, 0, VTOE_RING_HEADER);
	memset(p->memory + l->cq_offset, 0, VTOE_RING_HEADER);
	vtoe_ring_init(&l->sq, p->memory + l->sq_offset, sq_entries);
	vtoe_ring_init(&l->cq, p->memory + l->cq_offset, cq_entries);
	r.u.lane.sq_offset = l->sq_offset;
	r.u.lane.cq_offset = l->cq_offset;
	r.u.lane.sq_entries = sq_entries;
	r.u.lane.cq_entries = cq_entries;
	r.u.lane.vector = vector;
	error = raw_control(p, &r, &c);
	l->id = c.lane;
	return error ? error : c.result;
}

int raw_lane_del(struct raw_lane *l)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_LANE_DEL, .lane = l->id };
	struct vtoe_ctl_completion c;
	int error = raw_control(l->peer, &r, &c);

	return error ? error : c.result;
}

int raw_region_add(struct raw_peer *p, uint32_t lane, uint64_t offset,
		   uint64_t length, uint32_t rights, uint64_t *key)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_REGION_ADD, .lane = lane };
	struct vtoe_ctl_completion c;
	int error;

	r.u.region.offset = offset;
	r.u.region.length = length;
	r.u.region.count = 1;
	r.u.region.rights = rights;
	error = raw_control(p, &r, &c);
	*key = error ? 0 : c.key;
	return error ? error : c.result;
}

int raw_region_del(struct raw_peer *p, uint64_t key)
{
	struct vtoe_ctl_request r = { .op = VTOE_CTL_REGION_DEL };
	struct vtoe_ctl_completion c;
	int error;

	r.u.key = key;
	error = raw_control(p, &r, &c);
	return error ? error : c.result;
}

int raw_put(struct raw_lane *l, struct vtoe_sqe *sqe)
{
	void *entry = vtoe_ring_reserve(&l->sq);

	if (!entry)
		return -ENOBUFS;
	if (sqe->user_data == 0)
		sqe->user_data = ++l->serial;
	memcpy(entry, sqe, sizeof(*sqe));
	return 0;
}

void raw_submit(struct raw_lane *l)
{
	if (vtoe_ring_submit(&l->sq))
		raw_ring_doorbell(l->peer);
}

int raw_next(struct raw_lane *l, struct vtoe_cqe *to, int timeout_ms)
{
	return raw_ring_next(l->peer, &l->cq, l->vector, to, timeout_ms);
}

int raw_call(struct raw_lane *l, struct vtoe_sqe *sqe, struct vtoe_cqe *to)
{
	int error = raw_put(l, sqe);

	if (error)
		return error;
	raw_submit(l);
	do {
		error = raw_next(l, to, RAW_TIMEOUT_MS);
	} while (!error && to->user_data != sqe->user_data);
	return error;
}

int raw_memory(struct raw_lane *l, enum vtoe_op op, uint32_t stream,
	       uint64_t key, uint64_t offset, uint32_t length,
	       uint32_t op_flags, struct vtoe_cqe *to)
{
	struct vtoe_sqe s = { .op = (uint8_t)op, .stream = stream, .key = key,
			      .offset = offset, .length = length,
			      .op_flags = op_flags };
	struct vtoe_cqe c;
	int error = raw_call(l, &s, to ? to : &c);

	return error ? error : (to ? to : &c)->result;
}

int raw_do(struct raw_lane *l, enum vtoe_op op, uint32_t stream,
	   uint32_t length, uint32_t op_flags, struct vtoe_cqe *to)
{
	return raw_memory(l, op, stream, 0, 0, length, op_flags, to);
}

int raw_stream_connect(struct raw_lane *l, const struct vtoe_address *to,
		       uint32_t *stream)
{
	struct vtoe_sqe open = { .op = VTOE_OP_OPEN };
	struct vtoe_sqe s = { .op = VTOE_OP_CONNECT,
			      .stream = VTOE_STREAM_LAST };
	struct vtoe_cqe c;
	int error;

	open.u.address.family = to->family;
	s.u.address = *to;
	error = raw_put(l, &open);
	if (!error)
		error = raw_call(l, &s, &c);
	if (error)
		return error;
	*stream = c.stream;
	return c.result;
}

int raw_address(struct vtoe_address *to, const char *ip, uint16_t port)
{
	memset(to, 0, sizeof(*to));
	to->family = VTOE_AF_INET;
	to->port = port;
	return inet_pton(AF_INET, ip, to->ip) == 1 ? 0 : -EINVAL;
}
