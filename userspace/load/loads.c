// SPDX-License-Identifier: GPL-2.0-or-later
#include "load/loads.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "load/load_internal.h"

#define ENV_MAX 16
#define LAST_READS 64 /* of what is in the pipe when the child has gone */

struct loads {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	char *program; /* NULL: to be found */
	void (*changed)(void *ctx, const char *json);
	void *ctx;
	struct load kept[LOADS_KEPT_MAX]; /* test nr in slot nr % LOADS_KEPT_MAX */
	uint32_t last;                    /* nr of the newest; 0: none yet */
	pthread_t thread;
	bool has_thread; /* of the newest, running or not joined yet */
	bool running;
	bool stop; /* asked for */
	pid_t pid; /* 0: not forked yet, or reaped */
};

int loads_new(const struct loads_config *c, struct loads **ret)
{
	pthread_condattr_t attr;
	struct loads *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->program = c->program ? strdup(c->program) : NULL;
	if (c->program && !l->program) {
		free(l);
		return -ENOMEM;
	}
	l->changed = c->changed;
	l->ctx = c->ctx;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->ended, &attr);
	pthread_condattr_destroy(&attr);
	*ret = l;
	return 0;
}

/* ---- the generator */

/* Borrowed from our own environment, which nobody changes after the start: keys and tokens stay here. */
static void pick_environment(const char *env[static ENV_MAX])
{
	static const char *const names[] = { "PATH=",
					     "LANG=",
					     "AUTH_SERVICE_URL=",
					     "DB_SERVICE_URL=",
					     "PRODUCT_SERVICE_URL=",
					     "PAYMENT_SERVICE_URL=" };
	size_t nr = 0;

	for (char **e = environ; e && *e && nr < ENV_MAX - 1; e++)
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (!strncmp(*e, names[i], strlen(names[i])))
				env[nr++] = *e;
	env[nr] = NULL;
}

/* Between fork and exec of a process with threads: system calls only. */
static void become(const char *path, const char *const argv[], const char *const env[], int out,
		   pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(1);
	execve(path, (char *const *)argv, (char *const *)env);
	_exit(127);
}

static int spawn(const struct load *t, const char *path, pid_t *ret_pid, int *ret_fd)
{
	const char *argv[] = { LOAD_PROGRAM,
			       "run",
			       t->shape->name,
			       "--json-lines",
			       t->with_failures ? "--with-failures" : NULL,
			       NULL };
	const char *env[ENV_MAX];
	pid_t parent = getpid();
	int ends[2];

	pick_environment(env);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		become(path, argv, env, ends[1], parent);
	int err = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (err) {
		close(ends[0]);
		return err;
	}
	*ret_pid = pid;
	*ret_fd = ends[0];
	return 0;
}

/* ---- the test's thread */

struct reader {
	struct loads *loads;
	struct load *test; /* in its slot; written under the lock */
	int fd;
	char line[LOADS_LINE_MAX];
	size_t len;
	bool too_long;
	bool late, termed;
	uint64_t kill_ns; /* when SIGKILL follows SIGTERM */
};

static void tell(struct loads *l, const struct load *t)
{
	pthread_mutex_lock(&l->lock);
	CLEANUP(json_freep) cJSON *o = load_json(t, clock_wall_ms());
	pthread_mutex_unlock(&l->lock);
	CLEANUP(json_textp) char *text = o ? cJSON_PrintUnformatted(o) : NULL;
	if (text && l->changed)
		l->changed(l->ctx, text);
}

static void end_line(struct reader *r)
{
	struct loads *l = r->loads;

	pthread_mutex_lock(&l->lock);
	bool ours = false;
	if (r->too_long)
		r->test->bad_lines++;
	else
		ours = load_line(r->test, r->line, r->len);
	pthread_mutex_unlock(&l->lock);
	r->len = 0;
	r->too_long = false;
	if (ours)
		tell(l, r->test);
}

/* False: nothing will come any more. */
static bool take_bytes(struct reader *r)
{
	char bytes[4096];
	ssize_t n = read(r->fd, bytes, sizeof(bytes));

	if (n <= 0)
		return n < 0 && errno == EINTR;
	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == '\n')
			end_line(r);
		else if (r->len < sizeof(r->line))
			r->line[r->len++] = bytes[i];
		else
			r->too_long = true;
	}
	return true;
}

static void watch_time(struct reader *r, uint64_t now_ns)
{
	struct loads *l = r->loads;

	pthread_mutex_lock(&l->lock);
	bool late = now_ns > r->test->deadline_ns;
	if (!r->termed && (l->stop || late)) {
		r->termed = true;
		r->late = late && !l->stop;
		r->kill_ns = now_ns + LOADS_GRACE_S * NSEC_PER_SEC;
		kill(l->pid, SIGTERM);
	} else if (r->termed && now_ns > r->kill_ns) {
		kill(l->pid, SIGKILL);
	}
	pthread_mutex_unlock(&l->lock);
}

/* Until its last line. A grandchild that holds the pipe does not keep us when the child itself is gone. */
static void follow(struct reader *r, siginfo_t *info)
{
	bool open_end = true;

	for (unsigned after = 0; after < LAST_READS;) {
		struct pollfd p = { .fd = open_end ? r->fd : -1, .events = POLLIN };
		int n = poll(&p, 1, 100);
		if (n > 0)
			open_end = take_bytes(r);
		watch_time(r, clock_mono_ns());
		*info = (siginfo_t){ 0 };
		if (waitid(P_PID, (id_t)r->loads->pid, info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info->si_pid)
			after += n > 0 ? 1 : LAST_READS;
	}
}

static void finish(struct loads *l, struct load *t, const siginfo_t *info, bool late)
{
	siginfo_t gone;

	pthread_mutex_lock(&l->lock);
	waitid(P_PID, (id_t)l->pid, &gone, WEXITED);
	l->pid = 0;
	load_ended(t, info->si_code, info->si_status, l->stop, late, clock_wall_ms());
	l->running = false;
	pthread_cond_broadcast(&l->ended);
	pthread_mutex_unlock(&l->lock);
	tell(l, t);
}

static void could_not(struct loads *l, struct load *t, const char *why)
{
	pthread_mutex_lock(&l->lock);
	t->state = LOAD_ERROR;
	t->ended_ms = clock_wall_ms();
	t->remaining_s = 0;
	snprintf(t->says, sizeof(t->says), "%s", why);
	l->running = false;
	pthread_cond_broadcast(&l->ended);
	pthread_mutex_unlock(&l->lock);
	tell(l, t);
}

static void *run(void *arg)
{
	struct loads *l = arg;
	CLEANUP(freep) struct reader *r = calloc(1, sizeof(*r));
	struct load *t = &l->kept[l->last % LOADS_KEPT_MAX];
	char path[PATH_MAX];
	siginfo_t info;
	pid_t pid = 0;

	if (!r || !load_program(l->program, path)) {
		could_not(l, t, r ? "the generator, " LOAD_PROGRAM ", is gone" : "out of memory");
		return NULL;
	}
	*r = (struct reader){ .loads = l, .test = t, .fd = -1 };
	int err = spawn(t, path, &pid, &r->fd);
	if (err) {
		could_not(l, t, strerror(-err));
		return NULL;
	}
	pthread_mutex_lock(&l->lock);
	l->pid = pid;
	pthread_mutex_unlock(&l->lock);
	tell(l, t);
	follow(r, &info);
	finish(l, t, &info, r->late);
	close(r->fd);
	return NULL;
}

/* ---- the calls */

static struct load *find(struct loads *l, const char *id, struct problem *p)
{
	for (size_t i = 0; i < LOADS_KEPT_MAX; i++)
		if (l->kept[i].nr && !strcmp(l->kept[i].id, id))
			return &l->kept[i];
	problem_set(p, 404, "there is no load test %s", id);
	return NULL;
}

static int give(const struct load *t, cJSON **ret)
{
	cJSON *o = load_json(t, clock_wall_ms());

	if (!o)
		return -ENOMEM;
	*ret = o;
	return 0;
}

static const struct load_shape *shape_of(const char *name)
{
	for (const struct load_shape *s = load_shapes(); s->name; s++)
		if (!strcmp(s->name, name))
			return s;
	return NULL;
}

static int begin(struct loads *l, const struct load_shape *shape, bool with_failures)
{
	uint32_t nr = l->last + 1;
	struct load *t = &l->kept[nr % LOADS_KEPT_MAX];

	*t = (struct load){
		.nr = nr,
		.shape = shape,
		.with_failures = with_failures,
		.started_ms = clock_wall_ms(),
		.deadline_ns =
			clock_mono_ns() + (shape->duration_s + LOADS_OVERTIME_S) * NSEC_PER_SEC,
		.remaining_s = shape->duration_s,
		.p50_ms = NAN,
		.p90_ms = NAN,
		.p99_ms = NAN,
	};
	snprintf(t->id, sizeof(t->id), "l-%04u", nr);
	snprintf(t->says, sizeof(t->says), "running: %s", shape->says);
	l->last = nr;
	l->stop = false;
	l->running = true;
	int err = -pthread_create(&l->thread, NULL, run, l);
	l->has_thread = !err;
	if (err) {
		l->running = false;
		*t = (struct load){ 0 };
	}
	return err;
}

/* Under the lock, which the thread of a test that has ended takes once more, to tell of it: let go meanwhile. */
static void join_ended(struct loads *l)
{
	while (!l->running && l->has_thread) {
		pthread_t thread = l->thread;

		l->has_thread = false; /* ours to join, nobody else's */
		pthread_mutex_unlock(&l->lock);
		pthread_join(thread, NULL);
		pthread_mutex_lock(&l->lock);
	}
}

int loads_start(struct loads *l, const char *shape, bool with_failures, cJSON **ret,
		struct problem *p)
{
	const struct load_shape *s = shape_of(shape);
	char path[PATH_MAX];

	if (!s)
		return problem_parameter(p, 400, "shape", shape,
					 "normal, spike, endurance or stress");
	if (!load_program(l->program, path))
		return problem_set(p, 503,
				   "there is no load generator: " LOAD_PROGRAM
				   " is neither beside this program nor in PATH");
	pthread_mutex_lock(&l->lock);
	join_ended(l);
	int err = l->running ? problem_set(p, 409, "load test %s is running; stop it first",
					   l->kept[l->last % LOADS_KEPT_MAX].id) :
			       begin(l, s, with_failures);
	err = err ?: give(&l->kept[l->last % LOADS_KEPT_MAX], ret);
	pthread_mutex_unlock(&l->lock);
	return err;
}

static void await_end(struct loads *l)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	/* The thread looks ten times a second, and kills after LOADS_GRACE_S: a moment more. */
	until.tv_sec += LOADS_GRACE_S + 2;
	while (l->running && !pthread_cond_timedwait(&l->ended, &l->lock, &until))
		;
}

int loads_stop(struct loads *l, const char *id, cJSON **ret, struct problem *p)
{
	pthread_mutex_lock(&l->lock);
	struct load *t = find(l, id, p);
	int err = t ? 0 : -ENOENT;
	if (t && t->state != LOAD_RUNNING)
		err = problem_set(p, 409, "load test %s has ended already: %s", id, t->says);
	if (!err) {
		l->stop = true;
		await_end(l);
		err = give(t, ret);
	}
	pthread_mutex_unlock(&l->lock);
	return err;
}

int loads_get(struct loads *l, const char *id, cJSON **ret, struct problem *p)
{
	pthread_mutex_lock(&l->lock);
	const struct load *t = find(l, id, p);
	int err = t ? give(t, ret) : -ENOENT;
	pthread_mutex_unlock(&l->lock);
	return err;
}

int loads_list(struct loads *l, cJSON **ret)
{
	cJSON *o = cJSON_CreateObject(), *items = cJSON_AddArrayToObject(o, "items");

	pthread_mutex_lock(&l->lock);
	for (uint32_t nr = l->last; nr && l->last - nr < LOADS_KEPT_MAX; nr--)
		if (l->kept[nr % LOADS_KEPT_MAX].nr)
			cJSON_AddItemToArray(
				items, load_json(&l->kept[nr % LOADS_KEPT_MAX], clock_wall_ms()));
	pthread_mutex_unlock(&l->lock);
	if (!o)
		return -ENOMEM;
	*ret = o;
	return 0;
}

int loads_shapes(struct loads *l, cJSON **ret)
{
	cJSON *o = cJSON_CreateObject(), *items = cJSON_AddArrayToObject(o, "items");
	char path[PATH_MAX];
	bool available = load_program(l->program, path);

	for (const struct load_shape *s = load_shapes(); s->name; s++) {
		cJSON *one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "shape", s->name);
		cJSON_AddNumberToObject(one, "vus_max", s->vus_max);
		cJSON_AddNumberToObject(one, "duration_s", s->duration_s);
		cJSON_AddStringToObject(one, "says", s->says);
		cJSON_AddItemToArray(items, one);
	}
	cJSON_AddBoolToObject(o, "available", available);
	cJSON_AddStringToObject(o, "why",
				available ? "" :
					    "there is no load generator: " LOAD_PROGRAM
					    " is neither beside this program nor in PATH");
	if (!o)
		return -ENOMEM;
	*ret = o;
	return 0;
}

void loads_free(struct loads *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_mutex_unlock(&l->lock);
	if (l->has_thread)
		pthread_join(l->thread, NULL);
	pthread_cond_destroy(&l->ended);
	pthread_mutex_destroy(&l->lock);
	free(l->program);
	free(l);
}
