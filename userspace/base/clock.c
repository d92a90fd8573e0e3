// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/util.h"

static uint64_t read_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_boot_ns(void)
{
	return read_ns(CLOCK_BOOTTIME);
}

int64_t clock_wall_ms(void)
{
	return (int64_t)(read_ns(CLOCK_REALTIME) / NSEC_PER_MSEC);
}

const char *clock_format(int64_t wall_ms, char text[static CLOCK_TEXT_SIZE])
{
	time_t s = wall_ms / 1000;
	struct tm tm;
	unsigned int ms = (unsigned int)(wall_ms % 1000);

	gmtime_r(&s, &tm);
	size_t len = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, CLOCK_TEXT_SIZE - len, ".%03uZ", ms % 1000);
	return text;
}

uint64_t clock_wall_offset_ns(void)
{
	return read_ns(CLOCK_REALTIME) - clock_mono_ns();
}

int64_t clock_mono_to_wall_ms(uint64_t mono_ns)
{
	return clock_wall_ms() +
		((int64_t)mono_ns - (int64_t)clock_mono_ns()) / (int64_t)NSEC_PER_MSEC;
}
