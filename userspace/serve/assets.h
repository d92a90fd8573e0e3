/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * assets.h - the two pages' files, as the build embedded them.
 *
 * userspace/web/ is bundled, compressed and turned into one table at build time
 * (build/gen/web_assets.c defines the two symbols below). A build without the
 * bundler takes assets_none.c in its place: an empty table, and pages.c says so
 * to whoever looks. Read-only, any thread.
 */
#ifndef ARCHAIC_ASSETS_H
#define ARCHAIC_ASSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct web_asset {
	const char *page; /* "dashboard" or "chaos" */
	const char *path; /* "/index.html" (also answers "/"), "/assets/NAME-HASH.js" … */
	const char *type; /* Content-Type, with its charset */
	const char *etag; /* with its quotes */
	bool immutable;   /* the content's hash is in the path */
	const uint8_t *gz;
	size_t gz_size; /* bytes of the gzip stream */
	size_t size;    /* bytes inflated */
};

extern const struct web_asset web_assets[];
extern const size_t nr_web_assets;

#endif
