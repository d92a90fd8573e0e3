#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Installs the Debian 12 packages that building, running and testing need; says
# first which, and how to remove them. Does nothing when all are there.
set -euo pipefail

usage() {
	cat <<'END'
usage: tools/setup.sh [--list] [SET]
  SET     build   compile everything
          image   what a container image is built with: build without Node.js, and what is copied
          run     build, and what `make demo` and `make up` call (the default)
          test    run, and what `make test` calls
          lint    build, and formatters and linters
          vm      test, and QEMU for `make test-vm`
          browser test, and the browser of `make test-browser`
          bench   test, and the load generators of `make bench`
          deb     build, and what makes, checks and tries the Debian package
          docker  test, and what makes a base image for `make test-docker`
          all     everything but deb and docker
  --list  print the set's packages and stop
END
}

build="make gcc libc6-dev pkg-config clang-19 llvm-19 bpftool libbpf-dev libelf-dev zlib1g-dev
	libcurl4-openssl-dev libcjson-dev libsystemd-dev libmicrohttpd-dev libsodium-dev
	libjwt-dev libsqlite3-dev libinih-dev uthash-dev libmnl-dev libqrencode-dev"
image="$build ca-certificates iptables"
# The web pages' bundler. Other builds of Node.js bring their own npm, which Debian's would not join.
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	build="$build nodejs npm"
fi
run="$build ca-certificates curl iproute2 iptables jq procps"
test="$run libcmocka-dev libasan8 libubsan1 python3 python3-venv openssl systemd util-linux"
lint="$build clang-format-19 shellcheck mandoc git"
vm="$test qemu-system-x86 busybox-static cpio xz-utils dpkg kmod"
browser="$test chromium fonts-dejavu-core"
bench="$test wrk nghttp2-client"
docker="$test debootstrap"
deb="$build debhelper debootstrap dpkg-dev lintian python3 systemd-container"

list=no
if [ "${1:-}" = --list ]; then
	list=yes
	shift
fi
case "${1:-run}" in
build) want=$build ;;
image) want=$image ;;
run) want=$run ;;
test) want=$test ;;
lint) want=$lint ;;
vm) want=$vm ;;
browser) want=$browser ;;
bench) want=$bench ;;
deb) want=$deb ;;
docker) want=$docker ;;
all) want="$lint $vm $browser $bench" ;;
-h | --help)
	usage
	exit 0
	;;
*)
	usage >&2
	exit 2
	;;
esac
want=$(tr -s ' \t\n' '\n' <<<"$want" | sort -u)
if [ "$list" = yes ]; then
	printf '%s\n' "$want"
	exit 0
fi

if ! command -v dpkg-query >/dev/null; then
	echo "setup: this is not Debian; install what corresponds to: $(tr '\n' ' ' <<<"$want")" >&2
	exit 1
fi
# shellcheck disable=SC2086 # one word a package
have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $want 2>/dev/null | sed -n 's/^installed //p' | sort -u || :)
missing=$(comm -23 <(printf '%s\n' "$want") <(printf '%s\n' "$have") | tr '\n' ' ')
missing=${missing% }
[ -n "$missing" ] || exit 0

echo "These Debian packages will be installed:"
echo "  $missing" | fold -s -w 96
echo "To remove them again:"
echo "  apt-get purge --autoremove $missing" | fold -s -w 96
if [ "$(id -u)" != 0 ]; then
	echo "setup: this needs root: sudo tools/setup.sh ${1:-run}" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
mkdir -p build
log=$PWD/build/setup.log
# shellcheck disable=SC2086
if ! { apt-get -q update && apt-get -q -y --no-install-recommends install $missing; } \
	</dev/null >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "setup: apt-get failed; the whole log is $log" >&2
	exit 1
fi
echo "Installed; the log is build/setup.log."
