// SPDX-License-Identifier: GPL-2.0-or-later
/* From the configuration file's text to what the server takes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "run_pages.h"

/* @text is a configuration file. The server's names borrow from @keep. */
static int configure(const char *text, struct run_pages *keep, struct server_config *ret,
		     struct problem *p)
{
	static struct config c;

	*keep = (struct run_pages){ 0 };
	*ret = (struct server_config){ 0 };
	config_init(&c);
	assert_int_equal(config_parse_file_text(&c, "test.conf", text, strlen(text), p), 0);
	assert_int_equal(config_check(&c, p), 0);
	return run_pages_config(&c, keep, ret, p);
}

static void test_run_pages_names_reach_the_server(void **state)
{
	struct run_pages keep;
	struct server_config s;
	struct problem p = { 0 };

	(void)state;
	assert_int_equal(
		configure("[pages]\nhost_names = box.lan, shop.example,,desk\n", &keep, &s, &p), 0);
	assert_string_equal(s.names[0], "box.lan");
	assert_string_equal(s.names[1], "shop.example");
	assert_string_equal(s.names[2], "desk");
	assert_null(s.names[3]);
	run_pages_release(&keep);

	assert_int_equal(configure("", &keep, &s, &p), 0);
	assert_null(s.names[0]);
	run_pages_release(&keep);
}

static void test_run_pages_refuses_a_ninth_name(void **state)
{
	struct run_pages keep;
	struct server_config s;
	struct problem p = { 0 };

	(void)state;
	assert_int_equal(configure("[pages]\nhost_names = a,b,c,d,e,f,g,h\n", &keep, &s, &p), 0);
	assert_string_equal(s.names[SERVER_NAMES_MAX - 1], "h");
	run_pages_release(&keep);
	assert_int_equal(configure("[pages]\nhost_names = a,b,c,d,e,f,g,h,i\n", &keep, &s, &p),
			 -EINVAL);
	assert_non_null(strstr(p.detail, "more than 8 names"));
	run_pages_release(&keep);
}

static void test_run_pages_port_0_opens_none(void **state)
{
	struct run_pages keep;
	struct server_config s;
	struct problem p = { 0 };

	(void)state;
	assert_int_equal(configure("[ports]\ndashboard = 0\nchaos = 8081\n", &keep, &s, &p), 0);
	assert_int_equal(s.port_dashboard, -1);
	assert_int_equal(s.port_chaos, 8081);
	run_pages_release(&keep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_run_pages_names_reach_the_server),
		cmocka_unit_test(test_run_pages_refuses_a_ninth_name),
		cmocka_unit_test(test_run_pages_port_0_opens_none),
	};

	return cmocka_run_group_tests_name("run_pages", tests, NULL, NULL);
}
