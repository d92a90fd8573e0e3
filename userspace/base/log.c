// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"

static struct {
	char service[64];
	int fd;
	_Atomic(enum log_level) level;
} g = { .service = "archaic-ebpf", .fd = STDERR_FILENO, .level = LOG_LEVEL_INFO };

static const char *const level_names[] = { "DEBUG", "INFO", "WARNING", "ERROR" };

void log_init(const char *service, int fd, enum log_level level)
{
	snprintf(g.service, sizeof(g.service), "%s", service);
	g.fd = fd;
	g.level = level;
}

void log_set_level(enum log_level level)
{
	atomic_store(&g.level, level);
}

void log_as(const char *service, enum log_level level, const char *trace_id, const char *fmt, ...)
{
	if (level < atomic_load(&g.level))
		return;

	char message[LOG_LINE_MAX / 2];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);

	/* JSON escapes grow a byte to six at most; what does not fit is cut by text_json(). */
	struct buf b;
	char when[CLOCK_TEXT_SIZE];
	buf_init(&b, LOG_LINE_MAX * 4);
	buf_addstr(&b, "{\"service\":");
	text_json(&b, service ? service : g.service);
	buf_addf(&b, ",\"level\":\"%s\",\"message\":", level_names[level]);
	text_json(&b, message);
	buf_addf(&b, ",\"timestamp\":\"%s\"", clock_format(clock_wall_ms(), when));
	if (trace_id && *trace_id) {
		buf_addstr(&b, ",\"trace_id\":");
		text_json(&b, trace_id);
	}
	buf_addstr(&b, "}\n");
	/* A full disk or a closed pipe must not end a service: the line is lost. */
	ssize_t ignored = write(g.fd, buf_str(&b), b.len);
	(void)ignored;
	buf_release(&b);
}
