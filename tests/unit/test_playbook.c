// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "remediate/playbook.h"

#define S NSEC_PER_SEC

static struct diagnosis one_cause(enum fault_class class)
{
	struct diagnosis d = { .known = true, .nr_causes = 1 };

	d.causes[0] =
		(struct cause){ .service = 2, .name = "db", .resource = class, .confidence = .8 };
	return d;
}

static struct service_facts db_facts(void)
{
	return (struct service_facts){
		.service = 2, .name = "db", .supervised = true, .replicas = 1, .nr_pids = 1
	};
}

/* "reset_fault db, restart db, escalate db" */
static const char *kinds(const struct action *a, size_t nr)
{
	static char text[256];

	text[0] = '\0';
	for (size_t i = 0; i < nr; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s", i ? ", " : "",
			 action_kind_name(a[i].kind), a[i].target_name);
	return text;
}

static const char *ordered(const struct diagnosis *d, const struct service_facts *f, size_t nr_f,
			   const struct history *h)
{
	struct action a[ACTIONS_MAX];
	char why[200];
	size_t nr = actions_enumerate(d, f, nr_f, a);

	nr = playbook_order(d, f, nr_f, h, a, nr, why, sizeof(why));
	assert_true(why[0]);
	return kinds(a, nr);
}

static void test_actions_are_listed_with_stable_ids(void **state)
{
	struct diagnosis d = one_cause(FAULT_CLASS_LATENCY);
	struct service_facts f = db_facts();
	struct action a[ACTIONS_MAX];

	(void)state;
	size_t nr = actions_enumerate(&d, &f, 1, a);
	assert_string_equal(kinds(a, nr), "reset_fault db, restart db, noop db, escalate db");
	assert_string_equal(a[0].id, "a1");
	assert_string_equal(a[3].id, "a4");
	assert_ptr_equal(action_find(a, nr, "a2"), &a[1]);
	assert_null(action_find(a, nr, "a5"));
	assert_int_equal(a[0].risk, 0);
	assert_int_equal(a[1].risk, 1);
	assert_true(a[1].blast_ratio == 1);
	for (size_t i = 0; i < nr; i++)
		assert_true(a[i].undo[0] && a[i].expected[0] && a[i].precondition[0]);
}

static void test_actions_restart_only_where_supervised_and_alive(void **state)
{
	struct diagnosis d = one_cause(FAULT_CLASS_DOWN);
	struct service_facts f = db_facts();
	struct action a[ACTIONS_MAX];

	(void)state;
	f.supervised = false;
	assert_string_equal(kinds(a, actions_enumerate(&d, &f, 1, a)),
			    "reset_fault db, noop db, escalate db");
	f.supervised = true;
	f.nr_pids = 0;
	assert_string_equal(kinds(a, actions_enumerate(&d, &f, 1, a)),
			    "reset_fault db, noop db, escalate db");
	/* Gone altogether: nobody to act on. */
	assert_string_equal(kinds(a, actions_enumerate(&d, NULL, 0, a)), "escalate db");
	d.nr_causes = 0;
	assert_string_equal(kinds(a, actions_enumerate(&d, &f, 1, a)), "escalate ");
}

static void test_playbook_by_class(void **state)
{
	static const struct {
		enum fault_class class;
		const char *order;
	} table[] = {
		{ FAULT_CLASS_LATENCY, "reset_fault db, restart db, escalate db" },
		{ FAULT_CLASS_ERRORS, "reset_fault db, restart db, escalate db" },
		{ FAULT_CLASS_CPU, "reset_fault db, restart db, escalate db" },
		{ FAULT_CLASS_NETWORK, "reset_fault db, restart db, escalate db" },
		{ FAULT_CLASS_UNKNOWN, "reset_fault db, restart db, escalate db" },
		{ FAULT_CLASS_DOWN, "restart db, noop db, reset_fault db, escalate db" },
	};
	struct service_facts f = db_facts();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct diagnosis d = one_cause(table[i].class);
		assert_string_equal(ordered(&d, &f, 1, NULL), table[i].order);
	}
}

static void test_playbook_unresponsive_by_process_state(void **state)
{
	struct diagnosis d = one_cause(FAULT_CLASS_UNRESPONSIVE);
	struct service_facts f = db_facts();

	(void)state;
	f.silent_ns = 4 * S;
	for (const char *s = "TtD"; *s; s++) {
		f.process_state = *s;
		assert_string_equal(ordered(&d, &f, 1, NULL),
				    "restart db, reset_fault db, escalate db");
	}
	f.process_state = 'R';
	f.cpu_cores = 1;
	assert_string_equal(ordered(&d, &f, 1, NULL), "restart db, reset_fault db, escalate db");
	/* It sleeps like any idle server: something between it and its callers holds the answers. */
	f.process_state = 'S';
	f.cpu_cores = 0;
	assert_string_equal(ordered(&d, &f, 1, NULL), "reset_fault db, restart db, escalate db");
}

static void test_playbook_learns_from_history(void **state)
{
	struct diagnosis d = one_cause(FAULT_CLASS_LATENCY);
	struct service_facts f = db_facts();
	static struct history h;

	(void)state;
	memset(&h, 0, sizeof(h));
	history_add(&h, "db", FAULT_CLASS_LATENCY, ACTION_RESET_FAULT, HISTORY_FAILED);
	assert_string_equal(ordered(&d, &f, 1, &h), "restart db, reset_fault db, escalate db");
	history_add(&h, "db", FAULT_CLASS_LATENCY, ACTION_RESTART, HISTORY_FAILED);
	assert_string_equal(ordered(&d, &f, 1, &h), "reset_fault db, restart db, escalate db");
	history_add(&h, "db", FAULT_CLASS_LATENCY, ACTION_RESTART, HISTORY_VERIFIED);
	assert_string_equal(ordered(&d, &f, 1, &h), "restart db, reset_fault db, escalate db");
	/* Another class and another service have histories of their own. */
	d.causes[0].resource = FAULT_CLASS_ERRORS;
	assert_string_equal(ordered(&d, &f, 1, &h), "reset_fault db, restart db, escalate db");
	/* Having found nothing is no failure. */
	history_add(&h, "db", FAULT_CLASS_ERRORS, ACTION_RESET_FAULT, HISTORY_NOTHING);
	assert_string_equal(ordered(&d, &f, 1, &h), "reset_fault db, restart db, escalate db");
	const struct history_entry *e =
		history_entry_find(&h, "db", FAULT_CLASS_LATENCY, ACTION_RESTART);
	assert_int_equal(e->tried, 2);
	assert_int_equal(e->verified, 1);
	assert_int_equal(e->failed, 1);
}

static void test_playbook_lower_causes_need_evidence(void **state)
{
	struct diagnosis d = one_cause(FAULT_CLASS_LATENCY);
	struct service_facts f[2] = { db_facts(), db_facts() };

	(void)state;
	f[1].service = 3;
	snprintf(f[1].name, sizeof(f[1].name), "auth");
	d.nr_causes = 2;
	d.causes[1] = (struct cause){
		.service = 3, .name = "auth", .resource = FAULT_CLASS_LATENCY, .confidence = .3
	};
	assert_string_equal(ordered(&d, f, 2, NULL), "reset_fault db, restart db, escalate db");
	d.causes[1].confidence = .7;
	assert_string_equal(
		ordered(&d, f, 2, NULL),
		"reset_fault db, restart db, reset_fault auth, restart auth, escalate db");
	assert_true(playbook_near(&d, 3));
	assert_false(playbook_near(&d, 4));
}

static void test_history_is_bounded(void **state)
{
	static struct history h;
	char name[16];

	(void)state;
	memset(&h, 0, sizeof(h));
	for (int i = 0; i < HISTORY_MAX + 10; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		history_add(&h, name, FAULT_CLASS_CPU, ACTION_RESTART, HISTORY_VERIFIED);
	}
	assert_int_equal(h.nr, HISTORY_MAX);
	assert_null(history_entry_find(&h, "s9", FAULT_CLASS_CPU, ACTION_RESTART));
	assert_non_null(history_entry_find(&h, "s10", FAULT_CLASS_CPU, ACTION_RESTART));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_actions_are_listed_with_stable_ids),
		cmocka_unit_test(test_actions_restart_only_where_supervised_and_alive),
		cmocka_unit_test(test_playbook_by_class),
		cmocka_unit_test(test_playbook_unresponsive_by_process_state),
		cmocka_unit_test(test_playbook_learns_from_history),
		cmocka_unit_test(test_playbook_lower_causes_need_evidence),
		cmocka_unit_test(test_history_is_bounded),
	};

	return cmocka_run_group_tests_name("playbook", tests, NULL, NULL);
}
