// SPDX-License-Identifier: GPL-2.0-or-later
#include "played.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
#include "httpd.h"
#include "kernel/cgroup.h"
#include "kernel/fault_spawn.h"
#include "netns.h"

#define WAIT_NS (10 * NSEC_PER_SEC)
#define SANDBOX "5a00000000000000000000000000000000000000000000000000000000000000"

static char dir[] = "/var/tmp/archaic-played-XXXXXX", cgroup_root_path[PATH_MAX], parent[128];
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

static _Noreturn void live(const struct played *c, int from, int to, const char *address)
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
	if (httpd_start(&h, PLAYED_PORT, false) || write(to, "s", 1) != 1)
		_exit(2);
	pause();
	_exit(0);
}

static void bundle(const struct played *c, const char *pod, const char *image)
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

void played_start(struct played *c, const char *pod)
{
	int down[2], up[2];
	char word, here[16], there[16], pid[16], gateway[20];
	unsigned n = ++made;

	snprintf(c->id, sizeof(c->id), "c0%062x", n);
	snprintf(c->address, sizeof(c->address), "10.77.%u.2", n);
	snprintf(c->pod_cgroup, sizeof(c->pod_cgroup),
		 "%.80s%.40s/pod12345678-1234-1234-1234-%012x", cgroup_root_path, parent, n);
	snprintf(c->cgroup, sizeof(c->cgroup), "%.180s/%s", c->pod_cgroup, c->id);
	assert_int_equal(mkdir(c->pod_cgroup, 0755), 0);
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

void played_end(struct played *c)
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
	assert_int_equal(rmdir(c->pod_cgroup), 0);
}

/* ---- the client, on our side of the veth pair */

struct played_answer played_ask(const struct played *c)
{
	static const char request[] = "GET /200/5 HTTP/1.1\r\nHost: x\r\n\r\n";
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PLAYED_PORT) };
	const struct timeval patience = { .tv_sec = 5 };
	struct played_answer got = { 0 };
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

/* ---- the whole */

bool played_open(const char *name)
{
	char path[256];
	int ready[2];
	char word;

	if (geteuid() || netns_enter() || cgroup_root(cgroup_root_path) || !mkdtemp(dir)) {
		printf("SKIP %s: a network namespace, cgroup v2 and root are needed\n", name);
		return false;
	}
	snprintf(parent, sizeof(parent), "/archaic-played-%d", getpid());
	snprintf(path, sizeof(path), "%.100s%.60s", cgroup_root_path, parent);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/bundles", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/bundles/" SANDBOX, dir);
	assert_int_equal(mkdir(path, 0700), 0);
	write_file(path, "config.json",
		   "{\"annotations\":{\"io.kubernetes.cri.container-type\":\"sandbox\","
		   "\"io.kubernetes.cri.sandbox-name\":\"db-7d4b9c6f5-x2x4z\"}}");
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	shim = fork();
	assert_true(shim >= 0);
	if (shim == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "containerd-shim");
		if (chdir(path) < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &word, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return true;
}

void played_close(void)
{
	char path[256], rm[FAULT_SPAWN_PATH_MAX];

	if (shim <= 0)
		return;
	kill(shim, SIGKILL);
	waitpid(shim, NULL, 0);
	shim = 0;
	snprintf(path, sizeof(path), "%.100s%.60s", cgroup_root_path, parent);
	if (rmdir(path) < 0)
		print_error("%s stays: %s\n", path, strerror(errno));
	if (fault_spawn_find("rm", rm))
		fault_spawn((const char *const[]){ rm, "-r", dir, NULL }, WAIT_NS, NULL);
}

const char *played_dir(void)
{
	return dir;
}

const char *played_parent(void)
{
	return parent;
}
