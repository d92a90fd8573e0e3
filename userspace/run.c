// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The only file that knows the whole line: it makes every stage, hands each one
 * the next one's input, and takes them down in the opposite order.
 */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "kernel/cgroup.h"
#include "kernel/cgroup_namespace.h"
#include "kernel/probe.h"
#include "run_export.h"
#include "run_live.h"
#include "run_pages.h"
#include "run_roles.h"

#define EXIT_FAILED 1

/*
 * An abstract socket belongs to a network namespace and goes with its holder, also
 * with kill -9: two daemons on one namespace would fight over its rules and qdiscs.
 */
static int lock_kernel(struct daemon *d)
{
	static const char name[] = "\0archaic-ebpf";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memcpy(a.sun_path, name, sizeof(name) - 1);
	if (bind(fd, (struct sockaddr *)&a,
		 offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1) < 0)
		return -errno;
	d->kernel_lock = TAKE_FD(fd);
	return 0;
}

static int make_dir(const char *path, mode_t mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return 0;
	log_error("cannot make the folder %s: %s", path, strerror(errno));
	return -errno;
}

static void open_store(struct daemon *d)
{
	char path[CONFIG_PATH_MAX + 16];
	struct problem p = { 0 };

	snprintf(path, sizeof(path), "%s/archaic.db", d->config->daemon.state_dir);
	if (store_open(path, &d->store, &p) < 0) {
		d->store = NULL;
		log_error("%s; incidents are kept in memory only", p.detail);
	} else if (store_notice(d->store)) {
		log_warning("%s", store_notice(d->store));
	}
}

static void open_observer(struct daemon *d)
{
	struct problem p = { 0 };
	struct observer_options options = {
		.slow_ns = d->config->observe.slow_ns,
		.sample_every = d->config->observe.sample_every,
		.run_stats = d->config->observe.program_stats,
	};

	if (observer_open(&options, &d->observer, &p) < 0) {
		d->observer = NULL;
		snprintf(d->observer_lack, sizeof(d->observer_lack), "%s", p.detail);
		log_error("nothing can be observed: %s", p.detail);
	}
}

static int open_faults(struct daemon *d)
{
	struct faults_config f;

	run_faults_config(d->config, &f);
	int err = faults_new(&f, &d->faults);
	if (err < 0)
		log_error("cannot set up the fault injector: %s", strerror(-err));
	else if (*faults_recovered(d->faults))
		log_warning("an earlier daemon had left something behind: %s",
			    faults_recovered(d->faults));
	return err;
}

static int open_registry(struct daemon *d)
{
	const uint16_t ours[] = { d->config->ports.operator_port, d->config->ports.detector_port,
				  d->config->ports.dashboard_port, d->config->ports.chaos_port };
	const struct registry_options options = {
		.discover = d->config->observe.discover,
		.skip_ports = ours,
		.nr_skip_ports = ARRAY_SIZE(ours),
		.below = d->config->observe.containers_below,
		.targets = run_targets_ops(d),
	};

	return registry_new(&options, &d->registry);
}

static int open_memory(struct daemon *d)
{
	int err = recent_new(RATE_WINDOW_NS, &d->recent);

	d->requests = requests_new(2048);
	return err ?: d->requests ? err : -ENOMEM;
}

static int open_detection(struct daemon *d)
{
	struct detector_config c;

	detector_config_default(&c);
	c.seed = d->config->detect.seed ?: clock_mono_ns();
	c.shadow_samples = d->config->detect.shadow;
	c.baseline_samples = d->config->detect.baseline;
	c.calm_ticks = d->config->detect.close_ticks;
	c.limits.p99_ms = (double)d->config->detect.static_p99_ns / 1e6;
	c.limits.errors_ratio = d->config->detect.static_errors;
	c.limits.loss_ns = d->config->detect.total_loss_ns;
	return detector_new(&c, &d->detector) ?: diagnoser_new(&d->diagnoser);
}

void daemon_attach_configured(struct daemon *d, const struct config_service *c, uint64_t now_ns)
{
	struct problem p = { 0 };
	struct target_selector target;
	const char *const texts[] = { "", c->container, c->pod, c->unit };
	int asked = run_target_asked(texts, &target, &p);
	struct registry_attach a = {
		.name = c->name,
		.port = c->port,
		.pid = c->pid,
		.cgroup = *c->cgroup ? c->cgroup : NULL,
		.target = asked > 0 ? &target : NULL,
		.later = true,
		.supervised = c->supervised,
	};

	if (asked < 0 || registry_attach(d->registry, &a, now_ns, NULL, &p) < 0)
		log_error("[service %s]: %s", c->name, p.detail);
}

static void on_hold(void *ctx, uint32_t service, uint64_t until_ns)
{
	struct daemon *d = ctx;

	/* An operator's detector does not learn from what is anomalous anyway. */
	if (d->detector)
		detector_hold(d->detector, service, until_ns);
}

static void on_incident(void *ctx, const struct incident *i)
{
	const struct cause *root = incident_root(i);
	const struct incident_event *e = i->nr_timeline ? &i->timeline[i->nr_timeline - 1] : NULL;

	live_incident(ctx, i);
	log_info("incident %s is %s, root cause %s: %s", i->id, incident_state_name(i->state),
		 root ? root->name : "unknown", e ? e->text : "");
}

static int reset_fault(void *ctx, uint32_t service, const char *name, char *says, size_t size)
{
	struct daemon *d = ctx;

	pthread_mutex_lock(&d->lock);
	size_t nr = faults_disarm_service(d->faults, service);
	pthread_mutex_unlock(&d->lock);
	snprintf(says, size, nr ? "disarmed %zu fault(s) on %s" : "%zu faults were armed on %s", nr,
		 name);
	return (int)nr;
}

static int open_engine(struct daemon *d)
{
	struct engine_config c;
	struct engine_ops ops = {
		.ctx = d, .submit = worker_submit, .hold = on_hold, .changed = on_incident
	};

	int err = run_engine_config(d->config, &c);
	if (err)
		return err;
	/* A detector keeps the record of what was wrong; an operator plans and acts. */
	if (d->role == ROLE_DETECTOR) {
		c.mode = GUARD_OBSERVE;
		c.llm.format = LLM_OFF;
	}
	if (c.llm.format != LLM_OFF) {
		err = llm_new(&c.llm, &d->llm);
		if (err < 0)
			return err;
		log_info("plans are asked of %s at %s", c.llm.model, c.llm.base);
	}
	err = facts_new(NULL, &d->facts);
	err = err ?: engine_new(&c, &ops, d->store, clock_mono_ns(), &d->engine);
	explicit_bzero(c.llm.key,
		       sizeof(c.llm.key)); /* struct llm has its own copy, and wipes it */
	d->executor = (struct executor){
		.ctx = d,
		.reset_fault = reset_fault,
		.llm = d->llm,
		.store = d->store,
		.cancel = &d->worker.cancel,
	};
	return err ?: run_change_open(d);
}

static int open_server(struct daemon *d)
{
	const struct config *c = d->config;
	struct problem p = { 0 };
	CLEANUP(freep) char *token = NULL;
	CLEANUP(freep) char *samples_token = NULL;
	CLEANUP(run_pages_release) struct run_pages pages = { 0 };

	if (*c->daemon.token_file && server_read_token(c->daemon.token_file, &token, &p) < 0) {
		log_error("%s", p.detail);
		return -EINVAL;
	}
	struct server_config s = {
		.socket_path = c->daemon.socket,
		.listen = c->daemon.listen,
		.port_operator = c->ports.operator_port,
		.port_detector = c->ports.detector_port,
		.token = token,
		.prometheus_url = *c->prometheus.url ? c->prometheus.url : NULL,
	};
	int err = run_pages_config(c, &pages, &s, &p);
	err = err ?: role_server(d, &s, &samples_token);
	err = err ?: server_start(&s, role_ops(d), d, &d->server, &p);
	if (samples_token)
		explicit_bzero(samples_token, strlen(samples_token));
	if (err < 0)
		log_error("%s", p.detail);
	else if (d->role == ROLE_RUN)
		run_pages_say(c, token, pages.chaos_token ?: token);
	return err;
}

static int on_timer(sd_event_source *s, uint64_t due_us, void *ctx)
{
	struct daemon *d = ctx;
	uint64_t now_ns = clock_mono_ns();

	daemon_tick(d, now_ns);
	/* A tick that came late is not made up for: the next one covers its span. */
	uint64_t next_us = due_us + d->tick_ns / NSEC_PER_USEC;
	if (next_us < now_ns / NSEC_PER_USEC) {
		d->late_ticks++;
		next_us = now_ns / NSEC_PER_USEC + d->tick_ns / NSEC_PER_USEC;
	}
	sd_event_source_set_time(s, next_us);
	return sd_event_source_set_enabled(s, SD_EVENT_ON);
}

static int open_loop(struct daemon *d)
{
	int err = sd_event_default(&d->event);
	if (err < 0)
		return err;
	/* No handler: sd-event ends the loop on both. */
	sd_event_add_signal(d->event, NULL, SIGTERM, NULL, NULL);
	sd_event_add_signal(d->event, NULL, SIGINT, NULL, NULL);
	err = reload_start(d);
	if (err < 0)
		return err;
	/* Only where the unit asks for it. */
	sd_event_set_watchdog(d->event, true);
	return sd_event_add_time(d->event, &d->timer, CLOCK_MONOTONIC,
				 (clock_mono_ns() + d->tick_ns) / NSEC_PER_USEC, 1000, on_timer, d);
}

static void close_all(struct daemon *d)
{
	reload_stop(d);
	server_stop(d->server);
	trace_export_close(d);
	live_close(d);
	worker_stop(d);
	role_close(d);
	engine_free(d->engine);
	facts_free(d->facts);
	changer_free(d->changer);
	llm_free(d->llm);
	faults_free(d->faults);
	observer_close(d->observer);
	recent_free(d->recent);
	requests_free(d->requests);
	diagnoser_free(d->diagnoser);
	detector_free(d->detector);
	registry_free(d->registry);
	targets_free(d->targets);
	store_close(d->store);
	sd_event_source_unref(d->timer);
	sd_event_unref(d->event);
	closep(&d->kernel_lock);
}

static int open_watching(struct daemon *d)
{
	int err = open_faults(d);

	if (err < 0)
		return err;
	/* Later calls, from whatever thread, find the answer there. */
	probe_cached();
	open_observer(d);
	return 0;
}

static int open_stages(struct daemon *d)
{
	int err = live_open(d) ?: run_targets_open(d) ?: open_registry(d) ?: open_memory(d);

	if (!err && role_judges(d))
		err = open_detection(d);
	if (!err && (role_judges(d) || role_acts(d)))
		err = open_engine(d);
	if (!err && role_judges(d))
		models_load(d);
	return err ?: role_open(d);
}

/* In the order of need: the guardian is forked (faults) before the first thread starts. */
static int open_all(struct daemon *d)
{
	const struct config *c = d->config;

	int err = make_dir(c->daemon.run_dir, 0755) ?: make_dir(c->daemon.state_dir, 0700);
	if (!err && role_watches(d))
		err = open_watching(d);
	if (err < 0)
		return err;
	open_store(d);
	err = open_stages(d);
	if (err < 0) {
		log_error("cannot start: %s", strerror(-err));
		return err;
	}
	if (role_watches(d)) {
		for (size_t i = 0; i < c->nr_services; i++)
			daemon_attach_configured(d, &c->services[i], clock_mono_ns());
		pthread_mutex_lock(&d->lock); /* the agent's thread is there already */
		daemon_scan(d, clock_mono_ns());
		pthread_mutex_unlock(&d->lock);
	}
	err = open_loop(d);
	if (err >= 0 && d->engine)
		err = worker_start(d);
	if (err >= 0 && role_watches(d))
		err = trace_export_open(d);
	if (err < 0) {
		log_error("cannot start: %s", strerror(-err));
		return err;
	}
	return open_server(d);
}

/* Before the first thread: all of them inherit it, and only the event loop takes these. */
static void block_signals(void)
{
	sigset_t stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGHUP);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* A container has a cgroup namespace on cgroup v2: others' paths then begin with "/.." and can be attached to by nobody. */
static void see_cgroups(void)
{
	char path[SERVICE_CGROUP_MAX];

	if (cgroup_of_pid(1, path) < 0 || strncmp(path, "/..", 3) != 0)
		return;
	int err = cgroup_namespace_join(1);
	if (err < 0)
		log_warning(
			"cgroups are seen from inside a container's cgroup namespace, and it cannot be left (%s): "
			"give it the machine's, or CAP_SYS_ADMIN and CAP_SYS_PTRACE",
			strerror(-err));
}

static void say_running(const struct daemon *d)
{
	const struct config *c = d->config;

	if (d->role == ROLE_RUN)
		log_info("running in mode %s; control socket %s, operator %s:%u, detector %s:%u",
			 config_mode_name(c->daemon.mode), c->daemon.socket, c->daemon.listen,
			 c->ports.operator_port, c->daemon.listen, c->ports.detector_port);
	else
		log_info("running as %s; control socket %s, listening on %s", role_name(d->role),
			 c->daemon.socket, c->daemon.listen);
}

int run_main(struct config *config, enum role role, const struct run_words *words)
{
	struct daemon *d = calloc(1, sizeof(*d));

	if (!d)
		return EXIT_FAILED;
	d->config = config;
	d->role = role;
	d->reload = (struct reload){ .config = config, .words = words };
	d->kernel_lock = -1;
	d->started_ns = clock_mono_ns();
	d->started_wall_ms = (uint64_t)MAX(clock_wall_ms(), (int64_t)1);
	/* Between processes a second is what is agreed on. */
	d->tick_ns = role == ROLE_RUN ? config->observe.warmup_tick_ns : config->observe.tick_ns;
	pthread_mutex_init(&d->lock, NULL);
	log_init("archaic-ebpf", STDERR_FILENO, config->daemon.log_level);
	block_signals();
	if (role_watches(d))
		see_cgroups();

	int err = role_watches(d) ? lock_kernel(d) : 0;
	if (err < 0) {
		log_error(err == -EADDRINUSE ?
				  "another archaic-ebpf run is active in this network namespace; "
				  "stop it first (its control socket may be %s)" :
				  "cannot take the lock of this network namespace (%s)",
			  err == -EADDRINUSE ? config->daemon.socket : strerror(-err));
	} else {
		err = open_all(d);
		if (err >= 0) {
			say_running(d);
			sd_notifyf(0, "READY=1\nSTATUS=Mode %s",
				   config_mode_name(config->daemon.mode));
			err = sd_event_loop(d->event);
			sd_notify(0, "STOPPING=1");
			log_info(role_watches(d) ? "stopping: every fault is disarmed" :
						   "stopping");
		}
	}
	close_all(d);
	pthread_mutex_destroy(&d->lock);
	free(d);
	return err < 0 ? EXIT_FAILED : 0;
}
