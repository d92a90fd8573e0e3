/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tally.h - how incidents and actions ended, by service: what /metrics counts.
 *
 * Counts only grow. At most TALLY_MAX different ends are told apart; a service
 * that finds no more room is counted under no name, so that sums stay right.
 * Pure; one thread at a time.
 */
#ifndef ARCHAIC_TALLY_H
#define ARCHAIC_TALLY_H

#include <stddef.h>
#include <stdint.h>

#include "discover/service.h"

#define TALLY_MAX 1024
#define TALLY_UNNAMED_MAX 64 /* room beside it for ends of no service: actions times results */

struct tally_count {
	char service[SERVICE_NAME_MAX]; /* "": of no service, or no room for its name */
	const char *action;             /* static; "": an incident's end */
	const char *result;             /* static */
	uint64_t n;
};

struct tally {
	struct tally_count counts[TALLY_MAX + TALLY_UNNAMED_MAX];
	size_t nr;
	uint64_t unnamed; /* ends that lost their service's name */
	uint64_t dropped; /* ends that found no room at all */
};

/** tally_add() - one more. @service: copied, NULL: none. @action, @result: static texts. */
void tally_add(struct tally *t, const char *service, const char *action, const char *result);

#endif
