/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fault_server.h - the process that fault_rig.h hurts. */
#ifndef ARCHAIC_TEST_FAULT_SERVER_H
#define ARCHAIC_TEST_FAULT_SERVER_H

#include <stdint.h>

/**
 * fault_server_main() - serve what fault_rig.h lists, for ever; ends with its parent. For a child: asserts nothing.
 * @port: both ports, on 127.0.0.1 for AF_INET, on :: for AF_INET6.
 * @procs_fd: cgroup.procs of the cgroup to enter first. @ready_fd: gets a byte once both listen.
 */
_Noreturn void fault_server_main(int family, const uint16_t port[2], int procs_fd, int ready_fd);

#endif
