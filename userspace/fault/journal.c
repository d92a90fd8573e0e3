// SPDX-License-Identifier: GPL-2.0-or-later
#include "fault/journal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "kernel/netns.h"

static const char *const kind_names[NR_JOURNAL_KINDS] = {
	[JOURNAL_RULE] = "rule",
	[JOURNAL_FQ] = "fq",
	[JOURNAL_FILTER] = "filter",
	[JOURNAL_BURNER] = "burner",
};

#define CRC_CHARS 8

static uint32_t checksum(const char *s, size_t len)
{
	return (uint32_t)crc32(crc32(0, NULL, 0), (const Bytef *)s, (uInt)len);
}

/* A word of the line: no blanks, nothing that would end it. */
static bool is_word(const char *s, size_t max)
{
	size_t len = strnlen(s, max);

	if (len == 0 || len == max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)s[i]))
			return false;
	return true;
}

int journal_format(char sign, const struct journal_entry *e, char line[static JOURNAL_LINE_MAX])
{
	if ((sign != '+' && sign != '-') || e->kind >= NR_JOURNAL_KINDS ||
	    !is_word(e->id, sizeof(e->id)) || !is_word(e->name, sizeof(e->name)) ||
	    !is_word(e->boot, sizeof(e->boot)))
		return -EINVAL;

	char *body = line + CRC_CHARS + 1;
	size_t room = JOURNAL_LINE_MAX - CRC_CHARS - 1;
	int n = snprintf(body, room,
			 "%c %s %s %d %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s", sign,
			 e->id, kind_names[e->kind], e->ifindex, e->name, e->arg, e->arg2,
			 e->deadline_ns, e->netns_ino, e->boot);
	if (n < 0 || (size_t)n + 2 > room)
		return -EINVAL;

	char crc[CRC_CHARS + 1];
	snprintf(crc, sizeof(crc), "%08" PRIx32, checksum(body, (size_t)n));
	memcpy(line, crc, CRC_CHARS);
	line[CRC_CHARS] = ' ';
	body[n] = '\n';
	body[n + 1] = '\0';
	return CRC_CHARS + 1 + n + 1;
}

static int parse_body(const char *body, char *sign, struct journal_entry *ret)
{
	struct journal_entry e = { .ifindex = 0 };
	char kind[8];
	int end = -1;

	/* The widths are the arrays' sizes less one. */
	if (sscanf(body,
		   "%c %15s %7s %d %31s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %39s%n",
		   sign, e.id, kind, &e.ifindex, e.name, &e.arg, &e.arg2, &e.deadline_ns,
		   &e.netns_ino, e.boot, &end) != 10 ||
	    end < 0 || body[end] != '\0')
		return -EBADMSG;
	if (*sign != '+' && *sign != '-')
		return -EBADMSG;
	for (e.kind = 0; e.kind < NR_JOURNAL_KINDS; e.kind++)
		if (!strcmp(kind, kind_names[e.kind])) {
			*ret = e;
			return 0;
		}
	return -EBADMSG;
}

int journal_parse(const char *line, size_t len, char *sign, struct journal_entry *ret)
{
	char text[JOURNAL_LINE_MAX], crc[CRC_CHARS + 1], s;
	struct journal_entry e;

	if (len <= CRC_CHARS + 1 || len >= sizeof(text) || line[CRC_CHARS] != ' ' ||
	    memchr(line, '\0', len))
		return -EBADMSG;
	memcpy(text, line, len);
	text[len] = '\0';

	const char *body = text + CRC_CHARS + 1;
	snprintf(crc, sizeof(crc), "%08" PRIx32, checksum(body, strlen(body)));
	if (memcmp(crc, text, CRC_CHARS) != 0 || parse_body(body, &s, &e) < 0)
		return -EBADMSG;
	*sign = s;
	*ret = e;
	return 0;
}

void journal_release(struct journal *j)
{
	free(j->entries);
	*j = (struct journal){ .nr = 0 };
}

static bool same_thing(const struct journal_entry *a, const struct journal_entry *b)
{
	return a->kind == b->kind && a->ifindex == b->ifindex && a->arg == b->arg &&
		!strcmp(a->id, b->id) && !strcmp(a->name, b->name);
}

static int apply(struct journal *j, char sign, const struct journal_entry *e)
{
	if (sign == '-') {
		for (size_t i = 0; i < j->nr; i++)
			if (same_thing(&j->entries[i], e)) {
				memmove(&j->entries[i], &j->entries[i + 1],
					(j->nr - i - 1) * sizeof(*e));
				j->nr--;
				break;
			}
		return 0;
	}
	if (j->nr == JOURNAL_MAX)
		return -E2BIG;
	j->entries[j->nr++] = *e;
	return 0;
}

/* The version that the first line says; 0 where it says none. *@skip: its bytes. */
static unsigned version_of(const char *text, size_t len, size_t *skip)
{
	static const char header[] = JOURNAL_HEADER;
	size_t n = sizeof(header) - 1;
	unsigned version = 0;

	*skip = 0;
	if (len < n || memcmp(text, header, n) != 0)
		return 0;
	const char *nl = memchr(text, '\n', len);
	/* Torn while it was written: nothing was made yet. */
	if (!nl)
		return 0;
	for (; text + n < nl && isdigit((unsigned char)text[n]) && version < 100000; n++)
		version = version * 10 + (unsigned)(text[n] - '0');
	*skip = (size_t)(nl - text) + 1;
	return version;
}

int journal_replay(const char *text, size_t len, struct journal *ret)
{
	size_t skip;

	if (version_of(text, len, &skip) > JOURNAL_VERSION)
		return -ENOTSUP;
	text += skip;
	len -= skip;

	struct journal j = { .entries = calloc(JOURNAL_MAX, sizeof(*j.entries)) };
	int err = 0;

	if (!j.entries)
		return -ENOMEM;
	for (const char *s = text, *end = text + len; s < end && !err;) {
		const char *nl = memchr(s, '\n', (size_t)(end - s));
		size_t n = nl ? (size_t)(nl - s) : (size_t)(end - s);
		struct journal_entry e;
		char sign;

		/* A last line without its newline may be torn; its checksum decides. */
		if (n && journal_parse(s, n, &sign, &e) == 0)
			err = apply(&j, sign, &e);
		else if (n)
			j.bad_lines++;
		s += n + 1;
	}
	if (err) {
		journal_release(&j);
		return err;
	}
	*ret = j;
	return 0;
}

int journal_load(const char *path, struct journal *ret)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? journal_replay("", 0, ret) : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > JOURNAL_BYTES_MAX)
		return -EFBIG;

	CLEANUP(freep) char *text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	size_t len = 0;
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, text + len, (size_t)st.st_size - len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	return journal_replay(text, len, ret);
}

int journal_set_aside(const char *path)
{
	char to[4096];

	if (snprintf(to, sizeof(to), "%s.refused", path) >= (int)sizeof(to))
		return -ENAMETOOLONG;
	return rename(path, to) < 0 ? -errno : 0;
}

/* What a new file begins with. Two that begin it at once write it twice: the second is a line that is skipped. */
static int begin_file(int fd)
{
	char header[64];
	int n = snprintf(header, sizeof(header), JOURNAL_HEADER "%d\n", JOURNAL_VERSION);

	if (lseek(fd, 0, SEEK_END) != 0)
		return 0;
	return write(fd, header, (size_t)n) == n ? 0 : errno ? -errno : -EIO;
}

static bool ends_torn(int fd)
{
	char last = '\n';
	off_t size = lseek(fd, 0, SEEK_END);

	return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

int journal_append(const char *path, char sign, const struct journal_entry *e)
{
	char line[JOURNAL_LINE_MAX + 1] = "\n";

	int n = journal_format(sign, e, line + 1);
	if (n < 0)
		return n;
	CLEANUP(closep) int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;

	int err = begin_file(fd);
	if (err)
		return err;
	const char *from = ends_torn(fd) ? line : line + 1;
	size_t len = strlen(from);
	if (write(fd, from, len) != (ssize_t)len)
		return errno ? -errno : -EIO;
	return fsync(fd) < 0 ? -errno : 0;
}

static int write_outstanding(int fd, const struct journal *j)
{
	char boot[JOURNAL_BOOT_MAX], line[JOURNAL_LINE_MAX];

	int err = begin_file(fd);
	if (err)
		return err;
	journal_boot_id(boot);
	for (size_t i = 0; i < j->nr; i++) {
		int n = strcmp(j->entries[i].boot, boot) ?
			0 :
			journal_format('+', &j->entries[i], line);

		if (n < 0)
			return n;
		if (n && write(fd, line, (size_t)n) != n)
			return errno ? -errno : -EIO;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

static void journal_releasep(struct journal *j)
{
	journal_release(j);
}

int journal_trim(const char *path)
{
	char fresh[4096];
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_size < JOURNAL_TRIM_BYTES)
		return 0;
	if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;

	CLEANUP(journal_releasep) struct journal j = { .nr = 0 };
	int err = journal_load(path, &j);
	if (err)
		return err;
	CLEANUP(closep) int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	err = write_outstanding(fd, &j);
	if (!err && rename(fresh, path) < 0)
		err = -errno;
	if (err)
		unlink(fresh);
	return err;
}

void journal_boot_id(char boot[static JOURNAL_BOOT_MAX])
{
	char text[JOURNAL_BOOT_MAX] = "";

	CLEANUP(fclosep) FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	if (f && fgets(text, sizeof(text), f))
		text[strcspn(text, "\n")] = '\0';
	snprintf(boot, JOURNAL_BOOT_MAX, "%s", is_word(text, sizeof(text)) ? text : "-");
}

uint64_t journal_netns(void)
{
	return netns_here();
}
