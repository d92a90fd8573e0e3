#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Sends log lines from standard input to whatever takes Loki's push format.
set -eu

usage() {
	cat <<'END'
usage: tools/deploy/observability/loki-push.sh [URL]
  Reads JSON lines of the daemon and the services and sends them, 1,000 at a time, with the labels
  job, service and level and the time of the line itself. For once; to follow files, use promtail
  (promtail/promtail.yml) or a collector of your own.
  URL  Loki http://HOST:3100/loki/api/v1/push (the default, at localhost), or VictoriaLogs
       http://HOST:9428/insert/loki/api/v1/push?_msg_field=message

EXAMPLES
  cat /var/log/archaic-ebpf/*.log | tools/deploy/observability/loki-push.sh
  journalctl -o cat -u archaic-ebpf | tools/deploy/observability/loki-push.sh http://loki:3100/loki/api/v1/push
END
}

case "${1:-}" in
-h | --help)
	usage
	exit 0
	;;
-*)
	usage >&2
	exit 2
	;;
esac
LOKI_URL=${1:-http://localhost:3100/loki/api/v1/push}
export LOKI_URL

# What is no JSON object, such as the last words of a program that died, is sent all the same, as of now.
# shellcheck disable=SC2016,SC2089 # jq's variables and quotes
LOKI_BATCH='[inputs as $line
	| (($line | fromjson? | objects) // {}) as $j
	| {service: ($j.service // "unknown" | tostring), level: ($j.level // "UNKNOWN" | tostring), line: $line,
	   at: (($j.timestamp | strings
		| capture("^(?<s>[0-9-]+T[0-9:]+)\\.(?<ms>[0-9]{3})Z$")
		| "\(.s + "Z" | fromdate)\(.ms)000000") // "\(now | floor)000000000")}]
	| group_by([.service, .level])
	| {streams: map({stream: {job: "archaic-ebpf", service: .[0].service, level: .[0].level},
			 values: map([.at, .line])})}'
# shellcheck disable=SC2090
export LOKI_BATCH
# shellcheck disable=SC2016 # split's shell expands it, and ends with curl's status
split -l 1000 --filter='jq -cRn "$LOKI_BATCH" |
	curl -sS --fail-with-body -H "Content-Type: application/json" --data-binary @- "$LOKI_URL"' -
