// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Of several operators one acts: whoever holds a file's lock (on one machine, or a shared disk that
 * locks), or a Kubernetes Lease (kube_lease.h), which ends by itself before anybody else may begin.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/clock.h"
#include "kube/kube_lease.h"
#include "run_roles.h"

struct hold {
	/* The file. */
	int fd; /* -1: not the file */
	char path[CONFIG_PATH_MAX + 16];
	atomic_bool locked;

	/* The Lease. */
	struct kube *kube;
	struct kube_lease lease;
	atomic_bool cancel;

	pthread_mutex_t lock; /* of why */
	char why[300];
};

static void say(struct hold *h, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct hold *h, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&h->lock);
	va_start(ap, fmt);
	vsnprintf(h->why, sizeof(h->why), fmt, ap);
	va_end(ap);
	pthread_mutex_unlock(&h->lock);
}

static int open_file(const struct config *c, struct hold *h)
{
	if (*c->roles.lock_file)
		snprintf(h->path, sizeof(h->path), "%s", c->roles.lock_file);
	else
		snprintf(h->path, sizeof(h->path), "%s/operator.lock", c->daemon.state_dir);
	h->fd = open(h->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (h->fd >= 0)
		return 0;
	int err = -errno;
	log_error("the operator's lock %s cannot be opened: %s", h->path, strerror(-err));
	return err;
}

/* A pod's name is its host's; the time tells two on one host apart. */
static int open_lease(const struct config *c, struct hold *h)
{
	struct kube_config k = { 0 };
	char why[200] = "", host[64] = "operator", identity[KUBE_NAME_MAX];

	int err = kube_config_load(getenv("KUBECONFIG"), &k, why, sizeof(why));
	if (err) {
		log_error("the Kubernetes API cannot be used for the lease %s: %s", c->roles.lease,
			  why);
		return err;
	}
	gethostname(host, sizeof(host) - 1);
	snprintf(identity, sizeof(identity), "%s.%llx.%d", host,
		 (unsigned long long)clock_wall_ms(), (int)getpid());
	err = kube_lease_init(&h->lease, k.namespace_, c->roles.lease, identity, 0);
	err = err ?: kube_new(&k, &h->cancel, &h->kube);
	kube_config_release(&k);
	if (err)
		log_error("the lease %s cannot be used: %s", c->roles.lease, strerror(-err));
	return err;
}

int hold_open(const struct config *c, struct hold **ret)
{
	struct hold *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->fd = -1;
	pthread_mutex_init(&h->lock, NULL);
	say(h, "nobody has been asked yet");
	int err = *c->roles.lease ? open_lease(c, h) : open_file(c, h);
	if (err) {
		hold_close(h);
		return err;
	}
	*ret = h;
	return 0;
}

void hold_close(struct hold *h)
{
	if (!h)
		return;
	if (h->kube && kube_lease_held(&h->lease, clock_mono_ns()))
		kube_lease_release(h->kube, &h->lease, clock_mono_ns(), clock_wall_ms());
	kube_free(h->kube);
	closep(&h->fd);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static void step_file(struct hold *h)
{
	if (atomic_load(&h->locked))
		return;
	if (flock(h->fd, LOCK_EX | LOCK_NB) == 0)
		atomic_store(&h->locked, true);
	else
		say(h, "another operator holds %s", h->path);
}

static void step_lease(struct hold *h, uint64_t now_ns)
{
	int err = kube_lease_step(h->kube, &h->lease, now_ns, clock_wall_ms());

	if (err && err != -EBUSY)
		say(h, "the lease %s cannot be had: %s", h->lease.name, kube_why(h->kube));
	else if (!kube_lease_held(&h->lease, clock_mono_ns()))
		say(h, "operator %s holds the lease %s", *h->lease.holder ? h->lease.holder : "?",
		    h->lease.name);
}

void hold_step(struct hold *h, uint64_t now_ns)
{
	if (h->kube)
		step_lease(h, now_ns);
	else
		step_file(h);
}

bool hold_is_ours(const struct hold *h, uint64_t now_ns)
{
	return h->kube ? kube_lease_held(&h->lease, now_ns) : atomic_load(&h->locked);
}

void hold_says(struct hold *h, char *says, size_t size)
{
	if (hold_is_ours(h, clock_mono_ns())) {
		*says = '\0';
		return;
	}
	pthread_mutex_lock(&h->lock);
	snprintf(says, size, "%s: this one stands by", h->why);
	pthread_mutex_unlock(&h->lock);
}
