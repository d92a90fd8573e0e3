/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * repair.h - strangers' bytes made fit to be shown.
 */
#ifndef ARCHAIC_REPAIR_H
#define ARCHAIC_REPAIR_H

/** text_repair() - in place: every byte that is not part of valid UTF-8 becomes '?'. The length stays. */
void text_repair(char *s);

/**
 * text_repair_terminal() - text_repair(), and what would move a terminal's cursor or turn its
 * writing direction becomes '?' too: C0 and C1 controls, DEL, line and paragraph separators,
 * bidirectional marks, zero-width characters, the byte order mark.
 */
void text_repair_terminal(char *s);

#endif
