#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Fetches one of Debian's cloud kernels for the QEMU rig, once, and unpacks it.
#
# usage: tools/vm/fetch.sh 5.10|6.1|6.12|7.2
# Prints the folder: it holds vmlinuz and lib/modules/VERSION. Packages come
# from the same archive as this machine's own (its address is read from apt),
# through a second apt configuration: nothing of the machine's is changed.
# Cached in ${XDG_CACHE_HOME:-~/.cache}/archaic-ebpf/vm.
set -euo pipefail

case "${1:-}" in
5.10) suite=bullseye ;;
6.1) suite=bookworm ;;
6.12) suite=trixie ;;
7.2) suite=sid ;;
*)
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
	;;
esac
cache=${XDG_CACHE_HOME:-$HOME/.cache}/archaic-ebpf/vm
to=$cache/$1
if [ -e "$to/done" ]; then
	echo "$to"
	exit 0
fi

# shellcheck disable=SC2016 # apt's own variable
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' | grep -E '/debian/?$' | head -n 1)
if [ -z "$archive" ]; then
	echo "vm: apt knows no Debian archive here (a URI that ends with /debian)" >&2
	exit 1
fi
apt=$cache/apt-$suite
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/etc/empty"
printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
	"$archive" "$suite" >"$apt/etc/sources.list"
: >"$apt/status"
options=(-q -q -o "Dir::Etc::SourceList=$apt/etc/sources.list" -o "Dir::Etc::SourceParts=$apt/etc/empty"
	-o Dir::Etc::Preferences=/dev/null -o "Dir::Etc::PreferencesParts=$apt/etc/empty"
	-o "Dir::State=$apt" -o "Dir::State::status=$apt/status" -o "Dir::State::Lists=$apt/lists"
	-o "Dir::Cache=$apt" -o "Dir::Cache::archives=$apt/archives" -o APT::Sandbox::User=root
	-o Acquire::Languages=none -o APT::Architecture=amd64)
# The name from inside: this only ever reads the second configuration.
apt-get "${options[@]}" update >&2

depends() { # PACKAGE PATTERN: what it depends on that looks like this
	apt-cache "${options[@]}" depends --no-recommends --no-suggests "$1" |
		sed -n "s/^ *Depends: *\($2\)\$/\1/p" | sort -u
}

image=$(depends linux-image-cloud-amd64 'linux-image-[0-9].*')
[ -n "$image" ] || { echo "vm: $suite has no linux-image-cloud-amd64" >&2 && exit 1; }
packages="$image $(depends "$image" 'linux-\(binary\|modules\|base\)-[0-9].*')"
rm -rf "$to"
mkdir -p "$to/debs"
# shellcheck disable=SC2086 # one word a package
(cd "$to/debs" && apt-get "${options[@]}" download $packages >&2)
for deb in "$to"/debs/*.deb; do
	dpkg-deb -x "$deb" "$to"
done
kernel=$(find "$to" -name 'vmlinuz*' -type f | head -n 1)
[ -n "$kernel" ] || { echo "vm: no kernel in $packages" >&2 && exit 1; }
cp "$kernel" "$to/vmlinuz"
# Newer packages keep modules below usr/.
if [ ! -d "$to/lib/modules" ]; then
	mkdir -p "$to/lib"
	mv "$to/usr/lib/modules" "$to/lib/"
fi
rm -rf "${to:?}/debs" "${to:?}/usr" "${to:?}/boot"
depmod -b "$to" "$(basename "$to"/lib/modules/*)"
touch "$to/done"
echo "$to"
