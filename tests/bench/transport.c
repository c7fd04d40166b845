/* SPDX-License-Identifier: BSD-2-Clause */
/* transport.c - the transports that vtoe-bench knows */
#include "transport.h"

const struct transport_ops *const transport_table[] = {
	&transport_kernel,
	&transport_vtoe,
	&transport_vtoe_tto,
	NULL,
};
