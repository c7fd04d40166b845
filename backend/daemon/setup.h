/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * setup.h - the messages between the supervisor and one worker
 *
 * The supervisor starts `vtoed --worker` with a SOCK_SEQPACKET socket as
 * descriptor 3, already in the guest's network namespace and in a mount
 * namespace of its own. The first packet is a struct worker_setup with
 * WORKER_SETUP_FDS descriptors (SCM_RIGHTS): the listening unix socket of the
 * device (SOCK_STREAM, non-blocking), the counters' memfd (VTOE_STATS_BYTES,
 * read-write), a descriptor of /dev/null, and the maps `claims` and `sockets`
 * of the guest's steering (nic/steer.h). What does not exist is /dev/null. The
 * worker then gives up what it holds (capabilities, new privileges, its user,
 * system calls), and answers WORKER_READY. After that each WORKER_QUERY gets
 * its answers in order, ended by WORKER_END; WORKER_CAPTURE, which has the only
 * descriptor that ever comes after the set-up, too. The supervisor trusts no field of
 * an answer: it checks lengths, terminates strings, and kills a worker that
 * breaks this protocol.
 *
 * The worker ends by itself when this socket closes: workers do not outlive
 * their supervisor.
 */
#ifndef VTOE_DAEMON_SETUP_H
#define VTOE_DAEMON_SETUP_H

#include <stdint.h>

#define WORKER_FD 3
#define WORKER_SETUP_MAGIC 0x57455456u
#define WORKER_SETUP_VERSION 3u
#define WORKER_SETUP_FDS 5

struct worker_setup {
	uint32_t magic;
	uint32_t version;
	char name[32];		  /* device name, NUL-terminated */
	uint8_t mac[6];
	uint16_t mtu;
	uint8_t ipv4[4];
	uint8_t ipv4_prefix;
	uint8_t ipv6_prefix;
	uint8_t pad0[2];
	uint8_t ipv6[16];
	uint32_t link;		  /* enum vtoe_link */
	uint32_t uid;		  /* to become */
	uint32_t gid;
	uint32_t log_level;	  /* enum vtoe_log_level */
	uint32_t max_peers;	  /* connected applications */
	uint32_t max_lanes;	  /* per peer */
	uint32_t max_streams;	  /* of the whole device */
	uint32_t max_peer_streams;
	uint32_t max_regions;	  /* per peer */
	uint64_t peer_memory;	  /* shared memory per peer, bytes */
	uint64_t total_memory;	  /* of the whole device, bytes */
	uint32_t spin_usec;	  /* poll before sleeping */
	uint32_t zerocopy_min;	  /* SEND_ZC from this many bytes; 0: never */
	uint32_t credit;	  /* requests per lane and turn */
	uint32_t allow_count;	  /* of allow_uid; 0: anyone may connect who
				   * can open the socket */
	uint32_t allow_uid[16];
	uint32_t port;		  /* enum worker_port */
	uint32_t xen_domid;	  /* WORKER_PORT_XEN: of the guest, and what */
	uint32_t xen_ring_ref;	  /* its frontend wrote (vtoe_xen.h); the */
	uint32_t xen_event_channel; /* listening socket is not used then */
	uint32_t tto_ifindex;	  /* where frames are steered; 0: no TTO */
	uint32_t tto_hold_usec;
	uint32_t tto_segments;
	uint32_t tto_push_joins;  /* yes or no */
	uint32_t tto_acks_join;
};

enum worker_port {
	WORKER_PORT_LOCAL = 0,
	WORKER_PORT_XEN = 1,
};

enum worker_message {
	WORKER_READY = 1,  /* value: WORKER_OFFERS_* */
	WORKER_END = 2,
	WORKER_SOCKET = 3, /* answer: struct worker_socket */
	WORKER_FAILED = 4, /* answer to the setup: struct worker_failed */
	WORKER_PEER = 5,   /* answer: struct worker_peer */
	WORKER_NO_TTO = 6, /* before WORKER_READY: struct worker_failed */
	WORKER_FLOW = 7,   /* answer: struct worker_flow */
	WORKER_REASON = 8, /* answer: struct worker_reason */
	WORKER_REFUSED = 9, /* answer, the only one: struct worker_failed */

	WORKER_QUERY_SOCKETS = 16, /* header only */
	WORKER_QUERY_PEERS = 17,
	WORKER_SET_LOG = 18, /* value: level; answer: WORKER_END */
	WORKER_SET_LINK = 19, /* value: enum vtoe_link; answer: WORKER_END */
	WORKER_LEAVE = 20, /* tell the guests, close, exit 0 */
	WORKER_QUERY_FLOWS = 21, /* of TTO; and the end reasons */
	WORKER_CAPTURE = 22, /* struct worker_capture, and a socket: of TTO */
};

#define WORKER_OFFERS_TTO 1u

struct worker_header {
	uint32_t message;
	uint32_t value;
};

struct worker_failed {
	struct worker_header h;
	int32_t error; /* errno */
	char what[124];
};

/* A copy of packets to the SOCK_SEQPACKET socket that is with it: each is a
 * struct tto_captured (path/tto_capture.h) with its bytes. */
struct worker_capture {
	struct worker_header h;
	uint32_t claim; /* 0: of all */
	uint32_t snap;	/* bytes of a packet; 0: all */
};

/* One stream, or one socket that a guest left to its own kernel. */
struct worker_socket {
	struct worker_header h;
	uint32_t stream; /* 0: a fallback */
	uint32_t fallback; /* enum vtoe_fallback */
	uint32_t peer;
	uint32_t pid;
	char program[32];
	char state[16]; /* "established", "listen", ... */
	uint16_t family; /* VTOE_AF_* */
	uint16_t local_port;
	uint16_t remote_port;
	uint16_t pad;
	uint8_t local_ip[16];
	uint8_t remote_ip[16];
	uint64_t rx_bytes, tx_bytes;
	uint64_t rx_placed_bytes, tx_zerocopy_bytes;
};

struct worker_peer {
	struct worker_header h;
	uint32_t peer;
	uint32_t pid;
	uint32_t uid;
	uint32_t lanes;
	uint32_t streams;
	uint32_t regions;
	uint64_t memory;
	uint32_t status;    /* enum vtoe_status */
	uint32_t violation; /* enum vtoe_violation */
	char program[32];
};

/* One claim of the TTO service. */
struct worker_flow {
	struct worker_header h;
	uint32_t claim;
	uint32_t peer; /* 0: its worker died, and nobody has claimed it since */
	uint32_t pid;
	uint32_t port; /* 1: a local port, of every peer; no remote */
	char program[32];
	uint16_t family; /* VTOE_AF_* */
	uint16_t local_port;
	uint16_t remote_port;
	uint16_t pad;
	uint8_t local_ip[16];
	uint8_t remote_ip[16];
	uint64_t aggregates, segments;
	uint64_t rx_bytes, dropped;
	uint64_t sent, tx_bytes;
};

/* Why aggregates ended; those that are never the reason are not sent. */
struct worker_reason {
	struct worker_header h;
	char name[32];
	uint64_t ended;	 /* aggregates */
	uint64_t passed; /* frames that went alone */
};

#endif
