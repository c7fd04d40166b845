/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rtnl.c - interfaces, addresses and routes, by rtnetlink
 *
 * Requests are built in one buffer on the stack, with libmnl, and answered by
 * an acknowledgement or a dump. A socket keeps to the namespace that it was
 * opened in, wherever the process goes later: that is how the supervisor works
 * in a guest's namespace and in its own at the same time.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "daemon/rtnl.h"

#define RTNL_BUFFER 32768
#define RTNL_TIMEOUT_S 5

int rtnl_open(struct rtnl *rtnl)
{
	struct timeval timeout = { .tv_sec = RTNL_TIMEOUT_S };
	int on = 1;
	int error;

	memset(rtnl, 0, sizeof(*rtnl));
	rtnl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!rtnl->socket)
		return -errno;
	/* Only for better messages: kernels without it are as good. */
	mnl_socket_setsockopt(rtnl->socket, NETLINK_EXT_ACK, &on, sizeof(on));
	/* The kernel answers at once; but the supervisor must never hang. */
	if (setsockopt(mnl_socket_get_fd(rtnl->socket), SOL_SOCKET,
		       SO_RCVTIMEO, &timeout, sizeof(timeout)) ||
	    mnl_socket_bind(rtnl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		error = errno;
		rtnl_close(rtnl);
		return -error;
	}
	return 0;
}

void rtnl_close(struct rtnl *rtnl)
{
	if (rtnl->socket)
		mnl_socket_close(rtnl->socket);
	rtnl->socket = NULL;
}

/* Keeps the text that the kernel adds to an error, if any. */
static int rtnl_keep_text(const struct nlattr *attr, void *data)
{
	struct rtnl *rtnl = data;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		strncpy(rtnl->why, mnl_attr_get_str(attr),
			sizeof(rtnl->why) - 1);
	return MNL_CB_OK;
}

static int rtnl_on_error(const struct nlmsghdr *nlh, void *data)
{
	const struct nlmsgerr *answer = mnl_nlmsg_get_payload(nlh);
	size_t offset = sizeof(*answer);
	struct rtnl *rtnl = data;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*answer)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED) &&
	    answer->msg.nlmsg_len > sizeof(answer->msg))
		offset += answer->msg.nlmsg_len - sizeof(answer->msg);
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		mnl_attr_parse(nlh, (unsigned int)offset, rtnl_keep_text, rtnl);
	if (!answer->error)
		return MNL_CB_STOP;
	errno = answer->error < 0 ? -answer->error : answer->error;
	return MNL_CB_ERROR;
}

struct rtnl_visit {
	struct rtnl *rtnl;
	mnl_cb_t each;
	void *data;
};

static int rtnl_on_error_of_visit(const struct nlmsghdr *nlh, void *data)
{
	const struct rtnl_visit *visit = data;

	return rtnl_on_error(nlh, visit->rtnl);
}

/* The end of a dump. (libmnl has this one only for those with none of their
 * own.) */
static int rtnl_on_done(const struct nlmsghdr *nlh, void *data)
{
	(void)nlh;
	(void)data;
	return MNL_CB_STOP;
}

static int rtnl_on_data(const struct nlmsghdr *nlh, void *data)
{
	const struct rtnl_visit *visit = data;

	return visit->each ? visit->each(nlh, visit->data) : MNL_CB_OK;
}

/* Sends, and reads to the end of the answer: no answer may be left behind. */
static int rtnl_talk(struct rtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t each,
		     void *data)
{
	unsigned int port = mnl_socket_get_portid(rtnl->socket);
	struct rtnl_visit visit = { rtnl, each, data };
	mnl_cb_t control[NLMSG_MIN_TYPE] = {
		[NLMSG_ERROR] = rtnl_on_error_of_visit,
		[NLMSG_DONE] = rtnl_on_done,
	};
	char buffer[RTNL_BUFFER];
	ssize_t n;
	int state;

	rtnl->why[0] = '\0';
	nlh->nlmsg_seq = ++rtnl->sequence;
	if (mnl_socket_sendto(rtnl->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(rtnl->socket, buffer, sizeof(buffer));
		if (n < 0)
			return -errno;
		state = mnl_cb_run2(buffer, (size_t)n, rtnl->sequence, port,
				    rtnl_on_data, &visit, control,
				    NLMSG_MIN_TYPE);
		if (state < 0)
			return -errno;
	} while (state > 0);
	return 0;
}

static struct nlmsghdr *rtnl_begin(char *buffer, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	return nlh;
}

static struct ifinfomsg *rtnl_begin_link(char *buffer, struct nlmsghdr **nlh,
					 uint16_t type, uint16_t flags)
{
	struct ifinfomsg *ifi;

	*nlh = rtnl_begin(buffer, type, flags);
	ifi = mnl_nlmsg_put_extra_header(*nlh, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	return ifi;
}

static void rtnl_copy_text(char *to, size_t size, const struct nlattr *attr)
{
	size_t n = mnl_attr_get_payload_len(attr);

	n = n < size - 1 ? n : size - 1;
	memcpy(to, mnl_attr_get_payload(attr), n);
	to[n] = '\0';
}

static int rtnl_read_kind(const struct nlattr *attr, void *data)
{
	struct rtnl_link *link = data;

	if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
		rtnl_copy_text(link->kind, sizeof(link->kind), attr);
	return MNL_CB_OK;
}

static int rtnl_read_link_attr(const struct nlattr *attr, void *data)
{
	struct rtnl_link *link = data;

	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		rtnl_copy_text(link->name, sizeof(link->name), attr);
		break;
	case IFLA_IFALIAS:
		rtnl_copy_text(link->alias, sizeof(link->alias), attr);
		break;
	case IFLA_MTU:
		link->mtu = mnl_attr_get_u32(attr);
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(attr) == sizeof(link->mac))
			memcpy(link->mac, mnl_attr_get_payload(attr),
			       sizeof(link->mac));
		break;
	case IFLA_LINKINFO:
		mnl_attr_parse_nested(attr, rtnl_read_kind, link);
		break;
	}
	return MNL_CB_OK;
}

static void rtnl_read_link(const struct nlmsghdr *nlh, struct rtnl_link *link)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	memset(link, 0, sizeof(*link));
	link->index = (unsigned int)ifi->ifi_index;
	link->flags = ifi->ifi_flags;
	mnl_attr_parse(nlh, sizeof(*ifi), rtnl_read_link_attr, link);
}

static int rtnl_on_link(const struct nlmsghdr *nlh, void *data)
{
	rtnl_read_link(nlh, data);
	return MNL_CB_OK;
}

int rtnl_link_get(struct rtnl *rtnl, const char *name, struct rtnl_link *link)
{
	char buffer[1024];
	struct nlmsghdr *nlh;
	int error;

	memset(link, 0, sizeof(*link));
	rtnl_begin_link(buffer, &nlh, RTM_GETLINK, NLM_F_ACK);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	error = rtnl_talk(rtnl, nlh, rtnl_on_link, link);
	if (!error && !link->index)
		return -ENODEV;
	return error;
}

static int rtnl_on_find_up(const struct nlmsghdr *nlh, void *data)
{
	struct rtnl_link *found = data;
	struct rtnl_link link;

	rtnl_read_link(nlh, &link);
	if (!found->index && (link.flags & IFF_UP) &&
	    !(link.flags & IFF_LOOPBACK))
		*found = link;
	return MNL_CB_OK;
}

int rtnl_link_find_up(struct rtnl *rtnl, struct rtnl_link *link)
{
	char buffer[1024];
	struct nlmsghdr *nlh;
	int error;

	memset(link, 0, sizeof(*link));
	rtnl_begin_link(buffer, &nlh, RTM_GETLINK, NLM_F_DUMP);
	error = rtnl_talk(rtnl, nlh, rtnl_on_find_up, link);
	if (!error && !link->index)
		return -ENODEV;
	return error;
}

/* The attributes of the interface inside, for either kind. */
static void rtnl_put_inside(struct nlmsghdr *nlh,
			    const struct rtnl_new_link *inside)
{
	mnl_attr_put_strz(nlh, IFLA_IFNAME, inside->name);
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)inside->netns);
	mnl_attr_put(nlh, IFLA_ADDRESS, 6, inside->mac);
	if (inside->mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, inside->mtu);
}

int rtnl_veth_add(struct rtnl *rtnl, const char *host,
		  const struct rtnl_new_link *inside)
{
	struct nlattr *info, *data, *peer;
	struct nlmsghdr *nlh;
	char buffer[1024];

	rtnl_begin_link(buffer, &nlh, RTM_NEWLINK,
			NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, host);
	if (inside->mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, inside->mtu);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	rtnl_put_inside(nlh, inside);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return rtnl_talk(rtnl, nlh, NULL, NULL);
}

int rtnl_macvlan_add(struct rtnl *rtnl, unsigned int lower,
		     const struct rtnl_new_link *inside)
{
	struct nlattr *info, *data;
	struct nlmsghdr *nlh;
	char buffer[1024];

	rtnl_begin_link(buffer, &nlh, RTM_NEWLINK,
			NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	rtnl_put_inside(nlh, inside);
	mnl_attr_put_u32(nlh, IFLA_LINK, lower);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "macvlan");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	mnl_attr_put_u32(nlh, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return rtnl_talk(rtnl, nlh, NULL, NULL);
}

int rtnl_link_up(struct rtnl *rtnl, unsigned int index)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;
	char buffer[1024];

	ifi = rtnl_begin_link(buffer, &nlh, RTM_NEWLINK, NLM_F_ACK);
	ifi->ifi_index = (int)index;
	ifi->ifi_flags = IFF_UP;
	ifi->ifi_change = IFF_UP;
	return rtnl_talk(rtnl, nlh, NULL, NULL);
}

int rtnl_link_set_alias(struct rtnl *rtnl, unsigned int index,
			const char *alias)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;
	char buffer[1024];

	ifi = rtnl_begin_link(buffer, &nlh, RTM_NEWLINK, NLM_F_ACK);
	ifi->ifi_index = (int)index;
	mnl_attr_put_strz(nlh, IFLA_IFALIAS, alias);
	return rtnl_talk(rtnl, nlh, NULL, NULL);
}

int rtnl_link_set_master(struct rtnl *rtnl, unsigned int index,
			 unsigned int master)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;
	char buffer[1024];

	ifi = rtnl_begin_link(buffer, &nlh, RTM_NEWLINK, NLM_F_ACK);
	ifi->ifi_index = (int)index;
	mnl_attr_put_u32(nlh, IFLA_MASTER, master);
	return rtnl_talk(rtnl, nlh, NULL, NULL);
}

int rtnl_link_del(struct rtnl *rtnl, unsigned int index)
{
	struct ifinfomsg *ifi;
	struct nlmsghdr *nlh;
	char buffer[1024];

	ifi = rtnl_begin_link(buffer, &nlh, RTM_DELLINK, NLM_F_ACK);
	ifi->ifi_index = (int)index;
	return rtnl_talk(rtnl, nlh, NULL, NULL);
}

static size_t rtnl_ip_bytes(uint8_t family)
{
	return family == AF_INET6 ? 16 : 4;
}

int rtnl_address_add(struct rtnl *rtnl, const struct rtnl_address *address)
{
	size_t bytes = rtnl_ip_bytes(address->family);
	struct ifaddrmsg *ifa;
	struct nlmsghdr *nlh;
	char buffer[1024];

	nlh = rtnl_begin(buffer, RTM_NEWADDR,
			 NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = address->family;
	ifa->ifa_prefixlen = address->length;
	ifa->ifa_index = address->index;
	/* The address is the administrator's: usable at once, without the
	 * second that duplicate detection takes. */
	ifa->ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0;
	mnl_attr_put(nlh, IFA_LOCAL, bytes, address->ip);
	mnl_attr_put(nlh, IFA_ADDRESS, bytes, address->ip);
	return rtnl_talk(rtnl, nlh, NULL, NULL);
}

struct rtnl_address_read {
	struct rtnl_address address;
	bool local; /* IFA_LOCAL was there */
};

struct rtnl_address_visit {
	bool (*visit)(const struct rtnl_address *, void *);
	void *data;
	bool stopped;
};

/* IFA_LOCAL is the interface's own end of a point-to-point link, and
 * IFA_ADDRESS the other; elsewhere they are the same, or only the latter. */
static int rtnl_read_address_attr(const struct nlattr *attr, void *data)
{
	uint16_t type = mnl_attr_get_type(attr);
	struct rtnl_address_read *entry = data;
	size_t bytes = rtnl_ip_bytes(entry->address.family);

	if ((type != IFA_LOCAL && (type != IFA_ADDRESS || entry->local)) ||
	    mnl_attr_get_payload_len(attr) != bytes)
		return MNL_CB_OK;
	entry->local = type == IFA_LOCAL;
	memcpy(entry->address.ip, mnl_attr_get_payload(attr), bytes);
	return MNL_CB_OK;
}

static int rtnl_on_address(const struct nlmsghdr *nlh, void *data)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct rtnl_address_visit *v = data;
	struct rtnl_address_read entry = {
		.address = {
			.index = ifa->ifa_index,
			.family = ifa->ifa_family,
			.scope = ifa->ifa_scope,
			.length = ifa->ifa_prefixlen,
		},
	};

	if (v->stopped)
		return MNL_CB_OK;
	mnl_attr_parse(nlh, sizeof(*ifa), rtnl_read_address_attr, &entry);
	v->stopped = v->visit(&entry.address, v->data);
	return MNL_CB_OK;
}

int rtnl_address_each(struct rtnl *rtnl,
		      bool (*visit)(const struct rtnl_address *, void *),
		      void *data)
{
	struct rtnl_address_visit v = { visit, data, false };
	struct nlmsghdr *nlh;
	char buffer[1024];

	nlh = rtnl_begin(buffer, RTM_GETADDR, NLM_F_DUMP);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifaddrmsg));
	return rtnl_talk(rtnl, nlh, rtnl_on_address, &v);
}

int rtnl_route_add_default(struct rtnl *rtnl, unsigned int index,
			   uint8_t family, const uint8_t *gateway)
{
	struct nlmsghdr *nlh;
	char buffer[1024];
	struct rtmsg *rtm;

	nlh = rtnl_begin(buffer, RTM_NEWROUTE,
			 NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = family;
	rtm->rtm_table = RT_TABLE_MAIN;
	rtm->rtm_protocol = RTPROT_STATIC;
	rtm->rtm_scope = RT_SCOPE_UNIVERSE;
	rtm->rtm_type = RTN_UNICAST;
	mnl_attr_put(nlh, RTA_GATEWAY, rtnl_ip_bytes(family), gateway);
	mnl_attr_put_u32(nlh, RTA_OIF, index);
	return rtnl_talk(rtnl, nlh, NULL, NULL);
}
