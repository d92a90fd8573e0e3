/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scrape.h - what the daemon's /metrics says, read line by line.
 *
 * Asserts (cmocka). In the namespace of the test's own, on the detector's port.
 */
#ifndef ARCHAIC_TEST_SCRAPE_H
#define ARCHAIC_TEST_SCRAPE_H

#include <stdbool.h>
#include <stddef.h>

#define SCRAPE_URL "http://127.0.0.1:8006/metrics"

/** scrape() - one answer, free()d by the caller. @openmetrics: ask for that form. */
char *scrape(bool openmetrics);

struct scraped {
	size_t lines;
	double sum; /* of their values */
};

/** scrape_find() - the lines of @text that are @name's ("…_bucket", "…_count") and hold each of @parts, NULL-ended. */
struct scraped scrape_find(const char *text, const char *name, const char *const *parts);

/* The parts of a call, in place: PARTS("service_name=\"db\""). */
#define PARTS(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

#endif
