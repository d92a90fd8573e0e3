#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes the Debian package of what was built, and has lintian look at it.
set -euo pipefail

usage() {
	cat <<'END'
usage: tools/deploy/deb.sh [--no-lintian]

`make deb` calls it. Copies tools/deploy/debian to build/deb and builds the
binary package there, of what is in build/; prints its path and size.

Environment:
  ARCHAIC_BUILD=build  VERSION=…  DEB_VERSION=VERSION (of the package, for tests of an upgrade)
END
}

lintian=yes
case "${1:-}" in
'') ;;
--no-lintian) lintian=no ;;
-h | --help) usage && exit 0 ;;
*) usage >&2 && exit 2 ;;
esac
cd "$(dirname "$0")/../.."
build=${ARCHAIC_BUILD:-build}
version=${DEB_VERSION:-${VERSION:?usage: make deb}}
work=$build/deb
rm -rf "$work/debian"
mkdir -p "$work"
cp -r tools/deploy/debian "$work/debian"
first=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$work/debian/changelog")
[ "$version" = "$first" ] || sed -i "1s/($first)/($version)/" "$work/debian/changelog"

# The same sources give the same package: dates are the newest commit's, or the changelog's.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || dpkg-parsechangelog -l "$work/debian/changelog" -S Timestamp)
export SOURCE_DATE_EPOCH DEB_BUILD_OPTIONS="noautodbgsym nocheck" ARCHAIC_BUILD=$PWD/$build
log=$work/build.log
if ! (cd "$work" && dpkg-buildpackage -b -us -uc --no-pre-clean -d) >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "deb: dpkg-buildpackage failed; the whole log is $log" >&2
	exit 1
fi
architecture=$(dpkg --print-architecture)
deb=$work/archaic-ebpf_${version}_$architecture.deb
# It puts its results one folder up.
mv "$build/archaic-ebpf_${version}_$architecture".* "$work/"
if [ "$lintian" = yes ]; then
	lintian --fail-on error,warning "$deb"
	echo "lintian: no error, no warning"
fi
echo "$deb $(stat -c %s "$deb") bytes, installed $(dpkg-deb -f "$deb" Installed-Size) KiB"
