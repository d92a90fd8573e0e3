// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "fault/undo.h"
#include "fault_server.h"
#include "kernel/cgroup.h"
#include "kernel/netfilter.h"
#include "kernel/qdisc.h"
#include "kernel/tc.h"
#include "netns.h"

bool fault_rig_available(const char *name)
{
	char root[PATH_MAX];

	if (geteuid() == 0 && cgroup_root(root) == 0)
		return true;
	print_message("SKIP %s: needs root and cgroup v2\n", name);
	return false;
}

static int rig_family;

static void start_server(struct fault_rig *r)
{
	char path[300];
	int ready[2];

	snprintf(path, sizeof(path), "%s/cgroup.procs", r->cgroup_dir);
	CLEANUP(closep) int procs = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(procs >= 0);
	assert_int_equal(pipe(ready), 0);
	r->server = fork();
	assert_true(r->server >= 0);
	if (r->server == 0)
		fault_server_main(rig_family, (uint16_t[]){ r->port, r->other_port }, procs,
				  ready[1]);
	char c;
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	r->service.pids[0] = r->server;
	r->service.nr_pids = 1;
	r->service.main_start_ticks = undo_start_ticks(r->server);
}

void fault_rig_start(struct fault_rig *r, int family)
{
	char root[PATH_MAX];
	static int nr;

	*r = (struct fault_rig){ .port = 18001, .other_port = 18002 };
	rig_family = family;
	assert_int_equal(netns_enter(), 0);
	assert_int_equal(cgroup_root(root), 0);
	snprintf(r->service.cgroup, sizeof(r->service.cgroup), "/archaic-test-%d-%d", getpid(),
		 ++nr);
	snprintf(r->cgroup_dir, sizeof(r->cgroup_dir), "%.100s%.100s", root, r->service.cgroup);
	assert_int_equal(mkdir(r->cgroup_dir, 0755), 0);
	snprintf(r->run_dir, sizeof(r->run_dir), "/tmp/archaic-fault-XXXXXX");
	assert_non_null(mkdtemp(r->run_dir));
	r->service.id = 1;
	snprintf(r->service.name, sizeof(r->service.name), "victim");
	r->service.netns_ino = netns_ino();
	r->service.ports[0] = r->port;
	r->service.nr_ports = 1;
	r->service.own_cgroup = true;
	start_server(r);
}

static void end_server(struct fault_rig *r)
{
	if (r->server > 0) {
		kill(r->server, SIGKILL);
		waitpid(r->server, NULL, 0);
	}
	r->server = 0;
}

struct fault_rig *fault_rig_set_up(void **state, const char *name, int family)
{
	static struct fault_rig r;

	*state = NULL;
	if (!fault_rig_available(name))
		return NULL;
	fault_rig_start(&r, family);
	*state = &r;
	return &r;
}

int fault_rig_tear_down(void **state)
{
	if (*state)
		fault_rig_stop(*state);
	return 0;
}

struct fault_rig *fault_rig_need(void **state)
{
	if (!*state)
		skip();
	return *state;
}

void fault_rig_restart(struct fault_rig *r)
{
	end_server(r);
	start_server(r);
	if (r->faults)
		faults_service(r->faults, &r->service);
}

void fault_rig_faults(struct fault_rig *r)
{
	struct faults_config cfg;

	faults_config_default(&cfg);
	snprintf(cfg.run_dir, sizeof(cfg.run_dir), "%s", r->run_dir);
	snprintf(cfg.avoid, sizeof(cfg.avoid), "%s", r->avoid ? r->avoid : "");
	assert_int_equal(faults_new(&cfg, &r->faults), 0);
}

void fault_rig_stop(struct fault_rig *r)
{
	char path[128];

	faults_free(r->faults);
	r->faults = NULL;
	end_server(r);
	for (int i = 0; rmdir(r->cgroup_dir) < 0 && errno == EBUSY && i < 200; i++)
		fault_rig_sleep_ms(5);
	snprintf(path, sizeof(path), "%s/" JOURNAL_FILE, r->run_dir);
	unlink(path);
	rmdir(r->run_dir);
}

int fault_rig_try(struct fault_rig *r, const char *body, struct fault *ret)
{
	struct fault_request req;
	struct problem p = { .status = 0 };
	const char *why = NULL;
	CLEANUP(json_freep) cJSON *j = NULL;

	int err = json_parse(body, strlen(body), &j, &why);
	if (!err)
		err = fault_request_parse(j, &req, &p);
	if (!err)
		err = faults_arm(r->faults, &req, &r->service, false, ret, &p);
	if (err)
		print_error("%d %s\n", p.status, p.detail);
	return err;
}

struct fault fault_rig_arm(struct fault_rig *r, const char *body)
{
	struct fault f = { .id = "" };

	assert_int_equal(fault_rig_try(r, body, &f), 0);
	return f;
}

struct fault fault_rig_look(struct fault_rig *r, const char *id)
{
	struct fault f;

	faults_tick(r->faults, clock_boot_ns(), NULL, NULL);
	assert_int_equal(faults_find(r->faults, id, &f), 0);
	return f;
}

/* ---- the draw */

bool fault_rig_drawn(uint64_t seed, uint64_t n, double p)
{
	uint64_t z = seed + (n + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (double)((z ^ z >> 31) >> 32) < p * 4294967296.0;
}

void fault_rig_assert_share(const char *what, uint64_t hit, uint64_t n, double p)
{
	double error = 4 * sqrt(p * (1 - p) / (double)n), share = (double)hit / (double)n;

	print_message("%s: drew %.4f of %llu, asked %.2f +- %.4f\n", what, share,
		      (unsigned long long)n, p, error);
	assert_true(fabs(share - p) <= error);
}

/* ---- the client */

int fault_rig_connect(uint16_t port, bool v6)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(0x7f000001) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
				    .sin6_port = htons(port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if ((v6 ? connect(fd, (void *)&in6, sizeof(in6)) : connect(fd, (void *)&in, sizeof(in))) <
	    0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Is a whole answer in @buf? Its length, or 0. */
static size_t whole(const char *buf, size_t n, struct fault_answer *a)
{
	const char *end = n ? memmem(buf, n, "\r\n\r\n", 4) : NULL;

	if (!end || sscanf(buf, "HTTP/1.1 %d", &a->status) != 1)
		return 0;
	size_t head = (size_t)(end - buf) + 4;
	snprintf(a->head, sizeof(a->head), "%.*s", (int)head, buf);
	const char *length = strstr(a->head, "Content-Length: ");
	a->len = length ? strtoul(length + 16, NULL, 10) : 0;
	if (n < head + a->len || a->len >= sizeof(a->body))
		return 0;
	memcpy(a->body, buf + head, a->len);
	a->body[a->len] = '\0';
	return head + a->len;
}

int fault_rig_hear(int fd, int timeout_ms, char *left, size_t *nr_left, struct fault_answer *ret)
{
	char buf[65536];
	size_t n = *nr_left;
	uint64_t until = clock_mono_ns() + (uint64_t)timeout_ms * NSEC_PER_MSEC;

	memcpy(buf, left, n);
	*ret = (struct fault_answer){ .status = 0 };
	for (;;) {
		size_t used = whole(buf, n, ret);

		if (used) {
			*nr_left = n - used;
			memmove(left, buf + used, n - used);
			return ret->status;
		}
		uint64_t now = clock_mono_ns();
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t got = 0;
		if (now < until && poll(&p, 1, (int)((until - now) / NSEC_PER_MSEC) + 1) > 0)
			got = recv(fd, buf + n, sizeof(buf) - n, 0);
		if (got <= 0) {
			ret->status = 0;
			return 0;
		}
		n += (size_t)got;
	}
}

int fault_rig_get(int fd, const char *path, int timeout_ms, struct fault_answer *ret)
{
	char request[512], left[65536];
	size_t nr_left = 0;
	uint64_t start = clock_mono_ns();

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n",
		 path);
	*ret = (struct fault_answer){ .status = 0 };
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return 0;
	int status = fault_rig_hear(fd, timeout_ms, left, &nr_left, ret);
	ret->ns = clock_mono_ns() - start;
	return status;
}

uint64_t fault_rig_get_big(int fd, int timeout_ms)
{
	static const char request[] = "GET /big HTTP/1.1\r\nHost: x\r\n\r\n";
	static char buf[1 << 16];
	uint64_t start = clock_mono_ns(), until = start + (uint64_t)timeout_ms * NSEC_PER_MSEC;
	size_t n = 0, whole = 0;

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return 0;
	do {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_mono_ns();
		ssize_t got = 0;

		if (now < until && poll(&p, 1, (int)((until - now) / NSEC_PER_MSEC) + 1) > 0)
			got = recv(fd, buf, sizeof(buf), 0);
		if (got <= 0)
			return 0;
		/* The head comes in one piece: it is sent in one. */
		const char *end = whole ? NULL : memmem(buf, (size_t)got, "\r\n\r\n", 4);
		if (!whole && (!end || memcmp(buf, "HTTP/1.1 200", 12) != 0))
			return 0;
		if (!whole)
			whole = (size_t)(end - buf) + 4 + FAULT_RIG_BIG;
		n += (size_t)got;
	} while (n < whole);
	return n == whole ? clock_mono_ns() - start : 0;
}

int fault_rig_once(uint16_t port, const char *path, int timeout_ms, struct fault_answer *ret)
{
	CLEANUP(closep) int fd = fault_rig_connect(port, false);

	*ret = (struct fault_answer){ .status = 0 };
	return fd < 0 ? 0 : fault_rig_get(fd, path, timeout_ms, ret);
}

/* ---- leftovers */

static bool has_child_of_ours(const struct fault_rig *r)
{
	char path[300];
	bool found = false;
	DIR *proc = opendir("/proc");

	(void)r;
	for (struct dirent *d; proc && (d = readdir(proc));) {
		char comm[32] = "";
		struct stat st;

		snprintf(path, sizeof(path), "/proc/%.200s/ns/net", d->d_name);
		if (stat(path, &st) < 0 || st.st_ino != netns_ino())
			continue;
		snprintf(path, sizeof(path), "/proc/%.200s/comm", d->d_name);
		CLEANUP(fclosep) FILE *f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f) &&
		    (!strncmp(comm, UNDO_BURNER_NAME, 14) || !strncmp(comm, UNDO_VERDICT_NAME, 15)))
			found = true;
	}
	if (proc)
		closedir(proc);
	return found;
}

bool fault_rig_fq_of_ours(void)
{
	struct tc_device dev[TC_DEVICES_MAX];
	int n = tc_devices(dev);

	for (int i = 0; i < n; i++) {
		struct qdisc_info info;

		if (qdisc_look(dev[i].ifindex, &info) == 0 && info.root == QDISC_ROOT_OURS)
			return true;
	}
	return false;
}

bool fault_rig_nothing_left(const struct fault_rig *r)
{
	struct tc_device dev[TC_DEVICES_MAX];
	int n = tc_devices(dev), rules = netfilter_count(NULL);
	bool clean = n >= 0;

	if (rules) {
		print_error("netfilter rules left: %d\n", rules);
		clean = false;
	}
	for (int i = 0; i < n; i++) {
		struct qdisc_info info;

		if (qdisc_look(dev[i].ifindex, &info) < 0 || info.clsact ||
		    info.root != QDISC_ROOT_DEFAULT) {
			print_error("qdisc left on %s\n", dev[i].name);
			clean = false;
		}
	}
	if (has_child_of_ours(r)) {
		print_error("a helper process is left\n");
		clean = false;
	}
	return clean;
}

void fault_rig_sleep_ms(int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * (long)NSEC_PER_MSEC };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}
