/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netns.h - a network namespace of one's own for a test, with lo up.
 *
 * Only the calling thread moves; threads made afterwards inherit it. Sockets
 * made before stay where they were. The namespace goes with its last process.
 */
#ifndef ARCHAIC_TEST_NETNS_H
#define ARCHAIC_TEST_NETNS_H

#include <stdint.h>

/** netns_enter() - unshare(CLONE_NEWNET) and bring lo up, with 127.0.0.1 and ::1. 0 or -errno (-EPERM: not root). */
int netns_enter(void);

/** netns_ino() - inode of the calling thread's network namespace; 0: unknown. */
uint32_t netns_ino(void);

#endif
