#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes container images, in the form of `docker save`, out of this tree's programs and the libraries that they were
# linked with: no engine, no registry, no base image. For the tests' cluster; the Dockerfiles are for everybody else.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
BIN=${ARCHAIC_BIN:-$HERE/../../build/bin}

usage() {
	cat <<'END'
usage: tools/cluster/image.sh NAME FILE.tar
  NAME  archaic-ebpf | auth-service | db-service | product-service | payment-service | archaic-load | pause
  FILE  where the image localhost/NAME:latest (pause: localhost/pause:1) goes
END
}

case ${1:-} in
-h | --help)
	usage
	exit 0
	;;
esac
[ $# = 2 ] || {
	usage >&2
	exit 2
}
name=$1 out=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/etc" "$root/tmp" "$root/usr/bin"
chmod 1777 "$root/tmp"

# libraries FILE…: what they need, at the same places
libraries() {
	ldd "$@" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*\) .*/\1/p' | sort -u | while read -r library; do
		[ -e "$root$library" ] || install -D -m 755 "$library" "$root$library"
	done
}

program() {
	install -m 755 "$1" "$root/usr/bin/"
	libraries "$1"
}

# The fault back ends call iptables where a kernel has no fq; its matches are plug-ins.
with_iptables() {
	local multi=/usr/sbin/xtables-nft-multi plugins tool
	[ -x $multi ] || return 0
	plugins=$(dirname "$(find /usr/lib -name libxt_comment.so -print -quit)")
	install -D -m 755 $multi "$root$multi"
	mkdir -p "$root$plugins"
	cp -P "$plugins"/*.so "$root$plugins/"
	libraries $multi "$plugins"/libxt_comment.so
	for tool in iptables iptables-save ip6tables ip6tables-save; do
		ln -s xtables-nft-multi "$root/usr/sbin/$tool"
	done
}

tag=latest user=10001:10001
entry=/usr/bin/$name
case $name in
pause)
	tag=1
	printf '#include <unistd.h>\nint main(void)\n{\n\tfor (;;)\n\t\tpause();\n}\n' >"$work/pause.c"
	gcc -static -Os -s -o "$root/usr/bin/pause" "$work/pause.c"
	;;
archaic-ebpf)
	user=0:0
	program "$BIN/$name"
	with_iptables
	;;
*-service | archaic-load) program "$BIN/$name" ;;
*)
	usage >&2
	exit 2
	;;
esac
printf 'root:x:0:0:root:/:/bin/false\narchaic:x:10001:10001:archaic:/tmp:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\narchaic:x:10001:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
# Certificates of the public authorities, for the model and for Stripe.
[ ! -e /etc/ssl/certs/ca-certificates.crt ] || install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

image=$work/image
mkdir -p "$image/layer"
tar -C "$root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$image/layer/layer.tar" .
layer=$(sha256sum "$image/layer/layer.tar" | cut -d ' ' -f 1)
architecture=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
jq -cn --arg layer "sha256:$layer" --arg entry "$entry" --arg user "$user" --arg architecture "$architecture" \
	'{architecture: $architecture, os: "linux", config: {Entrypoint: [$entry], User: $user, WorkingDir: "/"},
	rootfs: {type: "layers", diff_ids: [$layer]}}' >"$work/config.json"
config=$(sha256sum "$work/config.json" | cut -d ' ' -f 1)
mv "$work/config.json" "$image/$config.json"
jq -cn --arg config "$config.json" --arg tag "localhost/$name:$tag" \
	'[{Config: $config, RepoTags: [$tag], Layers: ["layer/layer.tar"]}]' >"$image/manifest.json"
tar -C "$image" -cf "$out" manifest.json "$config.json" layer
