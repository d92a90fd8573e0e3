// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/util.h"
#include "services/common/server.h"
#include "services/common/uri.h"

static void test_uri_splits_then_decodes(void **state)
{
	(void)state;
	struct uri u;
	const char *why = NULL, *param = NULL;

	assert_int_equal(uri_parse("/cart/a%2Fb%20c?x=1+2&y&z=%C3%A4", &u, &why), 0);
	assert_int_equal(u.nr_segments, 2);
	assert_string_equal(u.segments[1], "a/b c");
	assert_string_equal(uri_query(&u, "x"), "1 2");
	assert_string_equal(uri_query(&u, "y"), "");
	assert_string_equal(uri_query(&u, "z"), "ä");
	assert_null(uri_query(&u, "w"));
	assert_true(uri_match(&u, "/cart/{user_id}", &param));
	assert_string_equal(param, "a/b c");
	uri_release(&u);
}

static void test_uri_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = { "",
					   "*",
					   "http://x/",
					   "/%",
					   "/%4",
					   "/%zz",
					   "/a%00b",
					   "/a%0Ab",
					   "/a?x=%7f",
					   "/%ff",
					   "/%c0%80",
					   "/a#b",
					   "/a?x=1&x=2",
					   "/1/2/3/4/5/6/7/8/9",
					   "/?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct uri u;
		const char *why = NULL;
		assert_int_equal(uri_parse(bad[i], &u, &why), -EINVAL);
		assert_non_null(why);
	}
}

static void test_uri_match_is_exact(void **state)
{
	(void)state;
	static const struct {
		const char *target, *pattern;
		bool fits;
	} cases[] = {
		{ "/cart", "/cart", true },
		{ "/cart/", "/cart", false },
		{ "/cart/", "/cart/{id}", false },
		{ "/cart/x", "/cart/{id}", true },
		{ "/cart/x/y", "/cart/{id}", false },
		{ "/car", "/cart", false },
		{ "/carts", "/cart", false },
		{ "/Cart", "/cart", false },
		{ "/", "/cart", false },
		{ "//cart", "/cart", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uri u;
		const char *why = NULL, *param = NULL;
		assert_int_equal(uri_parse(cases[i].target, &u, &why), 0);
		if (uri_match(&u, cases[i].pattern, &param) != cases[i].fits)
			fail_msg("%s against %s", cases[i].target, cases[i].pattern);
		uri_release(&u);
	}
}

static void test_uri_encode_round_trips(void **state)
{
	(void)state;
	static const char *const texts[] = { "plain-._~", "a/b?c#d&e=f g%", "ä€𝄞", "" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP(freep) char *encoded = uri_encode(texts[i]);
		char target[128];
		struct uri u;
		const char *why = NULL;

		snprintf(target, sizeof(target), "/x?v=%s", encoded);
		assert_int_equal(uri_parse(target, &u, &why), 0);
		assert_string_equal(uri_query(&u, "v"), texts[i]);
		uri_release(&u);
	}
}

static int never(struct request *rq)
{
	(void)rq;
	return 0;
}

static void test_route_find_tells_404_from_405(void **state)
{
	(void)state;
	static const struct route routes[] = { { "POST", "/cart/add", false, never },
					       { "GET", "/cart/{id}", false, never },
					       { "POST", "/cart/{id}", true, never } };
	static const struct {
		const char *method, *target;
		int err, route;
		const char *allow;
	} cases[] = { { "POST", "/cart/add", 0, 0, "" },
		      { "GET", "/cart/add", 0, 1, "POST" },
		      { "POST", "/cart/u", 0, 2, "GET, HEAD" },
		      { "PUT", "/cart/u", -ENOTSUP, 0, "GET, HEAD, POST" },
		      { "GET", "/other", -ENOENT, 0, "" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct route *found = NULL;
		const char *param = NULL, *why = NULL;
		char allow[64];
		struct uri u;

		assert_int_equal(uri_parse(cases[i].target, &u, &why), 0);
		assert_int_equal(route_find(routes, ARRAY_SIZE(routes), cases[i].method, &u, &found,
					    &param, allow, sizeof(allow)),
				 cases[i].err);
		assert_string_equal(allow, cases[i].allow);
		if (!cases[i].err)
			assert_ptr_equal(found, &routes[cases[i].route]);
		uri_release(&u);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uri_splits_then_decodes),
		cmocka_unit_test(test_uri_refuses),
		cmocka_unit_test(test_uri_match_is_exact),
		cmocka_unit_test(test_uri_encode_round_trips),
		cmocka_unit_test(test_route_find_tells_404_from_405),
	};

	return cmocka_run_group_tests_name("service_uri", tests, NULL, NULL);
}
