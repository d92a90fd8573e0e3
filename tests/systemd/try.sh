#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Run by a unit in the virtual machine of tests/systemd/run.sh, once the system is up.
set -u

echo
echo "vm: ready"
failed=0
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

check() { # TEXT COMMAND…
	text=$1
	shift
	if "$@" >/tmp/out 2>&1; then
		echo "  ok    $text"
	else
		echo "  FAIL  $text"
		tail -n 8 /tmp/out
		failed=1
	fi
}
until_so() { # SECONDS COMMAND…: until it succeeds
	left=$(($1 * 5))
	shift
	until "$@" >/tmp/out 2>&1; do
		left=$((left - 1))
		[ $left -gt 0 ] || return 1
		sleep 0.2
	done
}
not() { ! "$@"; }
now_ms() { date +%s%3N; }
says() { # TEXT COMMAND…: does it print TEXT?
	wanted=$1
	shift
	"$@" 2>&1 | tee /tmp/out | grep -q -- "$wanted"
}
active() { systemctl is-active --quiet archaic-ebpf; }
property() { systemctl show -P "$1" archaic-ebpf; }
log_says() { journalctl -u archaic-ebpf --no-pager -o cat | grep -q -- "$1"; }
metrics() { curl -sf --max-time 5 http://127.0.0.1:8006/metrics; }
has_metric() { metrics | grep -q "^[a-z_]*{"; }
code() { curl -s -o /dev/null --max-time 20 -w '%{http_code}' http://127.0.0.1:8002/products; }
took_ms() { curl -s -o /dev/null --max-time 20 -w '%{time_total}' http://127.0.0.1:8002/products | awk '{ printf "%d\n", $1 * 1000 }'; }
quick() { [ "$(took_ms)" -lt 500 ]; }
answers() { [ "$(code)" = 200 ]; }
at_least() { [ "$1" -ge "$2" ]; }
inject() { archaic-ebpf inject db "$@" --duration 60s; }
# Whatever a fault makes outside BPF: rules, qdiscs, filters.
left_over() {
	iptables-save 2>/dev/null | grep archaic
	tc qdisc show dev lo | grep -E 'fq|clsact'
	tc filter show dev lo egress 2>/dev/null | grep .
}
nothing_left() { [ -z "$(left_over)" ]; }

uname -r
echo "started in $(cut -d ' ' -f 1 /proc/uptime) s"

echo "# an older version, on a bare machine"
check "installs" dpkg -i /root/old.deb
check "is active" until_so 60 active
check "systemd was told that it is ready" says "Mode suggest" systemctl status archaic-ebpf
check "is enabled" systemctl is-enabled archaic-ebpf
check "the socket is the group's" says "srw-rw---- .* root archaic" ls -l /run/archaic-ebpf/control.sock
check "the state is root's alone" says "^drwx------ .* root" ls -ld /var/lib/archaic-ebpf
systemctl stop archaic-ebpf
rm -rf /var/lib/archaic-ebpf
begun=$(now_ms)
systemctl start archaic-ebpf
ready=$(now_ms)
until_so 60 has_metric
echo "first start to ready: $((ready - begun)) ms, to first metric: $(($(now_ms) - begun)) ms"
check "metrics" has_metric
pid=$(property MainPID)
echo "capabilities: $(grep CapBnd "/proc/$pid/status"), $(systemd-analyze security archaic-ebpf | tail -n 1)"
check "has no CAP_SYS_ADMIN" [ $((0x$(sed -n 's/^CapEff:	*//p' "/proc/$pid/status") >> 21 & 1)) = 0 ]

echo "# doctor, under the unit's rights"
archaic-ebpf doctor
# At 3 Debian's kernels keep perf events, and with them the fault cpu, to CAP_SYS_ADMIN; 2 is Linux's own default.
if [ "$(cat /proc/sys/kernel/perf_event_paranoid)" -gt 2 ]; then
	check "doctor names perf_event_paranoid" says perf_event_paranoid archaic-ebpf doctor
	check "and nothing else is missing" [ "$(archaic-ebpf doctor | grep -c '^  NO')" = 1 ]
	echo 2 >/proc/sys/kernel/perf_event_paranoid
	systemctl restart archaic-ebpf
	until_so 60 has_metric
fi
check "nothing is missing" not says '^  NO' archaic-ebpf doctor
check "doctor's word on the kernel" says "Linux $(uname -r)" archaic-ebpf doctor

echo "# each fault, on a service of another user"
systemd-run -q --unit=db --uid=nobody -p Restart=always -p RestartSec=1 /usr/libexec/archaic-ebpf/db-service --port 8002
check "the service answers" until_so 30 answers
check "attached" archaic-ebpf attach db --port 8002 --supervised
check "timeout is armed" inject timeout --delay-ms 700
check "and answers come late" at_least "$(took_ms)" 700
archaic-ebpf reset db
check "error is armed" inject error
check "and answers are 500" [ "$(code)" = 500 ]
archaic-ebpf reset db
check "bad_data is armed" inject bad_data
check "and names are null" says '"name":\|null' curl -s http://127.0.0.1:8002/products
archaic-ebpf reset db
check "loss is armed" inject loss --percent 50
archaic-ebpf reset db
check "cpu is armed" inject cpu --percent 50
archaic-ebpf reset db
was=$(systemctl show -P MainPID db)
check "crash" inject crash
check "and another process answers" until_so 30 answers
check "which is not the one before" [ "$(systemctl show -P MainPID db)" != "$was" ]
archaic-ebpf reset db
check "all is undone" until_so 10 nothing_left

echo "# killed with a fault armed"
check "timeout is armed" inject timeout --delay-ms 700
pid=$(property MainPID)
begun=$(now_ms)
kill -KILL "$pid"
check "nothing is left" until_so 20 nothing_left
echo "killed to nothing left: $(($(now_ms) - begun)) ms"
check "is started again" until_so 60 active
check "by another process" [ "$(property MainPID)" != "$pid" ]
check "counted by systemd" [ "$(property NRestarts)" = 1 ]
check "which answers" until_so 60 has_metric
check "answers are quick" until_so 20 quick

echo "# reload"
echo 'cooldown = 42s' | sed -i -e '/^#cooldown = /r /dev/stdin' /etc/archaic-ebpf/archaic-ebpf.conf
pid=$(property MainPID)
check "reload" systemctl reload archaic-ebpf
check "is taken over" until_so 20 log_says 'cooldown = 42s; it was'
check "by the same process" [ "$(property MainPID)" = "$pid" ]
cp /etc/archaic-ebpf/archaic-ebpf.conf /root/good.conf
echo 'nonsense' >>/etc/archaic-ebpf/archaic-ebpf.conf
check "a wrong file is refused" not systemctl reload archaic-ebpf
check "and nothing ends" active
cp /root/good.conf /etc/archaic-ebpf/archaic-ebpf.conf

echo "# upgrade, with a state of the first schema"
systemctl stop archaic-ebpf
rm -f /var/lib/archaic-ebpf/archaic.db*
cp /root/schema1.db /var/lib/archaic-ebpf/archaic.db
systemctl start archaic-ebpf
check "timeout is armed" sh -c 'archaic-ebpf attach db --port 8002 --supervised; archaic-ebpf inject db timeout --delay-ms 700'
# What a person would answer, whose file is changed: keep it.
check "installs" dpkg --force-confold -i /root/new.deb
check "is active" until_so 60 active
check "its version" says "$(dpkg-query -W -f '${Version}' archaic-ebpf)" archaic-ebpf version
check "nothing of the older daemon is left" nothing_left
check "the older state's incident is there" until_so 30 says i-0041 archaic-ebpf incidents
check "the changed configuration too" grep -qx 'cooldown = 42s' /etc/archaic-ebpf/archaic-ebpf.conf

echo "# a state of a newer version"
systemctl stop archaic-ebpf
rm -f /var/lib/archaic-ebpf/archaic.db*
# user_version is the big-endian word at byte 60 of an SQLite file.
cp /root/schema1.db /var/lib/archaic-ebpf/archaic.db
printf '\000\000\000\143' | dd of=/var/lib/archaic-ebpf/archaic.db bs=1 seek=60 conv=notrunc 2>/dev/null
sum=$(cksum </var/lib/archaic-ebpf/archaic.db)
systemctl start archaic-ebpf
check "is refused with a sentence" until_so 20 log_says 'has schema version 99 and this program knows'
check "and the rest works" until_so 60 has_metric
systemctl stop archaic-ebpf
check "and it is as it was" [ "$(cksum </var/lib/archaic-ebpf/archaic.db)" = "$sum" ]
systemctl start archaic-ebpf

echo "# removal, with a fault armed"
until_so 60 has_metric
check "timeout is armed" sh -c 'archaic-ebpf attach db --port 8002; archaic-ebpf inject db timeout --delay-ms 700'
check "is removed" dpkg -r archaic-ebpf
check "no process of it is left" not pgrep -x 'archaic-ebpf|archaic-guard'
check "nothing else is left" nothing_left
check "the state is" test -e /var/lib/archaic-ebpf/archaic.db
check "is purged" dpkg -P archaic-ebpf
check "no state, no configuration" not ls -d /var/lib/archaic-ebpf /etc/archaic-ebpf

[ $failed = 0 ] || journalctl -u archaic-ebpf --no-pager -o cat | tail -n 40
echo "vm: status $failed"
systemctl poweroff --force --force
