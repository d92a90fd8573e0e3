# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # used by, and set by, the scripts that source this
# What tests/cluster's scripts share: asking the cluster, and saying what held. To be sourced, with $HERE and $work set.

ROOT=$HERE/../..
CLUSTER=$ROOT/tools/cluster/cluster.sh
BIN=${ARCHAIC_BIN:-$ROOT/build/bin}
NS=archaics
AGENT=system:serviceaccount:$NS:archaic-agent
DETECTOR=system:serviceaccount:$NS:anomaly-detector
OPERATOR=system:serviceaccount:$NS:ai-operator
begun=$(date +%s.%N) failures=0

k() { "$CLUSTER" kubectl -n $NS "$@"; }

passed() { printf '  ok      %s\n' "$*"; }

failed() {
	printf '  FAILED  %s\n' "$*" >&2
	failures=$((failures + 1))
}

# hold WHAT COMMAND…: the command succeeds
hold() {
	local what=$1
	shift
	if "$@" >"$work/said" 2>&1; then passed "$what"; else
		failed "$what: $(tail -n 3 "$work/said" | tr '\n' ' ')"
	fi
}

# soon SECONDS WHAT COMMAND…: it does within so long; prints how long
soon() {
	local limit=$1 what=$2 start now
	shift 2
	start=$(date +%s.%N)
	while ! "$@" >"$work/said" 2>&1; do
		now=$(date +%s.%N)
		if awk -v a="$start" -v b="$now" -v l="$limit" 'BEGIN { exit !(b - a > l) }'; then
			failed "$what: not within $limit s: $(tail -n 3 "$work/said" | tr '\n' ' ')"
			return
		fi
		sleep 0.2
	done
	passed "$what ($(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }') s)"
}

summary() {
	awk -v a="$begun" -v b="$(date +%s.%N)" -v f="$failures" \
		'BEGIN { printf "cluster: %d did not hold; %.0f s\n", f, b - a }'
}

may() { [ "$("$CLUSTER" kubectl auth can-i "$@")" = yes ]; }
may_not() { [ "$("$CLUSTER" kubectl auth can-i "$@" 2>/dev/null)" = no ]; }

# fault NAME SPEC: the object, on standard output
fault() {
	printf '{"apiVersion":"archaic-ebpf.io/v1alpha1","kind":"Fault","metadata":{"name":"%s","namespace":"%s"},"spec":{%s}}\n' \
		"$1" $NS "$2"
}

state_is() { [ "$(k get fault "$1" -o 'jsonpath={.status.state}')" = "$2" ]; }
gone() { ! k get fault "$1"; }

refused() { ! fault "$1" "$2" | k apply -f -; }

# address SERVICE: its cluster IP; of a headless one its pod's
address() {
	local ip
	ip=$(k get service "$1" -o 'jsonpath={.spec.clusterIP}')
	[ "$ip" != None ] || ip=$(k get endpoints "$1" -o 'jsonpath={.subsets[0].addresses[0].ip}' 2>/dev/null)
	echo "$ip"
}

# A new pod of db's has another address.
address_db() { db=http://$(address db-service):8002; }
