#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The manifests, the agent and its Fault objects on a real cluster of two nodes (tools/cluster): applied by kustomize,
# seen to act, and to be denied. Ends with exit status 0, or names what did not hold. Minutes; as root.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
-h | --help)
	echo "usage: tests/cluster/run.sh [story]      (make test-cluster)"
	exit 0
	;;
story | '') ;;
*) exit 2 ;;
esac
work=$(mktemp -d)
# shellcheck source=tests/cluster/lib.sh
. "$HERE/lib.sh"


finish() {
	local rc=$?
	if [ $rc != 0 ] || [ $failures != 0 ]; then last_words; fi
	"$CLUSTER" down
	rm -rf "$work"
	[ "$(find /sys/fs/cgroup -maxdepth 2 -name archaic-cluster | wc -l)" = 0 ] || failed "cgroups are left"
	! ip -br link | grep -q '^\(cni\|eth0@\|wire\)' || failed "network devices are left"
	summary
	[ $rc = 0 ] && [ $failures = 0 ] || exit 1
}

last_words() {
	echo "  what there was at the end is in build/cluster-last.log" >&2
	{
		k get pods -o wide || :
		k describe pods || :
		k get faults -o yaml || :
		for pod in $(k get pods -l app.kubernetes.io/name=archaic-agent -o name); do
			k logs "$pod" --all-containers --prefix --tail 30 || :
		done
	} >"$ROOT/build/cluster-last.log" 2>&1
}


# get URL: its status, from inside node 1; 000 without an answer within 2 s
get() { "$CLUSTER" enter 1 curl -s -o /dev/null -m 2 -w '%{http_code}' "$1" || :; }
answers() { [ "$(get "$1")" = 200 ]; }
silent() { [ "$(get "$1")" = 000 ]; }

pod_of() { k get pod -l "app.kubernetes.io/name=$1" -o 'jsonpath={.items[0].metadata.name}'; }

# agent_on NODE
agent_on() {
	k get pod -l app.kubernetes.io/name=archaic-agent --field-selector "spec.nodeName=$1" \
		-o 'jsonpath={.items[0].metadata.name}'
}

on_agent() { k exec "$agent" -c agent -- /usr/bin/archaic-ebpf "$@"; }

# process_in POD CONTAINER: its first process, by the host's number
process_in() {
	local id
	id=$(k get pod "$1" -o "jsonpath={.status.containerStatuses[?(@.name=='$2')].containerID}")
	find /sys/fs/cgroup/pids/archaic-cluster -type d -name "${id##*/}" -exec head -n 1 {}/cgroup.procs \;
}

deploy() {
	local name token
	for name in archaic-ebpf auth-service db-service product-service payment-service; do
		"$ROOT/tools/cluster/image.sh" $name "$work/$name.tar"
	done
	"$CLUSTER" load "$work"/*.tar
	printf '  images  %s\n' "$(du -ch --apparent-size "$work"/*.tar | tail -n 1 | cut -f 1) in all, the agent's $(du -h --apparent-size "$work/archaic-ebpf.tar" | cut -f 1)"
	k apply -f "$ROOT/tools/deploy/kubernetes/base/namespace.yaml" >/dev/null
	token=$(openssl rand -hex 32)
	k create secret generic archaic-token --from-literal=token="$token" --from-literal=jwt="$(openssl rand -hex 32)" >/dev/null
	hold "kustomize's output is applied" "$CLUSTER" kubectl apply -k "$HERE/base"
	for name in deployment/auth-service deployment/db-service deployment/product-service \
		deployment/payment-service daemonset/archaic-agent deployment/anomaly-detector deployment/ai-operator; do
		soon 90 "$name is ready" k rollout status --timeout=90s $name
	done
	k apply -f "$HERE/neighbour.yaml" >/dev/null
	soon 30 "the neighbour is ready" k wait --for=condition=Ready --timeout=30s pod/neighbour
}

load() {
	hold "load through the services, none fails" "$CLUSTER" enter 1 env \
		AUTH_SERVICE_URL="http://$(address auth-service):8001" DB_SERVICE_URL="$db" \
		PRODUCT_SERVICE_URL="http://$(address product-service):8003" \
		PAYMENT_SERVICE_URL="http://$(address payment-service):8004" \
		"$BIN/archaic-load" run steady --users 4 --rate 20 --duration 5s --threshold 'http_req_failed:rate<0.001'
	sed -n 's/^  \(requests\|latency\) /          \1 /p' "$work/said"
}

# What the agent's two containers may do, as the kernel has it.
capabilities() { # CapEff
	local pid
	pid=$(process_in "$agent" agent)
	# DAC_READ_SEARCH 2, KILL 5, NET_ADMIN 12, SYS_PTRACE 19, SYS_ADMIN 21, PERFMON 38, BPF 39
	hold "the agent has the capabilities of its manifest, $1, and no other" grep -qx "CapEff:	$1" "/proc/$pid/status"
	pid=$(process_in "$agent" faults)
	hold "the watcher of faults has none" grep -qx "CapEff:	0000000000000000" "/proc/$pid/status"
}

rights() {
	hold "RBAC: the agent may watch faults" may watch faults.archaic-ebpf.io -n $NS --as $AGENT
	hold "RBAC: the agent may write their status" may patch faults.archaic-ebpf.io/status --subresource=status -n $NS --as $AGENT
	hold "RBAC: the agent may read pods here" may list pods -n $NS --as $AGENT
	hold "RBAC: not elsewhere" may_not list pods -n kube-system --as $AGENT
	hold "RBAC: it may not delete a pod" may_not delete pods -n $NS --as $AGENT
	hold "RBAC: nor create or delete a fault" may_not create faults.archaic-ebpf.io -n $NS --as $AGENT
	hold "RBAC: nor read secrets" may_not get secrets -n $NS --as $AGENT
	hold "RBAC: nor touch a deployment" may_not patch deployments.apps -n $NS --as $AGENT
	hold "RBAC: the operator may restart a pod" may delete pods -n $NS --as $OPERATOR
	hold "RBAC: and roll a deployment out again" may patch deployments.apps -n $NS --as $OPERATOR
	hold "RBAC: and hold its lease" may update leases.coordination.k8s.io/ai-operator -n $NS --as $OPERATOR
	hold "RBAC: not another" may_not update leases.coordination.k8s.io/other -n $NS --as $OPERATOR
	hold "RBAC: it may not create a pod" may_not create pods -n $NS --as $OPERATOR
	hold "RBAC: nor delete a deployment" may_not delete deployments.apps -n $NS --as $OPERATOR
	hold "RBAC: nor read secrets" may_not get secrets -n $NS --as $OPERATOR
	hold "RBAC: nor write faults" may_not patch faults.archaic-ebpf.io -n $NS --as $OPERATOR
	hold "RBAC: nor restart what is elsewhere" may_not delete pods -n kube-system --as $OPERATOR
	hold "RBAC: the detector may have a token looked at" may create tokenreviews.authentication.k8s.io --as $DETECTOR
	hold "RBAC: and nothing else" may_not list pods -n $NS --as $DETECTOR
	hold "db has no token of the API's" no_token
	hold "RBAC: a denial is one in earnest too" denied
}

no_token() { ! grep -q serviceaccount "/proc/$(process_in "$(pod_of db)" db)/mountinfo"; }

denied() { ! k --as $AGENT delete pod neighbour; }

refusals() {
	local what
	hold "a fault over the schema's limit is refused" refused bad '"service":"db-service","type":"loss","percent":101,"durationSeconds":60'
	hold "one without an end is refused" refused bad '"service":"db-service","type":"loss","percent":100'
	hold "one on 'self' is refused" refused bad '"service":"self","type":"loss","percent":100,"durationSeconds":60'
	what=$(fault odd '"service":"db-service","type":"earthquake","durationSeconds":60')
	k apply -f - <<<"$what" >/dev/null
	soon 15 "an unknown type is refused by the agent, in the status" state_is odd refused
	printf '          %s\n' "$(k get fault odd -o 'jsonpath={.status.says}')"
	k delete fault odd >/dev/null
}

# ---- agents, detector, operators

detector() { k exec deployment/anomaly-detector -- /usr/bin/archaic-ebpf "$@"; }

knows() { detector services "$1"; }

# http PATH PORT SERVICE [CURL OPTION…]: the status of a call from node 1
http() {
	local path=$1 port=$2 service=$3
	shift 3
	"$CLUSTER" enter 1 curl -s -o /dev/null -m 5 -w '%{http_code}' "$@" "http://$(address "$service"):$port$path" || :
}

merged() {
	local name
	for name in auth-service db-service product-service payment-service; do
		soon 30 "the detector knows $name, from the agent of its node" knows $name
	done
	detector services | sed 's/^/          /'
	hold "the detector takes no sample without a token" test "$(http /v1/samples 8006 anomaly-detector -X POST -d '{}')" = 401
	hold "nor with that of another service account" test "$(http /v1/samples 8006 anomaly-detector -X POST -d '{}' \
		-H "Authorization: Bearer $(k create token default)")" = 401
}

holder() { k get lease ai-operator -o 'jsonpath={.spec.holderIdentity}'; }
held() { [ -n "$(holder)" ]; }
changed_hands() { [ -n "$(holder)" ] && [ "$(holder)" != "$1" ]; }
acting() { k logs "$1" | grep -c 'this operator acts from here on' || :; }

lease() {
	local first pod nr=0
	soon 30 "one operator holds the Lease" held
	first=$(holder)
	for pod in $(k get pod -l app.kubernetes.io/name=ai-operator -o name); do
		[ "$(acting "$pod")" = 0 ] || nr=$((nr + 1))
	done
	hold "of two operators one acts" test $nr = 1
	kill -KILL "$(process_in "${first%%.*}" operator)"
	soon 60 "it is killed: the Lease changes hands" changed_hands "$first"
}

# Found with no configuration, and named by what runs them: the run time knows no labels.
watched() { soon 30 "the agent has found db-service by itself" on_agent services db-service; }

faults() {
	fault silence '"service":"db-service","type":"loss","percent":100,"durationSeconds":120' | k apply -f - >/dev/null
	soon 20 "Fault armed by the agent on db's node" state_is silence armed
	k get faults | sed 's/^/          /'
	soon 10 "db is hurt" silent "$db/products"
	hold "its neighbour of the same image, on the same node, is not" answers "$neighbour/products"
	hold "a fault that is armed cannot be changed" refused silence '"service":"db-service","type":"loss","percent":50,"durationSeconds":120'
	k delete fault silence --wait=false >/dev/null
	soon 10 "deleted: db answers again" answers "$db/products"
	soon 10 "and the object is gone" gone silence

	fault short '"service":"db-service","type":"loss","percent":100,"durationSeconds":3' | k apply -f - >/dev/null
	soon 20 "a fault of 3 s ends by itself, and says so" state_is short expired
	hold "db answers" answers "$db/products"
	k delete fault short >/dev/null
}

# SIGKILL, with a fault armed: the kernel lets go, and the object learns of it.
death() {
	local pid links
	fault orphan '"service":"db-service","type":"loss","percent":100,"durationSeconds":120' | k apply -f - >/dev/null
	soon 20 "armed again" state_is orphan armed
	soon 10 "db is hurt" silent "$db/products"
	pid=$(process_in "$agent" agent)
	kill -KILL "$pid"
	soon 10 "the agent is killed: db answers again" answers "$db/products"
	soon 20 "and the fault says that it is lost" state_is orphan lost
	links=$(bpftool cgroup show "/sys/fs/cgroup/unified$(sed -n 's/^0:://p' "/proc/$(process_in "$(pod_of db)" db)/cgroup")" | grep -c fault || :)
	hold "no program of a fault is attached to db's cgroup" test "$links" = 0
	soon 60 "the agent is back" k wait --for=condition=Ready --timeout=30s "pod/$agent"
	hold "with nothing armed" none_armed
	k delete fault orphan --wait=false >/dev/null
	soon 20 "the object is gone" gone orphan
}

none_armed() { on_agent faults --json | jq -e '.items | length == 0'; }

# ---- every fault, and the way from one to its repair

first_incident() { detector incidents --json | jq -e '.items | length > 0'; }
names_db() { detector incidents --json | jq -e '[.items[].root_cause.service] | index("db-service") != null'; }
repaired() { k exec "$(acting_pod)" -- /usr/bin/archaic-ebpf incidents --json | jq -e '[.items[].state] | index("repaired") != null'; }
acting_pod() { printf '%s' "$(holder | sed 's/\..*//')"; }
disarmed() { [ "$(k get fault "$1" -o 'jsonpath={.status.state}')" = reset ]; }

demo() {
	local name
	hold "the overlay demo is applied" "$CLUSTER" kubectl apply -k "$HERE/demo"
	for name in daemonset/archaic-agent deployment/ai-operator deployment/auth-service deployment/db-service \
		deployment/product-service deployment/payment-service; do
		soon 90 "$name is ready again" k rollout status --timeout=90s $name
	done
	agent=$(agent_on "$(k get pod "$(pod_of db)" -o 'jsonpath={.spec.nodeName}')")
	capabilities 000000c000281024
	address_db
	errors
	by_itself
}

# In the pod's own network namespace.
errors() {
	fault broken '"service":"db-service","type":"error","status":503,"durationSeconds":60' | k apply -f - >/dev/null
	soon 20 "errors of db are armed" state_is broken armed
	soon 10 "db answers 503" gives "$db/products" 503
	hold "its neighbour 200" answers "$neighbour/products"
	k delete fault broken --wait=false >/dev/null
	soon 10 "deleted: db answers 200" answers "$db/products"
}

gives() { [ "$(get "$1")" = "$2" ]; }

# post PATH [CURL OPTION…]: the status, through the port-forward
post() {
	local path=$1
	shift
	"$CLUSTER" enter 1 curl -s -o /dev/null -m 10 -w '%{http_code}' -X POST "$@" "http://127.0.0.1:18002$path" || :
}

# The service's own POST /inject-failure, as its user's laptop calls it.
by_itself() {
	local token forward
	token=$(k get secret archaic-token -o 'jsonpath={.data.token}' | base64 -d)
	k port-forward deployment/db-service 18002:8002 >"$work/forward.log" 2>&1 &
	forward=$!
	soon 10 "db answers through port-forward" answers http://127.0.0.1:18002/products
	hold "POST /inject-failure wants the token" test "$(post '/inject-failure?type=error')" = 401
	hold "and with it arms a fault on db" test "$(post '/inject-failure?type=error&duration=30' -H "Authorization: Bearer $token")" = 200
	hold "db answers 500" gives "$db/products" 500
	hold "POST /reset ends it" test "$(post /reset -H "Authorization: Bearer $token")" = 200
	hold "db answers 200" answers "$db/products"
	kill $forward
}

story() {
	local onset
	k set env deployment/ai-operator ARCHAIC_MODE=auto-safe >/dev/null
	soon 60 "the operators are in mode auto-safe" k rollout status --timeout=60s deployment/ai-operator
	soon 60 "an operator holds the Lease again" held
	"$CLUSTER" enter 1 env AUTH_SERVICE_URL="http://$(address auth-service):8001" DB_SERVICE_URL="$db" \
		PRODUCT_SERVICE_URL="http://$(address product-service):8003" \
		PAYMENT_SERVICE_URL="http://$(address payment-service):8004" \
		"$BIN/archaic-load" run steady --users 32 --rate 60 --duration 150s >"$work/load.log" 2>&1 &
	sleep 20
	onset=$(date +%s.%N)
	fault late '"service":"db-service","type":"timeout","delayMilliseconds":3000,"durationSeconds":120' | k apply -f - >/dev/null
	soon 20 "delays of db are armed" state_is late armed
	soon 60 "anomaly: an incident is opened" first_incident
	soon 60 "diagnosis: the detector names db" names_db
	soon 60 "repair: the operator has the fault reset" disarmed late
	soon 60 "and verified: the incident is repaired" repaired
	printf '          %.1f s from onset to the end of it\n' "$(awk -v a="$onset" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')"
	k delete fault late --wait=false >/dev/null
}

trap finish EXIT
"$CLUSTER" up 2
deploy
address_db
neighbour=http://$(k get pod neighbour -o 'jsonpath={.status.podIP}'):8002
agent=$(agent_on "$(k get pod "$(pod_of db)" -o 'jsonpath={.spec.nodeName}')")
load
capabilities 000000c000081004
rights
watched
merged
lease
refusals
faults
death
hold "repairs by the API: pod, rollout, scale, rollback, their undo, RBAC" "$HERE/executors.sh"
demo
[ "${1:-}" != story ] || story
