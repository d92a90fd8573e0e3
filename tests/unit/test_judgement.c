// SPDX-License-Identifier: GPL-2.0-or-later
/* What a detector tells an operator: the same comes out, by the reader's clock; what cannot be is refused. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/util.h"
#include "remediate/judgement.h"

#define S NSEC_PER_SEC

static struct judgement *in, *out;

static int setup(void **state)
{
	(void)state;
	in = calloc(1, sizeof(*in));
	out = calloc(1, sizeof(*out));
	in->life = 7;
	in->tick = 42;
	in->at_ns = 1000 * S;
	in->age_ns = S / 2;
	in->nr_verdicts = 1;
	in->verdicts[0] = (struct verdict){ .service = 3,
					    .name = "db",
					    .at_ns = 1000 * S,
					    .anomalous = true,
					    .suspect = true,
					    .scorer = SCORER_TOTAL_LOSS,
					    .score = .75,
					    .threshold = .5,
					    .onset_ns = 990 * S,
					    .opened_ns = 993 * S,
					    .nr_top = 1,
					    .why = "requests wait, none is finished" };
	in->verdicts[0].top[0] = (struct feature_credit){ FEATURE_OLDEST, 1, 3000, 2, 30 };
	in->has_diagnosis = true;
	in->diagnosis = (struct diagnosis){ .at_ns = 1000 * S,
					    .known = true,
					    .nr_causes = 1,
					    .nr_victims = 1,
					    .why = "db is the cause" };
	in->diagnosis.causes[0] = (struct cause){ .service = 3,
						  .name = "db",
						  .resource = FAULT_CLASS_DOWN,
						  .confidence = .9,
						  .reasons = { "it is silent" },
						  .nr_reasons = 1 };
	in->diagnosis.victims[0].service = 4;
	snprintf(in->diagnosis.victims[0].name, sizeof(in->diagnosis.victims[0].name), "product");
	in->nr_facts = 1;
	in->facts[0] = (struct service_facts){ .service = 3,
					       .name = "db",
					       .supervised = true,
					       .replicas = 1,
					       .nr_pids = 2,
					       .ports = { 8002 },
					       .nr_ports = 1,
					       .in_flight = 9,
					       .oldest_ns = 3 * S,
					       .window_failed = 5,
					       .silent_ns = 2 * S };
	in->nr_places = 1;
	in->places[0] = (struct judgement_place){ .service = 3,
						  .name = "db",
						  .local = "db",
						  .node = "n2",
						  .address = "10.0.0.2",
						  .port = 8080 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(in);
	free(out);
	return 0;
}

/* Through text, as over the wire; a flaw is looked for in the text first, when given. */
static int through(const char *from, const char *to, char *why, size_t size)
{
	CLEANUP(json_freep) cJSON *j = judgement_json(in), *back = NULL;
	CLEANUP(json_textp) char *text = cJSON_PrintUnformatted(j);
	char changed[8192];
	const char *flaw = "";

	assert_non_null(text);
	snprintf(changed, sizeof(changed), "%s", text);
	if (from) {
		char *at = strstr(changed, from), rest[8192];
		if (!at)
			fail_msg("%s is not in %s", from, text);
		snprintf(rest, sizeof(rest), "%s", at + strlen(from));
		snprintf(at, (size_t)(changed + sizeof(changed) - at), "%s%s", to, rest);
	}
	assert_int_equal(json_parse(changed, strlen(changed), &back, &flaw), 0);
	return judgement_read(back, 50 * S, out, why, size);
}

static void test_judgement_comes_out_as_it_went_in(void **state)
{
	char why[160] = "";

	(void)state;
	assert_int_equal(through(NULL, NULL, why, sizeof(why)), 0);
	assert_true(out->life == 7 && out->tick == 42);
	/* Half a second old when it was written: the tick ended then by our clock. */
	assert_true(out->at_ns == 50 * S - S / 2);
	const struct verdict *v = &out->verdicts[0];
	assert_int_equal(out->nr_verdicts, 1);
	assert_true(v->service == 3 && v->anomalous && v->suspect && !v->opened);
	assert_int_equal(v->scorer, SCORER_TOTAL_LOSS);
	assert_true(v->onset_ns == out->at_ns - 10 * S && v->opened_ns == out->at_ns - 7 * S);
	assert_true(v->suspect_ns == 0 && v->score == .75 && v->nr_top == 1);
	assert_true(v->top[0].feature == FEATURE_OLDEST && v->top[0].value == 3000);
	assert_string_equal(v->why, in->verdicts[0].why);
	assert_true(out->has_diagnosis && out->diagnosis.known);
	assert_int_equal(out->diagnosis.causes[0].resource, FAULT_CLASS_DOWN);
	assert_string_equal(out->diagnosis.causes[0].reasons[0], "it is silent");
	assert_string_equal(out->diagnosis.victims[0].name, "product");
	const struct service_facts *f = &out->facts[0];
	assert_true(f->supervised && f->nr_pids == 2 && !f->main_pid && f->ports[0] == 8002);
	assert_true(f->in_flight == 9 && f->oldest_ns == 3 * S && f->window_failed == 5);
	assert_string_equal(judgement_place(out, 3)->address, "10.0.0.2");
	assert_null(judgement_place(out, 4));

	in->has_diagnosis = false;
	assert_int_equal(through(NULL, NULL, why, sizeof(why)), 0);
	assert_false(out->has_diagnosis);
}

static void test_judgement_refuses_what_cannot_be(void **state)
{
	static const struct {
		const char *from, *to, *says;
	} cases[] = {
		{ "\"version\":1", "\"version\":2", "a version" },
		{ "\"scorer\":\"total_loss\"", "\"scorer\":\"luck\"", "a verdict" },
		{ "\"name\":\"db\"", "\"name\":\"../db\"", "a verdict" },
		{ "\"feature\":\"oldest", "\"feature\":\"youngest", "a verdict" },
		{ "\"resource\":\"down\"", "\"resource\":\"up\"", "a diagnosis" },
		{ "\"ports\":[8002]", "\"ports\":[0]", "facts" },
		{ "\"ports\":[8002]", "\"ports\":[1,2,3,4,5,6,7,8,9]", "facts" },
		{ "\"node\":\"n2\"", "\"node\":\"n2/../..\"", "a place" },
		{ "\"local\":\"db\"", "\"local\":\"db?x=1\"", "a place" },
		{ "\"address\":\"10.0.0.2\"", "\"address\":\"10.0.0.2:1/x\"", "a place" },
		{ "\"address\":\"10.0.0.2\"", "\"address\":\"evil.example\"", "a place" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char why[160] = "";
		assert_int_equal(through(cases[i].from, cases[i].to, why, sizeof(why)), -EINVAL);
		if (!strstr(why, cases[i].says))
			fail_msg("%s: says \"%s\"", cases[i].to, why);
	}
}

static void test_judgement_of_a_root_without_causes_is_none(void **state)
{
	char why[160] = "";

	(void)state;
	in->diagnosis.nr_causes = 0;
	assert_int_equal(through(NULL, NULL, why, sizeof(why)), -EINVAL);
	in->diagnosis.known = false;
	assert_int_equal(through(NULL, NULL, why, sizeof(why)), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_judgement_comes_out_as_it_went_in),
		TEST(test_judgement_refuses_what_cannot_be),
		TEST(test_judgement_of_a_root_without_causes_is_none),
	};

	return cmocka_run_group_tests_name("judgement", tests, NULL, NULL);
}
