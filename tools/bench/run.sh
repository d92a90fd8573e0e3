#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What watching costs: ratios of one run, daemon off and on in turns, medians.
#
# usage: tools/bench/run.sh [--rounds N] [--millis N]       (default 5 rounds of 2000 ms)
# In a network namespace of its own. The server has core 0, the client core 1; on a
# machine that does other work the figures are noisy: CPU time a request is steadier
# than throughput.
set -euo pipefail

rounds=5 millis=2000
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2 && shift 2 ;;
	--millis) millis=$2 && shift 2 ;;
	*) sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2 && exit 2 ;;
	esac
done
root=$(cd "$(dirname "$0")/../.." && pwd)
if [ "$(id -u)" != 0 ]; then
	echo "bench: needs root" >&2
	exit 1
fi
if [ -z "${BENCH_NETNS:-}" ]; then
	exec env BENCH_NETNS=1 unshare -n "$0" --rounds "$rounds" --millis "$millis"
fi
ip link set lo up

bin=$root/${ARCHAIC_BUILD:-build}/bin
work=$(mktemp -d "${TMPDIR:-/tmp}/archaic-bench.XXXXXX")
port=9900 server='' daemon=''
client_cpu=$(($(nproc) > 1 ? 1 : 0))
export ARCHAIC_SOCKET=$work/control.sock

daemon_off() {
	[ -n "$daemon" ] || return 0
	kill -TERM "$daemon" 2>/dev/null || :
	wait "$daemon" 2>/dev/null || :
	daemon=''
}
finish() {
	daemon_off
	[ -z "$server" ] || kill "$server" 2>/dev/null || :
	[ "${stats:-0}" = 1 ] || sysctl -q kernel.bpf_stats_enabled=0 2>/dev/null || :
	rm -rf "$work"
}
trap finish EXIT

api() { # METHOD PATH [BODY]
	curl -sS --max-time 20 --unix-socket "$ARCHAIC_SOCKET" -X "$1" -H 'Content-Type: application/json' \
		${3:+--data "$3"} "http://localhost$2"
}

daemon_on() {
	"$bin/archaic-ebpf" run --config "$work/conf" >>"$work/daemon.log" 2>&1 &
	daemon=$!
	for _ in $(seq 100); do
		api GET /v1/services 2>/dev/null | jq -e '.items[] | select(.name == "bench")' >/dev/null 2>&1 && return
		kill -0 "$daemon" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 5 "$work/daemon.log" >&2
	echo "bench: the daemon did not come up" >&2
	exit 1
}

drive() { # CONNECTIONS PIPELINE MILLIS: eight numbers, see archaic-bench
	"$bin/archaic-bench" drive $port "$server" "$client_cpu" "$1" "$2" "$3"
}

median() { # FILE COLUMN
	awk -v c="$2" '{ print $c }' "$1" | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

ratio() { # LABEL NAME COLUMN UNIT: on / off
	awk -v label="$1" -v off="$(median "$work/$2.off" "$3")" -v on="$(median "$work/$2.on" "$3")" -v unit="$4" \
		'BEGIN { printf "  %-34s %.3f  (off %.6g, on %.6g %s)\n", label, on / off, off, on, unit }'
}

report() { # TITLE NAME
	echo "$1, medians of $rounds rounds of $millis ms, daemon off and on in turns:"
	ratio "throughput on/off" "$2" 1 "requests/s"
	ratio "server CPU a request on/off" "$2" 2 us
	ratio "client CPU a request on/off" "$2" 3 us
	awk -v o="$(median "$work/$2.off" 4)" -v n="$(median "$work/$2.on" 4)" -v ob="$(median "$work/$2.off" 5)" \
		-v nb="$(median "$work/$2.on" 5)" 'BEGIN {
		printf "  %-34s off %.3f, on %.3f; with its waiting for the core %.3f, %.3f%s\n", "server'"'"'s use of its core", o, n, ob, nb,
			(ob < .95 || nb < .95) ? "  (not saturated)" : "" }'
}

cat >"$work/conf" <<END
[daemon]
run_dir = $work
state_dir = $work
socket = $work/control.sock
mode = observe
[observe]
discover = no
warmup_tick = 1s
[service bench]
port = $port
END
stats=$(sysctl -n kernel.bpf_stats_enabled 2>/dev/null || echo 0)
"$bin/archaic-bench" serve $port 0 &
server=$!
sleep 0.3
drive 64 16 300 >/dev/null

for _ in $(seq "$rounds"); do
	drive 64 16 "$millis" >>"$work/pipelined.off"
	drive 64 1 "$millis" >>"$work/single.off"
	daemon_on
	drive 64 16 "$millis" >>"$work/pipelined.on"
	drive 64 1 "$millis" >>"$work/single.on"
	daemon_off
done
report "pipelined (64 connections x 16)" pipelined
report "one at a time (64 connections)" single

# The kernel's own account of the programs; it costs something itself, so it is a round apart.
daemon_on
if sysctl -q kernel.bpf_stats_enabled=1 2>/dev/null; then
	drive 64 16 "$millis" >/dev/null
	echo "nanoseconds a run of each BPF program (64 x 16; kernel statistics on):"
	# What the daemon itself holds: others on this machine may have programs of the same names.
	ids=$(sed -n 's/^prog_id:[^0-9]*//p' /proc/"$daemon"/fdinfo/* 2>/dev/null | sort -un | jq -sc .)
	bpftool prog list -j |
		jq -r --argjson ids "$ids" '.[] | select(.run_cnt > 0 and (.id | IN($ids[]))) |
			"\(.type) \(.name) \(.run_cnt) \(.run_time_ns)"' |
		while read -r type name count ns; do
			printf '  %-20s %-20s %8s ns  (%s runs)\n' "$name" "$type" $((ns / count)) "$count"
		done
	sysctl -q kernel.bpf_stats_enabled="$stats"
else
	echo "SKIP nanoseconds a run: kernel.bpf_stats_enabled cannot be set here"
fi

echo "delay injected / asked (one request at a time on one connection; the undisturbed time taken off):"
read -r _ _ _ _ _ _ base_p50 _ <<<"$(drive 1 1 1000)"
for asked in 5 50 200; do
	armed=$(api POST /v1/faults "{\"service\":\"bench\",\"type\":\"timeout\",\"params\":{\"delay_ms\":$asked},\"duration_s\":60}")
	if ! id=$(jq -er '.id' <<<"$armed"); then
		echo "  $asked ms: refused: $(jq -r '.detail // .' <<<"$armed")"
		continue
	fi
	read -r _ _ _ _ _ _ p50 p99 <<<"$(drive 1 1 $((asked * 20 + 1000)))"
	backend=$(jq -r '.backend // "?"' <<<"$armed")
	awk -v asked="$asked" -v base="$base_p50" -v p50="$p50" -v p99="$p99" -v backend="$backend" 'BEGIN {
		printf "  %3d ms: p50 %.4f, p99 %.4f  (error p50 %+.3f ms, p99 %+.3f ms; %s)\n", asked, (p50 - base) / asked,
			(p99 - base) / asked, p50 - base - asked, p99 - base - asked, backend }'
	api DELETE "/v1/faults/$id" >/dev/null
done
daemon_off
"$bin/archaic-bench" forest
