#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run while an image is built: compiles, and lays out what the final stages copy: OUT/agent, and
# OUT/services (common to the four) with the four binaries beside it in OUT/bin.
# A final stage needs nothing but that: each program brings the libraries that ldd names.
set -eu

case ${1:-} in
-h | --help | '')
	echo "usage: tools/deploy/docker/rootfs.sh OUT      (in the source tree, on Debian 12, as root)"
	[ -n "${1:-}" ] || exit 2
	exit 0
	;;
esac
out=$1
group=8000 # archaic, who may use the control socket, in every deployment of ours
user=65532 # nobody in particular

# Put PROGRAMS into ROOT at FOLDER, stripped, with their libraries. Merged /usr, as Debian has it.
place() { # ROOT FOLDER PROGRAM…
	root=$1 folder=$2
	shift 2
	mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64" "$root$folder"
	for link in bin sbin lib lib64; do
		[ -L "$root/$link" ] || ln -s "usr/$link" "$root/$link"
	done
	for program; do
		cp -L "$program" "$root$folder/"
		strip "$root$folder/${program##*/}"
		ldd "$program" 2>/dev/null | sed -n 's/^[^/]*\(\/[^ ]*\).*/\1/p' | while read -r library; do
			case $library in /usr/*) ;; *) library=/usr$library ;; esac
			[ -e "$root$library" ] || install -D -m 755 "$library" "$root$library"
		done
	done
}

# What every root has: names for the ids, the authorities that TLS trusts, folders to write in.
furnish() { # ROOT
	mkdir -p "$1/etc/ssl/certs" "$1/run/archaic-ebpf" "$1/var/lib/archaic-ebpf" "$1/proc" "$1/sys" "$1/dev"
	install -d -m 1777 "$1/tmp"
	printf 'root:x:0:0:root:/:/\nservice:x:%s:%s:service:/:/\n' $user $user >"$1/etc/passwd"
	printf 'root:x:0:\nservice:x:%s:\narchaic:x:%s:service\n' $user $group >"$1/etc/group"
	cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
}

# iptables is for kernels without fq; of its extensions only those that our rules name.
place_iptables() { # ROOT
	place "$1" /usr/sbin /usr/sbin/xtables-nft-multi /usr/sbin/xtables-legacy-multi
	for name in iptables ip6tables; do
		for suffix in '' -save -restore; do
			ln -s xtables-nft-multi "$1/usr/sbin/$name$suffix"
			ln -s xtables-nft-multi "$1/usr/sbin/$name-nft$suffix"
			ln -s xtables-legacy-multi "$1/usr/sbin/$name-legacy$suffix"
		done
	done
	for extension in /usr/lib/*-linux-gnu/xtables/*.so; do
		case ${extension##*/} in
		libxt_NFQUEUE.so | libxt_cgroup.so | libxt_comment.so | libxt_mark.so | libxt_standard.so | \
			libxt_tcp.so) install -D -m 644 "$extension" "$1$extension" ;;
		esac
	done
}

# Bundled pages that came with the source are taken as they are.
if [ -e build/gen/web_assets.c ]; then
	make -j"${JOBS:-$(nproc)}" NPM=bundled -o build/gen/web_assets.c all
else
	tools/setup.sh build
	make -j"${JOBS:-$(nproc)}" all
fi
place "$out/agent" /usr/bin build/bin/archaic-ebpf
place "$out/agent" /usr/libexec/archaic-ebpf build/bin/archaic-load
place_iptables "$out/agent"
furnish "$out/agent"
# archaic-load is their health check.
place "$out/services" /usr/bin build/bin/archaic-load build/bin/*-service
furnish "$out/services"
mkdir -p "$out/bin"
mv "$out"/services/usr/bin/*-service "$out/bin/"
