/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/bench/receive_wire.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <net/if.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include "engine/bytes.h"
#include "engine/checksum.h"
#include "nic/bpf_code.h"

enum {
	L4 = 34,
	BATCH = 256, /* and the size of the pool */
	REPEAT = 1 << 24,
	LOOKS = 8000, /* for room, before a frame is given back */
	NAPI_PROCESSOR = 1,
};

static const uint8_t header[66] = {
	2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0x05, 0xdc,
	0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
	0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0x10, 1, 0, 0, 0, 0, 0,
	1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1
};

void wire_fail(const char *what)
{
	fprintf(stderr, "receive: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void shell(const char *command)
{
	if (system(command))
		wire_fail(command);
}

/* -- the frames ------------------------------------------------------------ */

static void make_frame(uint8_t frame[WIRE_FRAME])
{
	uint16_t sum;

	memset(frame, 0x5a, WIRE_FRAME);
	memcpy(frame, header, sizeof(header));
	sum = (uint16_t)~checksum_fold(checksum_sum(frame + 14, 20));
	memcpy(frame + 24, &sum, 2);
}

/* The checksum's part that is the same in all, as a number. */
static uint16_t common_sum(const uint8_t frame[WIRE_FRAME])
{
	return ntohs(checksum_fold(
		checksum_sum(frame + 26, 8) + checksum_number(6) +
		checksum_number(WIRE_FRAME - L4) +
		checksum_sum(frame + L4, WIRE_FRAME - L4)));
}

#define STATE(field) ((int)offsetof(struct wire_state, field))

/*
 *	if (made >= total)
 *		no frame now
 *	while (made - taken >= WIRE_AHEAD)
 *		no frame if that was often enough. (To give frames back takes
 *		the lock that the near end takes to give back its own.)
 *	n = made++
 *	port = WIRE_PORT + n % flows, seq = n / flows * WIRE_PAYLOAD
 *	checksum = ~fold(common + port + seq's halves)
 *	IP's length and checksum, TCP's flags
 *	to the far end
 */
static int make_program(struct wire *w, const uint8_t frame[WIRE_FRAME])
{
	uint16_t common = common_sum(frame);
	struct bpf_code p = { 0 };

	bpf_load(&p, BPF_W, R7, R1, 0);
	bpf_load(&p, BPF_W, R8, R1, 4);
	bpf_set(&p, R1, R7);
	bpf_alu(&p, BPF_ADD, R1, sizeof(header));
	bpf_jump_greater(&p, R1, R8, 1);
	bpf_set_map(&p, R9, BPF_PSEUDO_MAP_VALUE, w->state_map, 0);
	bpf_load(&p, BPF_DW, R2, R9, STATE(made));
	bpf_set(&p, R1, R2);
	bpf_alu(&p, BPF_ADD, R1, 1);
	bpf_load(&p, BPF_DW, R3, R9, STATE(total));
	bpf_jump_greater(&p, R1, R3, 1);
	bpf_alu(&p, BPF_MOV, R4, LOOKS);
	bpf_label(&p, 2);
	bpf_alu(&p, BPF_SUB, R4, 1);
	bpf_jump_if(&p, BPF_JEQ, R4, 0, 1);
	bpf_load(&p, BPF_DW, R3, R9, STATE(taken));
	bpf_alu(&p, BPF_ADD, R3, WIRE_AHEAD);
	bpf_jump_greater(&p, R1, R3, 2);
	bpf_store_at(&p, BPF_DW, R9, STATE(made), R1);
	bpf_set(&p, R3, R2);
	bpf_alu(&p, BPF_MOD, R2, (int)w->flows);
	bpf_alu(&p, BPF_ADD, R2, WIRE_PORT);
	bpf_alu(&p, BPF_DIV, R3, (int)w->flows);
	bpf_alu(&p, BPF_MUL, R3, WIRE_PAYLOAD);
	bpf_set(&p, R4, R2);
	bpf_alu(&p, BPF_ADD, R4, common);
	bpf_set(&p, R5, R3);
	bpf_alu(&p, BPF_AND, R5, 0xffff);
	bpf_alu_reg(&p, BPF_ADD, R4, R5);
	bpf_set(&p, R5, R3);
	bpf_alu(&p, BPF_RSH, R5, 16);
	bpf_alu(&p, BPF_AND, R5, 0xffff);
	bpf_alu_reg(&p, BPF_ADD, R4, R5);
	for (int i = 0; i < 2; i++) {
		bpf_set(&p, R5, R4);
		bpf_alu(&p, BPF_RSH, R5, 16);
		bpf_alu(&p, BPF_AND, R4, 0xffff);
		bpf_alu_reg(&p, BPF_ADD, R4, R5);
	}
	bpf_alu(&p, BPF_XOR, R4, 0xffff);
	bpf_big_endian(&p, R2, 16);
	bpf_big_endian(&p, R3, 32);
	bpf_big_endian(&p, R4, 16);
	/* GRO has written on this page when it was here before */
	bpf_alu(&p, BPF_MOV, R1, bytes_raw16(frame + 16));
	bpf_store_at(&p, BPF_H, R7, 16, R1);
	bpf_alu(&p, BPF_MOV, R1, bytes_raw16(frame + 24));
	bpf_store_at(&p, BPF_H, R7, 24, R1);
	bpf_alu(&p, BPF_MOV, R1, bytes_raw16(frame + L4 + 12));
	bpf_store_at(&p, BPF_H, R7, L4 + 12, R1);
	bpf_store_at(&p, BPF_H, R7, L4, R2);
	bpf_store_at(&p, BPF_W, R7, L4 + 4, R3);
	bpf_store_at(&p, BPF_H, R7, L4 + 16, R4);
	bpf_alu(&p, BPF_MOV, R1, w->far);
	bpf_alu(&p, BPF_MOV, R2, 0);
	bpf_call(&p, BPF_FUNC_redirect);
	bpf_exit(&p);
	bpf_label(&p, 1);
	bpf_leave(&p, XDP_DROP);
	if (bpf_code_end(&p))
		return -1;
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "vtoe_wire", "Dual BSD/GPL",
			     p.insn, p.count, NULL);
}

/* Counts what GRO made, and drops it. */
static int make_sink(const struct wire *w)
{
	struct bpf_code p = { 0 };

	bpf_load(&p, BPF_W, R2, R1, offsetof(struct __sk_buff, gso_segs));
	bpf_jump_if(&p, BPF_JNE, R2, 0, 1);
	bpf_alu(&p, BPF_MOV, R2, 1);
	bpf_label(&p, 1);
	bpf_set_map(&p, R3, BPF_PSEUDO_MAP_VALUE, w->state_map,
		    STATE(packets));
	bpf_alu(&p, BPF_MOV, R4, 1);
	bpf_count(&p, R3, R4);
	bpf_set_map(&p, R3, BPF_PSEUDO_MAP_VALUE, w->state_map, STATE(taken));
	bpf_count(&p, R3, R2);
	bpf_leave(&p, TC_ACT_SHOT);
	if (bpf_code_end(&p))
		return -1;
	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "vtoe_sink",
			     "Dual BSD/GPL", p.insn, p.count, NULL);
}

static void attach_sink(const struct wire *w)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = w->ifindex,
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts);

	opts.prog_fd = make_sink(w);
	if (opts.prog_fd < 0 || bpf_tc_hook_create(&hook) ||
	    bpf_tc_attach(&hook, &opts))
		wire_fail("the program that counts");
	close(opts.prog_fd);
}

/* A run of the program begins and ends with waiting for other processors, so
 * there is one of it that goes on. */
void wire_send(struct wire *w, uint32_t flows)
{
	uint8_t frame[WIRE_FRAME];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
		    .data_size_in = sizeof(frame), .repeat = REPEAT,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);

	make_frame(frame);
	if (w->flows != flows) {
		if (w->program >= 0)
			close(w->program);
		w->flows = flows;
		w->program = make_program(w, frame);
	}
	if (w->program < 0)
		wire_fail("the program that makes frames");
	while (!bpf_prog_test_run_opts(w->program, &opts))
		;
	if (errno != EINTR)
		wire_fail("sending");
}

/* -- the place ------------------------------------------------------------- */

void wire_find_napi(struct wire *w)
{
	char path[300], name[32];
	struct dirent *e;
	cpu_set_t one;
	DIR *d = opendir("/proc");
	FILE *f;

	w->napi = 0;
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) &&
		    !strncmp(name, "napi/near-", 10) &&
		    atoi(e->d_name) > w->napi)
			w->napi = atoi(e->d_name);
		fclose(f);
	}
	if (d)
		closedir(d);
	CPU_ZERO(&one);
	CPU_SET(NAPI_PROCESSOR, &one);
	if (!w->napi || sched_setaffinity(w->napi, sizeof(one), &one))
		wire_fail("the thread of the interface");
}

double wire_napi_seconds(const struct wire *w)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)w->napi);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%llu", &ns) != 1)
		wire_fail(path);
	fclose(f);
	return (double)ns * 1e-9;
}

void wire_up(struct wire *w)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	void *at;

	memset(w, 0, sizeof(*w));
	w->program = -1;
	if (geteuid() || sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		printf("SKIP: needs root, and two processors\n");
		exit(77);
	}
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		wire_fail("namespaces");
	shell("ip link add near type veth peer name far &&"
	      " for i in near far; do"
	      " echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6;"
	      " ip link set $i up; done &&"
	      " ethtool -K near gro on &&"
	      " echo 1 >/sys/class/net/near/threaded");
	w->ifindex = (int)if_nametoindex("near");
	w->far = (int)if_nametoindex("far");
	w->state_map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "vtoe_wire", 4,
				      sizeof(struct wire_state), 1, &opts);
	if (w->state_map < 0)
		wire_fail("map");
	at = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
		  MAP_SHARED, w->state_map, 0);
	if (at == MAP_FAILED)
		wire_fail("map");
	w->state = at;
	attach_sink(w);
}
