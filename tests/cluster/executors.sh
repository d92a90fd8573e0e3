#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the operator may have Kubernetes do, on a cluster that is up (tools/cluster/cluster.sh): fills a namespace of its
# own, runs tests/host/test_kube_cluster inside node 1, and takes the namespace away. Half a minute to two; as root.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
CLUSTER=$HERE/../../tools/cluster/cluster.sh
TEST=${ARCHAIC_BUILD:-$HERE/../../build}/tests/host/test_kube_cluster
NS=executors

case ${1:-} in
-h | --help)
	echo "usage: tests/cluster/executors.sh [up]      up: with a cluster of its own, of one node, taken down at the end"
	exit 0
	;;
'' | up) ;;
*) exit 2 ;;
esac

k() { "$CLUSTER" kubectl "$@"; }

work=$(mktemp -d)
finish() {
	local rc=$?
	k delete namespace $NS --wait=false >/dev/null 2>&1 || :
	[ "${1:-}" != up ] || "$CLUSTER" down
	rm -rf "$work"
	exit $rc
}
# shellcheck disable=SC2064
trap "finish '${1:-}'" EXIT
[ "${1:-}" != up ] || "$CLUSTER" up 1

# deployment NAME REPLICAS
deployment() {
	cat <<END
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: $1, namespace: $NS, labels: {app: $1}}
spec:
  replicas: $2
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      containers: [{name: c, image: "localhost/pause:1", env: [{name: V, value: "1"}]}]
END
}

k create namespace $NS >/dev/null
for _ in $(seq 50); do
	! k -n $NS get serviceaccount default >/dev/null 2>&1 || break
	sleep 0.2
done
{
	deployment web 3
	deployment two 2
	deployment one 1
	cat <<END
---
apiVersion: v1
kind: Pod
metadata: {name: alone, namespace: $NS}
spec: {containers: [{name: c, image: "localhost/pause:1"}], terminationGracePeriodSeconds: 1}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: $NS}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 3
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: $NS}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: $NS}
rules:
- {apiGroups: ["", apps, autoscaling], verbs: [get, list], resources: [pods, deployments, deployments/scale, replicasets, horizontalpodautoscalers]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: $NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: $NS}]
END
} >"$work/all.yaml"
k apply -f "$work/all.yaml" >/dev/null

# As kubectl itself writes it; the reader's has a token in the place of the certificate.
k config view --raw --flatten >"$work/admin.yaml"
k -n $NS create token reader >"$work/token"
k config view --raw --flatten -o json |
	jq --rawfile token "$work/token" '.users[0].user = {token: ($token | rtrimstr("\n"))}' >"$work/reader.json"
k config view --raw --flatten -o 'jsonpath={.clusters[0].cluster.certificate-authority-data}' | base64 -d >"$work/ca.crt"
printf %s $NS >"$work/namespace"
host=$(k config view --raw -o 'jsonpath={.clusters[0].cluster.server}' | sed 's|.*//||; s|:.*||')
"$CLUSTER" enter 1 env ARCHAIC_TEST_KUBECONFIG="$work/admin.yaml" ARCHAIC_TEST_READER="$work/reader.json" \
	ARCHAIC_TEST_ACCOUNT="$work" ARCHAIC_TEST_HOST="$host" "$TEST"
