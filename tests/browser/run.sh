#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Drives both pages in Chromium against the real daemon, services and traffic, in
# a network namespace of its own. Screenshots go to build/browser/screens.
#
# usage: tests/browser/run.sh [PLAYWRIGHT-OPTION...]     as root; `make test-browser` builds first
#        tests/browser/run.sh --world                    only the services and traffic, until Ctrl-C
#   GROW_MINUTES=20  how long the page with 200 services is watched (default 1)
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${ARCHAIC_NETNS:-}" ]; then
	[ "$(id -u)" = 0 ] || { echo "run.sh: BPF programs and namespaces need root" >&2; exit 1; }
	ARCHAIC_NETNS=own exec unshare --net -- "$0" "$@"
fi

OUT=${OUT:-$PWD/build/browser}
RUN_DIR=$(mktemp -d /tmp/archaic-browser-XXXXXX)
export STATE_DIR=$RUN_DIR/state CGROUP_PARENT=/archaic-browser-$$
# shellcheck source=tools/common.sh
. tools/common.sh
set_paths
traffic=
finish() {
	[ -z "$traffic" ] || stop_process "$traffic" 5
	stop_all || echo "run.sh: something was left behind; see $RUN_DIR" >&2
	mkdir -p "$OUT"
	cp -f "$RUN_DIR/daemon.log" "$OUT/daemon.log" 2>/dev/null || true
	rm -rf "$RUN_DIR"
}
trap finish EXIT
trap 'exit 130' INT TERM

ip link set lo up
start_services
"$BIN/archaic-load" run steady --users 6 --rate 40 --duration 4h >"$RUN_DIR/traffic.log" 2>&1 &
traffic=$!
if [ "${1:-}" = --world ]; then
	echo "services and traffic are up in the network namespace of process $$; RUN_DIR=$RUN_DIR"
	wait "$traffic"
	exit
fi

rm -rf "${OUT:?}/specs" "${OUT:?}/lib"
mkdir -p "$OUT/screens"
cp -r tests/browser/specs tests/browser/lib tests/browser/playwright.config.ts tests/browser/tsconfig.json "$OUT/"
cd "$OUT"
npx --no-install tsc --noEmit
ARCHAIC_TOKEN=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
ARCHAIC_TOKEN_FILE=$RUN_DIR/token
(umask 077 && echo "$ARCHAIC_TOKEN" >"$ARCHAIC_TOKEN_FILE")
export ARCHAIC_TOKEN ARCHAIC_TOKEN_FILE ARCHAIC_BIN=$BIN RUN_DIR ARCHAIC_SCREENS=$OUT/screens
npx --no-install playwright test "$@"
