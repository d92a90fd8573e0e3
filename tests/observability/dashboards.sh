#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Holds dashboards against Grafana's own types.
#
# usage: tests/observability/dashboards.sh TSC DASHBOARD...
#   TSC   of tests/partner.sh grafana-types: beside it are the types
set -eu

case "${1:-}" in
/*) ;;
*)
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
	;;
esac
tsc=$1
shift
work=$(mktemp -d "${tsc%/node_modules/*}/check-XXXXXX")
trap 'rm -rf "$work"' EXIT

for board; do
	# JSON has no enums: their values are what it holds.
	{
		cat <<-'END'
			import type { Dashboard } from "@grafana/schema";
			type Plain<T> = T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]
				: T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
			export const board: Plain<Dashboard> =
		END
		cat "$board"
	} >"$work/$(basename "$board" .json).ts"
done
"$tsc" --noEmit --strict --skipLibCheck --target es2022 --module nodenext --moduleResolution nodenext "$work"/*.ts
echo "$# dashboards are what Grafana's types say"
