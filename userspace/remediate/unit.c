// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/unit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"

#define MANAGER "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_IFACE "org.freedesktop.systemd1.Manager"
#define UNIT_IFACE "org.freedesktop.systemd1.Unit"
#define SERVICE_IFACE "org.freedesktop.systemd1.Service"
#define STEP_NS (200 * NSEC_PER_MSEC)

static int say(char *says, size_t size, int ret, const char *fmt, ...) PRINTF_LIKE(4, 5);
static int say(char *says, size_t size, int ret, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(says, size, fmt, ap);
	va_end(ap);
	return ret;
}

bool unit_name_valid(const char *name, const char **why)
{
	static const char *const refused[] = { "systemd-",    "dbus",          "ssh",     "user@",
					       "getty@",      "serial-getty@", "polkit",  "docker.",
					       "containerd",  "crio",          "kubelet", "podman",
					       "archaic-ebpf" };
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@";
	size_t len = strlen(name), end = strlen(".service");

	if (len <= end || len >= UNIT_NAME_MAX || strspn(name, letters) != len ||
	    strcmp(name + len - end, ".service") != 0) {
		*why = "it is not the name of a systemd service";
		return false;
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (!strncmp(name, refused[i], strlen(refused[i]))) {
			*why = "the machine itself stands on it: it is never restarted from here";
			return false;
		}
	return true;
}

/* ---- the bus: translated into errors of ours here alone */

static int translate(int err)
{
	switch (-err) {
	case EACCES:
	case EPERM:
		return -EACCES;
	case ETIMEDOUT:
		return -ETIMEDOUT;
	case ENOENT:
	case ECONNREFUSED:
	case ENOTCONN:
	case EHOSTUNREACH:
		return -EHOSTUNREACH;
	default:
		return -EIO;
	}
}

static int connect_bus(const char *address, sd_bus **ret)
{
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	int err;

	if (!strcmp(address, "system")) {
		err = sd_bus_open_system(&bus);
	} else {
		err = sd_bus_new(&bus);
		if (err >= 0)
			err = sd_bus_set_address(bus, address);
		/* systemd's own socket speaks without a bus behind it, and greets nobody. */
		if (err >= 0 && !strstr(address, "/systemd/private"))
			err = sd_bus_set_bus_client(bus, 1);
		if (err >= 0)
			err = sd_bus_start(bus);
	}
	if (err >= 0)
		err = sd_bus_set_method_call_timeout(bus, UNIT_CALL_US);
	if (err < 0)
		return translate(err);
	*ret = TAKE_PTR(bus);
	return 0;
}

/* An error's own words; ours where it has none. */
static const char *words(const sd_bus_error *e, int err)
{
	return e->message ? e->message : strerror(-err);
}

static int get_text(sd_bus *bus, const char *path, const char *iface, const char *name, char *ret,
		    size_t size)
{
	CLEANUP(freep) char *text = NULL;
	int err = sd_bus_get_property_string(bus, MANAGER, path, iface, name, NULL, &text);

	if (err < 0)
		return translate(err);
	snprintf(ret, size, "%s", text);
	return 0;
}

static int get_flag(sd_bus *bus, const char *path, const char *name, bool *ret)
{
	int v = 0,
	    err = sd_bus_get_property_trivial(bus, MANAGER, path, UNIT_IFACE, name, NULL, 'b', &v);

	if (err < 0)
		return translate(err);
	*ret = v;
	return 0;
}

/* A unit's path, from systemd: it loads what is not loaded, and answers also where there is no such file. */
static int load(sd_bus *bus, const char *name, char *path, size_t size, char *says,
		size_t says_size)
{
	CLEANUP(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	CLEANUP(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const char *at = NULL;
	int err = sd_bus_call_method(bus, MANAGER, MANAGER_PATH, MANAGER_IFACE, "LoadUnit", &e, &m,
				     "s", name);

	if (err >= 0)
		err = sd_bus_message_read(m, "o", &at);
	if (err < 0)
		return say(says, says_size, translate(err), "systemd on %s: %s", name,
			   words(&e, err));
	snprintf(path, size, "%s", at);
	return 0;
}

static int read_state(sd_bus *bus, const char *path, const char *name, struct unit_state *ret)
{
	struct unit_state u = { 0 };
	int err = get_text(bus, path, UNIT_IFACE, "ActiveState", u.active, sizeof(u.active));

	snprintf(u.name, sizeof(u.name), "%s", name);
	if (!err)
		err = sd_bus_get_property_trivial(bus, MANAGER, path, SERVICE_IFACE, "MainPID",
						  NULL, 'u', &u.main_pid);
	if (err >= 0)
		err = sd_bus_get_property_trivial(bus, MANAGER, path, SERVICE_IFACE,
						  "ExecMainStartTimestampMonotonic", NULL, 't',
						  &u.started_us);
	if (err < 0)
		return translate(err);
	*ret = u;
	return 0;
}

/* 0 or 1 with words. */
static int judge(const struct unit_state *u, const char *loaded, bool no_start, bool no_stop,
		 char *says, size_t size)
{
	if (strcmp(loaded, "loaded") != 0)
		return say(says, size, 1, "systemd says of %s: %.32s", u->name, loaded);
	if (no_start || no_stop)
		return say(says, size, 1, "%s refuses to be %s by hand", u->name,
			   no_start ? "started" : "stopped");
	if (!strcmp(u->active, "inactive"))
		return say(says, size, 1, "%s is not running: somebody has stopped it", u->name);
	if (!strcmp(u->active, "deactivating"))
		return say(says, size, 1, "%s is stopping already", u->name);
	return say(says, size, 0, "%s is %s, its main process is %u", u->name, u->active,
		   u->main_pid);
}

int unit_prepare(const char *bus_address, const char *name, struct unit_state *ret, char *says,
		 size_t size)
{
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	char path[512], loaded[32] = "";
	bool no_start = false, no_stop = false;
	struct unit_state u;
	const char *why;

	if (!unit_name_valid(name, &why))
		return say(says, size, 1, "%.100s: %s", name, why);
	int err = connect_bus(bus_address, &bus);
	if (err)
		return say(says, size, err, "systemd cannot be asked: %s", strerror(-err));
	err = load(bus, name, path, sizeof(path), says, size);
	if (err)
		return err;
	err = get_text(bus, path, UNIT_IFACE, "LoadState", loaded, sizeof(loaded));
	if (!err)
		err = get_flag(bus, path, "RefuseManualStart", &no_start);
	if (!err)
		err = get_flag(bus, path, "RefuseManualStop", &no_stop);
	if (!err)
		err = read_state(bus, path, name, &u);
	if (err)
		return say(says, size, err, "systemd does not say how %s is: %s", name,
			   strerror(-err));
	int no = judge(&u, loaded, no_start, no_stop, says, size);
	if (!no)
		*ret = u;
	return no;
}

static int wait_active(sd_bus *bus, const char *path, const struct unit_state *was,
		       uint64_t until_ns, const atomic_bool *cancel, struct unit_state *ret)
{
	const struct timespec step = { .tv_nsec = (long)STEP_NS };

	for (;;) {
		if (cancel && atomic_load(cancel))
			return -ECANCELED;
		int err = read_state(bus, path, was->name, ret);
		if (!err && !strcmp(ret->active, "active") && ret->started_us != was->started_us)
			return 0;
		if (clock_mono_ns() >= until_ns)
			return -ETIMEDOUT;
		nanosleep(&step, NULL);
	}
}

int unit_restart(const char *bus_address, const struct unit_state *u, uint64_t wait_ns,
		 const atomic_bool *cancel, char *says, size_t size)
{
	CLEANUP(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	CLEANUP(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
	uint64_t start = clock_mono_ns();
	struct unit_state now = { 0 };
	char path[512];
	int err = connect_bus(bus_address, &bus);

	if (err)
		return say(says, size, err, "systemd cannot be asked: %s", strerror(-err));
	err = load(bus, u->name, path, sizeof(path), says, size);
	if (!err)
		err = read_state(bus, path, u->name, &now);
	if (err)
		return say(says, size, err, "systemd does not say how %s is", u->name);
	if (now.started_us != u->started_us || now.main_pid != u->main_pid)
		return say(says, size, -EBUSY, "another run of %s has begun since", u->name);
	err = sd_bus_call_method(bus, MANAGER, MANAGER_PATH, MANAGER_IFACE, "RestartUnit", &e, NULL,
				 "ss", u->name, "replace");
	if (err < 0)
		return say(says, size, translate(err), "systemd does not restart %s: %s", u->name,
			   words(&e, err));
	err = wait_active(bus, path, u, start + wait_ns, cancel, &now);
	double took = (double)(clock_mono_ns() - start) / 1e9;
	if (err)
		return say(says, size, err, "%s was restarted, but it is %s after %.1f s", u->name,
			   now.active[0] ? now.active : "not known", took);
	return say(says, size, 0, "%s was restarted: process %u instead of %u, active after %.1f s",
		   u->name, now.main_pid, u->main_pid, took);
}
