#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The chaos control on port 8080, for this machine and for a phone beside it.
set -euo pipefail
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

usage() {
	cat <<'END'
usage: tools/serve-control.sh [--local] [--listen ADDRESS] [--read-only] [--restart]

Starts the daemon with the chaos control where both this machine and a phone in the same network
reach it, and the demo services where they are up already; prints the addresses for laptop and
phone. Off loopback a token is needed: it is made once, kept in a file that root alone may read, and
handed to the page by the part of the address behind the #, which no server sees. What the phone
sends is not encrypted unless a certificate is configured (archaic-ebpf run --tls-cert, --tls-key).

  --local           on 127.0.0.1 only, without a token
  --listen ADDRESS  numeric; default: this machine's address towards its default route
  --read-only       the pages show everything and change nothing
  --restart         where a daemon runs already: stop it first; it starts anew with these options

tools/down.sh (make down) stops it.
END
	echo
	settings_help
	echo "  CHAOS_PORT=8080 DASHBOARD_PORT=7000 MODE=suggest (observe, suggest, auto-safe)"
}

address='' only_local=no restart=no options=()
while [ $# -gt 0 ]; do
	case $1 in
	--local) only_local=yes ;;
	--read-only) options+=(--read-only) ;;
	--restart) restart=yes ;;
	--listen)
		[[ ${2:-} =~ ^[0-9a-fA-F.:]+$ ]] || {
			echo "serve-control.sh: --listen is ${2:-missing}; it must be a numeric address" >&2
			exit 2
		}
		address=$2
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "serve-control.sh: unknown argument $1" >&2
		usage >&2
		exit 2
		;;
	esac
	shift
done
if [ $only_local = yes ] && [ -n "$address" ]; then
	echo "serve-control.sh: --local and --listen exclude each other" >&2
	exit 2
fi
MODE=${MODE:-suggest}
CHAOS_PORT=${CHAOS_PORT:-8080} DASHBOARD_PORT=${DASHBOARD_PORT:-7000}
check_settings
set_paths
mkdir -p "$RUN_DIR"
exec 9>"$RUN_DIR/up.lock"
flock -w 120 9 || die "another up.sh, down.sh or serve-control.sh is at work"

# The source address that the kernel would use towards the world; nothing is sent.
lan_address() {
	ip -j route get 192.0.2.1 2>/dev/null | jq -r '.[0].prefsrc // empty'
}

bracketed() {
	case $1 in
	*:*) echo "[$1]" ;;
	*) echo "$1" ;;
	esac
}

token=$STATE_DIR/pages.token # kept: what a phone has noted goes on working
if [ $only_local = yes ]; then
	address=127.0.0.1
elif [ -z "$address" ]; then
	address=$(lan_address)
	[ -n "$address" ] || die "this machine has no route to others; say --listen ADDRESS, or --local"
fi
if [ "$address" != 127.0.0.1 ] && [ "$address" != ::1 ]; then
	(umask 077 && mkdir -p "$STATE_DIR")
	[ -s "$token" ] || (umask 077 && head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$token")
	options+=(--token-file "$token")
fi

if daemon_answers && [ $restart = yes ]; then
	pid=$(daemon_pid) || die "the daemon that runs was not started by these scripts: stop it first"
	stop_process "$pid" 15 || die "the daemon (process $pid) does not end"
	rm -f "$DAEMON_PID"
fi
if daemon_answers; then
	curl -s -o /dev/null --max-time 3 "http://$(bracketed "$address"):$CHAOS_PORT/" ||
		die "a daemon runs already, and its chaos control is not at $address port $CHAOS_PORT; --restart starts it anew"
	echo "daemon:  running already"
else
	start_daemon --mode "$MODE" --pages-listen "$address" ${options[@]+"${options[@]}"} 9>&-
	echo "daemon:  started (process $(daemon_pid)), mode $MODE"
	supervised=$(supervisor_pid >/dev/null && echo true || echo false)
	while read -r name port _; do
		service_healthy "$port" || continue
		api POST /v1/services "{\"name\":\"$name\",\"port\":$port,\"supervised\":$supervised}" | jq -e .name >/dev/null ||
			echo "serve-control.sh: $name on port $port could not be attached" >&2
	done < <(service_list)
fi

if [ "$address" != 127.0.0.1 ] && [ "$address" != ::1 ]; then
	echo "laptop:  http://$(bracketed "$address"):$CHAOS_PORT/#token=$(cat "$token")"
	echo "phone:   the same, in the same network; its camera reads this:"
	"$BIN/archaic-ebpf" pages --qr --port-chaos "$CHAOS_PORT" --port-dashboard "$DASHBOARD_PORT" \
		--pages-listen "$address" --token-file "$token" | grep -v '#token=' ||
		echo "serve-control.sh: no code could be made; the address is the same" >&2
else
	echo "laptop:  http://$(bracketed "$address"):$CHAOS_PORT/"
	echo "phone:   not from here: it listens on loopback; without --local it would"
fi
echo "Stop: tools/down.sh"
