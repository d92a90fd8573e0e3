#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes what docker-compose.yml needs and nobody else may know, once: .env and two files in secrets/.
set -eu

case ${1:-} in
'') ;;
-h | --help)
	echo "usage: tools/deploy/docker/secrets.sh      (changes nothing where they are)"
	exit 0
	;;
*)
	echo "usage: tools/deploy/docker/secrets.sh" >&2
	exit 2
	;;
esac
cd "$(dirname "$0")"
[ ! -e .env ] || [ ! -e secrets/scrape-token ] || exit 0

random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

umask 077
mkdir -p secrets
token=$(random)
printf '%s' "$token" >secrets/token
# The folder keeps others out; whoever a container runs as can read the file that is mounted there.
printf '%s' "$token" >secrets/scrape-token
chmod 644 secrets/scrape-token
printf 'COMPOSE_PROJECT_NAME=archaic\nARCHAIC_TOKEN=%s\nAUTH_JWT_SECRET=%s\nGRAFANA_PASSWORD=%s\n' "$token" "$(random)" "$(random)" >.env
