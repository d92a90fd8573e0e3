#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The manifests and the Fault objects with a real API server, and no nodes: every manifest is taken, and the real daemon
# and `watch-faults`, with the agent's own service account, carry out faults on a service beside them. Half a minute; root.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
-h | --help)
	echo "usage: tests/cluster/api.sh"
	exit 0
	;;
?*) exit 2 ;;
esac
work=$(mktemp -d)
# shellcheck source=tests/cluster/lib.sh
. "$HERE/lib.sh"

finish() {
	local rc=$?
	# shellcheck disable=SC2046 # one word a process
	kill $(cat "$work"/*.pid 2>/dev/null) 2>/dev/null || :
	if [ $rc != 0 ] || [ $failures != 0 ]; then
		tail -n 20 "$work"/*.log >&2 || :
		"$CLUSTER" kubectl get faults -A -o yaml >&2 || :
	fi
	"$CLUSTER" down
	rm -rf "$work"
	summary
	if [ $rc != 0 ] || [ $failures != 0 ]; then exit 1; fi
}

# start NAME COMMAND…: in the API server's network, with a log
start() {
	local name=$1
	shift
	"$CLUSTER" enter 1 "$@" >>"$work/$name.log" 2>&1 &
	echo $! >"$work/$name.pid"
}

# stop NAME SIGNAL
stop() {
	kill "-$2" "$(cat "$work/$1.pid")"
	while kill -0 "$(cat "$work/$1.pid")" 2>/dev/null; do sleep 0.05; done
}

# A file of the agent's own rights, as a pod has them.
account() {
	local token
	token=$(k create token archaic-agent --duration 1h)
	k config view --raw --flatten -o json | jq --arg token "$token" --arg ns $NS \
		'.users[0].user = {token: $token} | .contexts[0].context.namespace = $ns' >"$work/agent.conf"
}

start_agent() {
	start agent "$BIN/archaic-ebpf" run --run-dir "$work/run" --state-dir "$work" --port-dashboard 0 --port-chaos 0 --mode observe
	soon 20 "the daemon answers" there mode
	hold "it watches db" there attach db --port 8002
}

there() { "$BIN/archaic-ebpf" "$@" --socket "$work/run/control.sock"; }
start_watch() { start watch "$BIN/archaic-ebpf" watch-faults --node worker --kubeconfig "$work/agent.conf" --socket "$work/run/control.sock"; }
armed() { there faults --json | jq -e --argjson n "$1" '[.items[] | select(.state == "armed")] | length == $n'; }
held() { [ "$(k get fault "$1" -o 'jsonpath={.metadata.finalizers}')" = '["archaic-ebpf.io/worker"]' ]; }
status_of() { "$CLUSTER" enter 1 curl -s -o /dev/null -m 5 -w '%{http_code}' http://127.0.0.1:8002/products || :; }
gives() { [ "$(status_of)" = "$1" ]; }
says() { printf '          %s\n' "$(k get fault "$1" -o 'jsonpath={.status.says}')"; }

manifests() {
	local folder
	hold "base is taken" "$CLUSTER" kubectl apply -k "$HERE/base"
	k create namespace observability >/dev/null
	for folder in overlays/demo overlays/kind overlays/minikube observability; do
		hold "$folder would be" "$CLUSTER" kubectl apply --dry-run=server -k "$ROOT/tools/deploy/kubernetes/$folder"
	done
}

life() {
	fault bad '"service":"db","type":"error","status":503,"durationSeconds":60' | k apply -f - >/dev/null
	soon 10 "a Fault is armed, and says so" state_is bad armed
	says bad
	hold "with the agent's finalizer" held bad
	hold "db answers 503" gives 503
	hold "it cannot be changed" refused bad '"service":"db","type":"error","status":500,"durationSeconds":60'
	k get faults | sed 's/^/          /'
	soon 10 "what it touched is in its status" touched bad
	k delete fault bad --wait=false >/dev/null
	soon 10 "deleted: it is gone" gone bad
	hold "and nothing is armed" armed 0
	hold "db answers 200" gives 200

	fault short '"service":"db","type":"error","durationSeconds":2' | k apply -f - >/dev/null
	soon 15 "one of 2 s ends by itself" state_is short expired
	fault odd '"service":"db","type":"earthquake","durationSeconds":2' | k apply -f - >/dev/null
	soon 10 "an unknown type is refused" state_is odd refused
	says odd
	k delete fault short odd >/dev/null
	fault elsewhere '"service":"nobody","type":"error","durationSeconds":2' | k apply -f - >/dev/null
	sleep 3
	hold "one on a service of another node is left alone" test -z "$(k get fault elsewhere -o 'jsonpath={.status}{.metadata.finalizers}')"
	k delete fault elsewhere --timeout=5s >/dev/null
}

touched() { [ "$(k get fault "$1" -o 'jsonpath={.status.touchedRequests}')" -gt 0 ]; }

death() {
	fault orphan '"service":"db","type":"error","durationSeconds":60' | k apply -f - >/dev/null
	soon 10 "armed" state_is orphan armed
	stop watch KILL
	hold "the watcher is killed: the fault is the daemon's" armed 1
	start_watch
	stop agent KILL
	soon 5 "the daemon is killed: db answers 200" gives 200
	soon 15 "and the fault says that it is lost" state_is orphan lost
	start_agent
	sleep 3
	hold "a new daemon does not arm it again" armed 0
	k delete fault orphan --wait=false >/dev/null
	soon 10 "it is gone" gone orphan

	k delete rolebinding archaic-agent >/dev/null
	fault denied '"service":"db","type":"error","durationSeconds":60' | k apply -f - >/dev/null
	sleep 3
	hold "without its role nothing is armed" armed 0
	hold "and the watcher says why" grep -q 'cannot be \(listed\|watched\|written\).*forbidden' "$work/watch.log"
	k delete fault denied --timeout=5s >/dev/null
}

trap finish EXIT
"$CLUSTER" up 0
manifests
account
mkdir -p "$work/run"
ARCHAIC_TOKEN='' start db "$BIN/db-service" --port 8002
soon 5 "db answers" gives 200
start_agent
start_watch
life
death
