// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * archaic-supervise: starts programs, each in a cgroup of its own, and starts
 * again what dies. It knows nothing of the daemon, and survives it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "kernel/cgroup.h"
#include "tools/supervise/cgroup.h"
#include "tools/supervise/child.h"
#include "tools/supervise/config.h"
#include "tools/supervise/logfile.h"

/* A service finishes what it has begun for up to 5 s. */
#define STOP_GRACE_NS (8 * NSEC_PER_SEC)
#define KILL_GRACE_NS (2 * NSEC_PER_SEC)
#define HOUSEKEEPING_NS (5 * NSEC_PER_SEC)
#define CUT_MAX 8

struct supervisor {
	const char *run_dir, *cgroup_parent, *name, *config;
	const char *cut[CUT_MAX]; /* files of others that are kept bounded too */
	size_t nr_cut;
	bool help;
	struct child children[CHILDREN_MAX];
	size_t nr;
	bool stopping;
	uint64_t deadline_ns; /* while stopping: then SIGKILL */
	bool killed;
};

static const char usage[] =
	"usage: archaic-supervise --run-dir DIR [OPTION...] [--name NAME] -- PROGRAM [ARG...]\n"
	"       archaic-supervise --run-dir DIR [OPTION...] --config FILE\n\n"
	"  --run-dir DIR    NAME.pid, NAME.log and supervise.pid go there\n"
	"  --cgroup PARENT  below the cgroup v2 mount; default /archaic; each program gets PARENT/NAME\n"
	"  --cut FILE       keep this log short too (up to 8): at 32 MiB it becomes FILE.1, as NAME.log does\n"
	"  --name NAME      default: the program's file name\n"
	"  --config FILE    several: [NAME] sections with command = PROGRAM ARG...\n\n"
	"What dies is started again after 100 ms, doubling to 5 s; after 10 s up, from 100 ms again.\n"
	"SIGTERM and SIGINT stop everything: SIGTERM first, after 8 s SIGKILL.\n\n"
	"EXAMPLES\n"
	"  archaic-supervise --run-dir /run/shop --name db-service -- build/bin/db-service --port 8002\n";

static int read_options(int argc, char **argv, struct supervisor *s)
{
	static const struct option longs[] = { { "run-dir", required_argument, NULL, 'r' },
					       { "cgroup", required_argument, NULL, 'c' },
					       { "cut", required_argument, NULL, 'l' },
					       { "name", required_argument, NULL, 'n' },
					       { "config", required_argument, NULL, 'f' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	int c;

	s->cgroup_parent = "/archaic";
	while ((c = getopt_long(argc, argv, "+h", longs, NULL)) != -1) {
		if (c == 'r')
			s->run_dir = optarg;
		else if (c == 'c')
			s->cgroup_parent = optarg;
		else if (c == 'l' && s->nr_cut < CUT_MAX)
			s->cut[s->nr_cut++] = optarg;
		else if (c == 'n')
			s->name = optarg;
		else if (c == 'f')
			s->config = optarg;
		else if (c == 'h')
			s->help = true;
		else
			return -EINVAL;
	}
	if (s->help)
		return 0;
	if (!s->run_dir || !s->config == (optind == argc) || argc - optind > CHILD_ARGS_MAX)
		return -EINVAL;
	return *s->cgroup_parent == '/' && !strstr(s->cgroup_parent, "..") ? 0 : -EINVAL;
}

/* Children out of the options. 0 or -errno, logged. */
static int load(struct supervisor *s, char **args, char **words)
{
	char why[320] = "";

	if (s->config) {
		int err = children_load(s->config, s->children, &s->nr, words, why, sizeof(why));
		if (err)
			log_error("%s", why);
		return err;
	}

	const char *slash = strrchr(args[0], '/');
	const char *name = s->name ?: slash ? slash + 1 : args[0];
	if (!child_name_valid(name)) {
		log_error("the name is %s; it must be of [A-Za-z0-9._-], shorter than %d", name,
			  CHILD_NAME_MAX);
		return -EINVAL;
	}
	snprintf(s->children[0].name, CHILD_NAME_MAX, "%s", name);
	for (size_t i = 0; args[i]; i++)
		s->children[0].argv[i] = args[i];
	s->nr = 1;
	return 0;
}

static int take_run_dir(const char *dir)
{
	char path[PATH_MAX], text[32] = "";

	if (mkdir(dir, 0755) && errno != EEXIST) {
		log_error("cannot make %s: %s", dir, strerror(errno));
		return -1;
	}
	snprintf(path, sizeof(path), "%.4000s/supervise.pid", dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		log_error("cannot write %s: %s", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		ssize_t n = read(fd, text, sizeof(text) - 1);
		text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
		log_error("a supervisor (pid %s) has %s already", *text ? text : "unknown", dir);
		close(fd);
		return -1;
	}
	int n = snprintf(text, sizeof(text), "%d\n", getpid());
	if (ftruncate(fd, 0) || write(fd, text, (size_t)n) != n)
		log_warning("cannot write %s: %s", path, strerror(errno));
	return fd;
}

static int prepare(struct supervisor *s)
{
	char mount[PATH_MAX] = "";

	if (cgroup_root(mount))
		log_warning("no cgroup v2 is mounted: programs share ours");
	for (size_t i = 0; i < s->nr; i++) {
		struct child *c = &s->children[i];
		c->run_dir = s->run_dir;
		if (!*mount)
			continue;
		snprintf(c->cgroup, sizeof(c->cgroup), "%.2000s%.1000s/%s", mount, s->cgroup_parent,
			 c->name);
		int err = child_prepare(c);
		if (err == -EROFS || err == -EACCES || err == -EPERM) {
			/* In a container, for one: better without a cgroup of its own than not at all. */
			log_warning("cannot make the cgroup %s (%s): %s shares ours", c->cgroup,
				    strerror(-err), c->name);
			c->cgroup[0] = '\0';
			continue;
		}
		if (err) {
			log_error("cannot use the cgroup %s: %s", c->cgroup,
				  err == -EBUSY ? "a process lives in it" : strerror(-err));
			return err;
		}
	}
	return 0;
}

static void start_due(struct supervisor *s, uint64_t now_ns)
{
	for (size_t i = 0; i < s->nr && !s->stopping; i++) {
		struct child *c = &s->children[i];
		if (c->pid || c->restart_at_ns > now_ns)
			continue;
		int err = child_start(c, now_ns);
		if (!c->pid) {
			log_as(c->name, LOG_LEVEL_ERROR, NULL, "cannot start: %s", strerror(-err));
			c->backoff_ns = child_backoff_ns(c->backoff_ns, 0);
			c->restart_at_ns = now_ns + c->backoff_ns;
			continue;
		}
		log_as(c->name, LOG_LEVEL_INFO, NULL, "started as pid %d%s%s", c->pid,
		       *c->cgroup ? " in " : "", c->cgroup);
		if (err)
			log_as(c->name, LOG_LEVEL_WARNING, NULL, "cannot write the pid file: %s",
			       strerror(-err));
	}
}

static void reaped(struct supervisor *s, pid_t pid, int status, uint64_t now_ns)
{
	for (size_t i = 0; i < s->nr; i++) {
		struct child *c = &s->children[i];
		if (c->pid != pid)
			continue;
		double up_s = (double)(now_ns - c->started_ns) / 1e9;
		child_died(c, now_ns);
		if (s->stopping)
			return;
		if (WIFSIGNALED(status))
			log_as(c->name, LOG_LEVEL_WARNING, NULL,
			       "died of signal %d after %.1f s; starting again in %u ms",
			       WTERMSIG(status), up_s,
			       (unsigned int)(c->backoff_ns / NSEC_PER_MSEC));
		else
			log_as(c->name, LOG_LEVEL_WARNING, NULL,
			       "exited with %d after %.1f s; starting again in %u ms",
			       WEXITSTATUS(status), up_s,
			       (unsigned int)(c->backoff_ns / NSEC_PER_MSEC));
		return;
	}
	/* Somebody's orphan: being the subreaper, we have buried it. */
}

static void reap(struct supervisor *s, uint64_t now_ns)
{
	int status;

	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		reaped(s, pid, status, now_ns);
}

static void begin_stop(struct supervisor *s, uint64_t now_ns)
{
	s->deadline_ns = s->stopping ? now_ns : now_ns + STOP_GRACE_NS;
	s->stopping = true;
	for (size_t i = 0; i < s->nr; i++)
		if (s->children[i].pid) {
			kill(s->children[i].pid, SIGTERM);
			kill(s->children[i].pid, SIGCONT); /* a stopped one could not hear */
		}
}

static void kill_rest(struct supervisor *s)
{
	s->killed = true;
	for (size_t i = 0; i < s->nr; i++) {
		if (!s->children[i].pid)
			continue;
		log_as(s->children[i].name, LOG_LEVEL_WARNING, NULL,
		       "did not stop in time: killed");
		kill(s->children[i].pid, SIGKILL);
		if (*s->children[i].cgroup)
			cgroup_kill(s->children[i].cgroup);
	}
}

static size_t nr_running(const struct supervisor *s)
{
	size_t nr = 0;

	for (size_t i = 0; i < s->nr; i++)
		nr += s->children[i].pid != 0;
	return nr;
}

static int next_timeout_ms(const struct supervisor *s, uint64_t now_ns)
{
	uint64_t next = now_ns + HOUSEKEEPING_NS;

	if (s->stopping)
		next = MIN(next, s->deadline_ns);
	for (size_t i = 0; i < s->nr && !s->stopping; i++)
		if (!s->children[i].pid)
			next = MIN(next, s->children[i].restart_at_ns);
	return next <= now_ns ? 0 : (int)((next - now_ns) / NSEC_PER_MSEC) + 1;
}

static void on_signal(struct supervisor *s, int sfd, uint64_t now_ns)
{
	struct signalfd_siginfo info;

	while (read(sfd, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
			log_info("stopping on signal %u", info.ssi_signo);
			begin_stop(s, now_ns);
		}
}

static void cut_logs(const struct supervisor *s)
{
	for (size_t i = 0; i < s->nr; i++)
		child_cut_log(&s->children[i]);
	for (size_t i = 0; i < s->nr_cut; i++)
		logfile_cut(s->cut[i]);
}

static void run(struct supervisor *s, int sfd)
{
	uint64_t housekeeping_ns = 0;

	while (!s->stopping || nr_running(s)) {
		uint64_t now_ns = clock_mono_ns();
		start_due(s, now_ns);
		if (s->stopping && !s->killed && now_ns >= s->deadline_ns) {
			kill_rest(s);
			s->deadline_ns = UINT64_MAX;
		}
		if (now_ns >= housekeeping_ns) {
			cut_logs(s);
			housekeeping_ns = now_ns + HOUSEKEEPING_NS;
		}
		struct pollfd p = { .fd = sfd, .events = POLLIN };
		poll(&p, 1, next_timeout_ms(s, now_ns));
		on_signal(s, sfd, clock_mono_ns());
		reap(s, clock_mono_ns());
	}
}

/* A cgroup is busy until the last of its dead has been waited for. */
static int clean_up(struct supervisor *s)
{
	uint64_t until_ns = clock_mono_ns() + KILL_GRACE_NS;
	size_t left = s->nr;

	while (left && clock_mono_ns() < until_ns) {
		left = 0;
		reap(s, clock_mono_ns());
		for (size_t i = 0; i < s->nr; i++) {
			if (*s->children[i].cgroup)
				cgroup_kill(s->children[i].cgroup);
			left += child_remove(&s->children[i]) != 0;
		}
		if (left)
			usleep(10000);
	}
	if (left)
		log_error("%zu cgroups below %s could not be removed", left, s->cgroup_parent);
	return left ? 1 : 0;
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGHUP, SIG_IGN); /* a terminal that closes is no reason */
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
	static struct supervisor s;
	CLEANUP(freep) char *words = NULL;

	log_init("archaic-supervise", STDERR_FILENO, LOG_LEVEL_INFO);
	if (read_options(argc, argv, &s)) {
		fputs(usage, stderr);
		return 2;
	}
	if (s.help) {
		fputs(usage, stdout);
		return 0;
	}
	if (load(&s, argv + optind, &words))
		return 2;

	CLEANUP(closep) int lock = take_run_dir(s.run_dir);
	CLEANUP(closep) int sfd = open_signals();
	if (lock < 0 || sfd < 0)
		return 1;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (prepare(&s))
		return 1;
	run(&s, sfd);
	int status = clean_up(&s);
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%.4000s/supervise.pid", s.run_dir);
	unlink(path);
	return status;
}
