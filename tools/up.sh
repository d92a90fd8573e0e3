#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Starts the four services and the daemon, and leaves them running.
set -euo pipefail
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

usage() {
	cat <<'END'
usage: [MODE=observe|suggest|auto-safe] tools/up.sh

Starts the four demo services under a supervisor, and the daemon that watches
them; returns when all are healthy, and leaves them running, detached. Makes no
traffic. Said again it starts only what is missing, or changes the mode.
tools/down.sh (make down) undoes it.

  MODE=observe    look only
  MODE=suggest    plan, and wait for approval
  MODE=auto-safe  repair what can be undone (the default)

END
	settings_help
	echo '  DASHBOARD_PORT=7000 CHAOS_PORT=8080 (pages for a browser; 0: none)'
}

only_help "$@"
MODE=${MODE:-auto-safe}
case "$MODE" in
observe | suggest | auto-safe) ;;
*)
	echo "up.sh: MODE is $MODE; it must be observe, suggest or auto-safe" >&2
	exit 2
	;;
esac
check_settings
set_paths
mkdir -p "$RUN_DIR"
exec 9>"$RUN_DIR/up.lock"
flock -w 120 9 || die "another up.sh or down.sh is at work"

daemon_answers || refuse_daemon_ports # before anything is started
if pid=$(supervisor_pid); then
	echo "services: running already (supervisor $pid)"
else
	start_services 9>&-
	echo "services: started (supervisor $(supervisor_pid))"
fi

if daemon_answers; then
	mode=$(api GET /v1/mode | jq -r .mode)
	if [ "$mode" = "$MODE" ]; then
		echo "daemon:   running already, mode $mode"
	else
		mode=$(api POST /v1/mode "{\"mode\":\"$MODE\"}" | jq -er .mode) || die "the daemon did not take the mode $MODE"
		echo "daemon:   mode is now $mode"
	fi
else
	start_daemon --mode "$MODE" 9>&-
	echo "daemon:   started (process $(daemon_pid)), mode $MODE"
fi

while read -r name port _; do
	answer=$(api POST /v1/services "{\"name\":\"$name\",\"port\":$port,\"supervised\":true}")
	jq -e '.name' >/dev/null <<<"$answer" || die "cannot attach $name: $(jq -r '.detail // .' <<<"$answer")"
	wait_for 10 service_healthy "$port" || die "$name does not answer on port $port; its log is $SERVICES_DIR/$name.log"
done < <(service_list)

echo
while read -r name port _; do
	printf '  %-10s http://127.0.0.1:%-6s log %s\n' "$name" "$port" "$SERVICES_DIR/$name.log"
done < <(service_list)
while read -r port what _; do
	[ "$port" = 0 ] || printf '  %-10s http://127.0.0.1:%-6s log %s\n' "$what" "$port" "$DAEMON_LOG"
done < <(daemon_ports)
printf '  %-10s %s\n' control "$SOCKET"
cat <<END

Until each service has 1024 samples (1 min 45 s of traffic) static limits apply: p99 over 1 s, errors over 10 %.
Traffic: $BIN/archaic-load run steady --rate 100 --duration 5m    Stop everything: make down
END
