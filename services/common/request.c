// SPDX-License-Identifier: GPL-2.0-or-later
#include "services/common/request.h"

#include <math.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/log.h"

static const char *const type_json = "application/json";

const char *request_header(const struct request *rq, const char *name)
{
	return MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, name);
}

const char *request_bearer(const struct request *rq)
{
	const char *s = request_header(rq, "Authorization");

	if (!s || strncasecmp(s, "Bearer ", 7) != 0)
		return NULL;
	s += 7;
	s += strspn(s, " ");
	/* RFC 6750's b64token; also keeps line ends out of the header that we send on. */
	size_t len =
		strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=");
	return len && !s[len] ? s : NULL;
}

static int keep(struct request *rq, int status, const char *type, char *text)
{
	free(rq->answer);
	rq->answer = text;
	rq->answer_type = type;
	rq->status = text ? status : 500;
	return rq->status;
}

int reply_json(struct request *rq, int status, cJSON *json)
{
	char *text = json ? cJSON_PrintUnformatted(json) : NULL;

	cJSON_Delete(json);
	return keep(rq, status, type_json, text);
}

int reply_text(struct request *rq, int status, const char *content_type, const char *body)
{
	return keep(rq, status, content_type, strdup(body));
}

static cJSON *refusal(const struct request *rq, const char *sentence)
{
	cJSON *j = cJSON_CreateObject();

	cJSON_AddStringToObject(j, "error", sentence);
	cJSON_AddStringToObject(j, "trace_id", rq->trace_id);
	return j;
}

int reply_error(struct request *rq, int status, const char *fmt, ...)
{
	char sentence[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	return reply_json(rq, status, refusal(rq, sentence));
}

/* At most @size - 1 bytes of @s, cut between characters. */
static const char *cut(const char *s, char *to, size_t size)
{
	size_t len = strnlen(s, size);

	if (len == size)
		for (len = size - 1; len && ((unsigned char)s[len] & 0xc0) == 0x80;)
			len--;
	memcpy(to, s, len);
	to[len] = '\0';
	return to;
}

static int reply_bad_parameter(struct request *rq, const char *sentence, const char *name,
			       const char *value, const char *allowed)
{
	cJSON *j = refusal(rq, sentence);

	cJSON_AddStringToObject(j, "parameter", name);
	cJSON_AddStringToObject(j, "value", value);
	cJSON_AddStringToObject(j, "allowed", allowed);
	return reply_json(rq, 400, j);
}

int reply_parameter(struct request *rq, const char *name, const char *value, const char *allowed)
{
	char sentence[512], short_name[64], short_value[96];

	cut(name, short_name, sizeof(short_name));
	cut(value, short_value, sizeof(short_value));
	snprintf(sentence, sizeof(sentence), "%s is %s; it must be %s", short_name,
		 *short_value ? short_value : "empty", allowed);
	return reply_bad_parameter(rq, sentence, short_name, short_value, allowed);
}

int reply_unknown(struct request *rq, const char *name, const char *value, const char *known)
{
	char sentence[512], short_name[64], short_value[96];

	cut(name, short_name, sizeof(short_name));
	cut(value, short_value, sizeof(short_value));
	snprintf(sentence, sizeof(sentence), "%s is an unknown parameter; known here: %s",
		 short_name, known);
	return reply_bad_parameter(rq, sentence, short_name, short_value, known);
}

int reply_dependency(struct request *rq, const struct dependency *d, const struct answer *a,
		     const char *why)
{
	static const int statuses[] = {
		[CALL_OK] = 502, [CALL_BAD] = 502, [CALL_UNREACHABLE] = 503, [CALL_LATE] = 504
	};
	unsigned long took_ms = (unsigned long)(a->took_ns / NSEC_PER_MSEC);
	char detail[256], sentence[512];

	if (a->result == CALL_OK)
		snprintf(detail, sizeof(detail), "status %d%s%s", a->status, why ? ": " : "",
			 why ?: "");
	else
		snprintf(detail, sizeof(detail), "%s", a->why);

	switch (a->result) {
	case CALL_LATE:
		log_as(NULL, LOG_LEVEL_ERROR, rq->trace_id,
		       "%s timeout after %lums — upstream impact detected", d->label, took_ms);
		snprintf(sentence, sizeof(sentence), "%s did not answer within %u ms", d->name,
			 d->timeout_ms);
		break;
	case CALL_UNREACHABLE:
		log_as(NULL, LOG_LEVEL_ERROR, rq->trace_id, "%s cannot be reached after %lums: %s",
		       d->label, took_ms, detail);
		snprintf(sentence, sizeof(sentence), "%s cannot be reached: %s", d->name, detail);
		break;
	case CALL_OK:
	case CALL_BAD:
		log_as(NULL, LOG_LEVEL_ERROR, rq->trace_id, "%s bad answer after %lums: %s",
		       d->label, took_ms, detail);
		snprintf(sentence, sizeof(sentence), "%s gave a bad answer: %s", d->name, detail);
		break;
	}
	cJSON *j = refusal(rq, sentence);
	cJSON_AddStringToObject(j, "dependency", d->name);
	return reply_json(rq, statuses[a->result], j);
}

int request_json(struct request *rq, const char *const *known, bool optional, cJSON **ret)
{
	const char *why = NULL;

	if (!rq->body_len && optional) {
		*ret = NULL;
		return 0;
	}
	if (!rq->body_len)
		return reply_error(rq, 400, "the body is empty; a JSON object is needed");

	CLEANUP(json_freep) cJSON *j = NULL;
	if (json_parse(rq->body, rq->body_len, &j, &why))
		return reply_error(rq, 400, "%s", why);
	if (!cJSON_IsObject(j))
		return reply_error(rq, 400, "the body must be a JSON object");
	const char *unknown = json_unknown(j, known);
	if (unknown) {
		char name[64];
		return reply_error(rq, 400, "the body has an unknown member: %s",
				   cut(unknown, name, sizeof(name)));
	}
	*ret = TAKE_PTR(j);
	return 0;
}

bool text_is_plain(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

int request_text(struct request *rq, const cJSON *json, const char *name, size_t min, size_t max,
		 const char **ret)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(json, name);
	char allowed[96];

	if (!j && !min) {
		*ret = NULL;
		return 0;
	}
	snprintf(allowed, sizeof(allowed), "text of %zu to %zu bytes without control characters",
		 MAX(min, (size_t)1), max);
	if (!j)
		return reply_parameter(rq, name, "missing", allowed);
	if (!cJSON_IsString(j))
		return reply_parameter(rq, name, "not text", allowed);

	size_t len = strlen(j->valuestring);
	if (len < MAX(min, (size_t)1) || len > max || !text_is_plain(j->valuestring)) {
		char size[64];
		snprintf(size, sizeof(size), "of %zu bytes%s", len,
			 text_is_plain(j->valuestring) ? "" : " with control characters");
		return reply_parameter(rq, name, size, allowed);
	}
	*ret = j->valuestring;
	return 0;
}

int request_whole(struct request *rq, const cJSON *json, const char *name, int min, int max,
		  int *ret)
{
	const cJSON *j = cJSON_GetObjectItemCaseSensitive(json, name);
	char allowed[64];

	snprintf(allowed, sizeof(allowed), "a whole number from %d to %d", min, max);
	if (!j)
		return reply_parameter(rq, name, "missing", allowed);
	if (!cJSON_IsNumber(j) || j->valuedouble != floor(j->valuedouble) || j->valuedouble < min ||
	    j->valuedouble > max) {
		char *given = cJSON_PrintUnformatted(j);
		int status = reply_parameter(rq, name, given ?: "", allowed);
		cJSON_free(given);
		return status;
	}
	*ret = (int)j->valuedouble;
	return 0;
}

int request_no_query(struct request *rq)
{
	if (!rq->uri.nr_query)
		return 0;
	return reply_unknown(rq, rq->uri.query[0].name, rq->uri.query[0].value, "none");
}

void request_call(const struct request *rq, struct dependency *d, const char *method,
		  const char *path, const char *body, const char *bearer, struct answer *ret)
{
	char authorization[8192];
	struct call c = {
		.method = method,
		.path = path,
		.body = body,
		.trace_id = rq->trace_id,
		.traceparent = rq->traceparent,
	};

	if (bearer) {
		snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s", bearer);
		c.headers[0] = authorization;
	}
	dependency_call(d, &c, ret);
}
