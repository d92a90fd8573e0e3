#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A dockerd for one test: Debian's own (tests/partner.sh dockerd fetches it where it is not
# installed), with its data, its sockets, its mounts and its network apart from the machine's.
# Its containers are at /docker/<id> of the machine's cgroups, and their processes have pids of
# the machine: what watches this machine sees them. Nothing goes out of its network.
set -euo pipefail

usage() {
	cat <<'END'
usage: tests/docker/dockerd.sh up DIR                      start; DIR/docker.sock then answers
       tests/docker/dockerd.sh down DIR                    stop, take everything out of DIR; may be said twice
       tests/docker/dockerd.sh in DIR COMMAND…             run COMMAND in its network, `docker` meaning this one
       tests/docker/dockerd.sh image DIR NAME PROGRAM…     an image of programs (in /bin) and what ldd names
DIR: absolute, at most 60 characters, not below /run or /opt.
Exit status 77: no dockerd can be had here, said in one sentence.
END
}

die() {
	echo "dockerd.sh: $*" >&2
	exit "${status:-1}"
}

find_programs() {
	local at
	[ "$(id -u)" = 0 ] || status=77 die "a container daemon needs root"
	at=$(cd "$(dirname "$0")/../.." && tests/partner.sh dockerd) || exit $?
	export PATH=$at/usr/bin:$at/usr/sbin:$at/usr/libexec/docker:$PATH
	[ "$at" = / ] || libraries=$(printf '%s:' "$at"/lib/*-linux-gnu "$at"/usr/lib/*-linux-gnu)
	export DOCKER_HOST=unix://$dir/docker.sock
	unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CONFIG
}

# The pid in DIR, if it still is a dockerd.
pid() {
	local pid
	pid=$(cat "$dir/docker.pid" 2>/dev/null) && [[ $pid =~ ^[0-9]+$ ]] || return 1
	case $(readlink "/proc/$pid/exe" 2>/dev/null) in */dockerd) echo "$pid" ;; *) return 1 ;; esac
}

wait_for() { # SECONDS COMMAND…
	local until=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < until)) || return 1
		sleep 0.1
	done
}

up() {
	! pid >/dev/null || die "one runs in $dir already"
	mkdir -p "$dir/data" "$dir/exec"
	chmod 700 "$dir"
	echo '{}' >"$dir/daemon.json"
	# tmpfs on /run and /opt: a containerd of the machine's is not found, and ours leaves nothing.
	# Without CAP_SYS_RESOURCE no oom_score_adj may be lowered, hence 0.
	{
		# It outlives whoever called: no lock or pipe of theirs goes along.
		for fd in /proc/"$BASHPID"/fd/*; do
			fd=${fd##*/}
			((fd < 3)) || exec {fd}>&-
		done
		# shellcheck disable=SC2016
		LD_LIBRARY_PATH=${libraries:-} exec setsid unshare --net --mount --propagation private sh -c '
			ip link set lo up
			readlink /proc/self/ns/mnt >"$1/namespace"
			mount -t tmpfs -o mode=755 tmpfs /run
			mount -t tmpfs -o mode=755 tmpfs /opt
			exec dockerd --host "unix://$1/docker.sock" --group root --pidfile "$1/docker.pid" \
				--data-root "$1/data" --exec-root "$1/exec" --config-file "$1/daemon.json" \
				--exec-opt native.cgroupdriver=cgroupfs --oom-score-adjust 0 --shutdown-timeout 3
		' sh "$dir" </dev/null >"$dir/dockerd.log" 2>&1
	} &
	local started=$!
	if ! wait_for 60 answers_or_gone "$started" || ! answers; then
		tail -n 8 "$dir/dockerd.log" >&2
		down
		die "dockerd does not start here"
	fi
}

answers() { docker version >/dev/null 2>&1; }
answers_or_gone() { answers || ! kill -0 "$1"; }

# A cgroup of this daemon's in any hierarchy; a container that outlived its daemon ends here.
sweep_cgroups() {
	local id cgroup process
	for id in $ids; do
		while read -r cgroup; do
			while read -r process; do
				kill -KILL "$process" 2>/dev/null || :
			done <"$cgroup/cgroup.procs"
			wait_for 5 rmdir "$cgroup" || echo "dockerd.sh: $cgroup stays" >&2
		done < <(find /sys/fs/cgroup -type d -path "*/docker/$id" 2>/dev/null)
	done
	# Only when nobody else has a container there.
	find /sys/fs/cgroup -maxdepth 3 -type d -name docker -exec rmdir {} + 2>/dev/null || :
}

# dockerd, containerd, its shims and proxies have a mount namespace to themselves. A killed dockerd
# leaves some, so its number is in a file; the programs' names are for one that was given anew.
daemons() {
	local p
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/ns/mnt" 2>/dev/null)" = "$1" ] || continue
		case $(readlink "$p/exe" 2>/dev/null) in
		*/dockerd | */containerd | */containerd-shim-* | */docker-proxy) echo "${p##*/}" ;;
		esac
	done
}

none_left() { [ -z "$(daemons "$1")" ]; }

down() {
	local running namespace process ids
	ids=$(ls "$dir/data/containers" 2>/dev/null || :)
	if running=$(pid); then
		docker ps -q 2>/dev/null | xargs -r docker kill >/dev/null 2>&1 || :
		kill -TERM "$running"
	fi
	namespace=$(cat "$dir/namespace" 2>/dev/null || :)
	if [ -n "$namespace" ]; then
		[ -z "$running" ] || wait_for 20 none_left "$namespace" || :
		for process in $(daemons "$namespace"); do
			kill -KILL "$process" 2>/dev/null || :
		done
		wait_for 5 none_left "$namespace" || die "processes of $dir do not end"
	fi
	sweep_cgroups
	rm -rf "$dir/data" "$dir/exec" "$dir/daemon.json" "$dir/docker.sock" "$dir/docker.pid" "$dir/namespace" "$dir/image"
	# The log stays for whoever wants to know why; an empty folder does not.
	rmdir "$dir" 2>/dev/null || :
}

inside() {
	local running
	running=$(pid) || die "nothing runs in $dir"
	exec nsenter --target "$running" --net -- "$@"
}

image() { # NAME PROGRAM…
	local name=$1 program
	shift
	rm -rf "$dir/image"
	mkdir -p "$dir/image/bin" "$dir/image/tmp" "$dir/image/etc"
	chmod 1777 "$dir/image/tmp"
	for program; do
		cp "$program" "$dir/image/bin/"
		{ ldd "$program" 2>/dev/null || :; } | sed -n 's/^[^/]*\(\/[^ ]*\).*/\1/p' | sort -u |
			xargs -r cp --parents --dereference --target-directory "$dir/image"
	done
	tar -C "$dir/image" -c . | docker import - "$name" >/dev/null
	rm -rf "$dir/image"
}

command=${1:-}
dir=${2:-}
case $command in
-h | --help)
	usage
	exit 0
	;;
up | down) [ $# = 2 ] || command='' ;;
in) [ $# -ge 3 ] || command='' ;;
image) [ $# -ge 4 ] || command='' ;;
*) command='' ;;
esac
if [ -z "$command" ]; then
	usage >&2
	exit 2
fi
[[ $dir = /* && $dir != /run/* && $dir != /opt/* && ${#dir} -le 60 ]] || die "DIR must be absolute, short, and not below /run or /opt"
find_programs
shift 2
case $command in
in) inside "$@" ;;
*) "$command" "$@" ;;
esac
