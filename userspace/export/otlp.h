/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * otlp.h - spans as an ExportTraceServiceRequest, and what its answer means.
 *
 * OTLP/HTTP with JSON, https://opentelemetry.io/docs/specs/otlp/ 1.x: ids in
 * hex, 64-bit numbers as text. Attributes by the semantic conventions for HTTP
 * spans; what they do not name is archaic.*. Pure.
 */
#ifndef ARCHAIC_OTLP_H
#define ARCHAIC_OTLP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "export/span.h"

#define OTLP_PATH "/v1/traces"
#define OTLP_URL_MAX 320

/* What is the same for all spans of this process; "" is left out. Borrowed. */
struct otlp_resource {
	const char *namespace; /* service.namespace */
	const char *host;      /* host.name */
};

/** otlp_url() - where traces go for the base @endpoint: OTLP_PATH behind it, unless it ends in that. 0 or -EINVAL (too long). */
int otlp_url(const char *endpoint, char ret[static OTLP_URL_MAX]);

/** otlp_encode() - one request with all of @spans, grouped by service. 0 or buf's error: @out is then incomplete. */
int otlp_encode(const struct span *spans, size_t nr, const struct otlp_resource *r,
		struct buf *out);

/* What came back. */
struct otlp_answer {
	int status;              /* of HTTP; 0: none came */
	uint64_t retry_after_ns; /* 0: not said */
	uint64_t rejected;       /* spans, of a partial success */
	char why[160];           /* where not all was taken: one sentence, printable */
};

enum otlp_verdict {
	OTLP_TAKEN,   /* 2xx; some may have been rejected */
	OTLP_LATER,   /* 429, 502, 503, 504, or no answer: the same again, later */
	OTLP_REFUSED, /* anything else: never again */
};

enum otlp_verdict otlp_judge(const struct otlp_answer *a);

/** otlp_read_body() - take partialSuccess out of a 2xx answer's body into @a; a body that says nothing changes nothing. */
void otlp_read_body(const char *body, size_t len, struct otlp_answer *a);

/**
 * otlp_backoff_ns() - how long to wait before try @attempt + 1 (the first try is 1).
 * Doubles from a second to 30, less up to a half by @draw (0 .. UINT32_MAX), so that senders do not
 * come back together; never less than what the answer asked for, and that capped at 5 minutes.
 */
uint64_t otlp_backoff_ns(uint32_t attempt, uint64_t retry_after_ns, uint32_t draw);

#endif
