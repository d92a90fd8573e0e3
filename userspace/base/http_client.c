// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

struct http_client {
	CURL *curl;
	char error[CURL_ERROR_SIZE];
};

/* What the callbacks of one call need. */
struct call {
	CURL *curl;
	const struct http_client_request *req;
	struct http_client_response *ret;
	bool too_large;
	bool cancelled;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static bool curl_ready;

static void curl_setup(void)
{
	curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

int http_client_new(struct http_client **ret)
{
	pthread_once(&curl_once, curl_setup);
	if (!curl_ready)
		return -ENOMEM;

	struct http_client *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->curl = curl_easy_init();
	if (!c->curl) {
		free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	free(c);
}

void http_client_response_release(struct http_client_response *r)
{
	buf_release(&r->body);
	buf_release(&r->headers);
}

static size_t on_body(char *data, size_t size, size_t nr, void *ctx)
{
	struct call *call = ctx;
	size_t len = size * nr;
	long status = 0;

	if (call->req->on_data)
		curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200) {
		call->cancelled = call->req->on_data(call->req->ctx, data, len) != 0;
		return call->cancelled ? 0 : len;
	}
	int err = buf_add(&call->ret->body, data, len);

	if (err == -EMSGSIZE)
		call->too_large = true;
	return err ? 0 : len;
}

static size_t on_header(char *data, size_t size, size_t nr, void *ctx)
{
	struct call *call = ctx;
	size_t len = size * nr;

	/* A new status line: what came before was a 1xx, not the final answer. */
	if (len > 5 && memcmp(data, "HTTP/", 5) == 0)
		buf_reset(&call->ret->headers);
	/* A head over the cap is cut, not refused: nobody needs all of it. */
	else
		(void)buf_add(&call->ret->headers, data, len);
	return len;
}

static int on_progress(void *ctx, curl_off_t dltotal, curl_off_t dlnow, curl_off_t ultotal,
		       curl_off_t ulnow)
{
	struct call *call = ctx;

	(void)dltotal, (void)dlnow, (void)ultotal, (void)ulnow;
	call->cancelled = call->cancelled || (call->req->cancel && atomic_load(call->req->cancel));
	return call->cancelled;
}

/* The only place that knows what a CURLcode means. */
static enum http_client_error classify(CURLcode code, const struct call *call)
{
	if (call->cancelled)
		return HTTP_CLIENT_CANCELLED;
	if (call->too_large)
		return HTTP_CLIENT_TOO_LARGE;
	switch (code) {
	case CURLE_OK:
		return HTTP_CLIENT_OK;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
		return HTTP_CLIENT_UNREACHABLE;
	case CURLE_OPERATION_TIMEDOUT:
		return HTTP_CLIENT_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
	case CURLE_USE_SSL_FAILED:
		return HTTP_CLIENT_TLS;
	case CURLE_FILESIZE_EXCEEDED:
		return HTTP_CLIENT_TOO_LARGE;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_OUT_OF_MEMORY:
	case CURLE_FAILED_INIT:
	case CURLE_WRITE_ERROR:
	case CURLE_BAD_FUNCTION_ARGUMENT:
		return HTTP_CLIENT_INTERNAL;
	default:
		return HTTP_CLIENT_PROTOCOL;
	}
}

static const struct {
	const char *name;
	int err;
} classes[] = {
	[HTTP_CLIENT_OK] = { "ok", 0 },
	[HTTP_CLIENT_UNREACHABLE] = { "unreachable", -EHOSTUNREACH },
	[HTTP_CLIENT_TIMEOUT] = { "timeout", -ETIMEDOUT },
	[HTTP_CLIENT_TLS] = { "tls", -EBADE },
	[HTTP_CLIENT_TOO_LARGE] = { "too_large", -EMSGSIZE },
	[HTTP_CLIENT_PROTOCOL] = { "protocol", -EPROTO },
	[HTTP_CLIENT_CANCELLED] = { "cancelled", -ECANCELED },
	[HTTP_CLIENT_INTERNAL] = { "internal", -EINVAL },
};

const char *http_client_error_name(enum http_client_error e)
{
	return (size_t)e < ARRAY_SIZE(classes) ? classes[e].name : "internal";
}

static void free_lines(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}

static int add_line(struct curl_slist **lines, const char *line)
{
	struct curl_slist *more;

	/* A line break would let outside text add headers of its own. */
	if (strpbrk(line, "\r\n"))
		return -EINVAL;
	more = curl_slist_append(*lines, line);
	if (!more)
		return -ENOMEM;
	*lines = more;
	return 0;
}

static int add_lines(struct curl_slist **lines, const struct http_client_request *req)
{
	/* No "Expect: 100-continue": it costs a second against servers that ignore it. */
	int err = add_line(lines, "Expect:");

	for (size_t i = 0; !err && req->headers && req->headers[i]; i++)
		err = add_line(lines, req->headers[i]);
	return err;
}

static void set_transport(CURL *curl, const struct http_client_request *req)
{
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
			 (long)(req->connect_timeout_ms ?: HTTP_CLIENT_CONNECT_TIMEOUT_MS));
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
			 (long)(req->timeout_ms ?: HTTP_CLIENT_TIMEOUT_MS));
	if (req->unix_socket)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, req->unix_socket);
	if (!req->use_proxy)
		curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
}

static void set_blob(CURL *curl, CURLoption option, const char *pem)
{
	/* Copied by libcurl; the cast is its interface's, which is not const. */
	struct curl_blob blob = { .data = (void *)pem, .len = pem ? strlen(pem) : 0 };

	blob.flags = CURL_BLOB_COPY;
	if (pem)
		curl_easy_setopt(curl, option, &blob);
}

static void set_tls(CURL *curl, const struct http_client_tls *tls)
{
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (!tls)
		return;
	set_blob(curl, CURLOPT_CAINFO_BLOB, tls->ca);
	set_blob(curl, CURLOPT_SSLCERT_BLOB, tls->cert);
	set_blob(curl, CURLOPT_SSLKEY_BLOB, tls->key);
	/* The system's folder of authorities would be trusted beside it. */
	if (tls->ca)
		curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
}

static void set_callbacks(CURL *curl, struct call *call)
{
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, call);
}

static void set_message(CURL *curl, const struct http_client_request *req, struct curl_slist *lines)
{
	curl_easy_setopt(curl, CURLOPT_URL, req->url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
	if (req->body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, req->body);
	}
	if (req->method && strcmp(req->method, "HEAD") == 0)
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	else if (req->method)
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, req->method);
}

static int fail(struct http_client_response *ret, enum http_client_error e, const char *why)
{
	ret->error = e;
	ret->status = 0;
	buf_release(&ret->body);
	buf_release(&ret->headers);
	snprintf(ret->why, sizeof(ret->why), "%s", why);
	return classes[e].err;
}

static int finish(struct http_client *c, CURLcode code, const struct call *call)
{
	struct http_client_response *ret = call->ret;
	enum http_client_error e = classify(code, call);
	long status = 0, sent = 0;

	/* Said of our URL's scheme, but also of an answer that begins like no HTTP known today. */
	curl_easy_getinfo(c->curl, CURLINFO_REQUEST_SIZE, &sent);
	if (code == CURLE_UNSUPPORTED_PROTOCOL && sent)
		e = HTTP_CLIENT_PROTOCOL;
	curl_easy_getinfo(c->curl, CURLINFO_TOTAL_TIME, &ret->seconds);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	if (e == HTTP_CLIENT_TOO_LARGE) {
		char why[96];
		snprintf(why, sizeof(why), "the answer is larger than %zu bytes", ret->body.max);
		return fail(ret, e, why);
	}
	if (e == HTTP_CLIENT_CANCELLED)
		return fail(ret, e, "the call was given up");
	if (e != HTTP_CLIENT_OK)
		return fail(ret, e, c->error[0] ? c->error : curl_easy_strerror(code));
	if (status < 100 || status > 599)
		return fail(ret, HTTP_CLIENT_PROTOCOL, "the answer has no valid status");
	ret->status = (int)status;
	return 0;
}

int http_client_do(struct http_client *c, const struct http_client_request *req,
		   struct http_client_response *ret)
{
	CLEANUP(free_lines) struct curl_slist *lines = NULL;
	struct call call = { .curl = c->curl, .req = req, .ret = ret };

	*ret = (struct http_client_response){ 0 };
	buf_init(&ret->body, req->body_max ?: HTTP_CLIENT_BODY_MAX);
	buf_init(&ret->headers, HTTP_CLIENT_HEADERS_MAX);
	int err = add_lines(&lines, req);
	if (err)
		return fail(ret, HTTP_CLIENT_INTERNAL,
			    err == -ENOMEM ? "out of memory" : "a header contains a line break");

	/* Options go, connections stay. */
	curl_easy_reset(c->curl);
	c->error[0] = '\0';
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
	set_transport(c->curl, req);
	set_tls(c->curl, req->tls);
	set_callbacks(c->curl, &call);
	set_message(c->curl, req, lines);
	CURLcode code = curl_easy_perform(c->curl);
	err = finish(c, code, &call);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
	return err;
}

bool http_client_header(const struct http_client_response *r, const char *name, const char **value,
			size_t *len)
{
	size_t name_len = strlen(name);

	for (const char *line = buf_str(&r->headers); *line;) {
		size_t n = strcspn(line, "\r\n");
		if (n > name_len && line[name_len] == ':' &&
		    strncasecmp(line, name, name_len) == 0) {
			const char *v = line + name_len + 1, *end = line + n;
			while (v < end && (*v == ' ' || *v == '\t'))
				v++;
			while (end > v && (end[-1] == ' ' || end[-1] == '\t'))
				end--;
			*value = v;
			*len = (size_t)(end - v);
			return true;
		}
		line += n;
		line += strspn(line, "\r\n");
	}
	return false;
}
