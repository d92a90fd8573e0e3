/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * act.h - tell the daemon of every answered request that was to change something.
 */
#ifndef ARCHAIC_ACT_H
#define ARCHAIC_ACT_H

#include "serve/router.h"

/**
 * act_tell() - call control_ops.acted for @x, whose reply is ready.
 * Left out: what only reads, dry runs, /analyze (an incident tells of it), and what is no route.
 */
void act_tell(struct exchange *x);

#endif
