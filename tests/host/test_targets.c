// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What looks like two pods of one image: a cgroup with a container's id, a network namespace joined to ours
 * by a veth pair, a server in it, and a minder whose working folder is among the bundles. The run time is
 * the only thing that is played; kernel, cgroups, namespaces, packets and faults are real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "discover/registry.h"
#include "discover/targets.h"
#include "fault/fault.h"
#include "kernel/cgroup.h"
#include "kernel/netfilter.h"
#include "kernel/netns.h"
#include "kernel/observer.h"
#include "tests/lib/httpd.h"
#include "tests/lib/netns.h"
#include "tests/lib/played.h"

#define WAIT_NS (10 * NSEC_PER_SEC)

/* ---- set-up */

static bool open_once(void)
{
	static bool tried, open;

	if (!tried)
		open = played_open("test_targets");
	tried = true;
	return open;
}

static const struct service *service_of(const struct registry *r, const struct played *c)
{
	return registry_by_container(r, c->id);
}

static int describe(void *ctx, const char *id, struct target *ret)
{
	return targets_describe(ctx, id, ret);
}

static size_t find(void *ctx, const struct target_selector *s, struct target *ret, size_t max)
{
	return targets_find(ctx, s, ret, max);
}

static struct registry *fresh(struct targets *t, bool discover)
{
	/* What is ours here is not ours in a container. */
	static const uint16_t ours = PLAYED_PORT;
	const struct registry_options o = {
		.discover = discover,
		.skip_ports = &ours,
		.nr_skip_ports = 1,
		.grace_ns = 30 * NSEC_PER_SEC,
		.targets = { .ctx = t, .describe = t ? describe : NULL, .find = t ? find : NULL },
		.below = played_parent(),
	};
	struct registry *r = NULL;

	assert_int_equal(registry_new(&o, &r), 0);
	return r;
}

/* A round of looking at bundles, then a scan at @now_ns. */
static void look(struct targets *t, struct registry *r, uint64_t now_ns)
{
	assert_int_equal(targets_refresh(t, WAIT_NS), 0);
	assert_int_equal(registry_scan(r, now_ns), 0);
}

static struct faults *injector(void)
{
	struct faults_config c;
	struct faults *f = NULL;

	faults_config_default(&c);
	snprintf(c.run_dir, sizeof(c.run_dir), "%s/run", played_dir());
	assert_int_equal(faults_new(&c, &f), 0);
	return f;
}

static struct fault arm(struct faults *f, const struct service *s, const char *text)
{
	struct fault_request req;
	struct problem p = { 0 };
	struct fault got = { .id = "" };
	cJSON *body = cJSON_Parse(text);

	assert_non_null(body);
	assert_int_equal(fault_request_parse(body, &req, &p), 0);
	cJSON_Delete(body);
	if (faults_arm(f, &req, s, false, &got, &p) < 0)
		fail_msg("%s", p.detail);
	return got;
}

static void tell(void *ctx, const struct service *s, bool gone)
{
	if (!gone)
		faults_service(ctx, s);
}

/* ---- tests */

static void test_targets_two_pods_are_two_services(void **state)
{
	(void)state;
	struct played a = { 0 }, b = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	struct service s;
	struct problem p = { 0 };
	struct target_selector sel;

	if (!open_once())
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	played_start(&a, "db-7d4b9c6f5-x2x4z");
	played_start(&b, "db-7d4b9c6f5-kk8w9");
	look(t, r, 1);
	const struct service *sa = service_of(r, &a), *sb = service_of(r, &b);
	assert_non_null(sa);
	assert_non_null(sb);
	assert_int_equal(registry_count(r), 2);
	/* Named by what made them, told apart; which of the two comes first is the kernel's. */
	assert_true(!strncmp(sa->name, "db", 2) && !strncmp(sb->name, "db", 2));
	assert_string_not_equal(sa->name, sb->name);
	assert_int_equal(sa->source, SERVICE_BY_CONTAINER);
	assert_true(sa->found && sa->own_cgroup);
	assert_string_equal(sa->namespace, "shop");
	assert_string_equal(sa->pod, "db-7d4b9c6f5-x2x4z");
	assert_int_equal(sa->nr_ports, 1);
	assert_int_equal(sa->ports[0], PLAYED_PORT);
	assert_int_not_equal(sa->netns_ino, netns_ino());
	assert_int_not_equal(sa->netns_ino, sb->netns_ino);
	assert_ptr_equal(registry_by_pid(r, a.pid), sa);
	/* Ports of other namespaces are not ours. */
	assert_null(registry_by_port(r, PLAYED_PORT));

	/* Attached by its id it is the same service, under its name. */
	uint32_t id = sa->id;
	char name[SERVICE_NAME_MAX];
	memcpy(name, sa->name, sizeof(name));
	assert_int_equal(target_selector_parse(TARGET_CONTAINER, a.id, &sel, &p), 0);
	const struct registry_attach by_id = { .target = &sel };
	assert_int_equal(registry_attach(r, &by_id, 2, &s, &p), 0);
	assert_int_equal(s.id, id);
	assert_string_equal(s.name, name);
	assert_false(s.found);

	/* Two pods of one Deployment are not one pod. */
	assert_int_equal(target_selector_parse(TARGET_POD, "shop/db", &sel, &p), 0);
	const struct registry_attach by_pod = { .name = "both", .target = &sel };
	assert_int_equal(registry_attach(r, &by_pod, 2, &s, &p), -EEXIST);
	assert_int_equal(p.status, 409);
	assert_int_equal(target_selector_parse(TARGET_POD, "shop/db-7d4b9c6f5-kk8w9", &sel, &p), 0);
	uint32_t id_of_b = service_of(r, &b)->id;
	assert_int_equal(registry_attach(r, &by_pod, 2, &s, &p), 0);
	assert_int_equal(s.source, SERVICE_BY_POD);
	assert_int_equal(s.id, id_of_b);
	assert_string_equal(s.name, "both");
	assert_int_equal(s.nr_pids, 2);
	assert_int_equal(s.ports[0], PLAYED_PORT);
	assert_int_equal(registry_count(r), 2);
	assert_int_equal(registry_scan(r, 3), 0);
	assert_int_equal(registry_count(r), 2);
	assert_int_equal(target_selector_parse(TARGET_CONTAINER, "nobody", &sel, &p), 0);
	assert_int_equal(registry_attach(r, &by_id, 2, &s, &p), -ENOENT);
	assert_int_equal(p.status, 404);
	played_end(&a);
	played_end(&b);
}

static void test_targets_one_is_hurt_and_its_neighbour_is_not(void **state)
{
	(void)state;
	struct played a = { 0 }, b = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	struct problem p = { 0 };

	if (!open_once())
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	CLEANUP(faults_freep) struct faults *f = injector();
	played_start(&a, "db-7d4b9c6f5-x2x4z");
	played_start(&b, "db-7d4b9c6f5-kk8w9");
	look(t, r, 1);
	const struct service *s = service_of(r, &a);
	assert_non_null(s);

	struct fault late = arm(f, s, "{\"type\":\"timeout\",\"delay_ms\":400,\"service\":\"x\"}");
	struct played_answer hurt = played_ask(&a), well = played_ask(&b);
	print_message("timeout of 400 ms by %s: %.1f ms, its neighbour %.1f ms\n", late.backend,
		      (double)hurt.ns / 1e6, (double)well.ns / 1e6);
	assert_int_equal(hurt.status, 200);
	assert_int_equal(well.status, 200);
	assert_true(hurt.ns >= 395 * NSEC_PER_MSEC);
	assert_true(well.ns < 200 * NSEC_PER_MSEC);
	/* What was made for it stands in its own namespace, not in ours. */
	assert_int_equal(netfilter_count(NULL), 0);
	assert_int_equal(faults_disarm(f, late.id, NULL, &p), 0);
	assert_true(played_ask(&a).ns < 200 * NSEC_PER_MSEC);

	struct fault error = arm(f, s, "{\"type\":\"error\",\"status\":503,\"service\":\"x\"}");
	assert_int_equal(played_ask(&a).status, 503);
	assert_int_equal(played_ask(&b).status, 200);
	assert_int_equal(faults_disarm(f, error.id, NULL, &p), 0);
	assert_int_equal(played_ask(&a).status, 200);
	played_end(&a);
	played_end(&b);
}

static int count_rules(void *ctx)
{
	*(int *)ctx = netfilter_count(NULL);
	return 0;
}

static void test_targets_nothing_stays_in_the_namespace(void **state)
{
	(void)state;
	struct played a = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	int during = -1, after = -1;
	char says[1024];

	if (!open_once())
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	played_start(&a, "db-7d4b9c6f5-x2x4z");
	look(t, r, 1);
	const struct service *s = service_of(r, &a);
	assert_non_null(s);
	CLEANUP(closep) int fd = netns_open(s->netns_ino, s->pids[0]);
	assert_true(fd >= 0);

	/* A daemon that is killed: its guardian undoes it over there. */
	pid_t daemon = fork();
	assert_true(daemon >= 0);
	if (daemon == 0) {
		struct faults *f = injector();
		arm(f, s, "{\"type\":\"timeout\",\"delay_ms\":400,\"service\":\"x\"}");
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(daemon, NULL, 0), daemon);
	assert_int_equal(netns_run(fd, count_rules, &during), 0);
	for (int i = 0; i < 100 && (after != 0); i++) {
		usleep(50000); /* another process at work */
		assert_int_equal(netns_run(fd, count_rules, &after), 0);
	}
	print_message("rules in its namespace after the kill: %d, and %d in the end\n", during,
		      after);
	assert_int_equal(after, 0);
	snprintf(says, sizeof(says), "%s/run", played_dir());
	assert_true(faults_recover(says, says, sizeof(says)) >= 0);
	assert_true(played_ask(&a).ns < 200 * NSEC_PER_MSEC);
	played_end(&a);
}

static void test_targets_a_successor_keeps_name_and_id(void **state)
{
	(void)state;
	struct played a = { 0 }, next = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	struct fault got;

	if (!open_once())
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	CLEANUP(faults_freep) struct faults *f = injector();
	played_start(&a, "db-7d4b9c6f5-x2x4z");
	look(t, r, 1);
	const struct service *s = service_of(r, &a);
	assert_non_null(s);
	uint32_t id = s->id, netns = s->netns_ino, instance = s->instance;
	registry_changes(r, tell, f);
	struct fault ends = arm(f, s, "{\"type\":\"error\",\"service\":\"x\"}");
	struct fault goes_on = arm(
		f, s,
		"{\"type\":\"timeout\",\"delay_ms\":300,\"duration_s\":100,\"service\":\"x\",\"on_replace\":\"follow\"}");

	played_end(&a);
	look(t, r, 2 * NSEC_PER_SEC);
	s = registry_by_id(r, id);
	assert_non_null(s);
	assert_int_equal(s->nr_pids, 0);
	registry_changes(r, tell, f);
	assert_int_equal(faults_find(f, ends.id, &got), 0);
	assert_int_equal(got.state, FAULT_RESET);
	assert_int_equal(faults_find(f, goes_on.id, &got), 0);
	assert_int_equal(got.state, FAULT_ARMED);
	assert_true(got.waiting);

	/* Another pod of the same Deployment, later than any listener would be waited for. */
	played_start(&next, "db-7d4b9c6f5-99qrt");
	look(t, r, 20 * NSEC_PER_SEC);
	s = service_of(r, &next);
	assert_non_null(s);
	assert_int_equal(s->id, id);
	assert_string_equal(s->name, "db");
	assert_string_equal(s->pod, "db-7d4b9c6f5-99qrt");
	assert_int_not_equal(s->netns_ino, netns);
	assert_true(s->instance > instance);
	assert_int_equal(registry_count(r), 1);
	registry_changes(r, tell, f);
	assert_int_equal(faults_find(f, goes_on.id, &got), 0);
	assert_int_equal(got.state, FAULT_ARMED);
	assert_false(got.waiting);
	assert_int_equal(got.ends_ns, goes_on.ends_ns);
	struct played_answer hurt = played_ask(&next);
	assert_int_equal(hurt.status, 200);
	assert_true(hurt.ns >= 295 * NSEC_PER_MSEC);
	played_end(&next);
}

static const struct service_sample *sample_of(const struct tick *t, uint32_t id)
{
	for (size_t i = 0; i < t->nr_services; i++)
		if (t->services[i].id == id)
			return &t->services[i];
	return NULL;
}

static void test_targets_requests_in_a_namespace_are_counted(void **state)
{
	(void)state;
	struct played a = { 0 }, b = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	const struct observer_options o = { 0 };
	CLEANUP(observer_closep) struct observer *obs = NULL;
	CLEANUP(tick_release) struct tick tick = { 0 };
	struct problem p = { 0 };

	if (!open_once())
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	assert_int_equal(observer_open(&o, &obs, &p), 0);
	played_start(&a, "db-7d4b9c6f5-x2x4z");
	played_start(&b, "db-7d4b9c6f5-kk8w9");
	look(t, r, 1);
	for (size_t i = 0; i < registry_count(r); i++)
		assert_int_equal(observer_set_service(obs, registry_at(r, i)), 0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(played_ask(&a).status, 200);
	for (int i = 0; i < 7; i++)
		assert_int_equal(played_ask(&b).status, 200);
	assert_int_equal(observer_read(obs, clock_mono_ns(), r, &tick), 0);
	assert_int_equal(sample_of(&tick, service_of(r, &a)->id)->requests, 30);
	assert_int_equal(sample_of(&tick, service_of(r, &b)->id)->requests, 7);
	played_end(&a);
	played_end(&b);
}

/* A unit: its cgroup goes with it and comes back under the same path. */
static pid_t unit_start(const char *folder)
{
	int up[2];
	char word;

	assert_int_equal(mkdir(folder, 0755), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char path[512];
		struct httpd h;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
		FILE *f = fopen(path, "we");
		if (!f || fputs("0", f) < 0 || fclose(f) || httpd_start(&h, 9090, false) ||
		    write(up[1], "s", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(up[1]);
	assert_int_equal(read(up[0], &word, 1), 1);
	close(up[0]);
	return pid;
}

static void unit_end(const char *folder, pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (int i = 0; rmdir(folder) < 0 && i < 200; i++)
		usleep(10000); /* the kernel takes its time with the last process of a cgroup */
	assert_int_equal(access(folder, F_OK), -1);
}

static void test_targets_a_unit_keeps_name_and_id(void **state)
{
	(void)state;
	char root[PATH_MAX], folder[300], unit[64];
	struct problem p = { 0 };
	struct target_selector sel;
	struct service s;

	if (!open_once())
		skip();
	CLEANUP(registry_freep) struct registry *r = fresh(NULL, true);
	assert_int_equal(cgroup_root(root), 0);
	snprintf(unit, sizeof(unit), "archaic-shop-%d.service", getpid());
	snprintf(folder, sizeof(folder), "%.100s%.60s/%.60s", root, played_parent(), unit);
	pid_t pid = unit_start(folder);
	assert_int_equal(registry_scan(r, 1), 0);
	unit[strlen(unit) - strlen(".service")] = '\0';
	const struct service *found = registry_by_name(r, unit);
	assert_non_null(found);
	assert_int_equal(found->source, SERVICE_BY_UNIT);
	assert_int_equal(found->ports[0], 9090);
	uint32_t id = found->id, instance = found->instance;
	assert_int_equal(target_selector_parse(TARGET_UNIT, unit, &sel, &p), 0);
	const struct registry_attach a = { .target = &sel };
	assert_int_equal(registry_attach(r, &a, 2, &s, &p), 0);
	assert_int_equal(s.id, id);
	assert_string_equal(s.name, unit);

	unit_end(folder, pid);
	assert_int_equal(registry_scan(r, 3), 0);
	assert_int_equal(registry_by_id(r, id)->nr_pids, 0);
	pid = unit_start(folder);
	assert_int_equal(registry_scan(r, 100 * NSEC_PER_SEC), 0);
	found = registry_by_id(r, id);
	assert_int_equal(found->pids[0], pid);
	assert_true(found->instance > instance);
	assert_int_equal(registry_count(r), 1);
	unit_end(folder, pid);

	assert_int_equal(target_selector_parse(TARGET_UNIT, "archaic-nobody", &sel, &p), 0);
	assert_int_equal(registry_attach(r, &a, 2, &s, &p), -ENOENT);
}

static int close_all(void **state)
{
	(void)state;
	played_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets_two_pods_are_two_services),
		cmocka_unit_test(test_targets_one_is_hurt_and_its_neighbour_is_not),
		cmocka_unit_test(test_targets_nothing_stays_in_the_namespace),
		cmocka_unit_test(test_targets_a_successor_keeps_name_and_id),
		cmocka_unit_test(test_targets_a_unit_keeps_name_and_id),
		cmocka_unit_test(test_targets_requests_in_a_namespace_are_counted),
	};

	return cmocka_run_group_tests_name("targets", tests, NULL, close_all);
}
