#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A base to build images from where there is no registry: Debian 12 by debootstrap, from the archive
# that the machine's own apt uses, with what tools/setup.sh wants for an image.
# Prints the tar's path, for `docker import`; kept in ${XDG_CACHE_HOME:-~/.cache}/archaic-ebpf/docker.
#
# usage: tests/docker/base.sh        (as root; minutes at first)
set -euo pipefail

case ${1:-} in
'') ;;
-h | --help)
	sed -n 's/^# \(usage:.*\)/\1/p' "$0"
	exit 0
	;;
*)
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
	;;
esac
root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/archaic-ebpf/docker
packages=$("$root/tools/setup.sh" --list image | paste -s -d ,)
tar=$cache/build-base-$(cksum <<<"$packages" | cut -d ' ' -f 1).tar
mkdir -p "$cache"
exec 9>"$cache/base.lock"
flock 9
if [ ! -e "$tar" ]; then
	for program in debootstrap apt-get; do
		command -v "$program" >/dev/null || {
			echo "base.sh: $program is not installed" >&2
			exit 77
		}
	done
	# shellcheck disable=SC2016 # apt's own variable
	archive=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -E '/debian/?$' | head -n 1)
	[ -n "$archive" ] || {
		echo "base.sh: apt knows no Debian archive here (a URI that ends with /debian)" >&2
		exit 77
	}
	# shellcheck disable=SC2016
	# In a mount namespace of its own: debootstrap's /proc and /sys never get into the way.
	unshare --mount --propagation private bash -c '
		set -euo pipefail
		rm -rf "$1/rootfs"
		debootstrap --variant=minbase --include="$3" bookworm "$1/rootfs" "$2"
		umount -R "$1/rootfs/proc" "$1/rootfs/sys" 2>/dev/null || :
		rm -rf "$1"/rootfs/var/cache/apt/archives/*.deb "$1"/rootfs/var/lib/apt/lists/*
		tar -C "$1/rootfs" --one-file-system -cf "$4.new" .
		rm -rf "$1/rootfs"
	' bash "$cache" "$archive" "$packages" "$tar" >"$cache/base.log" 2>&1 || {
		tail -n 5 "$cache/base.log" >&2
		echo "base.sh: debootstrap failed; the whole log is $cache/base.log" >&2
		exit 1
	}
	mv "$tar.new" "$tar"
fi
echo "$tar"
