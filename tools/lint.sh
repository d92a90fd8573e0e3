#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The house's rules that a machine can check. Prints FILE:LINE: what, and fails.
#
# usage: tools/lint.sh text       licence lines, lengths, forbidden calls, layers, scripts, format
#        tools/lint.sh compile    every C file through clang's warnings (CLANG, CPPFLAGS, CFLAGS)
set -uo pipefail
shopt -s lastpipe # what complain() notes at the end of a pipe is to last

cd "$(dirname "$0")/.." || exit
file_max=500
function_max=80
bad=0

mapfile -t c_files < <(find bpf userspace services tools tests -name '*.[ch]' | sort)
mapfile -t web_files < <(find userspace/web tests/browser \( -name '*.ts' -o -name '*.tsx' -o -name '*.mjs' -o -name '*.css' \) | sort)
mapfile -t scripts < <(find tools tests .ci -name '*.sh' -o -path '.ci/run' | sort)

complain() { # reads FILE:LINE: lines
	local line
	while IFS= read -r line; do
		echo "$line"
		bad=1
	done
}

# Code without its comments and texts, one line a line, so that numbers stay right.
code_of() {
	awk '
		{
			line = $0
			out = ""
			while (line != "") {
				if (comment) {
					i = index(line, "*/")
					if (!i)
						break
					line = substr(line, i + 2)
					comment = 0
				} else if (match(line, /"([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047|\/\/.*|\/\*/)) {
					out = out substr(line, 1, RSTART - 1)
					token = substr(line, RSTART, RLENGTH)
					line = substr(line, RSTART + RLENGTH)
					if (token == "/*")
						comment = 1
					else if (token ~ /^["\047]/)
						out = out "\"\""
				} else {
					out = out line
					line = ""
				}
			}
			print out
		}' "$1"
}

ban() { # FILE REGEX SENTENCE: where the code of FILE matches
	grep -nE "$2" "$code" | sed "s|^\([0-9]*\):.*|$1:\1: $3|" | complain
}

lint_lengths() {
	for file in "${c_files[@]}"; do
		awk -v file="$file" -v most="$file_max" -v function_most="$function_max" '
			/^\{/ { start = NR }
			/^\}/ {
				if (start && NR - start - 1 > function_most)
					printf "%s:%d: a function of %d lines; %d are allowed\n", file, start, NR - start - 1, function_most
				start = 0
			}
			END {
				if (NR > most)
					printf "%s:%d: %d lines; %d are allowed\n", file, NR, NR, most
			}' "$file"
	done | complain
}

lint_code() {
	local file code call='(^|[^A-Za-z0-9_.>])'
	code=$(mktemp)
	for file in "${c_files[@]}"; do
		code_of "$file" >"$code"
		ban "$file" "$call(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|alloca) *\(" \
			"a call that is not bounded or not checked"
		ban "$file" "$call(system|popen|mktemp|tmpnam|tempnam) *\(" "no shell and no guessed file names"
		ban "$file" 'typedef (struct|union|enum)\b' "no typedef of a struct"
		case $file in
		*/main.c | tests/*) ;;
		*) ban "$file" "$call(exit) *\(" "exit() belongs to main()" ;;
		esac
		case $file in
		bpf/* | userspace/kernel/* | tests/*) ;;
		*) ban "$file" '^#include <(bpf|libmnl|linux/(netfilter|netlink|rtnetlink|pkt_))' \
			"only userspace/kernel may include this" ;;
		esac
		case $file in
		userspace/observe/* | userspace/detect/* | userspace/diagnose/*)
			grep -nE '^#include "(fault/|guardian)' "$file" |
				sed "s|^\([0-9]*\):.*|$file:\1: the detector is blind to the injector|" | complain
			;;
		esac
	done
	rm -f "$code"
}

lint_files() {
	local file
	for file in "${c_files[@]}" "${scripts[@]}" "${web_files[@]}"; do
		head -n 2 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' ||
			echo "$file:1: no SPDX-License-Identifier"
		grep -nE '[ 	]+$' "$file" | sed "s|^\([0-9]*\):.*|$file:\1: blanks at the end of the line|"
		grep -nE '\b(TOD[O]|FIXM[E]|XX[X])\b' "$file" | sed "s|^\([0-9]*\):.*|$file:\1: unfinished|"
	done | complain
}

# Whoever adds a test program decides whether CI may do without it.
lint_required() {
	local file name
	for file in tests/{unit,bpf,host}/test_*.c; do
		name=${file#tests/} name=${name%.c}
		[[ $name == *.bpf ]] || grep -qE "^(#   - )?$name(:|$)" tests/required ||
			echo "$file:1: $name is not in tests/required, nor is said why not"
	done | complain
}

# The README lists every package that the set-up may install.
lint_packages() {
	local package
	for package in $(tools/setup.sh --list all) nodejs npm; do
		grep -qE "(^|[ (])$package([ ,;)]|$)" README.md || echo "README.md:1: the package $package is not listed"
	done | complain
}

# The pages: strangers' text becomes text nodes and nothing else, and no address but their own.
lint_web() {
	local file
	for file in "${web_files[@]}"; do
		awk -v file="$file" -v most="$file_max" 'END { if (NR > most) printf "%s:%d: %d lines; %d are allowed\n", file, NR, NR, most }' "$file"
		case $file in tests/*) continue ;; esac
		grep -nE 'innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|\beval\(|new Function' "$file" |
			sed "s|^\([0-9]*\):.*|$file:\1: text must not become markup or code|"
		grep -nE "(https?:)?//[a-z0-9-]+\.[a-z]" "$file" | sed "s|^\([0-9]*\):.*|$file:\1: an outside address|"
		grep -nE ': any\b|as any\b|@ts-' "$file" | sed "s|^\([0-9]*\):.*|$file:\1: untyped|"
	done | complain
	# What a lock file must not name: who serves the packages.
	grep -n '"resolved"' userspace/web/package-lock.json tests/browser/package-lock.json | sed 's|:.*|: a resolved address|' | complain
}

lint_compile() {
	local file compiler=${CLANG:-clang-19}
	# shellcheck disable=SC2086 # flags are words
	for file in $(find userspace services tools tests -name '*.c' ! -name '*.bpf.c' | sort); do
		eval "$compiler $CPPFLAGS $CFLAGS -fsyntax-only $file" || bad=1
	done
}

case "${1:-}" in
text)
	lint_lengths
	lint_code
	lint_files
	lint_web
	lint_required
	lint_packages
	shellcheck -f gcc "${scripts[@]}" || bad=1
	tools/fmt.sh --check || bad=1
	;;
compile) lint_compile ;;
*)
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
	;;
esac
exit $bad
