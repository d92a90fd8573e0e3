/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * journal.h - what we are about to make outside BPF, written down before it is made.
 *
 * A text file of checksummed lines, appended with one write() and fsync()ed:
 *	archaic-ebpf journal VERSION
 *	CRC32 SIGN ID KIND IFINDEX NAME ARG ARG2 DEADLINE NETNS BOOT
 * The first line came with version 1; a file without it is of version 0, whose
 * other lines are the same, so it is read and gone on with as it is. A file of a
 * newer version is neither believed nor changed (-ENOTSUP): journal_set_aside().
 * SIGN is + (about to be made) or - (undone). A line whose checksum is wrong
 * (torn by a crash, or rubbish) is skipped and counted, never believed; the
 * next append starts on a fresh line. Entries of another boot are void: what
 * they name did not survive it.
 * No lock: O_APPEND lines of daemon, guardian and reset do not mix.
 */
#ifndef ARCHAIC_JOURNAL_H
#define ARCHAIC_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

#define JOURNAL_FILE "journal"
#define JOURNAL_VERSION 1
#define JOURNAL_HEADER "archaic-ebpf journal "
#define JOURNAL_LINE_MAX 256
#define JOURNAL_MAX 1024 /* things outstanding; more: refuse to make another */
#define JOURNAL_BYTES_MAX \
	(4 << 20) /* a larger file is not read: the sweep by handles and comments does its work */
#define JOURNAL_TRIM_BYTES (256 << 10) /* journal_trim() leaves smaller ones alone */
#define JOURNAL_NAME_MAX 32
#define JOURNAL_BOOT_MAX 40

enum journal_kind {
	JOURNAL_RULE,   /* netfilter rules with the fault's comment; arg: queue */
	JOURNAL_FQ,     /* our fq at the root of a device */
	JOURNAL_FILTER, /* our tc filter; arg: handle, arg2: 1 when we also made the clsact qdisc */
	JOURNAL_BURNER, /* a process of ours; arg: pid, arg2: start ticks (field 22 of /proc/PID/stat) */
	NR_JOURNAL_KINDS,
};

struct journal_entry {
	char id[16]; /* the fault's */
	enum journal_kind kind;
	int ifindex;                 /* 0: no device */
	char name[JOURNAL_NAME_MAX]; /* of the device; "-": none */
	uint64_t arg, arg2;
	uint64_t deadline_ns; /* CLOCK_BOOTTIME */
	uint64_t netns_ino;
	char boot[JOURNAL_BOOT_MAX]; /* /proc/sys/kernel/random/boot_id */
};

/** journal_format() - one line, with its newline. Returns its length; a name or id that would not parse back is -EINVAL. */
int journal_format(char sign, const struct journal_entry *e, char line[static JOURNAL_LINE_MAX]);

/** journal_parse() - one line of @len bytes without its newline. 0, or -EBADMSG for anything that we did not write. */
int journal_parse(const char *line, size_t len, char *sign, struct journal_entry *ret);

struct journal {
	struct journal_entry *entries; /* outstanding, oldest first; owned */
	size_t nr;
	size_t bad_lines;
};

void journal_release(struct journal *j);

/** journal_replay() - @text of @len bytes into what is outstanding. 0, -ENOMEM, -E2BIG (over JOURNAL_MAX), -ENOTSUP (of a newer version). */
int journal_replay(const char *text, size_t len, struct journal *ret);

/** journal_load() - the same from @path; no file is an empty journal. */
int journal_load(const char *path, struct journal *ret);

/** journal_set_aside() - name a file that cannot be read @path.refused, unchanged, so that a new one can be begun. 0 or -errno. */
int journal_set_aside(const char *path);

/** journal_append() - write a line and fsync it. Makes the file (0600) where missing. 0 or -errno. */
int journal_append(const char *path, char sign, const struct journal_entry *e);

/**
 * journal_trim() - write a long file anew with what is outstanding of this boot only; a short one stays.
 * Only by whoever makes things. A line that another process appends meanwhile may be lost: what it said was undone
 * is then undone once more, which does nothing. 0 or -errno; on failure the file is as it was.
 */
int journal_trim(const char *path);

/** journal_boot_id() - this boot's id; "-" where the kernel does not tell. */
void journal_boot_id(char boot[static JOURNAL_BOOT_MAX]);

/** journal_netns() - inode of the caller's network namespace; 0 where it cannot be told. */
uint64_t journal_netns(void);

#endif
