// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which repair is offered for what a service is, and the Docker Engine's and systemd's side of change.h
 * against stand-ins. tests/unit/test_kube_change.c has Kubernetes' side; real ones are asked in tests/host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answerer.h"
#include "base/json.h"
#include "base/util.h"
#include "remediate/change.h"
#include "remediate/playbook.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ALL (FACTS_REACH_KUBE | FACTS_REACH_DOCKER | FACTS_REACH_SYSTEMD)

static struct diagnosis cause(enum fault_class class)
{
	struct diagnosis d = { .known = true, .nr_causes = 1 };

	d.causes[0] =
		(struct cause){ .service = 2, .name = "db", .resource = class, .confidence = .8 };
	return d;
}

static struct service_facts facts(unsigned reach, const char *pod, const char *id, const char *unit)
{
	struct service_facts f = {
		.service = 2, .name = "db", .supervised = true, .replicas = 1, .nr_pids = 1
	};

	facts_workload(&f, reach, *pod ? "archaics" : "", pod, id, unit);
	return f;
}

/* In the playbook's order; without reset_fault and escalate, which are always there. */
static const char *plan(enum fault_class class, const struct service_facts *f)
{
	static char text[256];
	struct diagnosis d = cause(class);
	struct action a[ACTIONS_MAX];
	char why[200];
	size_t nr = actions_enumerate(&d, f, 1, a);

	nr = playbook_order(&d, f, 1, NULL, a, nr, why, sizeof(why));
	text[0] = '\0';
	for (size_t i = 0; i < nr; i++)
		if (a[i].kind != ACTION_RESET_FAULT && a[i].kind != ACTION_ESCALATE)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				 *text ? " " : "", action_kind_name(a[i].kind));
	return text;
}

static void test_change_offered(void **state)
{
	static const struct {
		unsigned reach;
		const char *pod, *id, *unit, *plan;
	} cases[] = {
		{ ALL, "", "", "", "restart" },
		{ ALL, "", "", "nginx.service", "restart_unit" },
		{ ALL, "", ID, "docker.service", "restart_container" },
		{ ALL, "db-1", ID, "", "restart_pod rollback rollout_restart" },
		/* Whom we cannot ask is not offered; a process may still have its supervisor. */
		{ 0, "db-1", ID, "nginx.service", "restart" },
		{ FACTS_REACH_KUBE, "", ID, "nginx.service", "restart" },
		/* Never behind a kubelet's back, nor at a container's runtime. */
		{ FACTS_REACH_DOCKER, "db-1", ID, "", "restart" },
		{ FACTS_REACH_SYSTEMD, "", ID, "docker.service", "restart" },
		/* Half an id is another one's. */
		{ ALL, "", ID "0", "", "restart" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct service_facts f =
			facts(cases[i].reach, cases[i].pod, cases[i].id, cases[i].unit);
		assert_string_equal(plan(FAULT_CLASS_ERRORS, &f), cases[i].plan);
	}
}

static void test_change_order_by_class(void **state)
{
	struct service_facts f = facts(ALL, "db-1", "", "");

	(void)state;
	assert_string_equal(plan(FAULT_CLASS_LATENCY, &f),
			    "scale restart_pod rollout_restart rollback");
	assert_string_equal(plan(FAULT_CLASS_CPU, &f),
			    "scale restart_pod rollout_restart rollback");
	assert_string_equal(plan(FAULT_CLASS_NETWORK, &f), "restart_pod rollout_restart rollback");
	f.silent_ns = 4 * NSEC_PER_SEC;
	f.process_state = 'T';
	assert_string_equal(plan(FAULT_CLASS_UNRESPONSIVE, &f),
			    "restart_pod rollout_restart rollback");
}

static void test_change_risks(void **state)
{
	struct service_facts f = facts(ALL, "db-1", "", "");
	struct diagnosis d = cause(FAULT_CLASS_CPU);
	struct action a[ACTIONS_MAX];

	(void)state;
	f.replicas = 4;
	size_t nr = actions_enumerate(&d, &f, 1, a);
	for (size_t i = 0; i < nr; i++) {
		bool two = a[i].kind == ACTION_ROLLBACK || a[i].kind == ACTION_ROLLOUT_RESTART;
		bool none = a[i].kind == ACTION_RESET_FAULT || a[i].kind == ACTION_NOOP ||
			a[i].kind == ACTION_ESCALATE;
		assert_int_equal(a[i].risk, two ? 2 : none ? 0 : 1);
		assert_true(a[i].reversible);
		if (a[i].kind == ACTION_RESTART_POD)
			assert_true(a[i].blast_ratio == .25);
		assert_int_equal(change_undoes(a[i].kind),
				 a[i].kind == ACTION_SCALE || a[i].kind == ACTION_ROLLBACK);
	}
	assert_int_equal(nr, 7);
}

static void test_unit_names(void **state)
{
	static const struct {
		const char *name;
		bool ok;
	} cases[] = {
		{ "nginx.service", true },
		{ "postgresql@15-main.service", true },
		{ "my\\x2dapp.service", true },
		{ "", false },
		{ ".service", false },
		{ "nginx", false },
		{ "nginx.socket", false },
		{ "init.scope", false },
		{ "a/b.service", false },
		{ "a b.service", false },
		{ "systemd-journald.service", false },
		{ "dbus.service", false },
		{ "dbus-broker.service", false },
		{ "ssh.service", false },
		{ "sshd.service", false },
		{ "user@1000.service", false },
		{ "docker.service", false },
		{ "kubelet.service", false },
		{ "archaic-ebpf.service", false },
		{ "dockerish.service", true },
	};
	const char *why;
	struct unit_state u;
	char says[240];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(unit_name_valid(cases[i].name, &why), cases[i].ok);
		/* Refused before anybody is asked. */
		if (!cases[i].ok)
			assert_int_equal(unit_prepare("unix:path=/nowhere", cases[i].name, &u, says,
						      sizeof(says)),
					 1);
	}
	assert_int_equal(unit_prepare("unix:path=/nowhere", "nginx.service", &u, says,
				      sizeof(says)),
			 -EHOSTUNREACH);
}

/* ---- a Docker Engine */

static struct answerer server;
static struct changer *changer;
static char folder[32], path[64];
static struct {
	const char *state, *health;
	unsigned run; /* of the container: its start time */
	unsigned restarts;
	int status; /* of a restart; 0: 204, and another run */
	bool gone;
} engine;

static void on_request(void *ctx, const struct answerer_request *q, int fd)
{
	char body[512];

	(void)ctx;
	if (engine.gone) {
		answer_whole(fd, 404, "{\"message\":\"No such container\"}");
	} else if (!strcmp(q->method, "POST")) {
		engine.restarts++;
		engine.run += !engine.status;
		answer_whole(fd, engine.status ?: 204, "");
	} else {
		snprintf(body, sizeof(body),
			 "{\"Id\":\"" ID "\",\"Name\":\"/shop-db\",\"State\":{\"Status\":\"%s\","
			 "\"Pid\":77,\"StartedAt\":\"2024-01-15T10:30:0%uZ\"%s%s%s}}",
			 engine.state, engine.run,
			 engine.health ? ",\"Health\":{\"Status\":\"" : "", engine.health ?: "",
			 engine.health ? "\"}" : "");
		answer_whole(fd, 200, body);
	}
}

static int setup(void **state)
{
	struct changer_config c = { .docker = path };

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/change-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/sock", folder);
	memset(&engine, 0, sizeof(engine));
	engine.state = "running";
	answerer_unix(&server, path, on_request, NULL);
	assert_int_equal(changer_new(&c, &changer), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	changer_free(changer);
	answerer_stop(&server);
	unlink(path);
	rmdir(folder);
	return 0;
}

static void test_change_container(void **state)
{
	CLEANUP(json_freep) cJSON *j = NULL;
	struct service_facts f = facts(ALL, "", ID, "");
	struct change c;
	char says[240];

	(void)state;
	engine.health = "healthy";
	assert_int_equal(change_prepare(changer, ACTION_RESTART_CONTAINER, &f, 0, &c, says,
					sizeof(says)),
			 0);
	assert_int_equal(engine.restarts, 0);
	j = change_json(&c);
	assert_string_equal(json_str(j, "kind"), "restart_container");
	assert_string_equal(json_str(j, "container"), ID);
	assert_string_equal(json_str(j, "name"), "shop-db");
	assert_string_equal(json_str(j, "started_at"), "2024-01-15T10:30:00Z");
	assert_int_equal(change_do(changer, &c, 0, says, sizeof(says)), 0);
	assert_int_equal(engine.restarts, 1);
	assert_non_null(strstr(says, "shop-db was restarted: process 77"));
	/* Somebody else restarted it meanwhile: that is another run, not ours to end. */
	assert_int_equal(change_do(changer, &c, 0, says, sizeof(says)), -EBUSY);
	assert_int_equal(engine.restarts, 1);
	assert_int_equal(change_undo(changer, &c, says, sizeof(says)), 1);
}

static void test_change_container_refused(void **state)
{
	struct service_facts f = facts(ALL, "", ID, "");
	struct change c;
	char says[240];

	(void)state;
	engine.state = "exited";
	assert_int_equal(change_prepare(changer, ACTION_RESTART_CONTAINER, &f, 0, &c, says,
					sizeof(says)),
			 1);
	assert_string_equal(says, "the container shop-db is exited");
	engine.state = "running";
	assert_int_equal(change_prepare(changer, ACTION_RESTART_CONTAINER, &f, 0, &c, says,
					sizeof(says)),
			 0);
	engine.status = 403;
	assert_int_equal(change_do(changer, &c, 0, says, sizeof(says)), -EACCES);
	engine.gone = true;
	assert_int_equal(change_prepare(changer, ACTION_RESTART_CONTAINER, &f, 0, &c, says,
					sizeof(says)),
			 1);
}

static void test_change_unconfigured(void **state)
{
	struct service_facts f = facts(ALL, "db-1", "", "");
	struct changer *none = NULL;
	struct change c;
	char says[240];

	(void)state;
	assert_int_equal(changer_new(&(struct changer_config){ 0 }, &none), 0);
	for (int k = 0; k < NR_ACTION_KINDS; k++)
		assert_int_equal(change_prepare(none, (enum action_kind)k, &f, 0, &c, says,
						sizeof(says)),
				 -ENOTSUP);
	changer_free(none);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_change_offered), cmocka_unit_test(test_change_order_by_class),
		cmocka_unit_test(test_change_risks),   cmocka_unit_test(test_unit_names),
		TEST(test_change_container),           TEST(test_change_container_refused),
		TEST(test_change_unconfigured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
