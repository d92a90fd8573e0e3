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
#include "kernel/fault_spawn.h"
#include "kernel/netfilter.h"
#include "kernel/netns.h"
#include "kernel/observer.h"
#include "tests/lib/httpd.h"
#include "tests/lib/netns.h"

#define PORT 8080
#define WAIT_NS (10 * NSEC_PER_SEC)
#define SANDBOX "5a00000000000000000000000000000000000000000000000000000000000000"

struct container {
	char id[SERVICE_CONTAINER_MAX];
	char cgroup[256]; /* folder */
	char address[16];
	pid_t pid;
	int to_child;
};

static char dir[] = "/var/tmp/archaic-targets-XXXXXX", cgroup_root_path[PATH_MAX], parent[128];
static pid_t shim;
static unsigned made;

/* ---- the machine that is played */

static void ip_says(const char *const *words)
{
	const char *argv[24] = { 0 };
	char path[FAULT_SPAWN_PATH_MAX];
	struct buf out;

	assert_true(fault_spawn_find("ip", path));
	argv[0] = path;
	for (size_t i = 0; words[i]; i++)
		argv[i + 1] = words[i];
	buf_init(&out, 4096);
	int status = fault_spawn(argv, WAIT_NS, &out);
	if (status)
		print_error("ip %s %s: %s\n", words[0], words[1], buf_str(&out));
	buf_release(&out);
	assert_int_equal(status, 0);
}

#define IP(...) ip_says((const char *const[]){ __VA_ARGS__, NULL })

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	CLEANUP(fclosep) FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static _Noreturn void live(const struct container *c, int from, int to, const char *address)
{
	struct httpd h;
	char go, with_mask[32];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	write_file(c->cgroup, "cgroup.procs", "0");
	if (netns_enter() || write(to, "n", 1) != 1 || read(from, &go, 1) != 1)
		_exit(1);
	snprintf(with_mask, sizeof(with_mask), "%s/24", address);
	IP("address", "add", with_mask, "dev", "eth0");
	IP("link", "set", "eth0", "up");
	if (httpd_start(&h, PORT, false) || write(to, "s", 1) != 1)
		_exit(2);
	pause();
	_exit(0);
}

static void bundle(const struct container *c, const char *pod, const char *image)
{
	char folder[256], text[1024];

	snprintf(folder, sizeof(folder), "%s/bundles/%s", dir, c->id);
	assert_int_equal(mkdir(folder, 0700), 0);
	snprintf(
		text, sizeof(text),
		"{\"ociVersion\":\"1.0.2\",\"annotations\":{\"io.kubernetes.cri.container-type\":\"container\","
		"\"io.kubernetes.cri.container-name\":\"%s\",\"io.kubernetes.cri.sandbox-name\":\"%s\","
		"\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}",
		image, pod);
	write_file(folder, "config.json", text);
	snprintf(text, sizeof(text), "%d", c->pid);
	write_file(folder, "init.pid", text);
}

static void container_start(struct container *c, const char *pod)
{
	int down[2], up[2];
	char word, here[16], there[16], pid[16], gateway[20];
	unsigned n = ++made;

	snprintf(c->id, sizeof(c->id), "c0%062x", n);
	snprintf(c->address, sizeof(c->address), "10.77.%u.2", n);
	snprintf(c->cgroup, sizeof(c->cgroup), "%.100s%.60s/%s", cgroup_root_path, parent, c->id);
	assert_int_equal(mkdir(c->cgroup, 0755), 0);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		close(down[1]);
		live(c, down[0], up[1], c->address);
	}
	close(down[0]);
	close(up[1]);
	c->to_child = down[1];
	assert_int_equal(read(up[0], &word, 1), 1);
	snprintf(here, sizeof(here), "host%u", n);
	snprintf(there, sizeof(there), "peer%u", n);
	snprintf(pid, sizeof(pid), "%d", c->pid);
	snprintf(gateway, sizeof(gateway), "10.77.%u.1/24", n);
	IP("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", pid);
	IP("address", "add", gateway, "dev", here);
	IP("link", "set", here, "up");
	assert_int_equal(write(c->to_child, "g", 1), 1);
	assert_int_equal(read(up[0], &word, 1), 1);
	close(up[0]);
	bundle(c, pod, "db");
}

static void container_end(struct container *c)
{
	if (!c->pid)
		return;
	close(c->to_child);
	/* Its server ends with it. */
	kill(c->pid, SIGKILL);
	assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
	c->pid = 0;
	for (int i = 0; rmdir(c->cgroup) < 0 && i < 200; i++)
		usleep(10000); /* the kernel takes its time with the last process of a cgroup */
	assert_int_equal(access(c->cgroup, F_OK), -1);
}

/* ---- the client, on our side of the veth pair */

struct answer {
	int status;
	uint64_t ns;
};

static struct answer ask(const struct container *c)
{
	static const char request[] = "GET /200/5 HTTP/1.1\r\nHost: x\r\n\r\n";
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	const struct timeval patience = { .tv_sec = 5 };
	struct answer got = { 0 };
	char text[512];

	assert_int_equal(inet_pton(AF_INET, c->address, &a.sin_addr), 1);
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return got;
	uint64_t begin = clock_mono_ns();
	assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	got.ns = clock_mono_ns() - begin;
	if (n > 0) {
		text[n] = '\0';
		sscanf(text, "HTTP/1.1 %d", &got.status);
	}
	return got;
}

/* ---- set-up */

static const struct service *service_of(const struct registry *r, const struct container *c)
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
	const struct registry_options o = {
		.discover = discover,
		.grace_ns = 30 * NSEC_PER_SEC,
		.targets = { .ctx = t, .describe = describe, .find = find },
		.below = parent,
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
	snprintf(c.run_dir, sizeof(c.run_dir), "%s/run", dir);
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
	struct container a = { 0 }, b = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	struct service s;
	struct problem p = { 0 };
	struct target_selector sel;

	if (shim <= 0)
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	container_start(&a, "db-7d4b9c6f5-x2x4z");
	container_start(&b, "db-7d4b9c6f5-kk8w9");
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
	assert_int_equal(sa->ports[0], PORT);
	assert_int_not_equal(sa->netns_ino, netns_ino());
	assert_int_not_equal(sa->netns_ino, sb->netns_ino);
	assert_ptr_equal(registry_by_pid(r, a.pid), sa);
	/* Ports of other namespaces are not ours. */
	assert_null(registry_by_port(r, PORT));

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
	assert_int_equal(registry_attach(r, &by_pod, 2, &s, &p), -ENOENT);
	assert_int_equal(target_selector_parse(TARGET_CONTAINER, "nobody", &sel, &p), 0);
	assert_int_equal(registry_attach(r, &by_id, 2, &s, &p), -ENOENT);
	assert_int_equal(p.status, 404);
	container_end(&a);
	container_end(&b);
}

static void test_targets_one_is_hurt_and_its_neighbour_is_not(void **state)
{
	(void)state;
	struct container a = { 0 }, b = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	struct problem p = { 0 };

	if (shim <= 0)
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	CLEANUP(faults_freep) struct faults *f = injector();
	container_start(&a, "db-7d4b9c6f5-x2x4z");
	container_start(&b, "db-7d4b9c6f5-kk8w9");
	look(t, r, 1);
	const struct service *s = service_of(r, &a);
	assert_non_null(s);

	struct fault late = arm(f, s, "{\"type\":\"timeout\",\"delay_ms\":400,\"service\":\"x\"}");
	struct answer hurt = ask(&a), well = ask(&b);
	print_message("timeout of 400 ms by %s: %.1f ms, its neighbour %.1f ms\n", late.backend,
		      (double)hurt.ns / 1e6, (double)well.ns / 1e6);
	assert_int_equal(hurt.status, 200);
	assert_int_equal(well.status, 200);
	assert_true(hurt.ns >= 395 * NSEC_PER_MSEC);
	assert_true(well.ns < 200 * NSEC_PER_MSEC);
	/* What was made for it stands in its own namespace, not in ours. */
	assert_int_equal(netfilter_count(NULL), 0);
	assert_int_equal(faults_disarm(f, late.id, NULL, &p), 0);
	assert_true(ask(&a).ns < 200 * NSEC_PER_MSEC);

	struct fault error = arm(f, s, "{\"type\":\"error\",\"status\":503,\"service\":\"x\"}");
	assert_int_equal(ask(&a).status, 503);
	assert_int_equal(ask(&b).status, 200);
	assert_int_equal(faults_disarm(f, error.id, NULL, &p), 0);
	assert_int_equal(ask(&a).status, 200);
	container_end(&a);
	container_end(&b);
}

static int count_rules(void *ctx)
{
	*(int *)ctx = netfilter_count(NULL);
	return 0;
}

static void test_targets_nothing_stays_in_the_namespace(void **state)
{
	(void)state;
	struct container a = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	int during = -1, after = -1;
	char says[1024];

	if (shim <= 0)
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	container_start(&a, "db-7d4b9c6f5-x2x4z");
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
	snprintf(says, sizeof(says), "%s/run", dir);
	assert_true(faults_recover(says, says, sizeof(says)) >= 0);
	assert_true(ask(&a).ns < 200 * NSEC_PER_MSEC);
	container_end(&a);
}

static void test_targets_a_successor_keeps_name_and_id(void **state)
{
	(void)state;
	struct container a = { 0 }, next = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	struct fault got;

	if (shim <= 0)
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	CLEANUP(faults_freep) struct faults *f = injector();
	container_start(&a, "db-7d4b9c6f5-x2x4z");
	look(t, r, 1);
	const struct service *s = service_of(r, &a);
	assert_non_null(s);
	uint32_t id = s->id, netns = s->netns_ino, instance = s->instance;
	registry_changes(r, tell, f);
	struct fault ends = arm(f, s, "{\"type\":\"error\",\"service\":\"x\"}");
	struct fault goes_on = arm(
		f, s,
		"{\"type\":\"timeout\",\"delay_ms\":300,\"duration_s\":100,\"service\":\"x\",\"on_replace\":\"follow\"}");

	container_end(&a);
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
	container_start(&next, "db-7d4b9c6f5-99qrt");
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
	struct answer hurt = ask(&next);
	assert_int_equal(hurt.status, 200);
	assert_true(hurt.ns >= 295 * NSEC_PER_MSEC);
	container_end(&next);
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
	struct container a = { 0 }, b = { 0 };
	CLEANUP(targets_freep) struct targets *t = NULL;
	const struct observer_options o = { 0 };
	CLEANUP(observer_closep) struct observer *obs = NULL;
	CLEANUP(tick_release) struct tick tick = { 0 };
	struct problem p = { 0 };

	if (shim <= 0)
		skip();

	assert_int_equal(targets_new("", &t), 0);
	CLEANUP(registry_freep) struct registry *r = fresh(t, true);
	assert_int_equal(observer_open(&o, &obs, &p), 0);
	container_start(&a, "db-7d4b9c6f5-x2x4z");
	container_start(&b, "db-7d4b9c6f5-kk8w9");
	look(t, r, 1);
	for (size_t i = 0; i < registry_count(r); i++)
		assert_int_equal(observer_set_service(obs, registry_at(r, i)), 0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(ask(&a).status, 200);
	for (int i = 0; i < 7; i++)
		assert_int_equal(ask(&b).status, 200);
	assert_int_equal(observer_read(obs, clock_mono_ns(), r, &tick), 0);
	assert_int_equal(sample_of(&tick, service_of(r, &a)->id)->requests, 30);
	assert_int_equal(sample_of(&tick, service_of(r, &b)->id)->requests, 7);
	container_end(&a);
	container_end(&b);
}

/* ---- all of it */

static int set_up(void **state)
{
	char path[256];
	int ready[2];
	char word;

	(void)state;
	if (netns_enter() || cgroup_root(cgroup_root_path) || !mkdtemp(dir)) {
		printf("SKIP test_targets: a network namespace, cgroup v2 and root are needed\n");
		return 0;
	}
	snprintf(parent, sizeof(parent), "/archaic-targets-%d", getpid());
	snprintf(path, sizeof(path), "%.100s%.60s", cgroup_root_path, parent);
	if (mkdir(path, 0755) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/bundles", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/bundles/" SANDBOX, dir);
	mkdir(path, 0700);
	write_file(path, "config.json",
		   "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"sandbox\","
		   "\"io.kubernetes.cri.sandbox-name\":\"db-7d4b9c6f5-x2x4z\"}}");
	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	shim = fork();
	if (shim == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "containerd-shim");
		if (chdir(path) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	bool started = read(ready[0], &word, 1) == 1;
	close(ready[0]);
	close(ready[1]);
	return started ? 0 : -1;
}

static int tear_down(void **state)
{
	char path[256], rm[FAULT_SPAWN_PATH_MAX];

	(void)state;
	if (shim > 0) {
		kill(shim, SIGKILL);
		waitpid(shim, NULL, 0);
	}
	snprintf(path, sizeof(path), "%.100s%.60s", cgroup_root_path, parent);
	if (*parent && rmdir(path) < 0)
		print_error("%s stays: %s\n", path, strerror(errno));
	if (fault_spawn_find("rm", rm))
		fault_spawn((const char *const[]){ rm, "-r", dir, NULL }, WAIT_NS, NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets_two_pods_are_two_services),
		cmocka_unit_test(test_targets_one_is_hurt_and_its_neighbour_is_not),
		cmocka_unit_test(test_targets_nothing_stays_in_the_namespace),
		cmocka_unit_test(test_targets_a_successor_keeps_name_and_id),
		cmocka_unit_test(test_targets_requests_in_a_namespace_are_counted),
	};

	return cmocka_run_group_tests_name("targets", tests, set_up, tear_down);
}
