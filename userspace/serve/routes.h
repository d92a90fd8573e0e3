/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * routes.h - the handlers that the table in routes.c names, by resource.
 *
 * Each answers one matched, decoded request: 0 with x->reply filled, or -errno
 * with x->problem set. They check shape and rights, and call control_ops.
 */
#ifndef ARCHAIC_ROUTES_H
#define ARCHAIC_ROUTES_H

#include "serve/router.h"

/* routes_services.c */
int route_services(struct exchange *x);
int route_service(struct exchange *x);
int route_attach(struct exchange *x);
int route_detach(struct exchange *x);
int route_accept(struct exchange *x);
int route_graph(struct exchange *x);
int route_scores(struct exchange *x);
int route_requests(struct exchange *x);

/* routes_faults.c */
int route_faults(struct exchange *x);
int route_fault(struct exchange *x);
int route_fault_types(struct exchange *x);
int route_arm(struct exchange *x);
int route_disarm(struct exchange *x);
int route_disarm_all(struct exchange *x);

/* routes_incidents.c */
int route_incidents(struct exchange *x);
int route_incident(struct exchange *x);
int route_approve(struct exchange *x);
int route_reject(struct exchange *x);
int route_report(struct exchange *x);
int route_analyze(struct exchange *x);

/* routes_series.c */
int route_series(struct exchange *x);

/* routes_live.c */
int route_events(struct exchange *x);
int route_load_shapes(struct exchange *x);
int route_loads(struct exchange *x);
int route_load(struct exchange *x);
int route_load_start(struct exchange *x);
int route_load_stop(struct exchange *x);
int route_audit(struct exchange *x);

/* routes_nodes.c */
int route_sample(struct exchange *x);
int route_nodes(struct exchange *x);
int route_judgement(struct exchange *x);

/* routes_query.c */
int route_query(struct exchange *x);

#endif
