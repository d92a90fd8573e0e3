/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cgroup_namespace.h - seeing cgroups as the machine does, from inside a container.
 *
 * On cgroup v2 Docker and containerd give each container a cgroup namespace: there other processes'
 * paths begin with "/..", and a mount of the machine's hierarchy does not look like its root.
 */
#ifndef ARCHAIC_CGROUP_NAMESPACE_H
#define ARCHAIC_CGROUP_NAMESPACE_H

#include <sys/types.h>

/**
 * cgroup_namespace_join() - go to that of process @pid, where it has another; of the calling thread, and of those
 * that it starts. 0: we are in it; else -errno, -EPERM or -EACCES: that needs CAP_SYS_ADMIN and CAP_SYS_PTRACE.
 */
int cgroup_namespace_join(pid_t pid);

#endif
