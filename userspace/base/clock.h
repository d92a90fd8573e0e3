/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clock.h - the only place that reads a clock.
 *
 * Durations and deadlines are monotonic nanoseconds (uint64_t) and are passed
 * in to everything that decides, so that no test sleeps. Wall time is for
 * people: RFC 3339 in UTC, with milliseconds.
 */
#ifndef ARCHAIC_CLOCK_H
#define ARCHAIC_CLOCK_H

#include <stdint.h>

#define CLOCK_TEXT_SIZE sizeof("2024-01-15T10:30:00.000Z")

/** clock_mono_ns() - CLOCK_MONOTONIC, the clock of the BPF programs' bpf_ktime_get_ns(). */
uint64_t clock_mono_ns(void);

/** clock_boot_ns() - CLOCK_BOOTTIME: goes on while the machine is suspended. Fault deadlines use it. */
uint64_t clock_boot_ns(void);

/** clock_wall_ms() - milliseconds since the epoch, UTC. */
int64_t clock_wall_ms(void);

/**
 * clock_format() - @wall_ms as RFC 3339, UTC, milliseconds.
 * @text: CLOCK_TEXT_SIZE bytes, always terminated. Returns @text. Thread-safe.
 */
const char *clock_format(int64_t wall_ms, char text[static CLOCK_TEXT_SIZE]);

/** clock_mono_to_wall_ms() - the wall time of a monotonic instant, by the offset that holds now. */
int64_t clock_mono_to_wall_ms(uint64_t mono_ns);

/** clock_wall_offset_ns() - what added to a monotonic instant gives ns since the epoch, as it is now. */
uint64_t clock_wall_offset_ns(void);

#endif
