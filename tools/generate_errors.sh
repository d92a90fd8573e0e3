#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Faults on db and auth, and real traffic, until the detector alerts and the operator has the incident.
# shellcheck disable=SC2317 # called by a trap
set -euo pipefail

usage() {
	cat <<'END'
usage: tools/generate_errors.sh [--timeout SECONDS] [--keep]

Arms a time-out on db (2 s late, half of the requests) and errors on auth (half of them), each
through its own POST /inject-failure, and sends real journeys through the shop, until the detector
says that a service is anomalous and the operator has an incident of it. Prints both. Then it stops
the traffic and resets what it armed, also on Ctrl-C; the faults end by themselves in any case.

  --timeout SECONDS  give up after so long; default 120
  --keep             leave the faults armed until they end by themselves

Environment (with defaults, all of them http://127.0.0.1 and a port): AUTH_SERVICE_URL 8001,
DB_SERVICE_URL 8002, PRODUCT_SERVICE_URL 8003, PAYMENT_SERVICE_URL 8004, AI_OPERATOR_URL 8005,
ANOMALY_DETECTOR_URL 8006; ARCHAIC_BIN, the folder of archaic-load.
Exit status: 0 alert and incident were seen, 1 not, 2 usage. Needs curl and jq.

EXAMPLES
  make up && tools/generate_errors.sh
END
}

timeout=120 keep=no
while [ $# -gt 0 ]; do
	case $1 in
	--timeout)
		[[ ${2:-} =~ ^[1-9][0-9]{0,3}$ ]] || {
			echo "generate_errors.sh: --timeout is ${2:-missing}; it must be 1 to 9999 seconds" >&2
			exit 2
		}
		timeout=$2
		shift
		;;
	--keep) keep=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "generate_errors.sh: unknown argument $1" >&2
		usage >&2
		exit 2
		;;
	esac
	shift
done

here=$(cd "$(dirname "$0")" && pwd)
auth=${AUTH_SERVICE_URL:-http://127.0.0.1:8001} db=${DB_SERVICE_URL:-http://127.0.0.1:8002}
operator=${AI_OPERATOR_URL:-http://127.0.0.1:8005} detector=${ANOMALY_DETECTOR_URL:-http://127.0.0.1:8006}
work=$(mktemp -d "${TMPDIR:-/tmp}/generate_errors.XXXXXX")
traffic='' armed=()

die() {
	echo "generate_errors.sh: $*" >&2
	exit 1
}

clean_up() {
	trap '' INT TERM
	if [ -n "$traffic" ]; then
		kill -INT "$traffic" 2>/dev/null || true
		wait "$traffic" 2>/dev/null || true
	fi
	if [ "$keep" = no ]; then
		for url in ${armed[@]+"${armed[@]}"}; do
			curl -sS -o /dev/null --max-time 10 -X POST "$url/reset" ||
				echo "generate_errors.sh: $url could not be reset; its fault ends by itself" >&2
		done
	fi
	rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

arm() { # URL QUERY
	local status
	status=$(curl -sS -o "$work/answer" -w '%{http_code}' --max-time 20 -X POST "$1/inject-failure?$2") ||
		die "$1 does not answer; make up starts the services"
	[ "$status" = 200 ] || die "$1 does not arm $2: $(jq -r '.detail // .error // .' "$work/answer")"
	armed+=("$1")
	echo "armed:    $(jq -r '.says // .id' "$work/answer")"
}

incidents() { curl -sS --max-time 5 "$operator/incidents?limit=20"; }

for program in curl jq; do
	command -v "$program" >/dev/null || die "$program is missing"
done
for bin in ${ARCHAIC_BIN:+"$ARCHAIC_BIN"} "$here/../build/bin" "$(dirname "$(command -v archaic-load || echo /nowhere/x)")"; do
	[ ! -x "$bin/archaic-load" ] || break
done
[ -x "$bin/archaic-load" ] || die "archaic-load was not found; make builds it"
curl -sf -o /dev/null --max-time 5 "$detector/health" || die "the detector does not answer at $detector; make up starts it"
old=$(incidents | jq -c '[.items[].id]') || die "the operator does not answer at $operator; make up starts it"

arm "$db" "type=timeout&intensity=1&probability=0.5&duration=$((timeout + 30))"
arm "$auth" "type=error&probability=0.5&duration=$((timeout + 30))"
"$bin/archaic-load" run steady --users 24 --rate 60 --duration "$((timeout + 30))s" --json-lines >"$work/traffic" &
traffic=$!
echo "traffic:  60 requests a second at most, of 24 users"

alert='' until=$((SECONDS + timeout))
while ((SECONDS < until)); do
	kill -0 "$traffic" 2>/dev/null || die "the traffic ended too early"
	if [ -z "$alert" ]; then
		alert=$(curl -s --max-time 5 "$detector/scores" | jq -r 'first(.items[] | select(.anomalous)) |
			"\(.service) is anomalous: score \(.score), threshold \(.threshold), by \(.scorer)"' 2>/dev/null) || alert=
		[ -z "$alert" ] || echo "detector: $alert"
	fi
	# A new one; or one that is open still: what comes now is added to it.
	incident=$(incidents | jq -r --argjson old "$old" 'first(.items[] |
		select((.id as $i | $old | index($i) | not) or .closed_at == null)) |
		"\(.id), \(.state), root cause \(.root_cause.service // "not known yet")"' 2>/dev/null) || incident=
	if [ -n "$alert" ] && [ -n "$incident" ]; then
		echo "operator: $incident"
		tail -n 1 "$work/traffic" | jq -r 'select(.type == "progress") |
			"traffic:  \(.requests) requests, \(.errors) failed, p99 of the last second \(.latency_ms.p99) ms"'
		exit 0
	fi
	sleep 0.5
done
die "no $([ -n "$alert" ] && echo incident || echo alert) within $timeout s; is the service attached (archaic-ebpf services)?"
