/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logfile.h - keep a file bounded that others hold open for appending.
 */
#ifndef ARCHAIC_SUPERVISE_LOGFILE_H
#define ARCHAIC_SUPERVISE_LOGFILE_H

#define LOGFILE_MAX (32 << 20) /* bytes */

/**
 * logfile_cut() - once @path has LOGFILE_MAX bytes, move its text to @path.1 (overwritten) and empty it.
 * What is written meanwhile may be lost. No such file, or a link: nothing is done.
 */
void logfile_cut(const char *path);

#endif
