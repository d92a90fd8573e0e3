#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What open dashboards cost the daemon: its CPU time and memory with 0, and with 50, of them.
#
# usage: tools/bench/pages.sh [--listeners N] [--seconds S] [--services M]
#        (default 50 listeners, 20 s each, the shop's 4 services)
# In a network namespace of its own, with the demo services and their traffic; --services adds
# idle listeners of this script's own as further services. The listeners are curl, which run beside
# the daemon: their own CPU time is not in the figures.
set -euo pipefail

listeners=50 seconds=20 services=4
while [ $# -gt 0 ]; do
	case $1 in
	--listeners) listeners=$2 && shift 2 ;;
	--seconds) seconds=$2 && shift 2 ;;
	--services) services=$2 && shift 2 ;;
	*) sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2 && exit 2 ;;
	esac
done
root=$(cd "$(dirname "$0")/../.." && pwd)
if [ "$(id -u)" != 0 ]; then
	echo "bench: needs root" >&2
	exit 1
fi
if [ -z "${BENCH_NETNS:-}" ]; then
	exec env BENCH_NETNS=1 unshare -n "$0" --listeners "$listeners" --seconds "$seconds" --services "$services"
fi
ip link set lo up

bin=$root/${ARCHAIC_BUILD:-build}/bin
work=$(mktemp -d "${TMPDIR:-/tmp}/archaic-bench.XXXXXX")
started=()
finish() {
	local pid
	for pid in "${started[@]+"${started[@]}"}"; do
		kill "$pid" 2>/dev/null || :
	done
	wait 2>/dev/null || :
	rm -rf "$work"
}
trap finish EXIT

begin() { # LOG COMMAND…
	local log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null &
	started+=($!)
}

api() { # METHOD PATH [BODY]
	curl -sS --noproxy '*' --max-time 20 --unix-socket "$work/run/control.sock" -X "$1" \
		-H 'Content-Type: application/json' ${3:+--data "$3"} "http://localhost$2"
}

{
	printf '[observe]\ndiscover = no\nwarmup_tick = 1s\n'
	port=8001
	for name in auth db product payment; do
		printf '[service %s]\nport = %d\n' $name $port
		port=$((port + 1))
	done
} >"$work/conf"
for name in auth db product payment; do
	begin "$work/$name.log" "$bin/$name-service"
done
begin "$work/daemon.log" "$bin/archaic-ebpf" run --config "$work/conf" --run-dir "$work/run" --state-dir "$work/state"
daemon=$!
for _ in $(seq 100); do
	api GET /v1/services >/dev/null 2>&1 && break
	kill -0 "$daemon" 2>/dev/null || break
	sleep 0.1
done
api GET /v1/services >/dev/null || {
	cat "$work/daemon.log" >&2
	exit 1
}
# The rest of the services: they are there, and nobody calls them.
if [ "$services" -gt 4 ]; then
	begin "$work/idle.log" python3 -c "
import socket, time
all = [socket.create_server(('127.0.0.1', 20000 + i)) for i in range($services - 4)]
time.sleep(1e6)"
	sleep 2
	for i in $(seq 0 $((services - 5))); do
		api POST /v1/services "{\"name\":\"idle-$i\",\"port\":$((20000 + i))}" >/dev/null
	done
fi
begin "$work/traffic.log" "$bin/archaic-load" run steady --users 8 --rate 80 --duration 1h
sleep 5

ticks_per_s=$(getconf CLK_TCK)
cpu_ticks() {
	sed 's/^.*) //' "/proc/$daemon/stat" | awk '{ print $12 + $13 }'
}
memory_kb() {
	awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status"
}
late() {
	curl -sS --noproxy '*' http://127.0.0.1:8006/metrics |
		awk '/^archaic_events_lost_total{stage="ticks_late"}/ { print $2 }'
}

measure() { # NUMBER
	local from to late_from
	late_from=$(late)
	from=$(cpu_ticks)
	sleep "$seconds"
	to=$(cpu_ticks)
	awk -v n="$1" -v t=$((to - from)) -v hz="$ticks_per_s" -v s="$seconds" -v kb="$(memory_kb)" \
		-v late=$(($(late) - late_from)) 'BEGIN {
		printf "%3d dashboards: %5.2f %% of one core, %6.1f MiB resident, %d late ticks\n",
			n, 100 * t / hz / s, kb / 1024, late }'
}

echo "the daemon with $services services, $seconds s each:"
measure 0
for i in $(seq "$listeners"); do
	begin "$work/page$i" curl -sSN --noproxy '*' http://127.0.0.1:7000/v1/events
done
sleep 2
measure "$listeners"
bytes=$(cat "$work"/page* | wc -c)
awk -v b="$bytes" -v n="$listeners" -v s=$((seconds + 2)) 'BEGIN {
	printf "each was sent %.1f kB a second\n", b / n / s / 1000 }'
