// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "base/util.h"
#include "kernel/observer_internal.h"
#include "skel/observe_request.skel.h"

struct listing {
	const struct observer_remote *list;
	size_t nr;
};

/* True: it is no longer listed, and goes. */
static bool is_past(void *ctx, const void *key, const void *values)
{
	const struct listing *l = ctx;

	(void)values;
	for (size_t i = 0; i < l->nr; i++)
		if (!memcmp(&l->list[i].key, key, sizeof(l->list[i].key)))
			return false;
	return true;
}

int observer_set_remotes(struct observer *o, const struct observer_remote *list, size_t nr)
{
	struct listing l = { list, MIN(nr, (size_t)ABI_REMOTES_MAX) };
	struct abi_remote_key key, next;
	int fd = bpf_map__fd(o->request->maps.remotes);
	uint32_t value;
	int err = observer_map_each(fd, &key, &next, sizeof(key), &value, is_past, &l);

	for (size_t i = 0; i < l.nr; i++)
		if (bpf_map_update_elem(fd, &list[i].key, &list[i].id, BPF_ANY) < 0)
			err = err ?: -errno;
	observer_raise_epoch(o);
	return err ?: nr > l.nr ? -E2BIG : err;
}
