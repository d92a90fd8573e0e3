/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault_watch.h - carry out the cluster's `Fault` objects on this node, through the control interface.
 *
 * A thread watches, and wakes the caller's thread for a pass; a pass lists what there is and does one step for each
 * object (fault_object.h): arms where the service is here, writes what became of it, disarms what is being
 * deleted. While something of ours is armed, or waits for its service, passes come every FAULT_WATCH_PASS_MS
 * by themselves. Nothing is remembered between passes: objects and the daemon hold all there is to know,
 * so that this may die and start again at any point. What meets a conflict is left to the next pass.
 *
 * It is an ordinary caller of the control socket, as root, and needs no capability: whoever parses what the
 * cluster says cannot touch the kernel.
 */
#ifndef ARCHAIC_FAULT_WATCH_H
#define ARCHAIC_FAULT_WATCH_H

#include <stdatomic.h>

#include "kube/fault_object.h"
#include "kube/kube_config.h"

#define FAULT_WATCH_PASS_MS 2000
#define FAULT_WATCH_DAEMON_MS 15000 /* arming ends with the daemon's canary */

struct fault_watch_config {
	const char *kubeconfig; /* NULL: the pod's service account */
	const char *socket;     /* the daemon's control socket */
	const char *node;       /* ours */
	/** say() - what was done, or failed: one sentence. From either thread, never both at once. */
	void (*say)(void *ctx, bool failed, const char *text);
	void *ctx;
};

/**
 * fault_watch_run() - until @cancel. Faults stay armed then: they are the daemon's, and have an end.
 * @why: a sentence on failure. 0; -EINVAL (node's name, kubeconfig), -ENOENT (no service account), -ENOMEM, -EAGAIN (no thread).
 */
int fault_watch_run(const struct fault_watch_config *config, const atomic_bool *cancel, char *why,
		    size_t why_size);

#endif
