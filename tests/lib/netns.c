// SPDX-License-Identifier: GPL-2.0-or-later
#include "netns.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/util.h"

int netns_enter(void)
{
	if (unshare(CLONE_NEWNET))
		return -errno;

	CLEANUP(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;

	struct ifreq lo = { .ifr_name = "lo" };
	if (ioctl(fd, SIOCGIFFLAGS, &lo))
		return -errno;
	lo.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &lo))
		return -errno;
	return 0;
}

uint32_t netns_ino(void)
{
	struct stat st;

	/* Of this thread: /proc/self would be the thread group leader's. */
	if (stat("/proc/thread-self/ns/net", &st))
		return 0;
	return (uint32_t)st.st_ino;
}
