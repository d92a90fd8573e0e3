// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The blob (base/blob.h): a header, then one record a service, then the checksum.
 *
 *	u64 magic, u32 version, u32 nr_features, u64 features_hash, u32 nr_services, u32 0
 *	{ char name[64], u32 nr_rows, u32 0, float rows[nr_rows][nr_features] } ...
 *
 * Rows are in the order of time, as far as the reservoir still knows it.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/util.h"
#include "detect/detector_state.h"

#define BLOB_MAGIC 0x31656e696c657361ULL /* "aseline1" */
#define BLOB_VERSION 1

struct blob_header {
	uint64_t magic;
	uint32_t version, nr_features;
	uint64_t hash;
	uint32_t nr_services, spare;
};

struct blob_record {
	char name[SERVICE_NAME_MAX];
	uint32_t nr_rows, spare;
};

_Static_assert(sizeof(struct blob_header) == 32, "no padding");
_Static_assert(sizeof(struct blob_record) == 72, "no padding");

struct ordered {
	uint32_t order, row;
};

static int by_order(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;
	return (x->order > y->order) - (x->order < y->order);
}

static int save_rows(struct buf *b, const char *name, float (*rows)[NR_FEATURES], size_t nr,
		     const uint32_t *order)
{
	struct blob_record r = { .nr_rows = (uint32_t)nr };
	CLEANUP(freep) struct ordered *sorted = calloc(MAX(nr, (size_t)1), sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		sorted[i] = (struct ordered){ order ? order[i] : (uint32_t)i, (uint32_t)i };
	qsort(sorted, nr, sizeof(*sorted), by_order);

	memcpy(r.name, name, strnlen(name, sizeof(r.name) - 1));
	int err = buf_add(b, &r, sizeof(r));
	for (size_t i = 0; i < nr && !err; i++)
		err = buf_add(b, rows[sorted[i].row], sizeof(rows[0]));
	return err;
}

int detector_save(const struct detector *d, struct buf *b)
{
	size_t begin = b->len;
	struct blob_header h = {
		.magic = BLOB_MAGIC,
		.version = BLOB_VERSION,
		.nr_features = NR_FEATURES,
		.hash = features_hash(),
		.nr_services = (uint32_t)MIN(d->nr_entries + d->nr_restored, (size_t)SERVICE_MAX),
	};
	size_t left = h.nr_services;
	int err = buf_add(b, &h, sizeof(h));

	for (size_t i = 0; i < d->nr_entries && left && !err; i++, left--) {
		const struct baseline *base = &d->entries[i]->baseline;
		err = save_rows(b, d->entries[i]->name, base->rows, base->nr, base->order);
	}
	/* Who was not seen this time may come back the next. */
	for (size_t i = 0; i < d->nr_restored && left && !err; i++, left--)
		err = save_rows(b, d->restored[i].name, d->restored[i].rows, d->restored[i].nr,
				NULL);
	if (err)
		return err;
	return blob_seal(b, begin);
}

/* ---- loading; the bytes are untrusted */

static void restored_release(struct restored *all)
{
	for (size_t i = 0; i < SERVICE_MAX; i++)
		free(all[i].rows);
}

static void restored_freep(struct restored **all)
{
	if (*all)
		restored_release(*all);
	free(*all);
}

static int read_record(struct blob_reader *r, struct restored *ret)
{
	struct blob_record rec;

	if (!blob_take(r, &rec, sizeof(rec)) || rec.nr_rows > BASELINE_MAX ||
	    !memchr(rec.name, 0, sizeof(rec.name)) || !service_name_valid(rec.name))
		return -EINVAL;
	memcpy(ret->name, rec.name, sizeof(ret->name));
	ret->nr = rec.nr_rows;
	ret->rows = calloc(MAX(ret->nr, (size_t)1), sizeof(*ret->rows));
	if (!ret->rows)
		return -ENOMEM;
	if (!blob_take(r, ret->rows, ret->nr * sizeof(*ret->rows)))
		return -EINVAL;
	for (size_t i = 0; i < ret->nr; i++)
		for (size_t f = 0; f < NR_FEATURES; f++)
			/* Logarithms of seconds and counts: nothing honest is beyond this. NaN is "missing". */
			if (fabsf(ret->rows[i][f]) > 100)
				return -EINVAL;
	return 0;
}

int detector_load(struct detector *d, const void *data, size_t len)
{
	struct blob_reader r;
	struct blob_header h;

	if (blob_open(data, len, &r) || !blob_take(&r, &h, sizeof(h)) || h.magic != BLOB_MAGIC)
		return -EINVAL;
	if (h.version != BLOB_VERSION || h.nr_features != NR_FEATURES || h.hash != features_hash())
		return -ESTALE;
	if (h.nr_services > SERVICE_MAX)
		return -EINVAL;

	CLEANUP(restored_freep) struct restored *all = calloc(SERVICE_MAX, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < h.nr_services; i++) {
		int err = read_record(&r, &all[i]);
		if (err)
			return err;
	}
	if (r.left)
		return -EINVAL;

	restored_release(d->restored);
	memcpy(d->restored, all, sizeof(d->restored));
	memset(all, 0, SERVICE_MAX * sizeof(*all));
	d->nr_restored = h.nr_services;
	for (size_t i = 0; i < d->nr_entries; i++) {
		int err = d->entries[i]->baseline.nr ? 0 : detector_restore(d, d->entries[i]);
		if (err)
			return err;
	}
	return 0;
}

int detector_shelve(struct detector *d, uint32_t service)
{
	const struct entry *e = NULL;

	for (size_t i = 0; i < d->nr_entries; i++)
		if (d->entries[i]->id == service)
			e = d->entries[i];
	if (!e || !e->baseline.nr) {
		detector_forget(d, service);
		return 0;
	}
	struct restored r = { .nr = MIN(e->baseline.nr, (size_t)BASELINE_MAX) };
	CLEANUP(freep) struct ordered *sorted = calloc(r.nr, sizeof(*sorted));
	r.rows = calloc(r.nr, sizeof(*r.rows));
	if (!sorted || !r.rows) {
		free(r.rows);
		detector_forget(d, service);
		return -ENOMEM;
	}
	memcpy(r.name, e->name, sizeof(r.name));
	for (size_t i = 0; i < r.nr; i++)
		sorted[i] = (struct ordered){ e->baseline.order[i], (uint32_t)i };
	qsort(sorted, r.nr, sizeof(*sorted), by_order);
	for (size_t i = 0; i < r.nr; i++)
		memcpy(r.rows[i], e->baseline.rows[sorted[i].row], sizeof(r.rows[i]));
	if (d->nr_restored == SERVICE_MAX) {
		free(d->restored[0].rows);
		memmove(d->restored, d->restored + 1, --d->nr_restored * sizeof(r));
	}
	d->restored[d->nr_restored++] = r;
	detector_forget(d, service);
	return 0;
}

int detector_restore(struct detector *d, struct entry *e)
{
	for (size_t i = 0; i < d->nr_restored; i++) {
		struct restored *r = &d->restored[i];
		if (strcmp(r->name, e->name) != 0)
			continue;
		for (size_t k = 0; k < r->nr; k++) {
			double v[NR_FEATURES];
			for (size_t f = 0; f < NR_FEATURES; f++)
				v[f] = r->rows[k][f];
			baseline_learn(&e->baseline, v);
		}
		free(r->rows);
		*r = d->restored[--d->nr_restored];
		d->restored[d->nr_restored] = (struct restored){ 0 };
		return 0;
	}
	return 0;
}
