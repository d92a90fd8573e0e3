#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Prints vmlinux.h: of a kernel's types only those that tools/vmlinux.types lists.
#
# usage: tools/vmlinux.sh [BTF [TYPES]]      (default: the running kernel's)
# The result does not depend on where members lie: every access is relocated when
# the program is loaded (preserve_access_index). A member that this BTF lacks is an
# error: it has to be listed as a flavour of its own, see the list's head.
set -euo pipefail

here=$(dirname "$0")
btf=${1:-/sys/kernel/btf/vmlinux}
types=${2:-$here/vmlinux.types}

cat <<'END'
/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmlinux.h - the kernel's types that our BPF programs touch, and no others.
 * Made by tools/vmlinux.sh from tools/vmlinux.types. To add a type or a member, add it
 * there and say: make vmlinux
 */
#ifndef __VMLINUX_H__
#define __VMLINUX_H__

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

END
"${BPFTOOL:-bpftool}" btf dump file "$btf" format c | awk -v list="$types" '
	function die(text) {
		print "vmlinux: " text > "/dev/stderr"
		failed = 1
		exit 1
	}
	# The name that a member line declares: of "int (*f)(int);", "u8 a[4];", "u32 x: 1;".
	function member_name(line) {
		sub(/;.*/, "", line)
		if (match(line, /\(\*[A-Za-z0-9_]+\)/))
			return substr(line, RSTART + 2, RLENGTH - 3)
		sub(/: *[0-9]+$/, "", line)
		sub(/(\[[0-9]*\])+$/, "", line)
		sub(/.*[ *]/, "", line)
		return line
	}
	# Constants that are listed by name, wherever they are declared.
	function take_constants(body, n, lines, i, part) {
		n = split(body, lines, "\n")
		for (i = 2; i < n; i++) {
			split(lines[i], part, /[\t ,]+/)
			if ((part[2] in constant) && !(part[2] in found)) {
				found[part[2]] = 1
				constants = constants "\t" part[2] " = " part[4] ",\n"
			}
		}
	}
	# Members of a partial type, flat: libbpf looks through the kernel'"'"'s anonymous unions.
	function print_partial(key, body, n, lines, i, depth, name, seen, k, wanted, nr) {
		n = split(body, lines, "\n")
		print lines[1]
		for (i = 2; i < n; i++) {
			name = member_name(lines[i])
			if (lines[i] ~ /[;]/ && ((key, name) in member) && !(name in seen)) {
				sub(/^\t+/, "\t", lines[i])
				print lines[i]
				seen[name] = 1
			}
		}
		print "};\n"
		nr = split(members[key], wanted, " ")
		for (k = 1; k <= nr; k++)
			if (!(wanted[k] in seen))
				die(key " has no member " wanted[k] " in this BTF")
	}
	function take(key, body) {
		if (!(key in want) || (key in done))
			return
		done[key] = 1
		if (members[key] != "")
			print_partial(key, body)
		else
			print body "\n"
	}
	BEGIN {
		while ((getline line < list) > 0) {
			if (line ~ /^=/) {
				raw = raw substr(line, 3) "\n"
				continue
			}
			sub(/#.*/, "", line)
			if ((n = split(line, word, " ")) < 2)
				continue
			if (word[1] == "typedef") {
				for (i = 2; i <= n; i++)
					want["typedef " word[i]] = 1
				continue
			}
			if (word[1] == "const") {
				for (i = 2; i <= n; i++)
					constant[word[i]] = 1
				continue
			}
			key = word[1] " " word[2]
			want[key] = 1
			for (i = 3; i <= n; i++) {
				members[key] = members[key] " " word[i]
				member[key, word[i]] = 1
			}
		}
	}
	/^typedef .*;$/ {
		take("typedef " member_name($0), $0)
		next
	}
	/^(struct|union|enum)( [A-Za-z0-9_]+)? \{$/ {
		key = NF == 3 ? $1 " " $2 : ""
		body = $0
		while ((getline line) > 0) {
			body = body "\n" line
			if (line ~ /^\}/)
				break
		}
		if ($1 == "enum")
			take_constants(body)
		if (key != "")
			take(key, body)
	}
	# "typedef enum { … } name;"
	/^typedef (struct|union|enum)( [A-Za-z0-9_]+)? \{$/ {
		body = $0
		while ((getline line) > 0) {
			body = body "\n" line
			if (line ~ /^\}/)
				break
		}
		sub(/^\} */, "", line)
		take("typedef " member_name(line), body)
	}
	END {
		if (failed)
			exit 1
		printf "enum {\n%s};\n\n%s", constants, raw
		for (key in constant)
			if (!(key in found))
				die("the constant " key " is not in this BTF")
		for (key in want)
			if (!(key in done))
				die(key " is not in this BTF")
	}
'
cat <<'END'

#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

#endif /* __VMLINUX_H__ */
END
