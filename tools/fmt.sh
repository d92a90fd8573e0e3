#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Formats C files in place.
#
# usage: tools/fmt.sh [--check] [FILE…]     (default: every C file of ours)
# --check changes nothing, names what would change, and fails if there is any.
set -euo pipefail

cd "$(dirname "$0")/.."
check=no
if [ "${1:-}" = --check ]; then
	check=yes
	shift
fi
format=${CLANG_FORMAT:-clang-format-19}
if [ $# -gt 0 ]; then
	files=("$@")
else
	mapfile -t files < <(find bpf userspace services tools tests -name '*.[ch]' | sort)
fi
if [ $check = no ]; then
	exec "$format" -i "${files[@]}"
fi
bad=0
for file in "${files[@]}"; do
	if ! "$format" "$file" | cmp -s - "$file"; then
		echo "$file: not formatted; make fmt"
		bad=1
	fi
done
exit $bad
