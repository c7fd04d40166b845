/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_flags.h - the flags of a TCP header, as a number of 12 bits
 */
#ifndef VTOE_ENGINE_TCP_FLAGS_H
#define VTOE_ENGINE_TCP_FLAGS_H

/* With the four bits above them (RFC 9293 3.1). */
enum tcp_flag {
	TCP_FIN = 0x001,
	TCP_SYN = 0x002,
	TCP_RST = 0x004,
	TCP_PSH = 0x008,
	TCP_ACK = 0x010,
	TCP_URG = 0x020,
	TCP_ECE = 0x040,
	TCP_CWR = 0x080,
	TCP_RESERVED = 0xf00,
};

#endif
