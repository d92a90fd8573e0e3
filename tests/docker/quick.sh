#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The quick form of `make test-docker`; called by tests/host/test_containers.c.
#
# usage: tests/docker/quick.sh compose | dockerfiles DIR | container DIR
#   compose          docker-compose.yml as docker-compose 1.29 and as v2 read it
#   dockerfiles DIR  as the dockerd in DIR (tests/docker/dockerd.sh) parses them
#   container DIR    two containers of one image there: one is hurt by its name, the other is not
# Exit status 77: not here, said in one sentence.
set -euo pipefail

fail() {
	echo "quick.sh: $*" >&2
	exit 1
}

here=tools/deploy/docker
bin=${ARCHAIC_BUILD:-build}/bin
dockerd=tests/docker/dockerd.sh

# ---- the compose file

# v2's loader alone does not look up what has to be set: it is told that it is.
v2() { sed 's/\${[A-Z_]*:?[^}]*}/said/g' "$1" | (cd $here && "$compose2" -format json -); }
v1() { (cd $here && "$compose" -f "$1" config); }

compose() {
	compose=$(tests/partner.sh compose)
	compose2=$(tests/partner.sh compose2)
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	export ARCHAIC_TOKEN=said AUTH_JWT_SECRET=said GRAFANA_PASSWORD=said
	v1 docker-compose.yml >"$work/v1"
	v2 $here/docker-compose.yml >"$work/v2"
	# Both know what they read: a word that is none is refused.
	sed 's/cap_drop:/cap_dorp:/' $here/docker-compose.yml >"$work/bad.yml"
	! v1 "$work/bad.yml" >/dev/null 2>&1 || fail "docker-compose 1.29 takes anything"
	! v2 "$work/bad.yml" >/dev/null 2>&1 || fail "v2's loader takes anything"
	# And without its secrets it says what to do.
	(unset ARCHAIC_TOKEN && cp $here/docker-compose.yml "$work/docker-compose.yml" && cd "$work" &&
		"$compose" config 2>&1 || :) | grep -q 'secrets.sh first' || fail "a missing token is not explained"
	jq -e '.services as $s
		| all("product", "payment"; . as $n | all("auth", "db"; $s[$n].depends_on[.].condition == "service_healthy"))
		and all("auth", "db", "product", "payment"; $s[.] | .cap_drop == ["ALL"] and .read_only and .cap_add == null)
		and all($s[]; .privileged != true)
		and all($s[] | .ports // [] | .[]; .host_ip == "127.0.0.1")' "$work/v2" >/dev/null ||
		fail "who waits for whom, rights or addresses are not as they should be"
	# What is mounted out of the tree is there.
	jq -r '.services[].volumes // [] | .[] | select(.type == "bind") | .source' "$work/v2" |
		while read -r path; do
			case $path in "$PWD"/*) [ -e "$path" ] || fail "$path is mounted and is not there" ;; esac
		done
}

# ---- the Dockerfiles

# Of a stage that is not there, it is told after all has been parsed.
parse() { # FILE
	"$dockerd" in "$dir" docker build -q -f "$1" --target no-such-stage "$work/empty" 2>&1 || :
}

dockerfiles() {
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir "$work/empty"
	for file in "$here"/*.Dockerfile; do
		cp "$file" "$work/empty/Dockerfile"
		[[ $(parse "$work/empty/Dockerfile") = *'failed to reach build target no-such-stage'* ]] ||
			fail "$file: $(parse "$work/empty/Dockerfile")"
		sed 's/^COPY/COPPY/' "$file" >"$work/empty/Dockerfile"
		[[ $(parse "$work/empty/Dockerfile") = *'unknown instruction'* ]] || fail "dockerd parses anything"
	done
	# Their first stages are to be one.
	[ "$(sed -n '/^ARG/,/^RUN.*rootfs/p' $here/agent.Dockerfile)" = \
		"$(sed -n '/^ARG/,/^RUN.*rootfs/p' $here/services.Dockerfile)" ] || fail "the build stages differ"
}

# ---- a container

cli() { "$bin"/archaic-ebpf "$@" --run-dir "$work"; }

failing() { # CONTAINER: failed ones of 40 requests
	local address
	address=$("$dockerd" in "$dir" docker inspect -f '{{.NetworkSettings.IPAddress}}' "$1")
	"$dockerd" in "$dir" "$bin"/archaic-load http "http://$address:8002/products" -n 40 -c 2 -t 2s --json | jq .errors
}

seen() {
	local name
	for name in hurt unhurt; do
		cli services --json 2>/dev/null | jq -e --arg n "$name" '.items[] | select(.name == $n) | .ports == [8002]' >/dev/null || return 1
	done
}

container() {
	local name until
	"$dockerd" image "$dir" localhost/db "$bin"/db-service
	for name in hurt unhurt; do
		"$dockerd" in "$dir" docker run -d --name $name -e ARCHAIC_TOKEN=0123456789abcdef localhost/db \
			/bin/db-service --listen 0.0.0.0 >/dev/null
	done
	work=$(mktemp -d)
	DOCKER_HOST=unix://$dir/docker.sock "$dockerd" in "$dir" "$bin"/archaic-ebpf run --run-dir "$work" \
		--state-dir "$work/state" --mode observe --docker-socket "$dir/docker.sock" --port-dashboard 0 --port-chaos 0 \
		>"$work/log" 2>&1 &
	daemon=$!
	trap 'kill $daemon; wait $daemon || :; rm -rf "$work"' EXIT
	until=$((SECONDS + 20))
	until seen; do
		if ((SECONDS >= until)); then
			cli services >&2 || :
			tail -n 5 "$work/log" >&2
			fail "the two containers are not seen by their names"
		fi
		sleep 0.2
	done
	[ "$(failing hurt) $(failing unhurt)" = '0 0' ] || fail "the containers are not well to begin with"
	cli inject hurt error --duration 60s >/dev/null
	[ "$(failing hurt) $(failing unhurt)" = '40 0' ] || fail "not the one container alone is hurt: $(failing hurt) $(failing unhurt)"
	cli reset --all >/dev/null
	[ "$(failing hurt) $(failing unhurt)" = '0 0' ] || fail "the fault does not end"
}

case ${1:-} in
compose) compose ;;
dockerfiles | container)
	dir=${2:?}
	"$1"
	;;
-h | --help) sed -n 's/^# \(usage:.*\)/\1/p' "$0" ;;
*)
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
	;;
esac
