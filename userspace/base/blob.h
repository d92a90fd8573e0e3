/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blob.h - binary records with a checksum at the end, for what is kept between two lives of a
 * process on one machine (native byte order: the other kind of machine fails the magic).
 *
 * The checksum (FNV-1a, 64 bits) finds torn and rotten blobs, not forged ones: whoever reads
 * checks every length and figure. Not thread-safe; pure.
 */
#ifndef ARCHAIC_BLOB_H
#define ARCHAIC_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct blob_reader {
	const unsigned char *at; /* borrowed */
	size_t left;
};

/** blob_seal() - append the checksum of all from offset @begin on. 0 or buf's errors. */
int blob_seal(struct buf *b, size_t begin);

/** blob_open() - read @data, its checksum taken off. 0, or -EINVAL where that is wrong or missing. */
int blob_open(const void *data, size_t len, struct blob_reader *ret);

/** blob_take() - copy the next @len bytes to @to; false, and nothing is taken, where fewer are left. */
bool blob_take(struct blob_reader *r, void *to, size_t len);

#endif
