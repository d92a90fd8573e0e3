/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wire_fields.h - the figures of a sample by name: one table for both ways. For wire*.c alone. */
#ifndef ARCHAIC_WIRE_FIELDS_H
#define ARCHAIC_WIRE_FIELDS_H

#include "observe/wire.h"

enum wire_kind {
	WIRE_U64,     /* a count or time */
	WIRE_U32,     /* a gauge */
	WIRE_HIST,    /* struct hist */
	WIRE_CLASSES, /* uint64_t[6] */
};

struct wire_field {
	const char *name; /* NULL ends the table */
	enum wire_kind kind;
	size_t offset;
};

extern const struct wire_field wire_service_fields[], wire_edge_fields[];

#endif
