#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The six services of a cluster on this machine's ports, in the background.
set -euo pipefail

usage() {
	cat <<'END'
usage: tools/port-forward.sh [start|stop|status] [--namespace NAME] [--context NAME]

  start   (the default) forwards, each by a kubectl port-forward that is started again when it ends:
          auth-service 8001, db-service 8002, product-service 8003, payment-service 8004,
          ai-operator 8005, anomaly-detector 8006; on 127.0.0.1, in the background
  stop    ends them all; can be said twice
  status  lists them; exit status 1 where one is missing

  --namespace NAME  default archaics
  --context NAME    of kubectl; default its current one

Pids and logs: ${XDG_RUNTIME_DIR:-/tmp}/archaic-port-forward-UID.

EXAMPLES
  tools/port-forward.sh && curl localhost:8006/health; tools/port-forward.sh stop
END
}

services="auth-service:8001 db-service:8002 product-service:8003 payment-service:8004 ai-operator:8005
	anomaly-detector:8006"
verb=start namespace=archaics context=()
while [ $# -gt 0 ]; do
	case $1 in
	start | stop | status) verb=$1 ;;
	--namespace | --context)
		[[ ${2:-} =~ ^[A-Za-z0-9][A-Za-z0-9._:/@-]*$ ]] || {
			echo "port-forward.sh: $1 needs a name" >&2
			exit 2
		}
		if [ "$1" = --namespace ]; then namespace=$2; else context=(--context "$2"); fi
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "port-forward.sh: unknown argument $1" >&2
		usage >&2
		exit 2
		;;
	esac
	shift
done
dir=${XDG_RUNTIME_DIR:-/tmp}/archaic-port-forward-$(id -u)

# pid_of NAME: the loop that keeps it up, if it is alive and ours.
pid_of() {
	local pid
	pid=$(cat "$dir/$1.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
	case $(ps -o args= -p "$pid" 2>/dev/null) in
	*archaic-forward*) echo "$pid" ;;
	*) return 1 ;;
	esac
}

start_one() { # NAME PORT
	local pid
	if pid=$(pid_of "$1"); then
		echo "$1: forwarded already (process $pid)"
		return
	fi
	# A session of its own: stop ends the loop and its kubectl together.
	# shellcheck disable=SC2016 # the inner shell's
	setsid bash -c 'while :; do "$@"; sleep 1; done' archaic-forward \
		kubectl ${context[@]+"${context[@]}"} --namespace "$namespace" port-forward --address 127.0.0.1 "service/$1" "$2:$2" \
		</dev/null >"$dir/$1.log" 2>&1 &
	echo $! >"$dir/$1.pid"
	echo "$1: http://127.0.0.1:$2"
}

stop_one() { # NAME
	local pid
	if pid=$(pid_of "$1"); then
		kill -TERM -- "-$pid" 2>/dev/null || true
		echo "$1: stopped"
	fi
	rm -f "$dir/$1.pid" "$dir/$1.log"
}

status=0
case $verb in
start)
	command -v kubectl >/dev/null || {
		echo "port-forward.sh: kubectl was not found" >&2
		exit 1
	}
	# Not another user's folder, where /tmp is shared.
	[ -d "$dir" ] || mkdir -m 700 "$dir"
	if [ -L "$dir" ] || [ ! -O "$dir" ]; then
		echo "port-forward.sh: $dir is not ours" >&2
		exit 1
	fi
	for s in $services; do start_one "${s%:*}" "${s#*:}"; done
	echo "Stop: tools/port-forward.sh stop"
	;;
stop)
	for s in $services; do stop_one "${s%:*}"; done
	rmdir "$dir" 2>/dev/null || true
	;;
status)
	for s in $services; do
		if pid=$(pid_of "${s%:*}"); then
			echo "${s%:*}: http://127.0.0.1:${s#*:} (process $pid)"
		else
			echo "${s%:*}: not forwarded"
			status=1
		fi
	done
	;;
esac
exit $status
