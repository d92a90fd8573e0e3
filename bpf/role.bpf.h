/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * role.bpf.h - a socket into what it is for us: a server's, a client's, nobody's.
 *
 * Decided with a socket's first packet and kept in its storage; again when
 * userspace raises config.epoch, which it does when services change. A server
 * is known by its local port; a client by its cgroup, by the process that called
 * connect(), or by its cookie where it connected before us. Where both ends are
 * here, the client's end leaves its name in `peers` for the server's.
 *
 * Between network namespaces (a container's and its neighbour's, or the host's) ports
 * alone say nothing. There the client's end leaves its name under its own address
 * and port, which address translation on the way to the server keeps (where it does not,
 * the client is nobody we know), and the server's end leaves its address in `homes`
 * for the clients that come after: one that dials an address that is translated
 * does not find it there, and its call goes outside.
 *
 * Both directions may decide at once: they come to the same answer.
 */
#ifndef ARCHAIC_ROLE_BPF_H
#define ARCHAIC_ROLE_BPF_H

#include "conn.bpf.h"

/* What is known of a socket before, or instead of, a struct conn. */
struct note {
	__u32 tgid;      /* who called connect() */
	__u32 bystander; /* the epoch in which it was nobody's; 0: not decided */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct note);
} notes SEC(".maps");

#define ID_MAP(name, key_type, entries)          \
	struct {                                 \
		__uint(type, BPF_MAP_TYPE_HASH); \
		__uint(max_entries, entries);    \
		__type(key, key_type);           \
		__type(value, __u32);            \
	} name SEC(".maps")

ID_MAP(cgroups, __u64, 4096); /* cgroup id -> service: cgroups that are a service's own */
ID_MAP(tgids, __u32, 16384);  /* process -> service */

/* Socket cookie -> service: clients that connected before us. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u32);
} cookies SEC(".maps");

/* Who is on other hosts; written by userspace, which is told. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ABI_REMOTES_MAX);
	__type(key, struct abi_remote_key);
	__type(value, __u32);
} remotes SEC(".maps");

struct peer_key {
	__u32 client_addr[4];
	__u32 netns; /* 0: from another namespace or host */
	__u16 client_port;
	__u16 server_port; /* 0 in `peers` where netns is: it may be translated */
};

/* Written by the client's end, read by the server's. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct peer_key);
	__type(value, __u32);
} peers SEC(".maps");

/* Where a service was reached from outside its network namespace. Written by the server's end, read by the client's. */
struct home_key {
	__u32 addr[4];
	__u16 port;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct home_key);
	__type(value, __u32);
} homes SEC(".maps");

/* A struct conn_entry to be: this kind of map takes no lock. */
struct parked_conn {
	struct conn conn;
	__u8 rest[sizeof(struct conn_entry) - sizeof(struct conn)];
};

/* Connections whose first request came before their socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct peer_key);
	__type(value, struct parked_conn);
} parked SEC(".maps");

static const struct parked_conn no_conn;
static const struct parked_conn fresh_conn = { .conn.fresh = 1 };

static __always_inline __u32 service_of_port(__u32 netns, __u16 port)
{
	struct abi_port_key key = { .netns_ino = netns, .port = port };
	__u32 *id = bpf_map_lookup_elem(&ports, &key);

	return id ? *id : 0;
}

static __always_inline __u32 service_of_socket(struct __sk_buff *skb, const struct note *note)
{
	bool connected = note && note->tgid;
	__u32 *id = NULL;

	/* A service's cgroup also holds the sockets that it accepted on ports which are not known (yet). */
	if (connected || !config.notes) {
		__u64 cgroup = bpf_skb_cgroup_id(skb);

		id = bpf_map_lookup_elem(&cgroups, &cgroup);
	}
	if (!id && connected) {
		__u32 tgid = note->tgid;

		id = bpf_map_lookup_elem(&tgids, &tgid);
	}
	if (!id) {
		__u64 cookie = bpf_get_socket_cookie(skb);

		id = bpf_map_lookup_elem(&cookies, &cookie);
	}
	return id ? *id : 0;
}

/* The key of a connection, from one of its packets. */
static __always_inline void peer_of(const struct tuple *t, const struct packet *p, bool from_client,
				    __u32 netns, struct peer_key *key)
{
	__builtin_memcpy(key->client_addr, from_client ? t->saddr : t->daddr,
			 sizeof(key->client_addr));
	key->netns = netns;
	key->client_port = from_client ? p->source : p->dest;
	key->server_port = from_client ? p->dest : p->source;
}

/* The key under which its client is known. */
static __always_inline void known_as(struct peer_key *key, bool local)
{
	if (local)
		return;
	key->netns = 0;
	key->server_port = 0;
}

static __always_inline void home_of(const struct tuple *t, const struct packet *p, bool source,
				    struct home_key *key)
{
	__builtin_memcpy(key->addr, source ? t->saddr : t->daddr, sizeof(key->addr));
	key->port = source ? p->source : p->dest;
	key->pad = 0;
}

/* A note for later packets of others; the same again costs no write. */
static __always_inline void stay_home(const struct tuple *t, const struct packet *p, bool egress,
				      __u32 server)
{
	struct home_key key;

	home_of(t, p, egress, &key);

	__u32 *id = bpf_map_lookup_elem(&homes, &key);

	if (!id || *id != server)
		bpf_map_update_elem(&homes, &key, &server, BPF_ANY);
}

static __always_inline __u32 service_at_home(const struct tuple *t, const struct packet *p,
					     bool egress)
{
	struct home_key key;

	home_of(t, p, !egress, &key);

	__u32 *id = bpf_map_lookup_elem(&homes, &key);

	return id ? *id : 0;
}

static __always_inline __u32 remote_of(const __u32 *addr, __u16 port)
{
	struct abi_remote_key key = { .port = port };
	__u32 *id;

	__builtin_memcpy(key.addr, addr, sizeof(key.addr));
	id = bpf_map_lookup_elem(&remotes, &key);
	return id ? *id : 0;
}

struct role {
	__u32 server;
	__u32 client;
	__u8 role;
};

static __always_inline __u32 client_of(struct peer_key *key, bool local)
{
	known_as(key, local);

	__u32 *id = bpf_map_lookup_elem(&peers, key);

	return id ? *id : 0;
}

/* What is this socket? */
static __always_inline void role_decide(struct __sk_buff *skb, struct bpf_sock *sk,
					const struct packet *p, bool egress,
					const struct note *note, struct role *r)
{
	__u32 netns = sock_netns(sk);
	struct peer_key key;
	struct tuple t;

	r->role = ROLE_NONE;
	r->client = r->server = 0;
	if (!netns)
		return;
	packet_addresses(skb, 0, p, &t);

	bool local = tuple_local(&t);

	r->server = service_of_port(netns, egress ? p->source : p->dest);
	if (r->server) {
		r->role = ROLE_SERVER;
		peer_of(&t, p, !egress, netns, &key);
		r->client = client_of(&key, local);
		if (!local) {
			stay_home(&t, p, egress, r->server);
			if (!r->client)
				r->client = remote_of(key.client_addr, 0);
		}
		return;
	}
	r->client = service_of_socket(skb, note);
	if (r->client)
		r->role = ROLE_CLIENT;

	__u16 port = egress ? p->dest : p->source;
	__u32 server = local ? service_of_port(netns, port) : service_at_home(&t, p, egress);

	if (!server && !local && r->client)
		server = remote_of(egress ? t.daddr : t.saddr, port);
	if (!server && (local || !r->client))
		return;
	peer_of(&t, p, egress, netns, &key);
	known_as(&key, local);
	if (r->client) {
		__u32 id = r->client;

		r->server = server;
		bpf_map_update_elem(&peers, &key, &id, BPF_ANY);
	} else {
		/* Its port was another's before: the server must not take it for that one. */
		bpf_map_delete_elem(&peers, &key);
		if (config.both_ends) {
			r->role = ROLE_CLIENT;
			r->server = server;
		}
	}
}

static __always_inline bool parked_key(struct __sk_buff *skb, struct bpf_sock *sk,
				       const struct packet *p, bool from_client,
				       struct peer_key *key)
{
	struct tuple t;

	packet_addresses(skb, 0, p, &t);
	peer_of(&t, p, from_client, sock_netns(sk), key);
	return tuple_local(&t);
}

/* Does the parked connection continue where this socket is? Ports are used again; what was never accepted stays parked. */
static __always_inline bool parked_fits(const struct conn *from, struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);

	return tp && tp->rcv_nxt - from->requests.next_seq + (1U << 20) < 1U << 21;
}

static __always_inline void role_set(struct conn *c, const struct role *r, __u32 epoch)
{
	c->role = r->role;
	c->server = r->server;
	c->client = r->client;
	c->peer_tries = 0;
	c->epoch = epoch;
}

/* Was nothing of this connection's data sent or received before this packet? */
static __always_inline bool conn_is_fresh(struct bpf_sock *sk, const struct packet *p, bool egress)
{
	struct bpf_tcp_sock *tp = bpf_tcp_sock(sk);

	return tp && !tp->bytes_received && tp->bytes_acked <= 1 &&
		(!egress || !p->len || tp->snd_una == p->seq);
}

/* A socket's first packet, or a bystander's in a new epoch. NULL: nobody's. */
static __always_inline struct conn *conn_new(struct __sk_buff *skb, struct bpf_sock *sk,
					     const struct packet *p, bool egress)
{
	struct note *note = bpf_sk_storage_get(&notes, sk, 0, 0);
	__u32 epoch = config.epoch;
	struct role r;

	if (note && note->bystander == epoch)
		return NULL;
	role_decide(skb, sk, p, egress, note, &r);
	if (r.role == ROLE_NONE) {
		if (!note)
			note = bpf_sk_storage_get(&notes, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (note)
			note->bystander = epoch;
		return NULL;
	}

	struct peer_key key;
	struct parked_conn *from = NULL;
	struct conn *c;

	if (r.role == ROLE_SERVER) {
		parked_key(skb, sk, p, !egress, &key);
		from = bpf_map_lookup_elem(&parked, &key);
		if (from && !parked_fits(&from->conn, sk))
			from = NULL;
	}
	/* What a connection begins with has to be there at once: another CPU may see it. */
	bool fresh = !from && conn_is_fresh(sk, p, egress);

	/* Linux before 5.17 takes no pointer here that may be NULL. */
	if (from)
		c = bpf_sk_storage_get(&conns, sk, from, BPF_SK_STORAGE_GET_F_CREATE);
	else if (fresh)
		c = bpf_sk_storage_get(&conns, sk, (void *)&fresh_conn,
				       BPF_SK_STORAGE_GET_F_CREATE);
	else
		c = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (c && from) {
		bpf_map_delete_elem(&parked, &key);
		ADD(stats.listener_adopted, 1);
	}
	/* Of two CPUs that make it at once, one gets nothing. */
	if (!c)
		c = bpf_sk_storage_get(&conns, sk, 0, 0);
	if (!c) {
		ADD(stats.storage_nomem, 1);
		return NULL;
	}
	role_set(c, &r, epoch);
	return c;
}

static __always_inline struct conn *conn_get(struct __sk_buff *skb, struct bpf_sock *sk,
					     const struct packet *p, bool egress)
{
	struct conn *c = bpf_sk_storage_get(&conns, sk, 0, 0);
	struct role r;

	if (!c)
		return conn_new(skb, sk, p, egress);

	__u32 epoch = config.epoch;
	/* A client that was attached later may have named itself meanwhile. */
	bool ask = c->role == ROLE_SERVER && !c->client && c->peer_tries < PEER_TRIES && !egress;

	if (c->epoch == epoch && !ask)
		return c;

	__u8 tries = c->epoch == epoch ? c->peer_tries + 1 : 0;

	role_decide(skb, sk, p, egress, bpf_sk_storage_get(&notes, sk, 0, 0), &r);
	role_set(c, &r, epoch);
	c->peer_tries = tries;
	return c;
}

#endif
