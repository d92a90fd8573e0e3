#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# One of the four load tests against the demo services: by k6 where it is found, else by archaic-load.
# shellcheck disable=SC2317 # called by a trap
set -euo pipefail

usage() {
	cat <<'END'
usage: tools/load/run-test.sh normal|spike|endurance|stress [--with-failures] [--squeeze SECONDS] [--json]

  normal      10 users for 30 s, each with the full journey: sign up, log in, products, cart, checkout
  spike       0 to 50 users within 10 s, held for 25 s, and back to 0
  endurance   5 users for 2 minutes
  stress      0 to 100 users within 60 s, held for 10 s

  --with-failures    arms timeout (probability .2) on db and error (.1) on auth for the length of the
                     run, and resets them at its end, also on Ctrl-C; needs the daemon (make up)
  --squeeze SECONDS  the same shape within so many seconds, for a quick look
  --json             the summary as JSON

Environment: AUTH_SERVICE_URL, DB_SERVICE_URL, PRODUCT_SERVICE_URL, PAYMENT_SERVICE_URL (default
http://127.0.0.1:8001 to :8004); LOAD_WITH=k6 or LOAD_WITH=archaic-load chooses the generator;
ARCHAIC_BIN, the folder of archaic-load; ARCHAIC_TOKEN, where the services listen off loopback.
Exit status: 0 all thresholds hold, 99 one does not, 1 it could not run, 2 usage.

EXAMPLES
  tools/load/run-test.sh normal
  tools/load/run-test.sh stress --with-failures
END
}

here=$(cd "$(dirname "$0")" && pwd)
shape='' failures=no squeeze='' json=no
while [ $# -gt 0 ]; do
	case $1 in
	normal | spike | endurance | stress)
		[ -z "$shape" ] || { usage >&2 && exit 2; }
		shape=$1
		;;
	--with-failures) failures=yes ;;
	--json) json=yes ;;
	--squeeze)
		[[ ${2:-} =~ ^[0-9]+(\.[0-9]+)?$ ]] || {
			echo "run-test.sh: --squeeze is ${2:-missing}; it must be seconds, such as 5" >&2
			exit 2
		}
		squeeze=$2
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "run-test.sh: unknown argument $1" >&2
		usage >&2
		exit 2
		;;
	esac
	shift
done
[ -n "$shape" ] || { usage >&2 && exit 2; }

find_load() { # built, installed, or anywhere
	local dir
	for dir in ${ARCHAIC_BIN:+"$ARCHAIC_BIN"} "$here/../../build/bin" /usr/local/libexec/archaic-ebpf /usr/libexec/archaic-ebpf; do
		if [ -x "$dir/archaic-load" ]; then
			echo "$dir/archaic-load"
			return
		fi
	done
	command -v archaic-load
}

with=${LOAD_WITH:-$(command -v k6 >/dev/null && echo k6 || echo archaic-load)}
case $with in
archaic-load)
	load=$(find_load) || {
		echo "run-test.sh: neither k6 nor archaic-load was found; make builds archaic-load" >&2
		exit 1
	}
	options=()
	[ $failures = no ] || options+=(--with-failures)
	[ $json = no ] || options+=(--json)
	[ -z "$squeeze" ] || options+=(--squeeze "$squeeze")
	exec "$load" run "$shape" ${options[@]+"${options[@]}"}
	;;
k6) ;;
*)
	echo "run-test.sh: LOAD_WITH is $with; it must be k6 or archaic-load" >&2
	exit 2
	;;
esac

# The script's own teardown resets too, but k6 can be killed twice.
reset_faults() {
	local url
	for url in "${DB_SERVICE_URL:-http://127.0.0.1:8002}" "${AUTH_SERVICE_URL:-http://127.0.0.1:8001}"; do
		curl -sS -o /dev/null --max-time 10 -X POST ${ARCHAIC_TOKEN:+-H "Authorization: Bearer $ARCHAIC_TOKEN"} \
			"$url/reset" || echo "run-test.sh: $url could not be reset; its fault ends by itself" >&2
	done
}
work=''
clean_up() {
	trap '' INT TERM
	[ "$failures" = no ] || reset_faults
	[ -z "$work" ] || rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
[ $failures = no ] || export WITH_FAILURES=1
[ -z "$squeeze" ] || export SQUEEZE_S=$squeeze
status=0
if [ $json = yes ]; then
	work=$(mktemp -d "${TMPDIR:-/tmp}/run-test.XXXXXX")
	k6 run --quiet --summary-export "$work/summary.json" "$here/$shape.js" >&2 || status=$?
	[ ! -s "$work/summary.json" ] || cat "$work/summary.json"
else
	k6 run --quiet "$here/$shape.js" || status=$?
fi
case $status in
0 | 99) exit $status ;;
*) exit 1 ;;
esac
