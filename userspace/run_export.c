// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests of the kernel side to an OpenTelemetry receiver. This is the only
 * place where a request and the armed faults meet, and nothing flows back from
 * here: what detects and diagnoses sees neither.
 */
#include "run_export.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "export/exporter.h"
#include "export/sender.h"

struct traces {
	struct sender *sender;
	struct exporter *exporter;
	uint64_t seed;
	uint64_t unknown; /* requests of services that were gone; under the daemon's lock */
};

static void on_send(void *ctx, const char *body, size_t len, const atomic_bool *cancel,
		    struct otlp_answer *ret)
{
	sender_send(((struct traces *)ctx)->sender, body, len, cancel, ret);
}

static void on_changed(void *ctx, bool works, const char *why)
{
	const char *url = sender_url(((struct traces *)ctx)->sender);

	if (works)
		log_info("traces: %s takes spans again", url);
	else
		log_warning("traces: %s takes no spans: %s", url, why);
}

static int fill(struct daemon *d, struct traces *t)
{
	char host[HOST_NAME_MAX + 1] = "";
	struct problem p = { 0 };
	int err =
		sender_new(d->config->otlp.endpoint, d->config->otlp.headers_file, &t->sender, &p);

	if (err) {
		log_error("[otlp]: %s", p.status ? p.detail : strerror(-err));
		return err;
	}
	gethostname(host, sizeof(host) - 1);
	const struct exporter_config c = {
		.namespace = d->config->observe.namespace,
		.host = host,
		.send = on_send,
		.ctx = t,
		.changed = on_changed,
	};
	return exporter_new(&c, &t->exporter) ?: exporter_start(t->exporter);
}

int trace_export_open(struct daemon *d)
{
	struct traces *t;

	if (!*d->config->otlp.endpoint)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	d->traces = t;
	randombytes_buf(&t->seed, sizeof(t->seed));
	int err = fill(d, t);
	if (!err)
		log_info("traces: sampled, slow and failed requests are sent to %s",
			 sender_url(t->sender));
	return err;
}

void trace_export_close(struct daemon *d)
{
	struct traces *t = d->traces;

	if (!t)
		return;
	exporter_free(t->exporter);
	sender_free(t->sender);
	free(t);
	d->traces = NULL;
}

/* ---- requests */

struct armed {
	struct span *span;
	size_t nr;
};

/* Armed ones come first. Which requests a fault has drawn is not known here: only that it was armed. */
static int note_fault(const struct fault *f, void *ctx)
{
	struct armed *a = ctx;

	if (f->state != FAULT_ARMED || a->nr == SPAN_FAULTS_MAX)
		return 1;
	if (f->service_id == a->span->server_id)
		snprintf(a->span->faults[a->nr++], SPAN_FAULT_ID_MAX, "%s", f->id);
	return 0;
}

static bool name_of(const struct daemon *d, uint32_t id, char name[static SERVICE_NAME_MAX],
		    uint16_t *port)
{
	const struct service *s = id ? registry_by_id(d->registry, id) : NULL;

	if (!s)
		return false;
	memcpy(name, s->name, sizeof(s->name));
	if (port)
		*port = s->nr_ports == 1 ? s->ports[0] : 0;
	return true;
}

/* Spans about the sending of spans would never end. */
static bool is_export(const struct request *r)
{
	return r->method == ABI_METHOD_POST && !strcmp(r->path, OTLP_PATH);
}

void trace_export_request(struct daemon *d)
{
	const struct request *r = requests_newest(d->requests);
	struct traces *t = d->traces;
	struct span s;

	_Static_assert(SPAN_FAULT_ID_MAX >= FAULT_ID_MAX, "a fault's id fits");
	if (!t || !r || is_export(r))
		return;
	/* Seen for the injector's sake: a client that is no service has no spans. */
	if (!(r->side == ABI_SIDE_CLIENT ? r->client : r->server))
		return;
	span_make(r, clock_wall_offset_ns(), t->seed, &s);
	name_of(d, r->server, s.server, &s.server_port);
	name_of(d, r->client, s.client, NULL);
	if (!*span_owner(&s)) {
		t->unknown++;
		return;
	}
	faults_each(d->faults, note_fault, &(struct armed){ &s, 0 });
	exporter_push(t->exporter, &s, clock_mono_ns());
}

/* ---- for people */

void trace_export_metrics(struct daemon *d, struct metrics *m)
{
	struct exporter_stats s;

	if (!d->traces)
		return;
	exporter_stats(d->traces->exporter, &s);
	const struct {
		enum metric which;
		const char *outcome;
		uint64_t n;
	} counts[] = {
		{ METRIC_OTLP_SPANS, "sent", s.sent },
		{ METRIC_OTLP_SPANS, "dropped_full", s.dropped_full },
		{ METRIC_OTLP_SPANS, "dropped_late", s.dropped_late },
		{ METRIC_OTLP_SPANS, "rejected", s.rejected },
		{ METRIC_OTLP_REQUESTS, "ok", s.requests_ok },
		{ METRIC_OTLP_REQUESTS, "later", s.requests_later },
		{ METRIC_OTLP_REQUESTS, "refused", s.requests_refused },
		{ METRIC_EVENTS_LOST, "spans",
		  s.dropped_full + s.dropped_late + s.rejected + d->traces->unknown },
	};
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		metrics_add(m, counts[i].which, METRIC_LABELS(counts[i].outcome),
			    (double)counts[i].n);
	metrics_add(m, METRIC_OTLP_QUEUE, METRIC_LABELS(), (double)s.queued);
	metrics_add(m, METRIC_OTLP_QUEUE_MAX, METRIC_LABELS(), EXPORT_QUEUE_MAX);
}

void trace_export_says(const struct config *c, char *says, size_t size)
{
	char url[OTLP_URL_MAX] = "";

	if (!*c->otlp.endpoint)
		snprintf(says, size,
			 "no OpenTelemetry receiver is configured: no trace is sent anywhere");
	else if (!otlp_url(c->otlp.endpoint, url))
		snprintf(
			says, size,
			"of each sampled, slow or failed request the services' names, method, path without its query, status, times and trace id are sent to %s%s",
			url, *c->otlp.headers_file ? ", with the headers of the file" : "");
}
