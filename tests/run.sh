#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs cmocka binaries one after the other, each with a time-out.
#
# A line of progress each while they run; then what was skipped and why, what
# was left behind, and at last every binary's own output, failing ones last, so
# that the last lines are cmocka's. Output is kept in LOGDIR.
# tests/required names what must run when CI=true: "FOLDER/BINARY" (none of its
# tests may be skipped) or "FOLDER/BINARY:TEST". A skip there is then a failure.
#
# usage: tests/run.sh LOGDIR BINARY…      (BINARY ends in tests/FOLDER/NAME)
set -uo pipefail

TIMEOUT=${TEST_TIMEOUT:-500}
required=$(dirname "$0")/required
logs=$1
shift
rm -rf "$logs"
mkdir -p "$logs"
if [ $# = 0 ]; then
	echo "tests/run.sh: no test program was given" >&2
	exit 1
fi

passed=() failed=() notes=() skips=()

name_of() {
	local folder
	folder=$(dirname "$1")
	echo "${folder##*/}/${1##*/}"
}

# What a test must not leave: namespaces, v2 cgroups, netfilter rules, qdiscs, BPF links.
leftovers() {
	local v2
	v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	ip netns list 2>/dev/null | awk '{ print "network namespace " $1 }'
	[ -n "$v2" ] && find "$v2" -mindepth 1 -type d -printf 'cgroup /%P\n' 2>/dev/null
	{ iptables-save; ip6tables-save; } 2>/dev/null | sed -n 's/^-A /netfilter rule /p'
	tc qdisc show 2>/dev/null | awk '{ print "qdisc " $2 " on " $5 }'
	ip -br link 2>/dev/null | awk '{ print "network device " $1 }'
	bpftool link list 2>/dev/null | sed -n 's/^[0-9]*: \(.*\)/BPF link \1/p'
}

# The kernel and a supervisor may need a moment: only what stays for 3 s counts.
new_leftovers() {
	local left
	for _ in 1 2 3 4 5 6; do
		left=$(comm -13 <(sort <<<"$before") <(leftovers | sort))
		[ -z "$left" ] && return
		sleep 0.5
	done
	printf '%s\n' "$left"
}

fail() { # NAME SENTENCE
	notes+=("FAILED  $1: $2")
	case " ${failed[*]-} " in *" $1 "*) ;; *) failed+=("$1") ;; esac
}

# A skip of something required fails; others are told.
judge_skips() { # NAME LOG
	local test
	while read -r test; do
		local reason
		# Said by the test itself, else by its program for all of them.
		reason=$(sed -n "s/^SKIP $test: *//p" "$2" | head -n 1)
		[ -n "$reason" ] || reason=$(sed -n 's/^SKIP [^:]*: *//p' "$2" | head -n 1)
		skips+=("SKIPPED $1:$test: ${reason:-no reason given}")
		if [ "${CI:-}" = true ] && grep -qxE "$1(:$test)?" "$required" 2>/dev/null; then
			fail "$1" "$test was skipped, and tests/required says that it must run"
		fi
	done < <(sed -n 's/^\[  SKIPPED \] \([A-Za-z0-9_]*\)$/\1/p' "$2" | sort -u)
}

run_one() { # BINARY
	local name log start rc left
	name=$(name_of "$1")
	log=$logs/${name/\//-}.log
	before=$(leftovers)
	start=$(date +%s.%N)
	timeout -k 5 "$TIMEOUT" "$1" </dev/null >"$log" 2>&1
	rc=$?
	local took
	took=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }')
	if [ $rc = 124 ] || [ $rc = 137 ]; then
		fail "$name" "not done after $TIMEOUT s"
	elif [ $rc -gt 128 ]; then
		fail "$name" "killed by signal $((rc - 128))"
	elif [ $rc != 0 ]; then
		fail "$name" "exit status $rc"
	elif ! grep -q '^\[==========\] [0-9]* test(s) run' "$log"; then
		fail "$name" "ended without a summary"
	fi
	judge_skips "$name" "$log"
	left=$(new_leftovers)
	if [ -n "$left" ]; then
		notes+=("LEFT    $name left behind: ${left//$'\n'/, }")
		[ "${CI:-}" = true ] && fail "$name" "left something behind"
	fi
	case " ${failed[*]-} " in
	*" $name "*) printf '  %-7s %s (%s s)\n' FAIL "$name" "$took" ;;
	*)
		passed+=("$name")
		printf '  %-7s %s (%s s)\n' ok "$name" "$took"
		;;
	esac
}

all=" "
for binary; do
	all+="$(name_of "$binary") "
	run_one "$binary"
done
if [ "${CI:-}" = true ]; then
	while IFS=: read -r name test; do
		case "$all" in
		*" $name "*)
			[ -z "$test" ] || grep -qF "[ RUN      ] $test" "$logs/${name/\//-}.log" ||
				fail "$name" "$test is in tests/required and did not run"
			;;
		*) fail "$name" "is in tests/required and was not built" ;;
		esac
	done < <(grep -vE '^(#|$)' "$required" 2>/dev/null)
fi

echo
printf '%s\n' "${skips[@]+"${skips[@]}"}" "${notes[@]+"${notes[@]}"}" | sed '/^$/d'
echo "${#passed[@]} test programs passed, ${#failed[@]} failed, ${#skips[@]} tests skipped; output is in $logs"
for name in "${passed[@]+"${passed[@]}"}" "${failed[@]+"${failed[@]}"}"; do
	log=$logs/${name/\//-}.log
	[ -e "$log" ] || continue
	echo
	echo "# $name"
	cat "$log"
done
[ ${#failed[@]} = 0 ]
