/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - one JSON object a line, for every program of the house.
 *
 * {"service":…,"level":…,"message":…,"timestamp":…,"trace_id":…}
 * trace_id is left out where there is none. Text that is not valid UTF-8 is
 * written with U+FFFD in place of the bad bytes: a log line is always JSON.
 * One write() a line, so lines of threads never mix. Lines over LOG_LINE_MAX
 * are cut. Library code returns errors; run.c, main.c and cmd/ log them, once.
 */
#ifndef ARCHAIC_LOG_H
#define ARCHAIC_LOG_H

#include "base/util.h"

#define LOG_LINE_MAX 4096

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/**
 * log_init() - name the program and choose where lines go.
 * @service: copied (cut at 63 bytes). @fd: borrowed; default 2. @level: lines below it are dropped.
 * Before the first thread starts.
 */
void log_init(const char *service, int fd, enum log_level level);

/** log_set_level() - the least level from here on; any thread. */
void log_set_level(enum log_level level);

/** log_as() - a line under another service's name (an injected fault is logged as its target). NULL @service: our own; NULL @trace_id: none. */
void log_as(const char *service, enum log_level level, const char *trace_id, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

#define log_debug(...) log_as(NULL, LOG_LEVEL_DEBUG, NULL, __VA_ARGS__)
#define log_info(...) log_as(NULL, LOG_LEVEL_INFO, NULL, __VA_ARGS__)
#define log_warning(...) log_as(NULL, LOG_LEVEL_WARNING, NULL, __VA_ARGS__)
#define log_error(...) log_as(NULL, LOG_LEVEL_ERROR, NULL, __VA_ARGS__)

#endif
