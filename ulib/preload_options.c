/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload_options.c - socket options and names
 *
 * Theory of operation. An option is set on the placeholder first: the kernel
 * says what is wrong with it, and later answers what was set. Options of the
 * transport are remembered, replayed when the stream is made, and passed on
 * when there is one. What is live in the backend (TCP_INFO, buffer sizes) is
 * asked there; what is ours (time-outs, linger, errors) is kept here.
 *
 * Some options ask for what only the guest's own kernel can do. A socket that
 * has one goes to the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "preload.h"

bool vt_option_is_kernels(int level, int name)
{
	if (level == SOL_SOCKET)
		return name == SO_BINDTODEVICE || name == SO_ATTACH_FILTER ||
		       name == SO_ATTACH_BPF;
	if (level == IPPROTO_IP)
		return name == IP_TRANSPARENT;
	if (level == IPPROTO_IPV6)
		return name == IPV6_TRANSPARENT;
	if (level == IPPROTO_TCP)
		return name == TCP_MD5SIG || name == TCP_REPAIR ||
		       name == TCP_ULP;
	return false;
}

/* Kept here, not passed on. */
static bool vt_option_is_local(int level, int name)
{
	if (level != SOL_SOCKET)
		return level != IPPROTO_IP && level != IPPROTO_IPV6 &&
		       level != IPPROTO_TCP;
	return name == SO_RCVTIMEO || name == SO_SNDTIMEO ||
	       name == SO_LINGER || name == SO_RCVLOWAT ||
	       name == SO_TIMESTAMP || name == SO_DEBUG;
}

static void vt_option_keep(struct vsock *s, int level, int name,
			   const void *value, socklen_t len)
{
	struct vt_option *o;
	unsigned i;

	if (len > sizeof(o->value))
		return;
	for (i = 0; i < s->option_count; i++)
		if (s->options[i].level == level && s->options[i].name == name)
			break;
	if (i == s->option_count) {
		o = realloc(s->options, (i + 1) * sizeof(*o));
		if (!o)
			return;
		s->options = o;
		s->option_count++;
	}
	o = &s->options[i];
	o->level = level;
	o->name = name;
	o->length = len;
	memcpy(o->value, value, len);
}

static struct vt_req *vt_option_submit(struct vsock *s, uint32_t stream,
				       const struct vt_option *o,
				       void (*done)(struct vt_req *,
						    const struct vtoe_cqe *))
{
	struct vt_req *r = vt_req_get(s, done);
	struct vtoe_sqe *q = vt_sqe(r, VTOE_OP_SETOPT, stream);

	q->u.option.level = o->level;
	q->u.option.name = o->name;
	q->u.option.length = o->length;
	memcpy(q->u.option.value, o->value, o->length);
	return r;
}

/* All that was set, as part of a batch. */
void vt_replay(struct vsock *s, uint32_t stream)
{
	unsigned i;

	for (i = 0; i < s->option_count; i++)
		vt_option_submit(s, stream, &s->options[i], vt_req_ignore);
}

static void vt_timeout_set(int64_t *to, const struct timeval *tv)
{
	*to = tv->tv_sec * 1000000000ll + tv->tv_usec * 1000ll;
}

/* What of an option matters to us. */
static void vt_option_local(struct vsock *s, int name, const void *value,
			    socklen_t len)
{
	if (name == SO_RCVTIMEO && len >= sizeof(struct timeval))
		vt_timeout_set(&s->rcv_timeout, value);
	else if (name == SO_SNDTIMEO && len >= sizeof(struct timeval))
		vt_timeout_set(&s->snd_timeout, value);
	else if (name == SO_LINGER && len >= sizeof(s->linger))
		memcpy(&s->linger, value, sizeof(s->linger));
}

/* An accepted socket has what its listener has. */
void vt_inherit(struct vsock *from, struct vsock *to, int fd)
{
	unsigned i;

	for (i = 0; i < from->option_count; i++) {
		struct vt_option *o = &from->options[i];

		/* the kernel does not hand that one on */
		if (o->level == SOL_SOCKET && o->name == SO_PRIORITY)
			continue;
		REAL(setsockopt)(fd, o->level, o->name, o->value, o->length);
		vt_option_keep(to, o->level, o->name, o->value, o->length);
	}
	to->linger = from->linger;
	to->rcv_timeout = from->rcv_timeout;
	to->snd_timeout = from->snd_timeout;
	if (to->linger.l_onoff)
		REAL(setsockopt)(fd, SOL_SOCKET, SO_LINGER, &to->linger,
				 sizeof(to->linger));
}

static int vt_setsockopt(struct vsock *s, int fd, int level, int name,
			 const void *value, socklen_t len)
{
	struct vt_option o = { .level = level, .name = name, .length = len };
	int rc;

	if (level == SOL_SOCKET && name == SO_ZEROCOPY && vt.lane)
		return -EOPNOTSUPP;
	if (REAL(setsockopt)(fd, level, name, value, len))
		return -errno;
	if (level == SOL_SOCKET)
		vt_option_local(s, name, value, len);
	if (vt_option_is_local(level, name) || len > sizeof(o.value))
		return 0;
	vt_option_keep(s, level, name, value, len);
	if (s->state == VT_NEW || s->dead || !s->stream)
		return 0;
	memcpy(o.value, value, len);
	rc = vt_req_result(vt_option_submit(s, s->stream, &o, NULL), NULL);
	/* What the backend does not let a guest set is kept on the
	 * placeholder, and no reason to fail. */
	return rc == -ENOPROTOOPT || rc == -EPERM || rc == -EOPNOTSUPP ||
	       rc == -EACCES || rc == -EINVAL || rc > 0 ? 0 : rc;
}

VT_EXPORT int setsockopt(int fd, int level, int name, const void *value,
			 socklen_t len)
{
	struct vsock *s = vt_enter(fd);
	int rc;

	if (!s)
		return REAL(setsockopt)(fd, level, name, value, len);
	rc = vt_setsockopt(s, fd, level, name, value, len);
	vt_leave(s);
	return rc < 0 ? vt_fail(-rc) : 0;
}

/* -- reading ---------------------------------------------------------------------- */

static bool vt_option_is_live(int level, int name)
{
	if (level == IPPROTO_TCP)
		return name == TCP_INFO || name == TCP_MAXSEG ||
		       name == TCP_CONGESTION || name == TCP_QUICKACK;
	return level == SOL_SOCKET &&
	       (name == SO_SNDBUF || name == SO_RCVBUF ||
		name == SO_INCOMING_NAPI_ID || name == SO_MAX_PACING_RATE);
}

/* Asks the backend; -> bytes or a negated errno. */
int vt_getsockopt_live(struct vsock *s, int level, int name,
			      void *value, socklen_t len)
{
	struct vt_chunk *chunk = NULL;
	struct vtoe_sqe *q;
	struct vtoe_cqe c;
	struct vt_req *r;
	int rc;

	if (len > sizeof(c.u.value)) {
		chunk = vt_chunk_get(len);
		if (!chunk)
			return -ENOBUFS;
		if (len > chunk->size)
			len = chunk->size;
	}
	r = vt_req_get(s, NULL);
	q = vt_sqe(r, VTOE_OP_GETOPT, s->stream);
	q->u.option.level = level;
	q->u.option.name = name;
	q->u.option.length = len;
	if (chunk) {
		q->key = chunk->key;
		q->offset = chunk->offset;
		q->length = len;
	}
	rc = vt_req_result(r, &c);
	if (rc > 0)
		memcpy(value, chunk ? chunk->at : c.u.value,
		       rc < (int)len ? rc : (int)len);
	if (chunk && !s->dead)
		vt_chunk_put(chunk);
	return rc;
}

/* What only we know. 1: not such an option. */
static int vt_getsockopt_own(struct vsock *s, int level, int name, int *value)
{
	if (level != SOL_SOCKET)
		return 1;
	if (name == SO_ERROR) {
		vt_submit();
		vt_reap();
		*value = s->err;
		s->err = 0;
		return 0;
	}
	if (name == SO_ACCEPTCONN) {
		*value = s->state == VT_LISTENING;
		return 0;
	}
	return 1;
}

static int vt_getsockopt(struct vsock *s, int fd, int level, int name,
			 void *value, socklen_t *len)
{
	int own, rc;

	if (s->state == VT_NEW && !s->err)
		return REAL(getsockopt)(fd, level, name, value, len) ? -errno :
								       0;
	if (!len || (!value && *len))
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	if (!vt_getsockopt_own(s, level, name, &own)) {
		if (*len > sizeof(own))
			*len = sizeof(own);
		memcpy(value, &own, *len);
		return 0;
	}
	if (vt_option_is_live(level, name) && s->stream && !s->dead && *len) {
		rc = vt_getsockopt_live(s, level, name, value, *len);
		if (rc >= 0) {
			if ((socklen_t)rc < *len)
				*len = rc;
			return 0;
		}
	}
	return REAL(getsockopt)(fd, level, name, value, len) ? -errno : 0;
}

VT_EXPORT int getsockopt(int fd, int level, int name, void *value,
			 socklen_t *len)
{
	struct vsock *s = vt_enter(fd);
	int rc;

	if (!s)
		return REAL(getsockopt)(fd, level, name, value, len);
	rc = vt_getsockopt(s, fd, level, name, value, len);
	vt_leave(s);
	return rc < 0 ? vt_fail(-rc) : 0;
}

/* -- names ------------------------------------------------------------------------- */

static int vt_name_give(const struct vtoe_address *a, struct sockaddr *to,
			socklen_t *len)
{
	struct sockaddr_storage at;
	socklen_t full;

	if (!len || (!to && *len))
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	full = vtoe_address_to(a, (struct sockaddr *)&at, sizeof(at));
	memcpy(to, &at, full < *len ? full : *len);
	*len = full;
	return 0;
}

static int vt_getsockname(struct vsock *s, struct sockaddr *to,
			  socklen_t *len)
{
	struct vtoe_sqe *q;
	struct vtoe_cqe c;
	struct vt_req *r;
	int rc;

	if (s->has_local)
		return vt_name_give(&s->local, to, len);
	r = vt_req_get(s, NULL);
	q = vt_sqe(r, VTOE_OP_GETNAME, s->stream);
	q->length = 0;
	rc = vt_req_result(r, &c);
	if (rc < 0)
		return rc;
	if (s->state == VT_CONNECTED || s->state == VT_LISTENING) {
		s->local = c.u.address;
		s->has_local = true;
	}
	return vt_name_give(&c.u.address, to, len);
}

VT_EXPORT int getsockname(int fd, struct sockaddr *to, socklen_t *len)
{
	struct vsock *s = vt_enter(fd);
	int rc;

	if (!s)
		return REAL(getsockname)(fd, to, len);
	if (s->state == VT_NEW)
		rc = REAL(getsockname)(fd, to, len) ? -errno : 0;
	else
		rc = vt_getsockname(s, to, len);
	vt_leave(s);
	return rc < 0 ? vt_fail(-rc) : 0;
}

VT_EXPORT int getpeername(int fd, struct sockaddr *to, socklen_t *len)
{
	struct vsock *s = vt_enter(fd);
	int rc;

	if (!s)
		return REAL(getpeername)(fd, to, len);
	vt_reap();
	if (s->state == VT_NEW)
		rc = REAL(getpeername)(fd, to, len) ? -errno : 0;
	else if (s->state != VT_CONNECTED || s->reset || s->dead)
		rc = -ENOTCONN;
	else
		rc = vt_name_give(&s->peer, to, len);
	vt_leave(s);
	return rc < 0 ? vt_fail(-rc) : 0;
}
