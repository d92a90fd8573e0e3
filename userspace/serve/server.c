// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The sockets and libmicrohttpd. A connection's thread only ever touches its
 * own struct conn; the list that the sweeper walks is guarded by server.lock.
 */
#include "serve/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "serve/connection.h"
#include "serve/listen.h"

#define STACK_SIZE ((size_t)1 << 20)

/* ---- the sweeper: libmicrohttpd's own time-out starts anew with every byte, so a drip would hold a thread for ever */

static void *sweep(void *arg)
{
	struct server *s = arg;

	pthread_mutex_lock(&s->lock);
	while (!s->stopping) {
		struct timespec at;
		clock_gettime(CLOCK_MONOTONIC, &at);
		at.tv_sec++;
		if (s->connections)
			pthread_cond_timedwait(&s->changed, &s->lock, &at);
		else
			pthread_cond_wait(&s->changed, &s->lock);

		uint64_t now = clock_mono_ns();
		for (struct conn *c = s->conns; c; c = c->next)
			if (!c->cut && now > c->deadline_ns) {
				/* Its thread sees the end of the stream and lets go of the descriptor itself. */
				shutdown(c->fd, SHUT_RDWR);
				c->cut = true;
				s->stats.too_slow++;
			}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- listeners */

static struct listener *add_listener(struct server *s, enum server_part part)
{
	struct listener *l = &s->listeners[s->nr_listeners++];

	*l = (struct listener){ .server = s, .part = part, .fd = -1 };
	return l;
}

static int bind_tcp(struct server *s, enum server_part part, int port, const char *option,
		    struct problem *p)
{
	bool is_page = part & SERVER_PAGES;
	const char *address = is_page ? s->listen_pages : s->listen;

	if (port < 0)
		return 0;
	if (port > UINT16_MAX)
		return problem_parameter(p, 400, option, "over 65535", "a port from 0 to 65535");

	struct listener *l = add_listener(s, part);
	int err = listen_tcp(address, (uint16_t)port, option, &l->fd, &l->port, p);
	l->is_page = is_page;
	l->token = part == SERVER_CHAOS && s->chaos_token ? s->chaos_token : s->token;
	l->needs_token = !err &&
		(!address_is_loopback(address) || (l->token && l->token != s->token));
	if (!l->needs_token || l->token)
		return err;
	problem_set(
		p, 403,
		"listening on %s needs a bearer token, since it is not loopback; name a file with --token-file, or listen on 127.0.0.1",
		address);
	return -EACCES;
}

static int bind_unix(struct server *s, const struct server_config *c, struct problem *p)
{
	struct stat st;

	if (!c->socket_path)
		return 0;
	struct listener *l = add_listener(s, SERVER_CONTROL);
	int err = listen_unix(c->socket_path, c->socket_group ?: "archaic", &l->fd, p);
	if (err)
		return err;
	l->is_unix = true;
	s->socket_path = strdup(c->socket_path);
	s->socket_ino = stat(c->socket_path, &st) ? 0 : st.st_ino;
	return s->socket_path ? 0 : -ENOMEM;
}

static int begin(struct listener *l)
{
	const struct server *s = l->server;
	bool tls = l->is_page && s->tls_cert;
	struct MHD_OptionItem tls_options[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, s->tls_cert },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, s->tls_key },
		{ MHD_OPTION_END, 0, NULL },
	};

	l->daemon = MHD_start_daemon(
		MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
			MHD_USE_ITC | (tls ? MHD_USE_TLS : 0U),
		0, NULL, NULL, connection_handle, l, MHD_OPTION_LISTEN_SOCKET, l->fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)SERVER_CONNECTIONS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)SERVER_PER_IP_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVER_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, SERVER_HEADER_MAX, MHD_OPTION_THREAD_STACK_SIZE,
		STACK_SIZE, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK,
		connection_target, l, MHD_OPTION_NOTIFY_CONNECTION, connection_notify, l,
		MHD_OPTION_NOTIFY_COMPLETED, connection_completed, l, MHD_OPTION_ARRAY,
		tls ? tls_options : &tls_options[2], MHD_OPTION_END);
	if (!l->daemon)
		return -EIO;
	l->fd = -1; /* libmicrohttpd closes it */
	return 0;
}

static int begin_all(struct server *s)
{
	sigset_t all, old;
	int err = 0;

	/* Signals are the main thread's; threads inherit the mask. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&s->sweeper, NULL, sweep, s))
		err = -EAGAIN;
	else
		s->sweeping = true;
	for (size_t i = 0; i < s->nr_listeners && !err; i++)
		err = begin(&s->listeners[i]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

static int copy_config(struct server *s, const struct server_config *c)
{
	s->listen = strdup(c->listen ?: "127.0.0.1");
	s->listen_pages = strdup(c->listen_pages ?: s->listen ?: "");
	s->token = c->token ? strdup(c->token) : NULL;
	s->chaos_token = c->chaos_token ? strdup(c->chaos_token) : NULL;
	s->samples_token = c->samples_token ? strdup(c->samples_token) : NULL;
	s->tls_cert = c->tls_cert && c->tls_key ? strdup(c->tls_cert) : NULL;
	s->tls_key = s->tls_cert ? strdup(c->tls_key) : NULL;
	s->read_only = c->read_only;
	s->stall_ns = c->stall_s ? c->stall_s * NSEC_PER_SEC : EVENTS_STALL_NS;
	s->request_ns = (c->request_s ?: SERVER_REQUEST_S) * NSEC_PER_SEC;
	for (size_t i = 0; i < SERVER_NAMES_MAX && c->names[i]; i++) {
		s->names[i] = strdup(c->names[i]);
		if (!s->names[i])
			return -ENOMEM;
	}
	return !s->listen || !s->listen_pages || (c->token && !s->token) ||
			(c->chaos_token && !s->chaos_token) ||
			(c->samples_token && !s->samples_token) ||
			(c->tls_cert && c->tls_key && !s->tls_key) ?
		-ENOMEM :
		0;
}

static int new(const struct server_config *c, const struct control_ops *ops, void *ctx,
	       struct server **ret)
{
	pthread_condattr_t attr;
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (copy_config(s, c) || router_new(ops, ctx, c->prometheus_url, &s->router)) {
		server_stop(s);
		return -ENOMEM;
	}
	s->vouched = ops->vouched;
	s->ctx = ctx;
	s->events = ops->events ? ops->events(ctx) : NULL;
	*ret = s;
	return 0;
}

static void stopp(struct server **s)
{
	server_stop(*s);
}

int server_start(const struct server_config *config, const struct control_ops *ops, void *ctx,
		 struct server **ret, struct problem *p)
{
	CLEANUP(stopp) struct server *s = NULL;

	*p = (struct problem){ 0 };
	int err = sodium_init() < 0 ? -EIO : new (config, ops, ctx, &s);
	err = err ?: bind_tcp(s, SERVER_OPERATOR, config->port_operator, "--port-operator", p);
	err = err ?: bind_tcp(s, SERVER_DETECTOR, config->port_detector, "--port-detector", p);
	err = err ?: bind_tcp(s, SERVER_DASHBOARD, config->port_dashboard, "--port-dashboard", p);
	err = err ?: bind_tcp(s, SERVER_CHAOS, config->port_chaos, "--port-chaos", p);
	err = err ?: bind_unix(s, config, p);
	err = err ?: begin_all(s);
	if (err) {
		if (!p->status)
			problem_set(p, 503, "the control interface cannot start: %s",
				    strerror(-err));
		return err;
	}
	*ret = TAKE_PTR(s);
	return 0;
}

static void remove_socket_file(const struct server *s)
{
	struct stat st;

	/* Another daemon may have put its own there meanwhile. */
	if (s->socket_path && s->socket_ino && !lstat(s->socket_path, &st) &&
	    st.st_ino == s->socket_ino)
		unlink(s->socket_path);
}

static void wipe(char *secret)
{
	if (secret)
		sodium_memzero(secret, strlen(secret));
	free(secret);
}

void server_stop(struct server *s)
{
	if (!s)
		return;
	remove_socket_file(s);
	events_close(s->events); /* their threads are waited for below */
	for (size_t i = 0; i < s->nr_listeners; i++) {
		struct listener *l = &s->listeners[i];
		if (l->daemon)
			MHD_stop_daemon(l->daemon);
		if (l->fd >= 0)
			close(l->fd);
	}
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (s->sweeping)
		pthread_join(s->sweeper, NULL);
	router_free(s->router);
	for (size_t i = 0; i < SERVER_NAMES_MAX; i++)
		free(s->names[i]);
	free(s->socket_path);
	free(s->listen);
	free(s->listen_pages);
	wipe(s->token);
	wipe(s->chaos_token);
	wipe(s->samples_token);
	free(s->tls_cert);
	wipe(s->tls_key);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

uint16_t server_port(const struct server *s, enum server_part part)
{
	for (size_t i = 0; i < s->nr_listeners; i++)
		if (s->listeners[i].part == part)
			return s->listeners[i].port;
	return 0;
}

void server_stats(struct server *s, struct server_stats *ret)
{
	pthread_mutex_lock(&s->lock);
	*ret = s->stats;
	ret->connections = s->connections;
	ret->slowed_addresses = (uint32_t)slowdown_addresses(&s->slowdown, clock_mono_ns());
	pthread_mutex_unlock(&s->lock);
}
