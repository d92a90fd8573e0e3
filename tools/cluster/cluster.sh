#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A real Kubernetes of one or two nodes on this machine, for the tests, without a VM or an image registry.
#
# A node is a network and mount namespace and a cgroup: its kubelet, containerd and kube-proxy are the real ones, /run,
# /var/lib and /var/log are its own, and its iptables are its namespace's. Pids are the host's. Node 1 holds etcd, the
# API server, the controllers, the scheduler and DNS too. Nothing listens in the host's network namespace: `kubectl`
# and `enter` go inside. When the last process of a node ends, the kernel takes its mounts and devices away.
set -eu

HERE=$(cd "$(dirname "$0")" && pwd)
DIR=${ARCHAIC_CLUSTER_DIR:-/var/tmp/archaic-cluster}
CGROUP=archaic-cluster
BINARIES=$("$HERE/build.sh" --where)
DEBIAN=$BINARIES/debian
PATH=$BINARIES:$DEBIAN/usr/bin:$DEBIAN/usr/sbin:$PATH
API=10.210.0.1
SERVICES=10.96

usage() {
	cat <<'END'
usage: tools/cluster/cluster.sh COMMAND
  up [NODES]             start a cluster of one node (the default) or two, and wait until they are ready;
                         with 0 nodes etcd and the API server alone, which is enough to try manifests on
  load FILE.tar…         give images, as docker-archive files, to every node
  kubectl ARGUMENT…      as the cluster's administrator
  enter NODE COMMAND…    run a command inside node 1 or 2: its network, its /run and its /var/lib
  stop NODE | start NODE end or start again a node's kubelet
  down                   end all of it and leave nothing; can be said twice
Root. What it runs is built by tools/cluster/build.sh; this machine's cgroups must be v1 or hybrid.
END
}

die() {
	echo "cluster.sh: $*" >&2
	exit 1
}

# hierarchies: the folder of every mounted cgroup hierarchy, v2's too
hierarchies() {
	awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts
}

# until_true SECONDS WHAT COMMAND…
until_true() {
	local limit=$(($(date +%s) + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$limit" ] || die "$what: not within the time allowed; logs are in $DIR"
		sleep 0.2
	done
}

nodes() {
	local node
	for node in 1 2; do
		[ ! -e "$DIR/node$node/holder" ] || echo $node
	done
}

# inside NODE COMMAND…: replaces this process
inside() {
	local holder
	holder=$(cat "$DIR/node$1/holder" 2>/dev/null) || die "there is no node $1"
	shift
	exec nsenter -t "$holder" -n -m -- "$@"
}

# serve NODE NAME COMMAND…: a process of the node's own, in its cgroup, with a log
serve() {
	local node=$1 name=$2 in
	shift 2
	(
		for in in pids systemd; do
			echo "$BASHPID" >"/sys/fs/cgroup/$in/$CGROUP/system$node/cgroup.procs"
		done
		echo "$BASHPID" >"$DIR/node$node/$name.pid"
		inside "$node" "$@"
	) </dev/null >>"$DIR/node$node/$name.log" 2>&1 9>&- &
}

# In node 1's network alone, so that the caller's folder is the one that it means.
kubectl_here() {
	local holder
	holder=$(cat "$DIR/node1/holder" 2>/dev/null) || die "there is no cluster"
	exec nsenter -t "$holder" -n -- kubectl --kubeconfig "$DIR/admin.conf" "$@"
}

admin() {
	(kubectl_here "$@")
}

# ---- certificates

# certificate NAME SUBJECT [ALTERNATIVE NAMES]
certificate() {
	local name=$DIR/pki/$1
	openssl ecparam -name prime256v1 -genkey -noout -out "$name.key"
	openssl req -new -key "$name.key" -subj "$2" -out "$name.csr"
	printf 'extendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}" >"$name.ext"
	openssl x509 -req -in "$name.csr" -CA "$DIR/pki/ca.crt" -CAkey "$DIR/pki/ca.key" -set_serial "0x$(openssl rand -hex 8)" \
		-days 2 -extfile "$name.ext" -out "$name.crt" 2>/dev/null
}

# kubeconfig FILE CERTIFICATE
kubeconfig() {
	cat >"$1" <<END
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://$API:6443", certificate-authority: $DIR/pki/ca.crt}}]
users: [{name: u, user: {client-certificate: $DIR/pki/$2.crt, client-key: $DIR/pki/$2.key}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END
}

certificates() {
	mkdir -p "$DIR/pki"
	openssl ecparam -name prime256v1 -genkey -noout -out "$DIR/pki/ca.key"
	openssl req -x509 -new -key "$DIR/pki/ca.key" -subj /CN=archaic-cluster -days 2 -out "$DIR/pki/ca.crt"
	openssl genrsa -out "$DIR/pki/accounts.key" 2048 2>/dev/null
	certificate api /CN=kube-apiserver "IP:$SERVICES.0.1,IP:$API,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
	certificate admin /O=system:masters/CN=admin
	certificate controllers /CN=system:kube-controller-manager
	certificate scheduler /CN=system:kube-scheduler
	certificate proxy /CN=system:kube-proxy
	kubeconfig "$DIR/admin.conf" admin
	kubeconfig "$DIR/controllers.conf" controllers
	kubeconfig "$DIR/scheduler.conf" scheduler
	kubeconfig "$DIR/proxy.conf" proxy
}

# ---- nodes

make_cgroups() {
	local at node
	for at in $(hierarchies); do
		mkdir -p "$at/$CGROUP"
		# A child of a v1 cpuset starts with no CPU at all.
		[ ! -e "$at/$CGROUP/cpuset.cpus" ] || {
			cat "$at/cpuset.cpus" >"$at/$CGROUP/cpuset.cpus"
			cat "$at/cpuset.mems" >"$at/$CGROUP/cpuset.mems"
			echo 1 >"$at/$CGROUP/cgroup.clone_children"
		}
		for node in "$@"; do
			mkdir -p "$at/$CGROUP/node$node" "$at/$CGROUP/system$node"
		done
	done
}

make_node() {
	local node=$1 at=$DIR/node$1
	mkdir -p "$at/lib" "$at/log" "$at/cni" "$at/plugins"
	# shellcheck disable=SC2016 # the inner shell's own $
	unshare -n -m --propagation private sh -eu -c '
		mount --make-rshared /
		mount -t tmpfs tmpfs /run
		mount --bind "$1/lib" /var/lib
		mount --bind "$1/log" /var/log
		mkdir -p /run/lock
		ip link set lo up
		echo $$ >"$1/holder.new"
		mv "$1/holder.new" "$1/holder"
		exec sleep infinity' sh "$at" </dev/null >"$at/holder.log" 2>&1 9>&- &
	until_true 10 "node $node" test -s "$at/holder"
	for in in pids systemd; do
		cat "$at/holder" >"/sys/fs/cgroup/$in/$CGROUP/system$node/cgroup.procs"
	done
}

# The nodes' one cable; with one node both ends are its own, so that it has an address and a route.
make_network() {
	local one two
	one=$(cat "$DIR/node1/holder")
	two=$(cat "$DIR/node2/holder" 2>/dev/null || echo "$one")
	nsenter -t "$one" -n ip link add eth0 type veth peer name wire
	if [ "$one" = "$two" ]; then
		nsenter -t "$one" -n sh -eu -c "ip link set wire up; ip link set eth0 up; ip address add $API/24 dev eth0
			ip route add $SERVICES.0.0/16 dev eth0"
		set -- "$one"
	else
		nsenter -t "$one" -n ip link set wire netns "$two"
		nsenter -t "$two" -n ip link set wire name eth0
		nsenter -t "$one" -n sh -eu -c "ip link set eth0 up; ip address add $API/24 dev eth0
			ip route add 10.244.2.0/24 via 10.210.0.2; ip route add $SERVICES.0.0/16 dev eth0"
		nsenter -t "$two" -n sh -eu -c "ip link set eth0 up; ip address add 10.210.0.2/24 dev eth0
			ip route add 10.244.1.0/24 via $API; ip route add $SERVICES.0.0/16 dev eth0"
		set -- "$one" "$two"
	fi
	for one; do
		nsenter -t "$one" -n sysctl -q -w net.ipv4.ip_forward=1
	done
}

configure_node() {
	local node=$1 at=$DIR/node$1
	certificate "node$node" "/O=system:nodes/CN=system:node:node$node" "IP:10.210.0.$node,DNS:node$node"
	kubeconfig "$at/kubelet.conf" "node$node"
	printf 'nameserver 127.0.0.1\n' >"$at/resolv.conf"
	# Routed, not bridged: a bridge would hand answers over without the node's netfilter.
	cat >"$at/cni/10-pods.conflist" <<END
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
 {"type": "ptp", "ipMasq": false,
  "ipam": {"type": "host-local", "subnet": "10.244.$node.0/24", "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}}]}
END
	cat >"$at/containerd.toml" <<END
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$DEBIAN/usr/lib/cni"
    conf_dir = "$at/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
END
	cat >"$at/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP/node$node
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: ["$API"]
clusterDomain: cluster.local
resolvConf: $at/resolv.conf
volumePluginDir: $at/plugins
tlsCertFile: $DIR/pki/node$node.crt
tlsPrivateKeyFile: $DIR/pki/node$node.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DIR/pki/ca.crt}}
authorization: {mode: Webhook}
evictionHard: {memory.available: 1%, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
END
}

start_kubelet() {
	serve "$1" kubelet kubelet --config "$DIR/node$1/kubelet.yaml" --kubeconfig "$DIR/node$1/kubelet.conf" \
		--hostname-override "node$1" --node-ip "10.210.0.$1"
}

start_node() {
	local node=$1
	serve "$node" containerd containerd --config "$DIR/node$node/containerd.toml"
	until_true 30 "containerd of node $node" in_containerd "$node" version
	in_containerd "$node" images import "$DIR/pause.tar" >/dev/null
	start_kubelet "$node"
	serve "$node" proxy kube-proxy --kubeconfig "$DIR/proxy.conf" --hostname-override "node$node" --cluster-cidr 10.244.0.0/16 \
		--oom-score-adj 0 --conntrack-max-per-core 0 --conntrack-min 0 --conntrack-tcp-timeout-established 0s \
		--conntrack-tcp-timeout-close-wait 0s
}

# in_containerd NODE ARGUMENT…
in_containerd() {
	local node=$1
	shift
	(inside "$node" ctr -n k8s.io "$@")
}

# ---- control plane

start_control() {
	local pki=$DIR/pki
	serve 1 etcd etcd --data-dir "$DIR/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
		--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
	serve 1 api kube-apiserver --etcd-servers http://127.0.0.1:2379 --advertise-address "$API" \
		--service-cluster-ip-range "$SERVICES.0.0/16" --authorization-mode Node,RBAC --allow-privileged \
		--enable-admission-plugins NodeRestriction --cert-dir "$pki" --client-ca-file "$pki/ca.crt" \
		--tls-cert-file "$pki/api.crt" --tls-private-key-file "$pki/api.key" \
		--kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
		--kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
		--service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/accounts.key" \
		--service-account-signing-key-file "$pki/accounts.key"
	until_true 120 "the API server" admin get --raw /readyz
}

start_controllers() {
	local pki=$DIR/pki
	serve 1 controllers kube-controller-manager --kubeconfig "$DIR/controllers.conf" --leader-elect=false \
		--root-ca-file "$pki/ca.crt" --service-account-private-key-file "$pki/accounts.key" \
		--use-service-account-credentials --flex-volume-plugin-dir "$DIR/node1/plugins" --cert-dir "$pki"
	serve 1 scheduler kube-scheduler --kubeconfig "$DIR/scheduler.conf" --leader-elect=false --cert-dir "$pki"
	cat >"$DIR/Corefile" <<END
.:53 {
    bind $API
    errors
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $DIR/admin.conf
    }
    cache 5
}
END
	serve 1 dns coredns -conf "$DIR/Corefile"
}

# ready NODE…
ready() {
	local node
	for node; do
		admin get node "node$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -q True || return 1
	done
	admin get serviceaccount default
}

up() {
	local count=${1:-1} node begun
	case $count in 0 | 1 | 2) ;; *) die "no node, one or two" ;; esac
	[ "$(id -u)" = 0 ] || die "namespaces and cgroups need root"
	"$HERE/build.sh" --check || exit 1
	if [ ! -d /sys/fs/cgroup/pids ] || [ ! -d /sys/fs/cgroup/systemd ]; then
		die "this machine's cgroups are v2 alone; v1 or hybrid ones are needed here"
	fi
	[ ! -e "$DIR" ] || die "$DIR is there: a cluster runs; '${0##*/} down' ends it"
	begun=$(date +%s.%N)
	mkdir -p "$DIR"
	trap '[ $? = 0 ] || { keep_logs; down; exit 1; }' EXIT
	# shellcheck disable=SC2046 # one word a node
	set -- $(seq "$count")
	make_cgroups "${@:-1}"
	certificates
	for node in "${@:-1}"; do
		make_node "$node"
	done
	make_network
	start_control
	if [ $# != 0 ]; then
		start_controllers
		"$HERE/image.sh" pause "$DIR/pause.tar"
		for node; do
			configure_node "$node"
			start_node "$node"
		done
		until_true 120 "the nodes" ready "$@"
	fi
	awk -v a="$begun" -v b="$(date +%s.%N)" -v n="$count" 'BEGIN { printf "%d node(s) ready in %.1f s\n", n, b - a }'
}

# When `up` fails, the logs are the only thing worth keeping.
keep_logs() {
	local kept=/var/tmp/archaic-cluster-logs
	rm -rf "$kept"
	mkdir -p "$kept"
	(cd "$DIR" && find . -name '*.log' -type f -size -4M | cpio --quiet -pdm "$kept" 2>/dev/null) || :
	echo "cluster.sh: the logs are in $kept" >&2
}

# members: every process of the cluster's, by the cgroup that nothing of it leaves
members() {
	find "/sys/fs/cgroup/pids/$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null || :
}

down() {
	local pids limit at
	limit=$(($(date +%s) + 30))
	while pids=$(members) && [ -n "$pids" ]; do
		# shellcheck disable=SC2086 # one word a process
		kill -KILL $pids 2>/dev/null || :
		[ "$(date +%s)" -lt "$limit" ] || die "these processes do not end: $pids"
		sleep 0.2
	done
	for at in $(hierarchies); do
		[ ! -d "$at/$CGROUP" ] || find "$at/$CGROUP" -depth -type d -exec rmdir {} \; || :
	done
	rm -rf "$DIR"
}

command=${1:-}
[ $# = 0 ] || shift
case $command in
up) up "$@" ;;
down) down ;;
kubectl) kubectl_here "$@" ;;
enter) inside "$@" ;;
load)
	for node in $(nodes); do
		for file; do
			in_containerd "$node" images import "$file" >/dev/null
		done
	done
	;;
stop) kill "$(cat "$DIR/node$1/kubelet.pid")" ;;
start) start_kubelet "$1" ;;
-h | --help) usage ;;
*)
	usage >&2
	exit 2
	;;
esac
