#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds Kubernetes and CoreDNS once, from their Go modules, into a folder outside the tree, and unpacks etcd, containerd,
# runc and the network plug-ins of Debian beside them, without installing them: a real cluster for the tests needs no
# image registry, starts no service of the machine's and leaves no package behind. Half an hour on two cores.
set -eu

# The last minor version that still runs where the machine's cgroups are v1 or hybrid.
KUBERNETES=1.34.4
CACHE=${ARCHAIC_CLUSTER_CACHE:-$HOME/.cache/archaic-ebpf/cluster}
# kubectl first: with it alone the manifests can be rendered and checked.
PROGRAMS="kubectl kube-apiserver kube-controller-manager kubelet kube-scheduler kube-proxy coredns"
COREDNS=1.13.1
PACKAGES="etcd-server containerd runc containernetworking-plugins"

usage() {
	cat <<END
usage: tools/cluster/build.sh [--check | --where]
  Builds what is missing of: $PROGRAMS, and unpacks: $PACKAGES
  into $CACHE/v$KUBERNETES (ARCHAIC_CLUSTER_CACHE), at the lowest priority.
  --check  builds nothing; exit status 1 if anything is missing
  --where  prints that folder
END
}

check=no
case ${1:-} in
--check) check=yes ;;
--where)
	echo "$CACHE/v$KUBERNETES"
	exit 0
	;;
-h | --help)
	usage
	exit 0
	;;
?*)
	usage >&2
	exit 2
	;;
esac

into=$CACHE/v$KUBERNETES
missing=
for program in $PROGRAMS; do
	[ -x "$into/$program" ] || missing="$missing $program"
done
unpacked=yes
[ -e "$into/debian/complete" ] || unpacked=
[ -n "$missing$([ "$unpacked" ] || echo packages)" ] || exit 0
if [ $check = yes ]; then
	echo "not there yet:$missing$([ "$unpacked" ] || echo " $PACKAGES") (tools/cluster/build.sh gets them)" >&2
	exit 1
fi
command -v go >/dev/null || {
	echo "build.sh: go is missing (any version from 1.24)" >&2
	exit 1
}

mkdir -p "$into" "$CACHE/module"
exec 9>"$CACHE/lock"
flock 9
if [ ! "$unpacked" ]; then
	rm -rf "$into/debian"
	mkdir -p "$into/debian"
	cd "$into/debian"
	# Twice: a fresh machine has no list of packages.
	# shellcheck disable=SC2086 # words
	apt-get -q download $PACKAGES >apt.log 2>&1 ||
		{ apt-get -q update && apt-get -q download $PACKAGES; } >apt.log 2>&1 ||
		{
			echo "build.sh: Debian's $PACKAGES cannot be had, see $into/debian/apt.log" >&2
			exit 1
		}
	for deb in *.deb; do
		dpkg-deb -x "$deb" .
	done
	rm -f ./*.deb
	touch complete
fi
cd "$CACHE/module"
export GOFLAGS=-mod=mod CGO_ENABLED=0 GOTOOLCHAIN=local GOWORK=off
source=$(go mod download -json "k8s.io/kubernetes@v$KUBERNETES" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')

# Kubernetes requires its own staging modules at v0.0.0 and replaces them by folders, which a
# dependent does not inherit: here each is replaced by its release of the same day.
if [ ! -e go.mod ]; then
	{
		printf 'module cluster.local/build\n\n'
		grep '^go ' "$source"
		printf '\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$KUBERNETES"
		sed -n "s|^\t\(k8s.io/[a-z-]*\) v0.0.0\( .*\)*$|\t\1 => \1 v0${KUBERNETES#1}|p" "$source" | sort -u
		printf ')\n'
	} >go.mod.new
	mv go.mod.new go.mod
fi

# CoreDNS with the four plug-ins that a cluster needs, in the same module: it shares the client library.
coredns() {
	mkdir -p coredns
	cat >coredns/main.go <<'END'
package main

import (
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"

	"github.com/coredns/coredns/coremain"
)

func main() { coremain.Run() }
END
	grep -q 'github.com/coredns/coredns ' go.mod || go mod edit -require "github.com/coredns/coredns@v$COREDNS"
}

version=k8s.io/component-base/version
flags="-s -w -X $version.gitVersion=v$KUBERNETES -X $version.gitMajor=1 -X $version.gitMinor=34 \
	-X $version.gitTreeState=clean"
for program in $missing; do
	[ -x "$into/$program" ] && continue
	begun=$(date +%s)
	package=k8s.io/kubernetes/cmd/$program
	if [ "$program" = coredns ]; then
		coredns
		package=./coredns
	fi
	nice -n 19 go build -p "${ARCHAIC_BUILD_JOBS:-1}" -trimpath -ldflags "$flags" -o "$into/$program.new" \
		"$package"
	mv "$into/$program.new" "$into/$program"
	echo "$program: $(($(date +%s) - begun)) s, $(($(stat -c %s "$into/$program") / 1048576)) MiB"
done
