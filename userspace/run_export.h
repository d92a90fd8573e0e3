/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run_export.h - the daemon's spans to an OpenTelemetry receiver; for run*.c alone.
 */
#ifndef ARCHAIC_RUN_EXPORT_H
#define ARCHAIC_RUN_EXPORT_H

#include "run_daemon.h"

/** trace_export_open() - d->traces, where an endpoint is configured; else nothing. 0 or -errno; what is wrong was logged. */
int trace_export_open(struct daemon *d);

/** trace_export_close() - give what is left one try, and free. Without the lock. */
void trace_export_close(struct daemon *d);

/** trace_export_request() - the newest of d->requests as a span, where it belongs to a service. Under the lock. */
void trace_export_request(struct daemon *d);

/** trace_export_metrics() - its series; nothing where it is off. Under the lock. */
void trace_export_metrics(struct daemon *d, struct metrics *m);

/** trace_export_says() - what is sent where, one sentence for people. */
void trace_export_says(const struct config *c, char *says, size_t size);

#endif
