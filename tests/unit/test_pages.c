// SPDX-License-Identifier: GPL-2.0-or-later
/* Which file a path is, and in which form it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/util.h"
#include "serve/pages.h"

static const char index_text[] = "<!doctype html><title>index of the dashboard</title>";
static const char script_text[] = "export const answer = 42; // 42 42 42 42 42 42 42 42 42 42";
static uint8_t index_gz[256], script_gz[256];
static struct web_asset assets[4];

static size_t compress_to(const char *text, size_t len, uint8_t *to, size_t size)
{
	z_stream z = { .next_in = (unsigned char *)text,
		       .avail_in = (uInt)len,
		       .next_out = to,
		       .avail_out = (uInt)size };

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static int setup(void **state)
{
	size_t i = compress_to(index_text, sizeof(index_text) - 1, index_gz, sizeof(index_gz));
	size_t s = compress_to(script_text, sizeof(script_text) - 1, script_gz, sizeof(script_gz));

	(void)state;
	assets[0] = (struct web_asset){ "dashboard",
					"/index.html",
					"text/html; charset=utf-8",
					"\"aa\"",
					false,
					index_gz,
					i,
					sizeof(index_text) - 1 };
	assets[1] = (struct web_asset){
		"dashboard", "/assets/app-1a2b.js",  "text/javascript", "\"bb\"", true, script_gz,
		s,           sizeof(script_text) - 1
	};
	assets[2] = assets[0];
	assets[2].page = "chaos";
	assets[2].etag = "\"cc\"";
	/* Its size is a lie: a torn table must not be served as a file. */
	assets[3] = assets[1];
	assets[3].path = "/assets/torn.js";
	assets[3].size = 7;
	return 0;
}

static bool ask(enum server_part part, const char *method, const char *target, const char *accept,
		const char *tags, struct page_answer *a)
{
	const struct page_request req = { part, method, target, accept, tags };

	return page_find(assets, ARRAY_SIZE(assets), &req, a);
}

static void test_pages_are_each_port_s_own(void **state)
{
	struct page_answer a;

	(void)state;
	assert_true(ask(SERVER_DASHBOARD, "GET", "/", "gzip", NULL, &a));
	assert_int_equal(a.status, 200);
	assert_string_equal(a.etag, "\"aa\"");
	assert_string_equal(a.cache, "no-cache");
	assert_true(ask(SERVER_CHAOS, "GET", "/index.html?service=db#x", "gzip", NULL, &a));
	assert_string_equal(a.etag, "\"cc\"");
	assert_true(ask(SERVER_DASHBOARD, "HEAD", "/assets/app-1a2b.js", "gzip", NULL, &a));
	assert_non_null(strstr(a.cache, "immutable"));
	assert_string_equal(a.type, "text/javascript");
	assert_false(ask(SERVER_CHAOS, "GET", "/assets/app-1a2b.js", "gzip", NULL, &a));
	assert_false(ask(SERVER_DETECTOR, "GET", "/", "gzip", NULL, &a));
	assert_false(ask(SERVER_CONTROL, "GET", "/index.html", "gzip", NULL, &a));
	assert_false(ask(SERVER_DASHBOARD, "POST", "/", "gzip", NULL, &a));
	assert_false(ask(SERVER_DASHBOARD, "GET", "/v1/health", "gzip", NULL, &a));
	assert_false(ask(SERVER_DASHBOARD, "GET", "/assets/app-1a2b.js/", "gzip", NULL, &a));
	assert_false(ask(SERVER_DASHBOARD, "GET", "/assets/app", "gzip", NULL, &a));
	assert_false(ask(SERVER_DASHBOARD, "GET", "/assets/../index.html", "gzip", NULL, &a));
	assert_false(ask(SERVER_DASHBOARD, "GET", "//", "gzip", NULL, &a));
	assert_false(ask(SERVER_DASHBOARD, "GET", "", "gzip", NULL, &a));
}

static void test_pages_leave_compressed_or_whole(void **state)
{
	struct page_answer a;

	(void)state;
	assert_true(ask(SERVER_DASHBOARD, "GET", "/assets/app-1a2b.js", "br, gzip", NULL, &a));
	assert_true(a.gzip);
	assert_null(a.owned);
	assert_ptr_equal(a.data, script_gz);
	assert_true(ask(SERVER_DASHBOARD, "GET", "/assets/app-1a2b.js", NULL, NULL, &a));
	assert_false(a.gzip);
	assert_int_equal(a.len, sizeof(script_text) - 1);
	assert_memory_equal(a.data, script_text, a.len);
	free(a.owned);
	assert_true(ask(SERVER_DASHBOARD, "GET", "/assets/torn.js", NULL, NULL, &a));
	assert_int_equal(a.status, 503);
	assert_null(a.owned);
}

static void test_pages_know_what_the_browser_has(void **state)
{
	static const char *const same[] = { "\"aa\"", "W/\"aa\"", "\"x\", \"aa\"", "*",
					    "\"x\" , W/\"aa\"" };
	static const char *const other[] = { "\"ab\"", "aa", "", "\"x\"", "\"cc\", \"x\"" };
	struct page_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		assert_true(ask(SERVER_DASHBOARD, "GET", "/", NULL, same[i], &a));
		if (a.status != 304 || a.len || a.owned)
			fail_msg("%s: %d", same[i], a.status);
		assert_string_equal(a.etag, "\"aa\"");
	}
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		assert_true(ask(SERVER_DASHBOARD, "GET", "/", "gzip", other[i], &a));
		assert_int_equal(a.status, 200);
	}
}

static void test_pages_read_accept_encoding(void **state)
{
	static const struct {
		const char *text;
		bool yes;
	} cases[] = {
		{ NULL, false },
		{ "", false },
		{ "gzip", true },
		{ "GZIP", true },
		{ "deflate, gzip;q=1.0, *;q=0.5", true },
		{ "gzip;q=0", false },
		{ "gzip; q=0.000", false },
		{ "gzip;q=0.001", true },
		{ "*", true },
		{ "*;q=0", false },
		{ "identity", false },
		{ "gzip;q=0, *", false },
		{ "*;q=0, gzip", true },
		{ "xgzip", false },
		{ "gzipx", false },
		{ "br,,gzip", true },
		{ ";;;", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (page_accepts_gzip(cases[i].text) != cases[i].yes)
			fail_msg("Accept-Encoding: %s", cases[i].text ?: "(none)");
}

static void test_pages_missing_are_said_to_be(void **state)
{
	const struct page_request req = { SERVER_CHAOS, "GET", "/", "gzip", NULL };
	const struct page_request script = { SERVER_CHAOS, "GET", "/assets/x.js", "gzip", NULL };
	struct page_answer a;

	(void)state;
	assert_true(page_find(NULL, 0, &req, &a));
	assert_int_equal(a.status, 200);
	assert_false(a.gzip);
	assert_non_null(strstr(a.data, "built without its web pages"));
	assert_false(page_find(NULL, 0, &script, &a));
}

/* What was embedded is whole, each file has a type and a tag, and each page its index. */
static void test_pages_embedded_are_whole(void **state)
{
	(void)state;
	if (!nr_web_assets) {
		printf("SKIP test_pages_embedded_are_whole: built without the pages\n");
		skip();
	}
	for (int part = SERVER_DASHBOARD; part <= SERVER_CHAOS; part <<= 1) {
		const struct page_request req = { (enum server_part)part, "GET", "/", NULL, NULL };
		struct page_answer a;
		assert_true(page_find(web_assets, nr_web_assets, &req, &a));
		assert_int_equal(a.status, 200);
		assert_memory_equal(a.data, "<!", 2);
		free(a.owned);
	}
	for (size_t i = 0; i < nr_web_assets; i++) {
		const struct web_asset *w = &web_assets[i];
		const struct page_request req = { !strcmp(w->page, "chaos") ? SERVER_CHAOS :
									      SERVER_DASHBOARD,
						  "GET", w->path, NULL, NULL };
		struct page_answer a;
		assert_true(page_find(web_assets, nr_web_assets, &req, &a));
		if (a.status != 200 || a.len != w->size)
			fail_msg("%s %s is torn", w->page, w->path);
		assert_true(*w->type && *w->etag == '"');
		free(a.owned);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_are_each_port_s_own),
		cmocka_unit_test(test_pages_leave_compressed_or_whole),
		cmocka_unit_test(test_pages_know_what_the_browser_has),
		cmocka_unit_test(test_pages_read_accept_encoding),
		cmocka_unit_test(test_pages_missing_are_said_to_be),
		cmocka_unit_test(test_pages_embedded_are_whole),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
