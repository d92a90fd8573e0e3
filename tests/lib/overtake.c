// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "caller.h"
#include "overtake.h"
#include "rawtcp.h"

#define STREAM_MAX 32768

static int tun = -1;

bool overtake_available(const char *name)
{
	/* Each question loads all programs: enough for one program to be asked once. */
	if (tun < 0 && !scene_available(name))
		return false;
	if (tun < 0)
		tun = rawtcp_tun();
	if (tun < 0)
		printf("SKIP %s: no TUN device: %s\n", name, strerror(-tun));
	return tun >= 0;
}

static void add_series(void *ctx, const struct observer_series *s)
{
	struct overtake_sums *sums = ctx;

	if (s->key.side != sums->side)
		return;
	assert_true(s->key.status < LOAD_STATUS_MAX);
	sums->status[s->key.status] += s->requests;
	sums->aborted += s->aborted;
	sums->unparsed += s->unparsed;
	sums->untimed += s->untimed;
	sums->rx += s->rx_bytes;
	sums->tx += s->tx_bytes;
}

void overtake_sums(struct scene *t, uint8_t side, struct overtake_sums *ret)
{
	struct observer_self self;

	memset(ret, 0, sizeof(*ret));
	ret->side = side;
	scene_look(t);
	observer_series(t->observer, add_series, ret);
	assert_int_equal(observer_self(t->observer, &self), 0);
	ret->stats = self.stats;
}

void overtake_expect(const struct overtake_row *r, const char *what, uint64_t got, uint64_t want)
{
	if (got != want)
		fail_msg("%s (sent %s): %s: %llu, not %llu", r->what, r->order, what,
			 (unsigned long long)got, (unsigned long long)want);
}

/* @counted: statuses, each as often as it stands there. */
void overtake_expect_counts(const struct overtake_row *r, const char *counted,
			    const struct overtake_sums *was, const struct overtake_sums *now)
{
	uint64_t want[LOAD_STATUS_MAX] = { 0 };

	for (const char *p = counted; *p; p += 4)
		want[strtoul(p, NULL, 10) % LOAD_STATUS_MAX]++;
	for (unsigned int i = 1; i < LOAD_STATUS_MAX; i++) {
		char what[32];

		snprintf(what, sizeof(what), "requests with status %u", i);
		overtake_expect(r, what, now->status[i] - was->status[i], want[i]);
	}
#define DELTA(field, n) overtake_expect(r, #field, now->field - was->field, n)
	DELTA(status[0], 0);
	DELTA(aborted, r->aborted);
	DELTA(unparsed, r->lost);
	DELTA(untimed, r->untimed);
	DELTA(stats.streams_lost, r->lost);
	DELTA(stats.streams_opaque, 0);
	DELTA(stats.streams_budget, 0);
	DELTA(stats.pipeline_overflow, 0);
	DELTA(stats.orphan_responses, r->orphans);
	DELTA(stats.overtaken, r->overtaken);
#undef DELTA
}

void overtake_expect_idle(const struct overtake_row *r, const struct scene *t)
{
	overtake_expect(r, "in flight at the server", t->served.in_flight, 0);
	overtake_expect(r, "in flight at the client", t->edge.client_in_flight, 0);
}

/* The whole stream of @r, and where its segments begin. */
static size_t lay_out(const struct overtake_row *r, char *stream, size_t *at)
{
	size_t len = 0;

	for (int i = 0; i < OVERTAKE_SEGMENTS; i++) {
		const char *s = r->segments[i] ?: "";

		at[i] = len;
		assert_true(len + strlen(s) < STREAM_MAX);
		memcpy(stream + len, s, strlen(s) + 1);
		len += strlen(s);
	}
	at[OVERTAKE_SEGMENTS] = len;
	return len;
}

static bool ends(const struct overtake_row *r)
{
	return strpbrk(r->order, ".abcdef");
}

/* @from: where in the connection's stream that of @r begins. Returns its length. */
static size_t send_row(struct rawtcp *c, const struct overtake_row *r, uint32_t from)
{
	char stream[STREAM_MAX];
	size_t at[OVERTAKE_SEGMENTS + 1], len = lay_out(r, stream, at);

	for (const char *p = r->order; *p; p++) {
		size_t begin = len, end = len;
		uint8_t flags = *p == '.' || *p >= 'a' ? RAWTCP_FIN : 0;

		if (*p != '.') {
			int i = *p >= 'a' ? *p - 'a' : *p >= 'A' ? *p - 'A' : *p - '0';

			begin = at[i];
			end = *p >= 'A' && *p <= 'Z' ? len : at[i + 1];
		}
		assert_int_equal(rawtcp_send(c, from + (uint32_t)begin, stream + begin, end - begin,
					     flags),
				 0);
	}
	return len;
}

/* Read answers without bodies until there are as many as in @statuses. Returns their bytes. */
size_t overtake_hear(struct rawtcp *c, const char *statuses)
{
	char text[STREAM_MAX], got[1024] = "";
	size_t len = 0, at = 0, nr = 0;

	while (nr < strlen(statuses)) {
		ssize_t n = rawtcp_read(c, text + len, sizeof(text) - len - 1);

		assert_true(n > 0);
		len += (size_t)n;
		text[len] = '\0';
		for (char *end; (end = strstr(text + at, "\r\n\r\n"));
		     at = (size_t)(end + 4 - text)) {
			unsigned int status = 0;

			assert_int_equal(sscanf(text + at, "HTTP/1.1 %3u", &status), 1);
			assert_true(nr + 8 < sizeof(got));
			nr += (size_t)snprintf(got + nr, sizeof(got) - nr, "%03u ", status);
		}
	}
	assert_string_equal(got, statuses);
	assert_int_equal(at, len);
	return len;
}

static uint16_t new_port(void)
{
	static uint16_t last = 20000;

	return ++last;
}

void overtake_connect(struct rawtcp *c, const struct scene *t, bool v6)
{
	assert_int_equal(rawtcp_connect(c, tun, v6, new_port(), t->server.port), 0);
}

/* One connection to the server: perhaps a request in order, then the row, then a request in order, which must be understood. */
static void play_requests(struct scene *t, const struct overtake_row *r, bool v6, bool warm)
{
	struct overtake_sums was, now;
	struct rawtcp c;
	char counted[1024], rest[64];
	size_t sent = 0, heard = 0;

	overtake_sums(t, ABI_SIDE_SERVER, &was);
	overtake_connect(&c, t, v6);
	if (warm) {
		assert_int_equal(rawtcp_send(&c, 0, ASK(202), strlen(ASK(202)), 0), 0);
		sent += strlen(ASK(202));
		heard += overtake_hear(&c, "202 ");
	}
	sent += send_row(&c, r, (uint32_t)sent);
	heard += overtake_hear(&c, r->statuses);
	if (ends(r)) {
		assert_int_equal(rawtcp_read(&c, rest, sizeof(rest)), 0);
	} else {
		assert_int_equal(rawtcp_send(&c, (uint32_t)sent, ASK(410), strlen(ASK(410)), 0), 0);
		sent += strlen(ASK(410));
		heard += overtake_hear(&c, "410 ");
	}
	snprintf(counted, sizeof(counted), "%s%s%s", warm ? "202 " : "", r->counted ?: r->statuses,
		 ends(r) ? "" : "410 ");
	assert_int_equal(rawtcp_send(&c, (uint32_t)sent + c.ended, NULL, 0, RAWTCP_RST), 0);
	overtake_sums(t, ABI_SIDE_SERVER, &now);
	overtake_expect_counts(r, counted, &was, &now);
	overtake_expect_idle(r, t);
	overtake_expect(r, "bytes of answers", now.tx - was.tx, heard);
	if (!r->lost)
		overtake_expect(r, "bytes of requests", now.rx - was.rx, sent);
}

void overtake_requests(const struct overtake_row *rows, size_t nr)
{
	struct scene t;

	scene_start(&t, 0, false);
	scene_attach_server(&t);
	scene_scan(&t);
	for (size_t i = 0; i < nr; i++)
		for (int how = 0; how < 4; how++)
			play_requests(&t, &rows[i], how & 1, how & 2);
	scene_stop(&t);
}

/* Our service asks, by a real socket, and the responses are the row. */
static void play_responses(struct scene *t, struct caller *caller, const struct overtake_row *r,
			   bool v6)
{
	char stream[STREAM_MAX], text[STREAM_MAX], counted[1024];
	size_t at[OVERTAKE_SEGMENTS + 1], len = lay_out(r, stream, at), asked = 0;
	const char *last = SAY(410, 0);
	uint16_t port = new_port();
	struct overtake_sums was, now;
	struct rawtcp c;

	overtake_sums(t, ABI_SIDE_CLIENT, &was);
	CLEANUP(closep) int fd = caller_connect(caller, v6 ? RAWTCP_THERE6 : RAWTCP_THERE4, port);
	assert_true(fd >= 0);
	assert_int_equal(rawtcp_accept(&c, tun, v6, port), 0);
	assert_int_equal(send(fd, r->asked, strlen(r->asked), MSG_NOSIGNAL), strlen(r->asked));
	while (asked < strlen(r->asked)) {
		ssize_t n = rawtcp_read(&c, text, sizeof(text));

		assert_true(n > 0);
		asked += (size_t)n;
	}
	send_row(&c, r, 0);
	assert_int_equal(recv(fd, text, len, MSG_WAITALL), len);
	assert_memory_equal(text, stream, len);
	if (ends(r)) {
		assert_int_equal(recv(fd, text, 1, 0), 0);
	} else {
		assert_int_equal(send(fd, ASK(410), strlen(ASK(410)), MSG_NOSIGNAL),
				 strlen(ASK(410)));
		assert_int_equal(rawtcp_read(&c, text, sizeof(text)), strlen(ASK(410)));
		asked += strlen(ASK(410));
		assert_int_equal(rawtcp_send(&c, (uint32_t)len, last, strlen(last), 0), 0);
		len += strlen(last);
		assert_int_equal(recv(fd, text, strlen(last), MSG_WAITALL), strlen(last));
	}
	/* Before the client closes: nothing is left for that to tidy up. */
	overtake_sums(t, ABI_SIDE_CLIENT, &now);
	snprintf(counted, sizeof(counted), "%s%s", r->counted ?: r->statuses,
		 ends(r) ? "" : "410 ");
	overtake_expect_counts(r, counted, &was, &now);
	overtake_expect_idle(r, t);
	if (!r->aborted)
		overtake_expect(r, "bytes of requests", now.rx - was.rx, asked);
	if (!r->aborted && !r->lost)
		overtake_expect(r, "bytes of responses", now.tx - was.tx, len);
}

void overtake_responses(const struct overtake_row *rows, size_t nr)
{
	struct caller caller;
	struct scene t;

	scene_start(&t, 0, false);
	assert_int_equal(caller_start(&caller), 0);
	const struct registry_attach a = { .name = "caller", .pid = caller.pid };
	struct service s;
	assert_int_equal(registry_attach(t.registry, &a, t.now, &s, NULL), 0);
	t.client_id = s.id;
	scene_scan(&t);
	for (size_t i = 0; i < nr; i++)
		for (int v6 = 0; v6 < 2; v6++)
			play_responses(&t, &caller, &rows[i], v6);
	caller_stop(&caller);
	scene_stop(&t);
}
