#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The package in a clean Debian folder: installed, tried, removed, purged. No systemd runs there.
#
# usage: tests/deb/run.sh DEB        (as root)
set -euo pipefail

case ${1:-} in
-h | --help) sed -n 's/^# \(usage:.*\)/\1/p' "$0" && exit 0 ;;
esac
deb=$(realpath "${1:?usage: tests/deb/run.sh DEB}")
cd "$(dirname "$0")/../.."
tar=$(tests/deb/base.sh "$deb" minimal)
work=$(mktemp -d "${TMPDIR:-/tmp}/archaic-deb.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/root"
tar -C "$work/root" -xf "$tar"
cp "$deb" "$work/root/root/archaic-ebpf.deb"
version=$(dpkg-deb -f "$deb" Version)

# In namespaces of its own: no process, mount or address of it can stay, whatever happens.
cat >"$work/root/root/try.sh" <<'END'
set -eu
failed=0
check() { # TEXT COMMAND…
	text=$1
	shift
	if "$@" >/tmp/out 2>&1; then
		echo "  ok    $text"
	else
		echo "  FAIL  $text"
		tail -n 5 /tmp/out
		failed=1
	fi
}
gone() { for path; do [ ! -e "$path" ] || return 1; done; }
prints() { "$1" "$2" | grep -q "$3"; } # PROGRAM ARGUMENT TEXT
snapshot() { # what dpkg and we may leave is left out
	find / -xdev \( -path /proc -o -path /sys -o -path /tmp -o -path /root -o -path /run -o -path /var/lib/dpkg \
		-o -path /var/cache -o -path /var/log \) -prune -o -print | sort
}
snapshot >/tmp/before
check "installs" dpkg -i /root/archaic-ebpf.deb
check "its version" prints archaic-ebpf version "$1"
check "the group archaic" grep -q '^archaic:' /etc/group
check "its configuration is in order" archaic-ebpf check-config
check "the unit is enabled" test -L /etc/systemd/system/multi-user.target.wants/archaic-ebpf.service
check "dpkg finds no changed file" dpkg --verify archaic-ebpf
for page in man1/archaic-ebpf.1 man1/archaic-load.1 man1/archaic-bench.1 man5/archaic-ebpf.conf.5 \
	man8/archaic-supervise.8 man8/archaic-services.8; do
	check "$page" grep -q "/usr/share/man/$page.gz$" /var/lib/dpkg/info/archaic-ebpf.list
done
for program in archaic-ebpf archaic-load archaic-supervise; do
	check "$program finds its libraries" "$program" --help
done
check "doctor speaks" prints archaic-ebpf doctor cgroup

# A configuration of the user's and a state outlive a removal, not a purge.
sed -i 's/^#mode = .*/mode = observe/' /etc/archaic-ebpf/archaic-ebpf.conf
check "the changed configuration is in order" archaic-ebpf check-config
mkdir -p /var/lib/archaic-ebpf && echo kept >/var/lib/archaic-ebpf/archaic.db
check "installs over itself" dpkg -i /root/archaic-ebpf.deb
check "keeps the changed configuration" grep -qx 'mode = observe' /etc/archaic-ebpf/archaic-ebpf.conf
check "is removed" dpkg -r archaic-ebpf
check "no program is left" gone /usr/bin/archaic-ebpf /usr/bin/archaic-load /usr/libexec/archaic-ebpf \
	/lib/systemd/system/archaic-ebpf.service
check "the configuration is left" test -e /etc/archaic-ebpf/archaic-ebpf.conf
check "the state is left" test -e /var/lib/archaic-ebpf/archaic.db
check "is purged" dpkg -P archaic-ebpf
check "no configuration, no state" gone /etc/archaic-ebpf /var/lib/archaic-ebpf
snapshot >/tmp/after
check "nothing else is left, nor missing" diff /tmp/before /tmp/after
exit $failed
END
# shellcheck disable=SC2016 # the inner shell's
unshare --mount --pid --fork --net --uts --ipc --propagation private bash -euc '
	mount -t proc proc "$1/proc"
	mount -t tmpfs tmpfs "$1/dev" && for d in null zero random urandom full tty; do cp -a "/dev/$d" "$1/dev/"; done
	exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \
		/bin/sh /root/try.sh "$2"' bash "$work/root" "$version"
echo "test-deb: passed; $(stat -c %s "$deb") bytes, installed $(dpkg-deb -f "$deb" Installed-Size) KiB"
