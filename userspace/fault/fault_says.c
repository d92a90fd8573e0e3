// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Faults in words: for people, one sentence each. Pure.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "fault/fault_internal.h"

static void share(double p, char *text, size_t len)
{
	if (p >= 1)
		snprintf(text, len, "every request");
	else
		snprintf(text, len, "%.4g %% of the requests", p * 100);
}

static void effect(const struct fault *f, char *text, size_t len)
{
	const struct fault_request *r = &f->req;
	char of[48];
	size_t n = 0;

	share(r->probability, of, sizeof(of));
	switch (r->type) {
	case FAULT_TIMEOUT:
		snprintf(text, len, "responses of %s to %s leave %.4g s late", r->service, of,
			 (double)f->delay_ns / 1e9);
		break;
	case FAULT_ERROR:
		snprintf(text, len, "%s to %s gets status %u", of, r->service, f->status);
		break;
	case FAULT_BAD_DATA:
		n = (size_t)snprintf(text, len, "JSON answers of %s to %s carry wrong values of",
				     r->service, of);
		for (size_t i = 0; i < r->nr_keys && n < len; i++)
			n += (size_t)snprintf(text + n, len - n, "%s %s", i ? "," : "", r->keys[i]);
		break;
	case FAULT_CPU:
		if (r->probability < 1)
			snprintf(
				text, len,
				"the threads of %s lose %.4g %% of their CPU for %.4g %% of the time",
				r->service, f->percent, r->probability * 100);
		else
			snprintf(text, len, "the threads of %s lose %.4g %% of their CPU",
				 r->service, f->percent);
		break;
	case FAULT_CRASH:
		if (r->probability < 1)
			snprintf(text, len, "each request has a chance of %.4g %% to kill %s",
				 r->probability * 100, r->service);
		else
			snprintf(text, len, "%s is killed at once", r->service);
		break;
	case FAULT_LOSS:
		snprintf(text, len, "%.4g %% of the packets that %s sends for %s are dropped",
			 f->percent, r->service, of);
		break;
	case NR_FAULT_TYPES:
		text[0] = '\0';
		break;
	}
}

void says_armed(struct fault *f)
{
	char what[200];

	effect(f, what, sizeof(what));
	what[0] = (char)toupper((unsigned char)what[0]);
	if (f->req.type == FAULT_CRASH && f->req.probability >= 1) {
		snprintf(f->says, sizeof(f->says), "%.199s", what);
		return;
	}
	snprintf(f->says, sizeof(f->says), "%.199s, for %.4g s%s", what,
		 (double)f->req.duration_ns / 1e9,
		 f->req.match_health ?
			 "; liveness probes too, so whatever watches it may restart it" :
			 "");
}

void says_traffic(struct fault *f)
{
	says_armed(f);
	size_t n = strlen(f->says);

	if (f->waiting) {
		snprintf(f->says + n, sizeof(f->says) - n,
			 "; it ended, and the fault waits for its successor");
		return;
	}
	if (f->req.type == FAULT_CPU)
		return;
	if (!f->seen_packets)
		snprintf(f->says + n, sizeof(f->says) - n, "; no traffic yet");
	else
		snprintf(f->says + n, sizeof(f->says) - n,
			 "; %" PRIu64 " requests hit, %" PRIu64 " spared", f->touched_requests,
			 f->spared_requests);
}

/* "db-service" and "db" are both DB. */
static void short_name(const char *service, char *text, size_t len)
{
	size_t n = strlen(service);

	if (n > 8 && !strcmp(service + n - 8, "-service"))
		n -= 8;
	n = MIN(n, len - 1);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)toupper((unsigned char)service[i]);
	text[n] = '\0';
}

void says_log(struct fault *f, pid_t pid)
{
	char name[32];

	short_name(f->req.service, name, sizeof(name));
	switch (f->req.type) {
	case FAULT_TIMEOUT:
		snprintf(f->log, sizeof(f->log), "Injected %s timeout — sleeping %.4gs", name,
			 (double)f->delay_ns / 1e9);
		break;
	case FAULT_ERROR:
		snprintf(f->log, sizeof(f->log), "Injected %s error — answering %u", name,
			 f->status);
		break;
	case FAULT_BAD_DATA:
		snprintf(f->log, sizeof(f->log), "Injected %s bad data — spoiling %zu keys", name,
			 f->req.nr_keys);
		break;
	case FAULT_CPU:
		snprintf(f->log, sizeof(f->log), "Injected %s CPU pressure — taking %.4g%%", name,
			 f->percent);
		break;
	case FAULT_CRASH:
		if (f->req.probability < 1)
			snprintf(f->log, sizeof(f->log),
				 "Injected %s crash — killing on %.4g%% of requests", name,
				 f->req.probability * 100);
		else
			snprintf(f->log, sizeof(f->log), "Injected %s crash — killed process %d",
				 name, pid);
		break;
	case FAULT_LOSS:
		snprintf(f->log, sizeof(f->log), "Injected %s packet loss — dropping %.4g%%", name,
			 f->percent);
		break;
	case NR_FAULT_TYPES:
		break;
	}
}
