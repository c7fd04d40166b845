/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * isolation_tto.c - what a worker with the TTO service needs besides
 *
 * The AF_XDP, packet and raw sockets were opened before (path/tto.h), and
 * sending on them is on the list already, but for sendmmsg(). A worker makes no
 * map and loads no program: it changes and reads what is in the two that it was
 * given.
 */
#include <linux/bpf.h>
#include <seccomp.h>
#include <sys/socket.h>

#include "daemon/isolation.h"

#define ALL32 0xffffffffu
/* The type of a socket without SOCK_CLOEXEC and SOCK_NONBLOCK. */
#define SOCKET_TYPE 0xfu

#define ANY(call) { SCMP_SYS(call), { 0, 0, 0, 0 }, { 0, 0, 0, 0 } }
#define BPF(command)                                                          \
	{ SCMP_SYS(bpf), { 1, 0, ALL32, command }, { 0, 0, 0, 0 } }
#define DATAGRAMS(family)                                                     \
	{ SCMP_SYS(socket), { 1, 0, ALL32, family },                          \
	  { 1, 1, SOCKET_TYPE, SOCK_DGRAM } }

const struct isolation_syscall isolation_tto[] = {
	/* Claims (nic/steer.c), and which of them outlived a worker */
	BPF(BPF_MAP_UPDATE_ELEM),
	BPF(BPF_MAP_DELETE_ELEM),
	BPF(BPF_MAP_LOOKUP_ELEM),
	BPF(BPF_MAP_GET_NEXT_KEY),

	/* Routes: a connected datagram socket knows its source address and the
	 * MTU of its path */
	DATAGRAMS(AF_INET),
	DATAGRAMS(AF_INET6),
	ANY(connect),

	ANY(sendmmsg), /* segments */
	ANY(recvmsg),  /* the supervisor's questions: a capture's has a
			* descriptor (worker_tto.c) */
};

const size_t isolation_tto_count =
	sizeof(isolation_tto) / sizeof(isolation_tto[0]);
