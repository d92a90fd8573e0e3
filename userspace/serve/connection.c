// SPDX-License-Identifier: GPL-2.0-or-later
#include "serve/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"

static struct conn *conn_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *i =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return i ? i->socket_context : NULL;
}

void connection_deadline(struct server *s, struct conn *c, uint64_t span_ns)
{
	pthread_mutex_lock(&s->lock);
	c->deadline_ns = clock_mono_ns() + span_ns;
	pthread_mutex_unlock(&s->lock);
}

/* ---- a connection's life */

/* IPv4 as such, also where it came to an IPv6 socket. "" where it is not known. */
static void know_address(int fd, char ret[static INET6_ADDRSTRLEN])
{
	struct sockaddr_storage from = { 0 };
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&from;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&from;
	socklen_t len = sizeof(from);

	if (getpeername(fd, (struct sockaddr *)&from, &len) < 0)
		return;
	if (from.ss_family == AF_INET)
		inet_ntop(AF_INET, &v4->sin_addr, ret, INET6_ADDRSTRLEN);
	else if (from.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], ret, INET6_ADDRSTRLEN);
	else if (from.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6->sin6_addr, ret, INET6_ADDRSTRLEN);
}

static void know_caller(const struct listener *l, int fd, struct caller *ret)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	*ret = (struct caller){ .transport = TRANSPORT_TCP, .uid = (uid_t)-1 };
	if (!l->is_unix) {
		know_address(fd, ret->address);
		return;
	}
	/* Nobody's rights where the kernel does not say who it is. */
	ret->transport = TRANSPORT_UNIX;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return;
	ret->uid = peer.uid;
	ret->pid = peer.pid;
	ret->is_root = peer.uid == 0;
}

static struct conn *conn_new(struct listener *l, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *i =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct conn *c = i ? calloc(1, sizeof(*c)) : NULL;
	struct server *s = l->server;

	if (!c)
		return NULL;
	c->fd = i->connect_fd;
	buf_init(&c->body, SERVER_BODY_MAX);
	know_caller(l, c->fd, &c->caller);

	pthread_mutex_lock(&s->lock);
	c->deadline_ns = clock_mono_ns() + SERVER_IDLE_S * NSEC_PER_SEC;
	c->next = s->conns;
	c->link = &s->conns;
	if (c->next)
		c->next->link = &c->next;
	s->conns = c;
	s->connections++;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return c;
}

static void conn_free(struct server *s, struct conn *c)
{
	pthread_mutex_lock(&s->lock);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	s->connections--;
	pthread_mutex_unlock(&s->lock);
	buf_release(&c->body);
	free(c->target);
	free(c);
}

void connection_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
		       enum MHD_ConnectionNotificationCode code)
{
	struct listener *l = cls;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = conn_new(l, connection);
	} else if (*socket_context) {
		conn_free(l->server, *socket_context);
		*socket_context = NULL;
	}
}

/* The request line is here: the only place that shows it undecoded. Nothing is kept per request that a broken head could leak. */
void *connection_target(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct listener *l = cls;
	struct conn *c = conn_of(connection);

	if (c) {
		connection_deadline(l->server, c, l->server->request_ns);
		free(c->target);
		c->target = strdup(uri);
		c->seen = c->too_large = false;
		buf_reset(&c->body);
	}
	return NULL;
}

void connection_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			  enum MHD_RequestTerminationCode code)
{
	struct listener *l = cls;
	struct conn *c = conn_of(connection);

	(void)con_cls;
	(void)code;
	if (!c)
		return;
	connection_deadline(l->server, c, SERVER_IDLE_S * NSEC_PER_SEC);
	/* An idle connection shall not sit on a megabyte. */
	buf_release(&c->body);
	buf_init(&c->body, SERVER_BODY_MAX);
}

/* ---- answers */

static void add_headers(const struct listener *l, struct MHD_Response *r, const struct reply *reply)
{
	if (l->is_page)
		connection_page_headers(r);
	if (reply->content_type)
		MHD_add_response_header(r, "Content-Type", reply->content_type);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	if (*reply->allow)
		MHD_add_response_header(r, "Allow", reply->allow);
	if (*reply->location)
		MHD_add_response_header(r, "Location", reply->location);
	if (reply->status == 401)
		MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
	if (reply->status == 429)
		MHD_add_response_header(r, "Retry-After", "5");
	/* What is still to come of a body that we do not want is not read. */
	if (reply->status == 413)
		MHD_add_response_header(r, "Connection", "close");
}

/* Takes the body out of @reply. NULL: no memory. */
static struct MHD_Response *body_of(struct reply *reply)
{
	size_t len = reply->body.len;
	char *text = len ? buf_take(&reply->body) : NULL;
	struct MHD_Response *r = text ?
		MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE) :
		MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);

	if (!r)
		free(text);
	return r;
}

static enum MHD_Result send_reply(const struct listener *l, struct MHD_Connection *connection,
				  struct reply *reply)
{
	struct MHD_Response *r = reply->events ?
		connection_stream(l->server, conn_of(connection), TAKE_PTR(reply->events)) :
		body_of(reply);

	if (!r)
		return MHD_NO;
	add_headers(l, r, reply);
	enum MHD_Result ok = MHD_queue_response(connection, (unsigned)reply->status, r);
	MHD_destroy_response(r);
	return ok;
}

static enum MHD_Result send_problem(const struct listener *l, struct MHD_Connection *connection,
				    const struct problem *p)
{
	CLEANUP(reply_release) struct reply reply = { 0 };

	reply_problem(&reply, p);
	return send_reply(l, connection, &reply);
}

/* ---- the gate */

static const char *header(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static void wait_ns(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / NSEC_PER_SEC),
			      .tv_nsec = (long)(ns % NSEC_PER_SEC) };

	nanosleep(&t, NULL);
}

/* @token: what is asked for; NULL: only what is vouched for. */
static int check_token(const struct listener *l, struct MHD_Connection *connection,
		       const char *token, bool vouching, struct problem *p)
{
	const char *authorization = header(connection, "Authorization");
	const struct sockaddr *from =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
	struct server *s = l->server;
	bool right = (token && gate_token_ok(authorization, token)) ||
		(vouching && authorization && s->vouched && s->vouched(s->ctx, authorization));
	uint64_t now = clock_mono_ns(), wait = 0, own;

	pthread_mutex_lock(&s->lock);
	if (right) {
		slowdown_right(&s->slowdown, from);
	} else {
		s->stats.refused_token++;
		/* A client that has no token yet is told so at once; only guesses wait. */
		own = authorization ? slowdown_wrong(&s->slowdown, from, now) : 0;
		wait = authorization ? gate_brake_ns(&s->brake, now) : 0;
		wait = MAX(wait, own);
	}
	pthread_mutex_unlock(&s->lock);
	if (right)
		return 0;
	if (wait == UINT64_MAX)
		return problem_set(p, 429, "too many wrong tokens; wait");
	wait_ns(wait);
	return problem_set(p, 401, "a valid token is needed: Authorization: Bearer TOKEN");
}

static bool is_api(const char *target)
{
	return !strncmp(target, "/v1", 3);
}

static bool is_sample(const char *target)
{
	static const char path[] = "/v1/samples";

	return !strncmp(target, path, sizeof(path) - 1) &&
		(!target[sizeof(path) - 1] || target[sizeof(path) - 1] == '?');
}

static int check_gate(const struct listener *l, struct MHD_Connection *connection,
		      const char *target, const char *method, struct problem *p)
{
	struct server *s = l->server;
	const char *host = header(connection, "Host"), *origin = header(connection, "Origin");

	if (l->is_unix)
		return 0;
	bool host_ok = l->needs_token || gate_host_ok(host, (const char *const *)s->names);
	if (!host_ok || !gate_origin_ok(origin, host)) {
		pthread_mutex_lock(&s->lock);
		s->stats.refused_origin++;
		pthread_mutex_unlock(&s->lock);
		return host_ok ?
			problem_set(p, 403, "a page of another origin may not ask this") :
			problem_set(p, 403, "this Host is not ours; use localhost or 127.0.0.1");
	}
	if (l->is_page && connection_guard(l, connection, method, p))
		return -EACCES;
	/* Agents have a token of their own, which opens nothing else. */
	if (is_sample(target) && l->part == SERVER_DETECTOR && (s->samples_token || s->vouched))
		return check_token(l, connection, s->samples_token, true, p);
	/* A browser fetches the page before anything could show the token. */
	return l->needs_token && (!l->is_page || is_api(target)) ?
		check_token(l, connection, l->token, false, p) :
		0;
}

/* ---- one request */

static bool announces_too_much(struct MHD_Connection *connection)
{
	const char *length = header(connection, "Content-Length");
	uint64_t n;

	return length && text_to_u64(length, 0, SERVER_BODY_MAX, &n);
}

static enum MHD_Result refuse_size(const struct listener *l, struct MHD_Connection *connection)
{
	struct problem p;

	problem_set(&p, 413, "the body is larger than %zu bytes", SERVER_BODY_MAX);
	return send_problem(l, connection, &p);
}

/* Headers are here, the body is not. */
static enum MHD_Result first_look(const struct listener *l, struct MHD_Connection *connection,
				  const char *target, const char *method)
{
	struct problem p = { 0 };

	if (check_gate(l, connection, target, method, &p))
		return send_problem(l, connection, &p);
	if (announces_too_much(connection))
		return refuse_size(l, connection);
	return MHD_YES;
}

static void gather(struct conn *c, const char *data, size_t len)
{
	if (c->too_large || buf_add(&c->body, data, len)) {
		c->too_large = true;
		buf_reset(&c->body);
	}
}

static enum MHD_Result route(const struct listener *l, struct MHD_Connection *connection,
			     struct conn *c, const char *method)
{
	struct server *s = l->server;
	CLEANUP(reply_release) struct reply reply = { 0 };
	enum MHD_Result sent;

	if (l->is_page && connection_page(l, connection, c, method, &sent))
		return sent;
	struct inbound req = {
		.part = l->part,
		.method = method,
		.target = c->target,
		.content_type = header(connection, "Content-Type"),
		.accept = header(connection, "Accept"),
		.idempotency_key = header(connection, "Idempotency-Key"),
		.last_event_id = header(connection, "Last-Event-ID"),
		.body = buf_str(&c->body),
		.body_len = c->body.len,
		.caller = c->caller,
		.now_ns = clock_mono_ns(),
	};

	connection_deadline(s, c, SERVER_ANSWER_S * NSEC_PER_SEC);
	router_handle(s->router, &req, &reply);
	pthread_mutex_lock(&s->lock);
	s->stats.requests++;
	pthread_mutex_unlock(&s->lock);
	return send_reply(l, connection, &reply);
}

enum MHD_Result connection_handle(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload_data,
				  size_t *upload_data_size, void **con_cls)
{
	const struct listener *l = cls;
	struct conn *c = conn_of(connection);

	(void)url;
	(void)version;
	(void)con_cls;
	if (!c || !c->target)
		return MHD_NO;
	if (!c->seen) {
		c->seen = true;
		return first_look(l, connection, c->target, method);
	}
	if (*upload_data_size) {
		gather(c, upload_data, *upload_data_size);
		*upload_data_size = 0;
		return MHD_YES;
	}
	return c->too_large ? refuse_size(l, connection) : route(l, connection, c, method);
}
