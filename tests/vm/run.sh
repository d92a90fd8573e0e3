#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Boots one kernel and runs there what tests/vm/programs lists.
#
# usage: tests/vm/run.sh KERNEL [FOLDER/NAME…]
set -euo pipefail

cd "$(dirname "$0")/../.."
build=$PWD/${ARCHAIC_BUILD:-build}
kernel=${1:?usage: tests/vm/run.sh KERNEL [FOLDER/NAME…]}
shift
with=() programs=()
while read -r a b; do
	case $a in
	'' | \#*) continue ;;
	@*) with+=(--with "${a#@}") && continue ;;
	esac
	[ -z "$b" ] || { [[ ,$a, == *,$kernel,* ]] && a=$b; } || continue
	programs+=("$a")
done <tests/vm/programs
[ $# = 0 ] || programs=("$@")

# One boot for all: each program's own output, then the sum of their failures.
script="failed=0"
for program in "${programs[@]}"; do
	path=$build/tests/$program
	if [ ! -x "$path" ]; then
		echo "tests/vm/run.sh: $path is not built" >&2
		exit 1
	fi
	with+=(--with "$path")
	script+="; echo; echo '# $program on $kernel'; $path || failed=1"
done
[ ! -d "$build/bin" ] || with+=(--with "$build/bin")
echo "==== Linux $kernel"
exec tools/vm/run.sh --timeout "${VM_TIMEOUT:-1800}" "${with[@]}" "$kernel" -- /bin/sh -c "$script; exit \$failed"
