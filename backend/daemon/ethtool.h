/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ethtool.h - what ethtool(8) says and sets of an interface
 *
 * Of the network namespace that the caller is in. Functions return 0 or a
 * count, or -errno.
 */
#ifndef VTOE_DAEMON_ETHTOOL_H
#define VTOE_DAEMON_ETHTOOL_H

/* Senders get their checksums made before they hand a frame over, as by
 * `ethtool -K NAME tx off`. */
int ethtool_tx_checksum_off(const char *name);
/* How many queues receive; 1 if the driver does not say. */
int ethtool_receive_queues(const char *name);

#endif
