#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The commands of the README's section "Docker", one after the other as they stand there, in a dockerd
# of its own with images built here; and after each what has to be true. `make test-docker`, as root.
# What cannot be had without a registry is left out by name.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
limit_mb=40 # of the daemon's image

usage() { echo "usage: tests/docker/run.sh      (as root; two minutes on two CPUs, three more at first)"; }
say() { printf '%6.1f  %s\n' "$(since "$begun")" "$*"; }
fail() {
	echo "test-docker: FAILED: $*" >&2
	exit 1
}
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }

wait_for() { # SECONDS WHAT COMMAND…
	local until=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < until)) || fail "$what: not within the time given"
		sleep 0.2
	done
}

cli() { docker exec archaic_archaic-ebpf_1 /usr/bin/archaic-ebpf "$@"; }

# ---- what Docker Hub would have

image() { # TAG ENVIRONMENT PROGRAM…: the first is its entry point
	local tag=$1 environment=$2
	shift 2
	"$root/tests/docker/dockerd.sh" image "$work/d" "$tag-files" "$@"
	printf 'FROM %s-files\nENV PATH=/bin %s\nENTRYPOINT ["/bin/%s"]\n' "$tag" "$environment" "${1##*/}" |
		docker build -q -t "$tag" - >/dev/null
}

get_images() {
	local program
	docker import "$("$root/tests/docker/base.sh")" localhost/archaic-build >/dev/null
	export BUILD=localhost/archaic-build
	absent=(grafana promtail loki)
	if program=$(cd "$root" && tests/partner.sh prometheus) && promtool=$(cd "$root" && tests/partner.sh promtool); then
		image localhost/prometheus '' "$program" "$promtool"
		export PROMETHEUS_IMAGE=localhost/prometheus
	else
		absent+=(prometheus)
	fi
	if program=$(cd "$root" && tests/partner.sh alertmanager); then
		cp "$program" "$work/alertmanager"
		image localhost/alertmanager '' "$work/alertmanager"
		export ALERTMANAGER_IMAGE=localhost/alertmanager
	else
		absent+=(alertmanager)
	fi
	# Minutes of compiling: only where some other test has had it made.
	program=${XDG_CACHE_HOME:-$HOME/.cache}/archaic-ebpf/partners/jaeger
	if [ -x "$program" ]; then
		image localhost/jaeger JAEGER_LISTEN_HOST=0.0.0.0 "$program"
		export JAEGER_IMAGE=localhost/jaeger
	else
		absent+=(jaeger)
	fi
	# A profile that nobody asks for leaves a service out, and the README's commands as they are.
	{ echo 'services:' && printf '  %s: {profiles: [absent]}\n' "${absent[@]}"; } >"$work/absent.yml"
	say "left out, since no image of it can be had here: ${absent[*]}"
}

# ---- what has to be true after a command

check_built() {
	local image size
	for image in archaic-ebpf auth-service db-service product-service payment-service; do
		size=$(docker image inspect -f '{{.Size}}' "$image:latest")
		say "$(printf '%-16s %4.1f MB, user %s' "$image" "$(awk -v s="$size" 'BEGIN { print s / 1e6 }')" \
			"$(docker image inspect -f '{{or .Config.User "root"}}' "$image:latest")")"
		if [ "$image" = archaic-ebpf ]; then
			((size <= limit_mb * 1000000)) || fail "the daemon's image is over $limit_mb MB"
		else
			[ "$(docker image inspect -f '{{.Config.User}}' "$image:latest")" = 65532:65532 ] || fail "$image runs as root"
		fi
	done
}

# Every container that has a health check has passed it.
all_healthy() {
	! docker ps -a --format '{{.Names}} {{.Status}}' | grep -Evq ' Up [^(]*(\(healthy\))?$'
}

# When EVENT first befell the container of SERVICE, in ns since 1970.
first() { # SERVICE EVENT
	docker events --since "${command_began%.*}" --until "$(date +%s)" --filter "container=archaic_$1_1" \
		--filter "event=$2" --format '{{.TimeNano}}' | head -n 1
}

check_up() {
	local service dependency
	wait_for 90 "every container up and healthy" all_healthy
	say "everything is healthy"
	for service in product payment; do
		for dependency in auth db; do
			(($(first "$service" start) > $(first "$dependency" health_status))) ||
				fail "$service did not wait until $dependency was healthy"
		done
	done
	# One more of db's image, in the same network: it is never to feel anything.
	docker run -d --name beside --network archaic_archaic -p 127.0.0.1:8012:8002 -e "ARCHAIC_TOKEN=$(cat secrets/token)" \
		--label app.kubernetes.io/name=beside db-service >/dev/null
	"$root/build/bin/archaic-load" run steady --users 4 --rate 40 --duration 20m >"$work/load.log" 2>&1 &
	load=$!
	"$root/build/bin/archaic-load" http http://127.0.0.1:8012/products -r 20 -c 2 -d 20m >"$work/load2.log" 2>&1 &
	load2=$!
	wait_for 60 "db, auth, product, payment and beside seen at work" all_seen
	say "each service is seen under its own name"
}

# A tick is short: not each of them has a request in each.
all_seen() {
	local name
	cli services --json | jq -r '.items[] | select(.rate_per_s > 0) | .name' >>"$work/seen"
	for name in auth db product payment beside; do grep -qx "$name" "$work/seen" || return 1; done
}

failing() { # PORT: failed ones of 40 requests
	"$root/build/bin/archaic-load" http "http://127.0.0.1:$1/products" -n 40 -c 2 -t 5s --json | jq .errors
}

newest() { cli incidents --json | jq -e ".items[0] | $1"; }

check_hurt() {
	local hurt unhurt onset=$command_began
	hurt=$(failing 8002)
	unhurt=$(failing 8012)
	say "db fails $hurt of 40 requests, the container beside it $unhurt"
	[ "$hurt" -ge 36 ] || fail "db is not hurt"
	[ "$unhurt" = 0 ] || fail "the container beside db is hurt too"
	wait_for 60 "an incident" newest .id
	say "incident, $(since "$onset") s after the fault"
	wait_for 30 "db as the root cause" newest '.root_cause.service == "db"'
	say "db is named, $(since "$onset") s after the fault"
	wait_for 120 "a repair" newest '.state == "repaired"'
	say "repaired, $(since "$onset") s after the fault: $(newest '[.actions[] | .kind] | join(", ")')"
	[ "$(failing 8002)" = 0 ] || fail "db is hurt after the repair"
}

check_around() {
	case " ${absent[*]} " in
	*" prometheus "*) ;;
	*)
		wait_for 60 "Prometheus scraping the daemon" prometheus_has 'up{job="archaic-ebpf"} == 1'
		wait_for 30 "db in Prometheus" prometheus_has 'http_server_request_duration_seconds_count{service_name="db"} > 0'
		say "Prometheus has scraped the daemon, db among its services"
		;;
	esac
	case " ${absent[*]} " in
	*" jaeger "*) ;;
	*)
		wait_for 60 "db's traces in Jaeger" jaeger_has db
		say "Jaeger has traces of db"
		;;
	esac
}

prometheus_has() {
	curl -sG --data-urlencode "query=$1" http://127.0.0.1:9090/api/v1/query | jq -e '.data.result | length > 0'
}

jaeger_has() { curl -s "http://127.0.0.1:16686/api/traces?service=$1" | jq -e '.data | length > 0'; }

check_down() {
	[ -z "$(docker ps -aq --filter name=archaic_)" ] || fail "containers are left"
	[ -z "$(docker volume ls -q --filter name=archaic_)" ] || fail "volumes are left"
}

check() { # COMMAND OUTPUT
	case $1 in
	*' build') check_built ;;
	*' up -d') check_up ;;
	*' services') grep -q '^db ' <<<"$2" || fail "services does not name db" ;;
	*' inject '*) check_hurt ;;
	*' incidents')
		grep -q db <<<"$2" || fail "incidents does not name db"
		check_around
		;;
	*' down --volumes') check_down ;;
	*) return ;;
	esac
	checked=$((checked + 1))
}

# The first block of the section, without its remarks.
commands() {
	awk '/^## / { on = $0 == "## Docker" } on && /^```/ { if (block++) exit; next }
		on && block { sub(/  +#.*/, ""); print }' "$root/README.md"
}

inside() {
	local line out checked=0
	begun=$(now)
	get_images
	export ARCHAIC_MODE=auto-safe DOCKER_SOCKET=$work/d/docker.sock DOCKER_ROOT=$work/d/data
	export COMPOSE_FILE=docker-compose.yml:$work/absent.yml
	cd "$root"
	while read -r line; do
		say "\$ $line"
		command_began=$(now)
		if [[ $line = cd\ * || $line = *down* ]]; then
			[[ $line != *down* ]] || end_load
			eval "$line" >"$work/out" 2>&1 </dev/null || { cat "$work/out" && fail "$line"; }
		else
			(eval "$line") >"$work/out" 2>&1 </dev/null || { tail -n 30 "$work/out" && fail "$line"; }
		fi
		out=$(cat "$work/out")
		say "  $(since "$command_began") s"
		case $line in *' build') ;; *) sed 's/^/          /' "$work/out" ;; esac
		check "$line" "$out"
	done < <(commands)
	[ "$checked" = 6 ] || fail "the README's section has other commands than this test knows ($checked of 6 checked)"
	say "1 passed, 0 failed"
}

end_load() {
	for process in ${load:-} ${load2:-}; do kill "$process" 2>/dev/null || :; done
	docker rm -f beside >/dev/null 2>&1 || :
}

finish() {
	local status=$?
	if [ "$status" != 0 ] && [ "${inside:-}" = yes ]; then
		docker logs --tail 15 archaic_archaic-ebpf_1 2>&1 | cut -c 1-300 || :
		cli services 2>&1 || :
	fi
	[ "${inside:-}" != yes ] || end_load
	[ "${inside:-}" = yes ] || {
		"$root/tests/docker/dockerd.sh" down "$work/d" || status=1
		[ -n "$had_secrets" ] || rm -rf "$root/tools/deploy/docker/secrets" "$root/tools/deploy/docker/.env"
		rm -rf "$work"
	}
	exit "$status"
}

case ${1:-} in
'') ;;
--inside)
	inside=yes work=$2
	trap finish EXIT
	inside
	exit 0
	;;
-h | --help)
	usage
	exit 0
	;;
*)
	usage >&2
	exit 2
	;;
esac
compose=$(cd "$root" && tests/partner.sh compose)
had_secrets=$([ ! -e "$root/tools/deploy/docker/.env" ] || echo yes)
work=$(mktemp -d /var/tmp/archaic-docker-XXXXXX)
trap finish EXIT
mkdir "$work/bin"
ln -s "$compose" "$work/bin/docker-compose"
export PATH=$work/bin:$PATH
"$root/tests/docker/dockerd.sh" up "$work/d"
"$root/tests/docker/dockerd.sh" in "$work/d" "$0" --inside "$work"
