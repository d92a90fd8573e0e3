#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Boots another kernel in QEMU (software emulation) and runs one command in it.
set -euo pipefail

usage() {
	cat <<'END'
usage: tools/vm/run.sh [OPTION…] KERNEL -- COMMAND [ARGUMENT…]
  KERNEL             5.10, 6.1, 6.12 or 7.2 (Debian's cloud kernels, fetched once)
  --with PATH        also put PATH there, at the same absolute path (file or folder);
                     libraries that a program needs come along; may be repeated
  --module NAME      also load this module; may be repeated
  --timeout SECONDS  give up after (default 120)
  --memory MIB       (default 2048)
  --lsm              boot with the bpf LSM switched on
  --verbose          show the kernel's own messages
COMMAND is a path here, and is taken along. It runs as root in an initramfs with
busybox, cgroup v2 on /sys/fs/cgroup, tracefs, bpffs, loopback up, /tmp and /run in
memory; the modules sch_fq, sch_netem, cls_bpf, sch_ingress, xt_NFQUEUE, tcp_diag and
what iptables needs are loaded. The working folder is / there; build/bin and real tc, ip
and iptables are in PATH before busybox's. Its output is printed, and its exit status
is this program's; 124 when it took too long, 125 when the kernel did not get there.

EXAMPLES
  tools/vm/run.sh 5.10 -- build/tests/bpf/test_load
  tools/vm/run.sh --with build/bin/archaic-ebpf 6.1 -- build/tests/host/test_delay
  tools/vm/run.sh 6.12 -- /bin/sh -c 'uname -r; tc qdisc add dev lo root fq; tc qdisc'
END
}

with=() timeout=120 memory=2048 verbose=no append=
modules=(sch_fq sch_netem sch_htb sch_ingress cls_bpf act_bpf veth nfnetlink_queue xt_NFQUEUE xt_cgroup xt_mark
	xt_tcpudp xt_comment nft_compat iptable_filter iptable_mangle ip6table_filter ip6table_mangle
	nft_counter inet_diag tcp_diag tun)
while [ $# -gt 0 ]; do
	case $1 in
	--with) with+=("$2") && shift 2 ;;
	--module) modules+=("$2") && shift 2 ;;
	--timeout) timeout=$2 && shift 2 ;;
	--memory) memory=$2 && shift 2 ;;
	--lsm) append="lsm=lockdown,capability,landlock,yama,bpf" && shift ;;
	--verbose) verbose=yes && shift ;;
	-h | --help) usage && exit 0 ;;
	-*) usage >&2 && exit 2 ;;
	*) break ;;
	esac
done
if [ $# -lt 3 ] || [ "$2" != -- ]; then
	usage >&2
	exit 2
fi
kernel=$1
shift 2

here=$(dirname "$(realpath "$0")")
from=$("$here/fetch.sh" "$kernel")
version=$(basename "$from"/lib/modules/*)
work=$(mktemp -d "${TMPDIR:-/tmp}/archaic-vm.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,sbin,etc,proc,sys,dev,run,tmp,root,usr/bin,usr/sbin,usr/lib,var/lib,lib/modules}

take() { # FILE AS: copied with the libraries that it names
	local lib
	[ -e "$root$2" ] && return
	mkdir -p "$root$(dirname "$2")"
	cp -L "$1" "$root$2"
	[ -f "$1" ] && [ -x "$1" ] || return 0
	{ ldd "$1" 2>/dev/null || :; } | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^\t\(\/[^ ]*\) .*/\1/p' |
		while read -r lib; do
			[ -e "$root$lib" ] && continue
			mkdir -p "$root$(dirname "$lib")"
			cp -L "$lib" "$root$lib"
		done
}

take_path() { # PATH: a file or a whole folder, at the same absolute path
	local path file
	path=$(realpath "$1")
	if [ -d "$path" ]; then
		find "$path" -type f | while read -r file; do take "$file" "$file"; done
	else
		take "$path" "$path"
	fi
}

cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $(busybox --list); do
	[ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"
done
for tool in tc ip iptables ip6tables iptables-save ip6tables-save; do
	path=$(command -v $tool || :)
	[ -z "$path" ] || take "$path" "/usr/sbin/$tool"
done
for folder in /usr/lib/*/xtables; do
	[ -d "$folder" ] || continue
	for file in "$folder"/libxt_{NFQUEUE,cgroup,mark,tcp,udp,comment,standard,multiport}.so; do
		[ -e "$file" ] && take "$file" "$file"
	done
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\narchaic:x:990:\n' >"$root/etc/group"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"

command=$1
if [ -f "$command" ]; then
	command=$(realpath "$command")
	take "$command" "$command"
fi
shift
for path in "${with[@]+"${with[@]}"}"; do
	take_path "$path"
done

# In the order of their dependencies; what a kernel has built in or lacks is passed over.
list=$root/etc/modules
: >"$list"
for module in "${modules[@]}"; do
	{ modprobe -d "$from" -S "$version" --show-depends "$module" 2>/dev/null || :; } |
		awk '$1 == "insmod" { print $2 }' | while read -r ko; do
		name=$(basename "${ko%.xz}")
		grep -qx "$name" "$list" && continue
		if [ "$ko" != "${ko%.xz}" ]; then
			xz -dc "$ko" >"$root/lib/modules/$name"
		else
			cp "$ko" "$root/lib/modules/$name"
		fi
		echo "$name" >>"$list"
	done
done

{
	printf 'set --'
	printf " '%s'" "$command" "${@//\'/\'\\\'\'}"
	echo
} >"$root/etc/command"
cat >"$root/init" <<'END'
#!/bin/busybox sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts && mount -t devpts devpts /dev/pts
# Not over what was taken along to there.
for dir in /tmp /run; do [ -n "$(ls -A $dir)" ] || mount -t tmpfs tmpfs $dir; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
while read -r name; do insmod "/lib/modules/$name" 2>/dev/null; done </etc/modules
export PATH=@BIN@:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CI=@CI@
ip link set lo up
. /etc/command
# The firmware's last words have no line end.
echo
echo "vm: ready"
"$@" </dev/null
echo "vm: status $?"
sync
poweroff -f
END
sed -i "s|@BIN@|$(realpath "$here/../../build/bin" 2>/dev/null || echo /bin)|; s|@CI@|${CI:-}|" "$root/init"
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"

# Not -enable-kvm: not every machine that has /dev/kvm can boot a kernel on it.
# thread=single: with a host thread a CPU, one of them now and then met the int3 of a jump label that the kernel was
# just patching for the other, as attaching BPF does (Oops: int3, on 6.12 and 7.2, two boots of seven on a host under load).
# no_timer_check: on a busy host the emulated timer is now and then too slow for the kernel's test of it, and it panics.
quiet="quiet loglevel=1"
[ "$verbose" = yes ] && quiet=
timeout -k 5 "$timeout" qemu-system-x86_64 -accel tcg,thread=single -cpu max -m "$memory" -smp 2 -nographic -no-reboot \
	-nic none -kernel "$from/vmlinuz" -initrd "$work/initrd" \
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
