#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Stops what up.sh started, and undoes what is left of it. Can be said twice.
set -euo pipefail
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

usage() {
	cat <<'END'
usage: tools/down.sh

Ends every fault, stops the daemon, the services and their supervisor, and
removes what they made in the kernel and under /run. Incidents stay in
/var/lib/archaic-ebpf. Can be said twice.
END
}

only_help "$@"
[ "$(id -u)" = 0 ] || die "stopping needs root: use sudo"
set_paths
if [ ! -d "$RUN_DIR" ]; then
	echo "nothing is running"
	exit 0
fi
exec 9>"$RUN_DIR/up.lock"
flock -w 120 9 || die "another up.sh or down.sh is at work"

if daemon_answers; then
	nr=$(api DELETE /v1/faults | jq '.items | length')
	echo "faults:   ${nr:-none} ended"
fi
supervisor=$(supervisor_pid) || supervisor=
daemon=$(daemon_pid) || daemon=
if [ -z "$daemon" ] && daemon_answers; then
	echo "daemon:   not started by up.sh, left alone; the services are detached"
	while read -r name _; do
		api DELETE "/v1/services/$name" >/dev/null || true
	done < <(service_list)
elif [ -z "$daemon" ] && [ -x "$BIN/archaic-ebpf" ]; then
	# It may have been killed: what it left is undone all the same.
	"$BIN/archaic-ebpf" reset --all --run-dir "$RUN_DIR" >/dev/null || die "archaic-ebpf reset --all failed"
fi
stop_all || die "something could not be stopped"
echo "daemon:   ${daemon:+process $daemon }stopped"
echo "services: ${supervisor:+supervisor $supervisor }stopped"

if ! daemon_answers; then
	rm -rf "$SERVICES_DIR"
	rm -f "$RUN_DIR/up.lock" "$DAEMON_LOG" "$DAEMON_LOG.1" "$SOCKET" # a killed daemon leaves its socket
	rmdir "$RUN_DIR" 2>/dev/null || true
fi
