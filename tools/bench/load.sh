#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# archaic-load beside wrk, h2load and vegeta: the same server, in turns, medians.
#
# usage: tools/bench/load.sh [--rounds N] [--seconds N]       (default 5 rounds of 3 s)
# First a server that takes 20 ms: wrk and h2load in a closed loop of 50 connections (h2load's
# percentiles are counted from its log file), vegeta in an open loop of 1,000 a second; ours the same
# way each time. Percentiles must agree within 5 % or 1 ms. Then one that takes no time: requests a
# second from one core. In a network namespace of its own: server on core 0, client on core 1.
# Exit status 1 where percentiles do not agree. Throughput is only printed: it is the machine's.
# shellcheck disable=SC2016,SC2317 # awk's own; called by name
set -euo pipefail

rounds=5 seconds=3
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2 && shift 2 ;;
	--seconds) seconds=$2 && shift 2 ;;
	*) sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2 && exit 2 ;;
	esac
done
root=$(cd "$(dirname "$0")/../.." && pwd)
if [ "$(id -u)" != 0 ]; then
	echo "bench: needs root" >&2
	exit 1
fi
if [ -z "${BENCH_NETNS:-}" ]; then
	cd "$root"
	# Before the namespace, which leads nowhere.
	vegeta=$(command -v vegeta || tests/partner.sh vegeta) || vegeta=
	exec env BENCH_NETNS=1 VEGETA="$vegeta" unshare -n "$0" --rounds "$rounds" --seconds "$seconds"
fi
ip link set lo up

load=$root/${ARCHAIC_BUILD:-build}/bin/archaic-load
work=$(mktemp -d "${TMPDIR:-/tmp}/archaic-bench.XXXXXX")
port=9910 url=http://127.0.0.1:9910/ server='' bad=0
client_cpu=$(($(nproc) > 1 ? 1 : 0))
# What takes 20 ms needs little of a core: with real-time priority, all of them alike, nobody else's work
# gets in between. Throughput is measured without.
realtime=()
if chrt -f 10 true 2>/dev/null; then realtime=(chrt -f 10); else echo "(no real-time priority here: noise is in the figures)"; fi
on() { # CORE COMMAND...
	local cpu=$1
	shift
	taskset -c "$cpu" ${realtime[@]+"${realtime[@]}"} "$@"
}

finish() {
	[ -z "$server" ] || kill "$server" 2>/dev/null || :
	rm -rf "$work"
}
trap finish EXIT

serve() { # TIME
	[ -z "$server" ] || { kill "$server" && wait "$server" 2>/dev/null; } || :
	# A function in the background would be a shell around it, and that shell's pid.
	taskset -c 0 ${realtime[@]+"${realtime[@]}"} "$load" serve --port $port --takes "$1" >/dev/null &
	server=$!
	for _ in $(seq 100); do
		curl -sf -o /dev/null --max-time 1 "${url}count" && return
		sleep 0.05
	done
	echo "bench: the server did not come up" >&2
	exit 1
}

ours() { # OPTION...: p50 p90 p99 in ms, requests a second
	on "$client_cpu" "$load" http "$url" "$@" --json |
		jq -r '"\(.latency_ms.p50) \(.latency_ms.p90) \(.latency_ms.p99) \(.rate_per_s)"'
}

in_ms='{ v = $2; u = v; sub(/[0-9.]+/, "", u); v += 0; print u == "us" ? v / 1000 : u == "s" ? v * 1000 : v }'
wrks() { # the same of wrk, closed loop
	on "$client_cpu" wrk -t1 "-c$1" "-d${seconds}s" --latency "$url" >"$work/wrk"
	for p in 50% 90% 99%; do
		grep -E "^ +$p " "$work/wrk" | awk "$in_ms"
	done | tr '\n' ' '
	awk '/Requests\/sec/ { print $2 }' "$work/wrk"
}

h2loads() { # of h2load: start us, status, duration us a line
	rm -f "$work/h2.log"
	on "$client_cpu" h2load --h1 -t1 "-c$1" -m1 -n $(($1 * 50 * seconds)) --log-file="$work/h2.log" "$url" >"$work/h2"
	sort -n -k3,3 "$work/h2.log" | awk '
		function p(q) { i = int(q * NR); if (i < q * NR) i++; return v[i] / 1000 }
		{ v[NR] = $3 }
		END { printf "%g %g %g ", p(.5), p(.9), p(.99) }'
	awk '/^finished in/ { print $4 }' "$work/h2"
}

vegetas() { # of vegeta, open loop
	echo "GET $url" | on "$client_cpu" "$VEGETA" attack "-rate=$1" "-duration=${seconds}s" |
		"$VEGETA" report -type=json |
		jq -r '"\(.latencies["50th"] / 1e6) \(.latencies["90th"] / 1e6) \(.latencies["99th"] / 1e6) \(.throughput)"'
}

# CPU us a request that a client used, and its requests; FILTER finds those in what it printed.
cpu_a_request() { # FILTER COMMAND...
	local filter=$1 TIMEFORMAT='%U %S'
	shift
	{ time "$@" >"$work/out" 2>/dev/null; } 2>"$work/cpu"
	awk -v n="$("$filter")" '{ print ($1 + $2) * 1e6 / n, n }' "$work/cpu"
}
our_requests() { jq .requests "$work/out"; }
its_requests() { awk '/ requests in / { print $1 }' "$work/out"; }

median() { # FILE COLUMN
	awk -v c="$2" '{ print $c }' "$1" | sort -g | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

compare() { # TITLE: in turns, other.* against ours.*
	local column=1 p
	echo "$1, medians of $rounds rounds in turns:"
	for p in p50 p90 p99; do
		awk -v p=$p -v a="$(median "$work/ours" $column)" -v b="$(median "$work/other" $column)" 'BEGIN {
			d = a > b ? a - b : b - a
			ok = d <= 1 || d <= .05 * b
			printf "  %-4s ours / its %.4f  (%.3f and %.3f ms): %s\n", p, a / b, a, b, ok ? "agree" : "DO NOT AGREE"
			exit !ok
		}' || bad=1
		column=$((column + 1))
	done
	awk -v a="$(median "$work/ours" 4)" -v b="$(median "$work/other" 4)" 'BEGIN { printf "  requests a second, ours / its %.4f  (%.0f and %.0f)\n", a / b, a, b }'
}

beside() { # TITLE OTHER ARGUMENT OPTION...
	local title=$1 other=$2 argument=$3
	shift 3
	: >"$work/ours.all"
	: >"$work/other.all"
	for _ in $(seq "$rounds"); do
		ours "$@" >>"$work/ours.all"
		"$other" "$argument" >>"$work/other.all"
	done
	mv "$work/ours.all" "$work/ours"
	mv "$work/other.all" "$work/other"
	compare "$title"
}

serve 20ms
beside "wrk, closed loop, 50 connections, 20 ms" wrks 50 -c 50 -d "${seconds}s"
if command -v h2load >/dev/null; then
	beside "h2load (its log file), closed loop, 50 connections, 20 ms" h2loads 50 -c 50 -d "${seconds}s"
else
	echo "h2load: not here (Debian's nghttp2-client)" && bad=1
fi
if [ -n "$VEGETA" ]; then
	beside "vegeta, open loop, 1000/s, 20 ms" vegetas 1000 -c 128 -r 1000 -d "${seconds}s"
else
	echo "vegeta: could not be had" && bad=1
fi

realtime=()
serve 0
: >"$work/ours"
: >"$work/other"
: >"$work/pipelined"
for _ in $(seq "$rounds"); do
	cpu_a_request our_requests on "$client_cpu" "$load" http "$url" -c 16 -d "${seconds}s" --json >>"$work/ours"
	cpu_a_request its_requests on "$client_cpu" wrk -t1 -c16 "-d${seconds}s" "$url" >>"$work/other"
	cpu_a_request our_requests on "$client_cpu" "$load" http "$url" -c 16 -p 16 -d "${seconds}s" --json >>"$work/pipelined"
done
echo "A server that takes no time, 16 connections (on a busy machine the CPU time a request is what to read):"
awk -v s="$seconds" -v a="$(median "$work/ours" 2)" -v b="$(median "$work/other" 2)" -v p="$(median "$work/pipelined" 2)" \
	-v ca="$(median "$work/ours" 1)" -v cb="$(median "$work/other" 1)" -v cp="$(median "$work/pipelined" 1)" 'BEGIN {
	printf "  unpipelined, requests, ours / wrk             %.3f  (%.0f and %.0f a second)\n", a / b, a / s, b / s
	printf "  unpipelined, CPU a request, ours / wrk        %.3f  (%.2f and %.2f us)\n", ca / cb, ca, cb
	printf "  pipelined by 16, requests / 100,000 a second  %.2f  (%.0f a second)\n", p / s / 100000, p / s
	printf "  pipelined by 16, CPU a request / 10 us        %.3f  (%.2f us; 10 are 100,000 a second)\n", cp / 10, cp
}'
exit $bad
