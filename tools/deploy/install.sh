#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Puts what was built where a machine looks for it, or takes it out again.
set -eu

usage() {
	cat <<'END'
usage: tools/deploy/install.sh install|uninstall

Environment (with defaults):
  BUILD=build  DESTDIR=  PREFIX=/usr/local  SYSCONFDIR=/etc  UNITDIR=PREFIX/lib/systemd/system
  SYSUSERSDIR=PREFIX/lib/sysusers.d

install puts below DESTDIR: programs into PREFIX/bin, the demo services into
PREFIX/libexec/archaic-ebpf, the unit, man pages, the completion, and the
configuration, where there is none yet. It makes no group and starts nothing:
it says what is left to do. uninstall takes out what install put there, but the
configuration where it was changed.
END
}

[ $# = 1 ] || { usage >&2 && exit 2; }
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build} DESTDIR=${DESTDIR:-} PREFIX=${PREFIX:-/usr/local} SYSCONFDIR=${SYSCONFDIR:-/etc}
UNITDIR=${UNITDIR:-$PREFIX/lib/systemd/system} SYSUSERSDIR=${SYSUSERSDIR:-$PREFIX/lib/sysusers.d}
share=$DESTDIR$PREFIX/share
conf=$DESTDIR$SYSCONFDIR/archaic-ebpf/archaic-ebpf.conf

# MODE FROM TO, a line each, of everything but the configuration.
list() {
	for program in archaic-ebpf archaic-load archaic-bench archaic-supervise; do
		echo "755 $BUILD/bin/$program $DESTDIR$PREFIX/bin/$program"
	done
	for service in services/*/main.c; do
		service=$(basename "$(dirname "$service")")-service
		echo "755 $BUILD/bin/$service $DESTDIR$PREFIX/libexec/archaic-ebpf/$service"
	done
	for page in userspace/man/*.[1-8] services/*/*.[1-8] tools/*/*.[1-8] "$BUILD"/share/*.[1-8]; do
		[ ! -e "$page" ] || echo "644 $page $share/man/man${page##*.}/$(basename "$page")"
	done
	echo "644 $BUILD/share/archaic-ebpf.service $DESTDIR$UNITDIR/archaic-ebpf.service"
	echo "644 tools/deploy/systemd/archaic-ebpf.sysusers $DESTDIR$SYSUSERSDIR/archaic-ebpf.conf"
	echo "644 tools/deploy/systemd/containers.conf $share/doc/archaic-ebpf/examples/containers.conf"
	echo "644 $BUILD/share/completion $share/bash-completion/completions/archaic-ebpf"
}

case $1 in
install)
	# The unit names the program's place, so it is made here.
	sed "s|@BINDIR@|$PREFIX/bin|" tools/deploy/systemd/archaic-ebpf.service.in >"$BUILD/share/archaic-ebpf.service"
	list | while read -r mode from to; do
		install -D -m "$mode" "$from" "$to"
	done
	if [ -e "$conf" ]; then
		cmp -s "$BUILD/share/archaic-ebpf.conf" "$conf" || echo "kept: $conf, which was changed"
	else
		install -D -m 644 "$BUILD/share/archaic-ebpf.conf" "$conf"
	fi
	[ -n "$DESTDIR" ] || cat <<-END
		Installed. As root, once:
		  getent group archaic >/dev/null || groupadd --system archaic
		  systemctl daemon-reload && systemctl enable --now archaic-ebpf
	END
	;;
uninstall)
	list | while read -r _ from to; do
		rm -f "$to"
	done
	if [ -e "$conf" ] && grep -q '^[^#[]' "$conf"; then
		echo "kept: $conf, which was changed"
	else
		rm -f "$conf"
	fi
	# Only what is empty now and was ours alone.
	for dir in "$DESTDIR$PREFIX/libexec/archaic-ebpf" "$share/doc/archaic-ebpf/examples" "$share/doc/archaic-ebpf" \
		"$(dirname "$conf")"; do
		[ ! -d "$dir" ] || rmdir "$dir" 2>/dev/null || :
	done
	;;
-h | --help) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
