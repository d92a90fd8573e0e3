#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The package under a real systemd: what tests/systemd/try.sh does there.
#
# usage: tests/systemd/run.sh KERNEL OLD_DEB DEB        (as root)
#   KERNEL   6.1, 6.12, ...: in QEMU, with a kernel of tools/vm
#            here: in a container of systemd-nspawn, on this machine's own kernel
set -euo pipefail

case ${1:-} in
-h | --help) sed -n 's/^# \(usage:.*\|  .*\)/\1/p' "$0" && exit 0 ;;
esac
if [ $# != 3 ]; then
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
fi
kernel=$1 old=$(realpath "$2") deb=$(realpath "$3")
cd "$(dirname "$0")/../.."
tar=$(tests/deb/base.sh "$deb" systemd)
work=$(mktemp -d "${TMPDIR:-/tmp}/archaic-systemd.XXXXXX")
trap 'rm -rf "$work"' EXIT

add=$work/add
mkdir -p "$add/root" "$add/etc/systemd/system/default.target.wants"
cp "$old" "$add/root/old.deb"
cp "$deb" "$add/root/new.deb"
cp tests/systemd/try.sh "$add/root/"
# A state as the first schema had it, with one incident.
python3 - "$add/root/schema1.db" <<'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.executescript("""
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE incidents(id TEXT PRIMARY KEY, state TEXT NOT NULL, opened_at INTEGER NOT NULL, root TEXT, json TEXT NOT NULL);
CREATE INDEX incidents_opened ON incidents(opened_at);
CREATE TABLE audit(seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, actor TEXT NOT NULL, event TEXT NOT NULL,
 json TEXT NOT NULL, hash TEXT NOT NULL);
PRAGMA application_id=1634886472;
PRAGMA user_version=1;
""")
db.execute("INSERT INTO incidents VALUES('i-0041', 'repaired', 1700000000000, 'db', ?)",
           ('{"id":"i-0041","state":"repaired","opened_at":"2023-11-14T22:13:20.000Z","closed_at":"2023-11-14T22:14:20.000Z",'
            '"root_cause":{"service":"db","resource":"latency","confidence":1,"reasons":[]},"causes":[],"victims":[],'
            '"evidence":[],"plan":null,"guard":null,"actions":[],"verification":null,"timeline":[]}',))
db.commit()
END
cat >"$add/etc/systemd/system/try.service" <<'END'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
Environment=HOME=/root
TimeoutStartSec=infinity
ExecStart=/bin/sh -c 'exec /bin/sh /root/try.sh >$(cat /root/out) 2>&1'
END
ln -s ../try.service "$add/etc/systemd/system/default.target.wants/try.service"
for unit in getty@tty1.service serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer; do
	ln -sf /dev/null "$add/etc/systemd/system/$unit"
done
if [ "$kernel" = here ]; then
	echo "==== systemd in a container, on Linux $(uname -r)"
	echo /root/log >"$add/root/out"
	mkdir "$work/root"
	tar -C "$work/root" -xf "$tar"
	cp -r "$add/." "$work/root/"
	# Its own network; the capabilities and calls that BPF takes, which a container usually has not.
	timeout -k 5 "${VM_TIMEOUT:-900}" systemd-nspawn --quiet --register=no --keep-unit --private-network --capability=all \
		--system-call-filter="bpf perf_event_open" --boot --directory="$work/root" </dev/null >"$work/console" 2>&1 || :
	# With --keep-unit it makes its groups in ours, and leaves them, empty.
	own=$(sed -n 's/^0:://p' /proc/self/cgroup)
	find /sys/fs/cgroup -depth -type d \( -path "*${own%/}/payload" -o -path "*${own%/}/payload/*" -o \
		-path "*${own%/}/supervisor" \) -exec rmdir {} \; 2>/dev/null || :
	sed '1,/^vm: ready$/d; /^vm: status /d' "$work/root/root/log"
	status=$(sed -n 's/^vm: status //p' "$work/root/root/log")
	[ -n "$status" ] || { tail -n 20 "$work/console" >&2 && status=125; }
	exit "$status"
fi

# The root file system as a tar in the initrd, unpacked into memory: a file system that systemd can
# move its mounts about on, which an initramfs is not.
from=$(tools/vm/fetch.sh "$kernel")
echo /dev/ttyS0 >"$add/root/out"
mkdir -p "$add/usr/lib/modules" "$work/initrd/bin"
cp -r "$from"/lib/modules/* "$add/usr/lib/modules/"
cp "$tar" "$work/initrd/root.tar"
tar -C "$add" -rf "$work/initrd/root.tar" .
cp "$(command -v busybox)" "$work/initrd/bin/busybox"
mkdir "$work/initrd/new"
cat >"$work/initrd/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t tmpfs -o size=85% tmpfs /new
/bin/busybox tar -xf /root.tar -C /new
/bin/busybox rm /root.tar
exec /bin/busybox switch_root /new /lib/systemd/systemd
END
chmod +x "$work/initrd/init"
(cd "$work/initrd" && find . | cpio -o -H newc --quiet) >"$work/initrd.cpio"
echo "==== systemd on Linux $kernel"
tools/vm/boot.sh --timeout "${VM_TIMEOUT:-900}" --memory 3072 --append "systemd.show_status=0 systemd.log_level=warning" \
	"$kernel" "$work/initrd.cpio"
