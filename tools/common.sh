# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2317 # used by, and called from, the scripts that source this
# What up.sh, down.sh and demo.sh share: names, ports, folders, starting, stopping, asking.
# To be sourced. Every setting can be overridden in the environment.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN=${ARCHAIC_BIN:-$ROOT/build/bin}

AUTH_NAME=${AUTH_NAME:-auth} AUTH_PORT=${AUTH_PORT:-8001}
DB_NAME=${DB_NAME:-db} DB_PORT=${DB_PORT:-8002}
PRODUCT_NAME=${PRODUCT_NAME:-product} PRODUCT_PORT=${PRODUCT_PORT:-8003}
PAYMENT_NAME=${PAYMENT_NAME:-payment} PAYMENT_PORT=${PAYMENT_PORT:-8004}
OPERATOR_PORT=${OPERATOR_PORT:-8005} DETECTOR_PORT=${DETECTOR_PORT:-8006}
DASHBOARD_PORT=${DASHBOARD_PORT:-7000} CHAOS_PORT=${CHAOS_PORT:-8080} # 0: none

RUN_DIR=${RUN_DIR:-/run/archaic-ebpf}
STATE_DIR=${STATE_DIR:-/var/lib/archaic-ebpf}
CGROUP_PARENT=${CGROUP_PARENT:-/archaic}

settings_help() {
	cat <<'END'
Environment (with defaults):
  AUTH_NAME=auth AUTH_PORT=8001  DB_NAME=db DB_PORT=8002  PRODUCT_NAME=product PRODUCT_PORT=8003
  PAYMENT_NAME=payment PAYMENT_PORT=8004  OPERATOR_PORT=8005 DETECTOR_PORT=8006
END
}

# Where the rest lies, once RUN_DIR is final.
set_paths() {
	SOCKET=$RUN_DIR/control.sock
	SERVICES_DIR=$RUN_DIR/services
	DAEMON_PID=$RUN_DIR/daemon.pid
	DAEMON_LOG=$RUN_DIR/daemon.log
	AUTH_URL=http://127.0.0.1:$AUTH_PORT
	DB_URL=http://127.0.0.1:$DB_PORT
	PRODUCT_URL=http://127.0.0.1:$PRODUCT_PORT
	PAYMENT_URL=http://127.0.0.1:$PAYMENT_PORT
	DETECTOR_URL=http://127.0.0.1:$DETECTOR_PORT
}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# only_help ARGUMENT...: --help is all that these scripts take; usage is theirs.
only_help() {
	[ $# -gt 0 ] || return 0
	case $1 in
	-h | --help)
		usage
		exit 0
		;;
	esac
	usage >&2
	exit 2
}

# name port binary, a line each
service_list() {
	printf '%s %s %s\n' "$AUTH_NAME" "$AUTH_PORT" auth-service "$DB_NAME" "$DB_PORT" db-service \
		"$PRODUCT_NAME" "$PRODUCT_PORT" product-service "$PAYMENT_NAME" "$PAYMENT_PORT" payment-service
}

# port what option, a line each
daemon_ports() {
	printf '%s %s %s\n' "$OPERATOR_PORT" operator --port-operator "$DETECTOR_PORT" detector --port-detector \
		"$DASHBOARD_PORT" dashboard --port-dashboard "$CHAOS_PORT" chaos --port-chaos
}

check_settings() {
	local name port program
	[ "$(id -u)" = 0 ] || die "BPF programs and cgroups need root: use sudo"
	for program in curl jq ss; do
		command -v "$program" >/dev/null || die "$program is missing: tools/setup.sh installs it"
	done
	for program in archaic-ebpf archaic-supervise archaic-load auth-service db-service product-service payment-service; do
		[ -x "$BIN/$program" ] || die "$BIN/$program is missing: make builds it"
	done
	while read -r name port _; do
		[[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$ ]] || die "the service name '$name' must be of A-Za-z0-9._-"
		[[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] || die "the port '$port' of $name must be 1 to 65535"
	done < <(service_list)
	[ "$(service_list | cut -d' ' -f1 | sort -u | wc -l)" = 4 ] || die "two services have the same name"
	[ -z "$({ service_list | cut -d' ' -f2; daemon_ports | cut -d' ' -f1; } | grep -vx 0 | sort | uniq -d)" ] ||
		die "two of the ports are the same"
}

# pid_of FILE PROGRAM: the pid in FILE, if it is alive and runs PROGRAM.
pid_of() {
	local pid
	pid=$(cat "$1" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
	# "(deleted)": built anew meanwhile.
	case $(readlink "/proc/$pid/exe" 2>/dev/null) in
	*/"$2" | */"$2 (deleted)") echo "$pid" ;;
	*) return 1 ;;
	esac
}

supervisor_pid() { pid_of "$SERVICES_DIR/supervise.pid" archaic-supervise; }
daemon_pid() { pid_of "$DAEMON_PID" archaic-ebpf; }

# refuse_taken PORT WHAT: a port of ours that somebody else has.
refuse_taken() {
	local holder
	holder=$(ss -H -ltnp "sport = :$1" 2>/dev/null | head -n 1)
	[ -z "$holder" ] && return
	holder=$(sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' <<<"$holder")
	die "port $1, wanted for $2, is taken by ${holder:-another process}; stop it, or set another port (see --help)"
}

refuse_daemon_ports() {
	local port what
	while read -r port what _; do
		[ "$port" = 0 ] || refuse_taken "$port" "$what"
	done < <(daemon_ports)
}

# api METHOD PATH [JSON]: the daemon, over its control socket.
api() {
	curl -sS --max-time 10 --unix-socket "$SOCKET" -X "$1" ${3:+-H 'Content-Type: application/json' --data "$3"} \
		"http://localhost$2"
}

daemon_answers() { [ -S "$SOCKET" ] && api GET /v1/health 2>/dev/null | jq -e .version >/dev/null 2>&1; }

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < until)) || return 1
		sleep 0.1
	done
}

service_healthy() { curl -sf --max-time 1 "http://127.0.0.1:$1/health" >/dev/null 2>&1; }

# detached LOG PROGRAM ARGUMENT...: in a session of its own, holding nothing of ours open. $! is its pid.
detached() {
	local log=$1
	shift
	{
		for fd in /proc/"$BASHPID"/fd/*; do
			fd=${fd##*/}
			((fd < 3)) || exec {fd}>&-
		done
		exec setsid "$@" </dev/null >>"$log" 2>&1
	} &
}

# The services, each in a cgroup of its own, under a supervisor that outlives the daemon.
start_services() {
	local name port binary secret
	mkdir -p "$SERVICES_DIR"
	chmod 755 "$RUN_DIR" "$SERVICES_DIR"
	while read -r name port binary; do
		refuse_taken "$port" "$name"
		printf '[%s]\ncommand = %s --port %s --name %s-service\n' "$name" "$BIN/$binary" "$port" "$name"
	done < <(service_list) >"$SERVICES_DIR/supervise.conf"
	secret=$SERVICES_DIR/auth.secret
	[ -s "$secret" ] || (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$secret")
	AUTH_JWT_SECRET=$(cat "$secret") ARCHAIC_SOCKET=$SOCKET AUTH_SERVICE_URL=$AUTH_URL DB_SERVICE_URL=$DB_URL \
		PRODUCT_SERVICE_URL=$PRODUCT_URL PAYMENT_SERVICE_URL=$PAYMENT_URL \
		detached "$SERVICES_DIR/supervise.log" "$BIN/archaic-supervise" --run-dir "$SERVICES_DIR" \
		--cgroup "$CGROUP_PARENT" --config "$SERVICES_DIR/supervise.conf" --cut "$DAEMON_LOG" \
		--cut "$SERVICES_DIR/supervise.log"
	while read -r name port _; do
		wait_for 15 service_healthy "$port" || {
			tail -n 5 "$SERVICES_DIR/supervise.log" "$SERVICES_DIR/$name.log" >&2
			die "$name is not healthy after 15 s; its log is $SERVICES_DIR/$name.log"
		}
	done < <(service_list)
}

# It answers, or it has given up.
daemon_decided() { daemon_answers || ! daemon_pid >/dev/null; }

# start_daemon OPTION...
start_daemon() {
	local port option ports=()
	refuse_daemon_ports
	while read -r port _ option; do
		ports+=("$option" "$port")
	done < <(daemon_ports)
	detached "$DAEMON_LOG" "$BIN/archaic-ebpf" run --run-dir "$RUN_DIR" --state-dir "$STATE_DIR" "${ports[@]}" "$@"
	echo $! >"$DAEMON_PID"
	sleep 0.2 # until setsid has become the daemon
	if ! wait_for 30 daemon_decided || ! daemon_pid >/dev/null; then
		tail -n 5 "$DAEMON_LOG" >&2
		die "the daemon is not healthy; its log is $DAEMON_LOG"
	fi
}

# No such process, or one that only waits to be waited for.
gone() { ! grep -q '^State:[[:space:]]*[^Z]' "/proc/$1/status" 2>/dev/null; }

# stop_process PID SECONDS: SIGTERM, then SIGKILL.
stop_process() {
	kill -TERM "$1" 2>/dev/null || return 0
	kill -CONT "$1" 2>/dev/null
	wait_for "$2" gone "$1" || {
		kill -KILL "$1" 2>/dev/null
		wait_for 5 gone "$1"
	}
}

# A supervisor that was killed takes its programs with it, but not their cgroups.
sweep_cgroups() {
	local v2 name
	v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	[ -n "$v2" ] && [ -d "$v2$CGROUP_PARENT" ] || return 0
	while read -r name; do
		[ ! -d "$v2$CGROUP_PARENT/$name" ] || wait_for 5 rmdir "$v2$CGROUP_PARENT/$name" 2>/dev/null || return 1
	done < <(sed -n 's/^\[\(.*\)\]$/\1/p' "$SERVICES_DIR/supervise.conf" 2>/dev/null)
	rmdir "$v2$CGROUP_PARENT" 2>/dev/null || true # others may have theirs in it
}

# The daemon, then what it may have left (a killed one), then the services. Each only if it is there.
stop_all() {
	local pid status=0
	if pid=$(daemon_pid); then
		stop_process "$pid" 10 || status=1
		if ! "$BIN/archaic-ebpf" reset --all --run-dir "$RUN_DIR" >>"$DAEMON_LOG" 2>&1; then
			echo "${0##*/}: archaic-ebpf reset --all failed; see $DAEMON_LOG" >&2
			status=1
		fi
	fi
	if pid=$(supervisor_pid); then
		stop_process "$pid" 15 || status=1
	fi
	sweep_cgroups || status=1
	rm -f "$DAEMON_PID"
	return "$status"
}
