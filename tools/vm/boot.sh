#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Boots a kernel in QEMU (software emulation) with an initrd that ends with "vm: status N".
set -euo pipefail

usage() {
	cat <<'END'
usage: tools/vm/boot.sh [OPTION…] KERNEL INITRD
  KERNEL             5.10, 6.1, 6.12 or 7.2 (Debian's cloud kernels, fetched once)
  --timeout SECONDS  give up after (default 120)
  --memory MIB       (default 2048)
  --append TEXT      further words for the kernel's command line
  --verbose          show the kernel's own messages
What INITRD's init says on the console between the lines "vm: ready" and "vm: status N" is printed, and
N is the exit status; 124 when it took too long, 125 when the kernel did not get there.
END
}

timeout=120 memory=2048 verbose=no append=
while [ $# -gt 0 ]; do
	case $1 in
	--timeout) timeout=$2 && shift 2 ;;
	--memory) memory=$2 && shift 2 ;;
	--append) append=$2 && shift 2 ;;
	--verbose) verbose=yes && shift ;;
	-h | --help) usage && exit 0 ;;
	-*) usage >&2 && exit 2 ;;
	*) break ;;
	esac
done
if [ $# != 2 ]; then
	usage >&2
	exit 2
fi
kernel=$1 initrd=$2
from=$("$(dirname "$0")/fetch.sh" "$kernel")
work=$(mktemp -d "${TMPDIR:-/tmp}/archaic-boot.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Not -enable-kvm: not every machine that has /dev/kvm can boot a kernel on it.
# thread=single: with a host thread a CPU, one of them now and then met the int3 of a jump label that the kernel was
# just patching for the other, as attaching BPF does (Oops: int3, on 6.12 and 7.2, two boots of seven on a host under load).
# no_timer_check: on a busy host the emulated timer is now and then too slow for the kernel's test of it, and it panics.
quiet="quiet loglevel=1"
[ "$verbose" = yes ] && quiet=
timeout -k 5 "$timeout" qemu-system-x86_64 -accel tcg,thread=single -cpu max -m "$memory" -smp 2 -nographic -no-reboot \
	-nic none -kernel "$from/vmlinuz" -initrd "$initrd" \
	-append "console=ttyS0 panic=-1 no_timer_check $quiet $append" </dev/null 2>"$work/qemu.err" |
	sed -u 's/\r//g' | tee "$work/console" |
	if [ "$verbose" = yes ]; then cat; else sed -nu '/^vm: status /q; /^vm: ready$/,$ { /^vm: ready$/d; p }'; fi || :

status=$(sed -n 's/^vm: status //p' "$work/console" | tail -n 1)
if [ -n "$status" ]; then
	exit "$status"
fi
if grep -q '^vm: ready$' "$work/console"; then
	echo "vm: the command did not end within $timeout s, or the kernel died" >&2
	tail -n 5 "$work/console" >&2
	exit 124
fi
echo "vm: $kernel did not boot" >&2
tail -n 20 "$work/console" "$work/qemu.err" >&2
exit 125
