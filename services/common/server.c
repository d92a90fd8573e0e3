// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/server.h"

#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "serve/listen.h"
#include "services/common/forward.h"

#define HEADERS_MAX (32 << 10)
#define THREAD_STACK (512 << 10)
/* What a client may still send of a body that is refused anyway: reading it lets most of them see the answer. */
#define DRAIN_MAX (8ULL << 20)
/* Calls to others are given up this long before the grace is over, so that their requests still get an answer. */
#define ABORT_EARLY_MS 1500

static const struct route common_routes[] = {
	{ "GET", "/health", false, forward_health },
	{ "POST", "/inject-failure", false, forward_inject },
	{ "POST", "/reset", false, forward_reset },
};

static struct {
	const struct service_def *def;
	struct route *routes; /* the service's, then the common ones */
	size_t nr_routes;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	size_t in_flight; /* guarded by lock */
	bool stopping;    /* guarded by lock */
} g = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* One exchange on a connection: made when its request line is read, freed when its answer is out. */
struct exchange {
	struct request rq;
	char *target;   /* owned: as it was sent, still encoded */
	char *log_path; /* owned: without its query */
	struct buf body;
	bool seen, counted, too_long;
	unsigned long long drained;
	uint64_t start_ns;
	char allow[64];
};

static void exchange_free(struct exchange *x)
{
	uri_release(&x->rq.uri);
	buf_release(&x->body);
	free(x->rq.answer);
	free(x->target);
	free(x->log_path);
	free(x);
}

/* Each exchange is counted once, from its first call to its completion. */
static void count(struct exchange *x, bool begin)
{
	pthread_mutex_lock(&g.lock);
	if (begin && !x->counted) {
		x->counted = true;
		g.in_flight++;
	} else if (!begin && x->counted) {
		x->counted = false;
		if (!--g.in_flight)
			pthread_cond_signal(&g.idle);
	}
	pthread_mutex_unlock(&g.lock);
}

static bool is_stopping(void)
{
	pthread_mutex_lock(&g.lock);
	bool stopping = g.stopping;
	pthread_mutex_unlock(&g.lock);
	return stopping;
}

static void *on_target(void *ctx, const char *target, struct MHD_Connection *connection)
{
	(void)ctx;
	struct exchange *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	buf_init(&x->body, REQUEST_BODY_MAX);
	x->rq.connection = connection;
	x->start_ns = clock_mono_ns();
	x->target = strdup(target);
	x->log_path = strndup(target, strcspn(target, "?"));
	if (!x->target || !x->log_path) {
		exchange_free(x);
		return NULL;
	}
	return x;
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode why)
{
	(void)ctx, (void)connection, (void)why;
	struct exchange *x = *state;

	if (!x)
		return;
	count(x, false);
	exchange_free(x);
	*state = NULL;
}

static void take_trace(struct request *rq)
{
	const char *id = request_header(rq, "X-Trace-ID"),
		   *parent = request_header(rq, "traceparent");

	if (trace_id_valid(id))
		memcpy(rq->trace_id, id, TRACE_ID_SIZE);
	else
		trace_id_make(rq->trace_id);
	if (traceparent_valid(parent))
		memcpy(rq->traceparent, parent, TRACEPARENT_SIZE);
}

static int dispatch(struct exchange *x, const char *method)
{
	struct request *rq = &x->rq;
	const struct route *route = NULL;
	const char *why = NULL;

	int err = uri_parse(x->target, &rq->uri, &why);
	if (err)
		return err == -ENOMEM ? reply_error(rq, 500, "no memory") :
					reply_error(rq, 400, "%s", why);

	rq->method = strcmp(method, "HEAD") ? method : "GET";
	err = route_find(g.routes, g.nr_routes, rq->method, &rq->uri, &route, &rq->param, x->allow,
			 sizeof(x->allow));
	if (err == -ENOENT)
		return reply_error(rq, 404, "%s has no such address", g.def->name);
	if (err) {
		rq->allow = x->allow;
		return reply_error(rq, 405, "the method is not allowed here; allowed: %s",
				   x->allow);
	}
	if (x->too_long)
		return reply_error(rq, 413, "the body is longer than 1 MiB");
	if (route->auth && g.def->authenticate(rq))
		return rq->status;
	return route->handle(rq);
}

static enum MHD_Result send_answer(struct exchange *x, struct MHD_Connection *connection)
{
	static char no_memory[] = "{\"error\":\"no memory\"}";
	struct request *rq = &x->rq;
	bool own = rq->answer;
	char *text = own ? TAKE_PTR(rq->answer) : no_memory;
	struct MHD_Response *r = MHD_create_response_from_buffer(
		strlen(text), text, own ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (!r) {
		if (own)
			free(text);
		return MHD_NO;
	}

	MHD_add_response_header(r, "Content-Type", own ? rq->answer_type : "application/json");
	MHD_add_response_header(r, "X-Trace-ID", rq->trace_id);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	if (rq->allow)
		MHD_add_response_header(r, "Allow", rq->allow);
	if (rq->status == 401)
		MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
	if (is_stopping())
		MHD_add_response_header(r, "Connection", "close");
	enum MHD_Result result = MHD_queue_response(connection, (unsigned int)rq->status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result answer(struct exchange *x, struct MHD_Connection *connection,
			      const char *method)
{
	int status = dispatch(x, method);
	double took_ms = (double)(clock_mono_ns() - x->start_ns) / 1e6;
	/* Probes come every second from everywhere: they would drown the rest. */
	enum log_level level = strcmp(x->log_path, "/health") || status != 200 ? LOG_LEVEL_INFO :
										 LOG_LEVEL_DEBUG;

	log_as(NULL, status >= 500 ? LOG_LEVEL_ERROR : level, x->rq.trace_id,
	       "%s %.128s %d in %.1fms", method, x->log_path, status, took_ms);
	return send_answer(x, connection);
}

static void take_body(struct exchange *x, const char *data, size_t len)
{
	if (!x->too_long && buf_add(&x->body, data, len)) {
		x->too_long = true;
		buf_release(&x->body);
	}
	x->drained += len;
}

/* A length that is declared and hopeless is not even read. */
static bool hopeless(const struct request *rq)
{
	const char *length = request_header(rq, "Content-Length");
	uint64_t n;

	return length && text_to_u64(length, 0, DRAIN_MAX, &n);
}

/* libmicrohttpd calls this once with the headers, then for each piece of the body, then once more. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *len, void **state)
{
	(void)ctx, (void)url, (void)version;
	struct exchange *x = *state;

	if (!x)
		return MHD_NO; /* no memory: the connection is closed */
	if (!x->seen) {
		x->seen = true;
		count(x, true);
		take_trace(&x->rq);
		if (!hopeless(&x->rq))
			return MHD_YES;
		x->too_long = true;
		return answer(x, connection, method);
	}
	if (*len) {
		take_body(x, data, *len);
		*len = 0;
		return x->drained > DRAIN_MAX ? MHD_NO : MHD_YES;
	}
	x->rq.body = buf_str(&x->body);
	x->rq.body_len = x->body.len;
	return answer(x, connection, method);
}

static void on_mhd_log(void *ctx, const char *fmt, va_list ap)
{
	(void)ctx;
	char text[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* libmicrohttpd's own formats */
	vsnprintf(text, sizeof(text), fmt, ap);
#pragma GCC diagnostic pop
	text[strcspn(text, "\n")] = '\0';
	log_debug("libmicrohttpd: %s", text);
}

static struct MHD_Daemon *start_mhd(int listen_fd)
{
	return MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
					MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG,
				0, NULL, NULL, on_request, NULL, MHD_OPTION_EXTERNAL_LOGGER,
				on_mhd_log, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
				MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL,
				MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
				MHD_OPTION_CONNECTION_LIMIT, (unsigned int)SERVER_CONNECTIONS_MAX,
				MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)SERVER_IDLE_S,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX,
				MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK,
				MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

/* Until nothing is in flight, or for @ms. */
static size_t wait_idle(unsigned int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&g.lock);
	g.stopping = true;
	while (g.in_flight && pthread_cond_timedwait(&g.idle, &g.lock, &until) != ETIMEDOUT)
		;
	size_t left = g.in_flight;
	pthread_mutex_unlock(&g.lock);
	return left;
}

static void stop_gracefully(struct MHD_Daemon *d)
{
	MHD_socket fd = MHD_quiesce_daemon(d);

	if (fd != MHD_INVALID_SOCKET)
		close(fd);
	if (wait_idle(SERVER_GRACE_MS - ABORT_EARLY_MS)) {
		dependency_abort_all();
		size_t left = wait_idle(ABORT_EARLY_MS);
		if (left)
			log_warning("%zu requests are cut off", left);
	}
	MHD_stop_daemon(d);
	if (g.def->stop)
		g.def->stop();
	forward_release();
	free(g.routes);
	g.routes = NULL;
}

static int merge_routes(const struct service_def *def)
{
	size_t nr_common = ARRAY_SIZE(common_routes);

	g.def = def;
	g.routes = calloc(def->nr_routes + nr_common, sizeof(*g.routes));
	if (!g.routes)
		return -ENOMEM;
	memcpy(g.routes, def->routes, def->nr_routes * sizeof(*g.routes));
	memcpy(g.routes + def->nr_routes, common_routes, sizeof(common_routes));
	g.nr_routes = def->nr_routes + nr_common;

	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g.idle, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

struct options {
	const char *listen, *name;
	uint16_t port;
	bool help;
};

static void print_help(const struct service_def *def)
{
	printf("usage: %s [--listen ADDRESS] [--port PORT] [--name NAME]\n\n"
	       "  --listen ADDRESS  an IPv4 or IPv6 literal; default 127.0.0.1\n"
	       "  --port PORT       default %u; also the environment's PORT\n"
	       "  --name NAME       in logs and in /health; default %s\n\n"
	       "Environment:\n"
	       "  ARCHAIC_SOCKET    the daemon's control socket; default " FORWARD_SOCKET "\n"
	       "  ARCHAIC_TOKEN     needed off loopback: bearer token for /inject-failure and /reset\n%s\n"
	       "EXAMPLES\n  %s --port %u\n  curl http://127.0.0.1:%u/health\n",
	       def->name, def->port, def->name, def->help ?: "", def->name, def->port, def->port);
}

static int read_port(const char *text, uint16_t *ret)
{
	uint64_t v;

	if (text_to_u64(text, 1, 65535, &v)) {
		fprintf(stderr, "the port is %.32s; it must be a whole number from 1 to 65535\n",
			text);
		return -EINVAL;
	}
	*ret = (uint16_t)v;
	return 0;
}

static int read_options(const struct service_def *def, int argc, char **argv, struct options *ret)
{
	static const struct option longs[] = { { "listen", required_argument, NULL, 'l' },
					       { "port", required_argument, NULL, 'p' },
					       { "name", required_argument, NULL, 'n' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	struct options o = { .listen = "127.0.0.1", .name = def->name, .port = def->port };
	const char *port = getenv("PORT");
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'l')
			o.listen = optarg;
		else if (c == 'p')
			port = optarg;
		else if (c == 'n')
			o.name = optarg;
		else if (c == 'h')
			o.help = true;
		else
			return -EINVAL;
	}
	if (optind < argc) {
		fprintf(stderr, "unknown argument %s; see --help\n", argv[optind]);
		return -EINVAL;
	}
	if (port && read_port(port, &o.port))
		return -EINVAL;
	*ret = o;
	return 0;
}

static const char *token_for(const struct options *o)
{
	const char *token = getenv("ARCHAIC_TOKEN");

	return address_is_loopback(o->listen) ? NULL : token && strlen(token) >= 16 ? token : "";
}

static int start(const struct service_def *def, const struct options *o, struct MHD_Daemon **ret,
		 char *why, size_t size)
{
	const char *token = token_for(o);
	CLEANUP(closep) int fd = -1;
	struct problem p;
	uint16_t port;

	if (token && !*token) {
		snprintf(
			why, size,
			"%.64s is not a loopback address: set ARCHAIC_TOKEN (16 bytes or more) first",
			o->listen);
		return -EACCES;
	}
	snprintf(why, size, "cannot start: no memory, or ARCHAIC_SOCKET is too long");
	int err = merge_routes(def) ?:
		forward_init(o->name, getenv("ARCHAIC_SOCKET"), token, def->bad_data);
	if (!err && def->start)
		err = def->start(o->port, why, size);
	if (err)
		return err;
	err = listen_tcp(o->listen, o->port, "--port", &fd, &port, &p);
	if (err) {
		snprintf(why, size, "%s", p.detail);
		return err;
	}

	*ret = start_mhd(fd);
	if (!*ret) {
		snprintf(why, size, "cannot start the HTTP server: no memory or no threads");
		return -ENOMEM;
	}
	fd = -1; /* libmicrohttpd's */
	return 0;
}

int service_run(const struct service_def *def, int argc, char **argv)
{
	struct options o;
	struct MHD_Daemon *d = NULL;
	char why[384] = "cannot start: libsodium or libcurl cannot be initialised";
	sigset_t signals;
	int sig;

	if (read_options(def, argc, argv, &o))
		return 2;
	if (o.help) {
		print_help(def);
		return 0;
	}

	log_init(o.name, STDERR_FILENO, LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	/* Blocked before the first thread starts, so that only sigwait() below sees them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_ALL) ||
	    start(def, &o, &d, why, sizeof(why))) {
		log_error("%s", why);
		return 1;
	}

	log_info("listening on %s port %u", o.listen, o.port);
	sigwait(&signals, &sig);
	log_info("stopping on signal %d", sig);
	stop_gracefully(d);
	curl_global_cleanup();
	return 0;
}
