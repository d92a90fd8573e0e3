#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A clean Debian 12 to install the package in: by debootstrap, from the archive that this machine's
# own apt uses. Prints the tar's path; kept in ${XDG_CACHE_HOME:-~/.cache}/archaic-ebpf/deb.
#
# usage: tests/deb/base.sh DEB minimal|systemd       (as root; a minute or two at first)
#   minimal   debootstrap's smallest, and what DEB depends on
#   systemd   that, and a systemd to boot, iptables, iproute2, curl
set -euo pipefail

case ${1:-} in
-h | --help) sed -n 's/^# \(usage:.*\|  .*\)/\1/p' "$0" && exit 0 ;;
esac
if [ $# != 2 ] || [ ! -f "$1" ]; then
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
fi
deb=$(realpath "$1")
case $2 in
minimal) more="" ;;
systemd) more=systemd-sysv,dbus,iptables,iproute2,curl,kmod ;;
*) echo "base.sh: $2 is neither minimal nor systemd" >&2 && exit 2 ;;
esac
# Alternatives: the first one.
depends=$(dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/[|(].*//; s/ //g' | paste -s -d ,)
packages=$depends${more:+,$more}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/archaic-ebpf/deb
tar=$cache/$2-$(cksum <<<"$packages" | cut -d ' ' -f 1).tar
mkdir -p "$cache"
exec 9>"$cache/base.lock"
flock 9
if [ ! -e "$tar" ]; then
	# shellcheck disable=SC2016 # apt's own variable
	archive=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -E '/debian/?$' | head -n 1)
	[ -n "$archive" ] || {
		echo "base.sh: apt knows no Debian archive here (a URI that ends with /debian)" >&2
		exit 77
	}
	# In a mount namespace of its own: debootstrap's /proc and /sys never get into the way.
	# shellcheck disable=SC2016 # the inner shell's
	unshare --mount --propagation private bash -c '
		set -euo pipefail
		rm -rf "$1/rootfs"
		debootstrap --variant=minbase --include="$3" bookworm "$1/rootfs" "$2"
		umount -R "$1/rootfs/proc" "$1/rootfs/sys" 2>/dev/null || :
		rm -rf "$1"/rootfs/var/cache/apt/* "$1"/rootfs/var/lib/apt/lists/* "$1"/rootfs/usr/share/{doc,locale}/*
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
