#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The whole story, in three minutes: a baseline, two troubles, found, blamed, repaired, verified.
#
# Every line of a timeline is read from the daemon's /v1/incidents or measured by
# the client. Exit status 0 only if every step was seen and nothing was left.
# shellcheck disable=SC2016 # jq's own variables
set -euo pipefail
# Nobody looks at pages meanwhile, and 8080 is often somebody else's.
DASHBOARD_PORT=${DASHBOARD_PORT:-0} CHAOS_PORT=${CHAOS_PORT:-0}
# shellcheck source=tools/common.sh
. "$(dirname "$0")/common.sh"

usage() {
	cat <<'END'
usage: tools/demo.sh

Starts the four demo services, the daemon and real traffic, in folders of its
own; waits until a baseline is learned (1024 ticks of 100 ms); then
  scene 1  a time-out is injected into db through its own POST /inject-failure
  scene 2  db is stopped from outside (SIGSTOP), which the daemon cannot look up
and shows for each: found (by which scorer, score, threshold, feature), blamed,
planned, guarded, repaired, verified. Removes everything again, also on Ctrl-C,
and compares the machine before and after. Exit status 0: every step was seen.

END
	settings_help
	cat <<'END'
  RATE=100 (requests a second)  DEMO_LOGS=build/demo (where the logs of a failed run are kept)
END
}

only_help "$@"

RATE=${RATE:-100}
DEMO_LOGS=${DEMO_LOGS:-$ROOT/build/demo}
COOLDOWN=5s
BASELINE=1024
begun=$SECONDS
failures=()
ours='[]' # names of the daemon's BPF programs, noted while it runs
old='[]'  # ids of all programs there were before
traffic_pid=
check_settings
for program in bpftool tc iptables-save ip6tables-save; do
	command -v "$program" >/dev/null || die "$program is missing: tools/setup.sh installs it"
done
RUN_DIR=$(mktemp -d /run/archaic-demo.XXXXXX)
STATE_DIR=$RUN_DIR/state
CGROUP_PARENT=/${RUN_DIR##*/}
set_paths
TRAFFIC=$RUN_DIR/traffic.jsonl

# In milliseconds, from the daemon's RFC 3339.
jq_ms='def ms: ((.[0:19] + "Z") | fromdateiso8601) * 1000 + (.[20:23] | tonumber);'

say() { printf '%s\n' "$@"; }
now_ms() { date +%s%3N; }

# check TEXT COMMAND...: a step that has to be seen.
check() {
	local text=$1
	shift
	if "$@"; then
		printf '  ok    %s\n' "$text"
	else
		printf '  FAIL  %s\n' "$text"
		failures+=("$text")
	fi
}

# ---- what must be the same before and after

program_list() { bpftool -j prog show 2>/dev/null || echo '[]'; }
link_list() { bpftool -j link show 2>/dev/null || echo '[]'; }

snapshot() {
	local dev v2
	tc qdisc show | sed 's/^/qdisc: /'
	for dev in /sys/class/net/*; do
		dev=${dev##*/}
		for where in '' ingress egress; do
			# shellcheck disable=SC2086
			tc filter show dev "$dev" $where 2>/dev/null | sed "s/^/filter on $dev $where: /"
		done
	done
	{ iptables-save 2>/dev/null | grep '^-A' | sed 's/^/iptables: /'; } || true
	{ ip6tables-save 2>/dev/null | grep '^-A' | sed 's/^/ip6tables: /'; } || true
	v2=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
	# Other people's units come and go, tests' too; ours lie below a parent of this run's own.
	[ -z "$v2" ] || find "$v2" -mindepth 1 -type d -path "*$CGROUP_PARENT*" -printf 'cgroup: /%P\n' 2>/dev/null | sort
	find /proc -maxdepth 2 -name exe -lname "$BIN/*" -printf 'process: %h %l\n' 2>/dev/null | sort || true
	# Others exchange BPF programs meanwhile (systemd does): ours have the names that our daemon's had, are
	# newer than this run, and no living process holds them.
	jq -rn --argjson names "$ours" --argjson old "$old" --argjson progs "$(program_list)" \
		--argjson links "$(link_list)" '
		[$progs[] | select(.name as $n | $names | index($n)) | select(.id as $i | $old | index($i) | not)] as $mine |
		($mine[] | select((.pids // []) == []) | "program: \(.id) \(.name)"),
		($links[] | select((.pids // []) == []) | select(.prog_id as $p | $mine | any(.id == $p)) |
			"link: \(.id) of program \(.prog_id)")'
}

note_programs() {
	ours=$(program_list | jq -c --argjson names "$ours" --arg pid "$(daemon_pid)" '
		$names + [.[] | select((.pids // []) | any(.pid == ($pid | tonumber))) | .name | values] | unique')
}

compare() {
	local after until=$((SECONDS + 10)) # the kernel frees programs a little later
	while after=$(snapshot) && [ "$after" != "$before" ] && ((SECONDS < until)); do
		sleep 0.1
	done
	[ "$after" != "$before" ] || return 0
	diff <(echo "$before") <(echo "$after") | sed -n 's/^[<>]/  &/p'
	return 1
}

# ---- the end, whatever happens

clean_up() {
	local status=$?
	trap - EXIT
	trap '' INT TERM
	if [ -n "$traffic_pid" ]; then
		kill -INT "$traffic_pid" 2>/dev/null || true
		wait "$traffic_pid" 2>/dev/null || true
	fi
	stop_all || true
	if [ "$status" != 0 ] || [ "${#failures[@]}" != 0 ]; then
		rm -rf "$DEMO_LOGS"
		mkdir -p "$DEMO_LOGS"
		cp "$RUN_DIR"/*.log "$RUN_DIR"/*.json* "$RUN_DIR"/*.conf "$SERVICES_DIR"/*.log "$DEMO_LOGS" 2>/dev/null || true
		echo "logs of this run: $DEMO_LOGS" >&2
	fi
	rm -rf "$RUN_DIR"
	exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- the parts

write_config() {
	local name port
	cat <<END
[observe]
warmup_tick = 100ms
tick = 1s
discover = no
[detect]
baseline = $BASELINE
[remediate]
cooldown = $COOLDOWN
END
	while read -r name port _; do
		printf '[service %s]\nport = %s\nsupervised = yes\n' "$name" "$port"
	done < <(service_list)
}

start_traffic() {
	AUTH_SERVICE_URL=$AUTH_URL PRODUCT_SERVICE_URL=$PRODUCT_URL PAYMENT_SERVICE_URL=$PAYMENT_URL \
		"$BIN/archaic-load" run steady --users 24 --rate "$RATE" --duration 15m --json-lines --slow 500ms >"$TRAFFIC" &
	traffic_pid=$!
}

# The number of samples of the service that has fewest, and "ready" once all are warm.
baseline_state() {
	curl -sf --max-time 2 "$DETECTOR_URL/health" | jq -r '.detector |
		"\([.services[].baseline_samples] | min // 0) \(if (.services | length) == 4 and (.services | all(.warm and
		.baseline_samples >= (.baseline_samples_needed // 1024))) then "ready" else "learning" end)"'
}

learn_baseline() {
	local samples=0 state=learning shown=-10 start=$SECONDS
	while [ "$state" != ready ]; do
		read -r samples state < <(baseline_state || echo "0 learning") || true
		if ((SECONDS - shown >= 10)) || [ "$state" = ready ]; then
			printf '  %4d s  %4d of %d samples each\n' $((SECONDS - start)) "$samples" "$BASELINE"
			shown=$SECONDS
		fi
		((SECONDS - start < 240)) || return 1
		sleep 0.5
	done
}

# Nothing is suspect and no incident is under way.
calm() {
	curl -sf --max-time 2 "$DETECTOR_URL/scores" | jq -e '(.items | length) == 4 and all(.items[]; .anomalous | not)' >/dev/null &&
		api GET '/v1/incidents?limit=5' | jq -e '[.items[] | select(.state | IN("open", "planned", "acting", "verifying"))] | length == 0' >/dev/null
}

# incident_since MS FILE: the newest incident that db is the root cause of and that has ended well or badly.
incident_since() {
	api GET '/v1/incidents?limit=20' >"$2.all" || return 1
	jq -e --argjson since "$1" --arg db "$DB_NAME" "$jq_ms"'
		[.items[] | select((.opened_at | ms) >= $since)] | sort_by(.opened_at) |
		(map(select(.root_cause.service == $db)) | first) // first // empty' "$2.all" >"$2" &&
		jq -e '.state | IN("repaired", "escalated", "closed", "awaiting_approval")' "$2" >/dev/null
}

# The client's own measurements since the injection, and after the action: "MS TEXT" lines.
client_lines() {
	local since=$1 acted=$2
	jq -rn --argjson since "$since" --argjson acted "$acted" '
		[inputs] as $all |
		($all | map(select((.type == "slow" or .type == "failed") and .wall_ms >= $since))) as $bad |
		($bad | first // empty |
			"\(.wall_ms)\tclient: first \(.type) response: \(.method) \(.service)\(.path) took \(.took_ms | round) ms, status \(.status)"),
		($bad | last.wall_ms // $since) as $last |
		($all | map(select(.type == "progress" and .wall_ms > $acted and .wall_ms > $last and
			.second.requests > 0 and .second.errors == 0 and .second.slow == 0))
			| first // empty | "\(.wall_ms)\tclient: recovered: \(.second.requests) requests in the last second, none slow or failed, p99 \(.latency_ms.p99) ms")
		' "$TRAFFIC"
}

# What the daemon recorded: "MS TEXT" lines.
incident_lines() {
	jq -r "$jq_ms"'
		# The first that was found, and the root cause itself where that was another.
		.root_cause.service as $root | [.evidence[] | select(.source == "detector")] as $found |
		([$found | first] + [first($found[] | select(.service == $root))] | unique | .[] | values |
			"\(.at | ms)\tanomaly: \(.service): scorer \(.scorer), score \(.score), threshold \(.threshold), top feature \(.feature // "none") (\(.value // 0), normally \(.normal // 0))"),
		(.timeline[] | select(.event | IN("diagnosis", "plan", "guard", "action_started", "action_done", "recovered", "verified", "failed", "escalated", "healed")) |
			"\(.at | ms)\t\(.event | sub("_"; " ")): \(.text)")' "$1"
}

# show_timeline INJECTED_MS FILE TEXT
show_timeline() {
	local acted
	acted=$(jq -r "$jq_ms"'(.actions | last | .started_at | ms) // 0' "$2" 2>/dev/null || echo 0)
	{
		printf '%s\tinjected: %s\n' "$1" "$3"
		client_lines "$1" "${acted:-0}"
		incident_lines "$2"
	} | sort -s -n -k1,1 | while IFS=$'\t' read -r ms text; do
		printf '  %+7.1f s  %s\n' "$(jq -n "($ms - $1) / 1000")" "$text"
	done
}

has() { jq -e --arg db "$DB_NAME" --arg product "$PRODUCT_NAME" --arg payment "$PAYMENT_NAME" "$2" "$1" >/dev/null; }
client_saw() { client_lines "$1" "$2" | grep -q "client: $3"; }

# Checks that both scenes share. INJECTED_MS FILE KIND
check_incident() {
	local acted
	acted=$(jq -r "$jq_ms"'(.actions | last | .started_at | ms) // 0' "$2" 2>/dev/null || echo 0)
	check "the client saw it" client_saw "$1" 0 first
	check "$DB_NAME is named as the root cause" has "$2" '.root_cause.service == $db'
	check "$PRODUCT_NAME and $PAYMENT_NAME are its victims" has "$2" '.victims | index($product) != null and index($payment) != null'
	check "a plan was made (by $(jq -r '.plan.by // "nobody"' "$2"))" has "$2" '.plan.by != null and .plan.why != null'
	check "the guard allowed it" has "$2" '.guard.allowed == true'
	check "the repair was $3 of $DB_NAME" has "$2" "[.actions[] | select(.kind == \"$3\" and .target == \$db)] | length >= 1"
	check "the repair is verified against the baseline" has "$2" '.state == "repaired" and .verification.result == "verified"'
	check "the client saw the recovery" wait_for 15 client_saw "$1" "${acted:-0}" recovered
}

# wait_scene MS FILE
wait_scene() {
	wait_for 60 incident_since "$1" "$2" || {
		[ -s "$2" ] || echo '{"evidence":[],"timeline":[],"actions":[],"victims":[]}' >"$2"
	}
}

is_armed() { jq -e '.state == "armed"' <<<"$1" >/dev/null; }
no_fault() { api GET /v1/faults | jq -e '[.items[] | select(.state == "armed")] | length == 0' >/dev/null; }

scene_timeout() {
	local injected answer file=$RUN_DIR/scene1.json
	say "" "Scene 1: a time-out in $DB_NAME: POST :$DB_PORT/inject-failure?type=timeout&intensity=1"
	injected=$(now_ms)
	answer=$(curl -sS --max-time 20 -X POST "$DB_URL/inject-failure?type=timeout&intensity=1")
	check "the fault is armed" is_armed "$answer"
	note_programs
	wait_scene "$injected" "$file"
	check_incident "$injected" "$file" reset_fault
	check "the forest found it, no static limit" has "$file" '[.evidence[] | select(.source == "detector")] as $e |
		($e | first | .scorer) == "forest" and ($e | all(.scorer != "static"))'
	check "no fault is armed any more" no_fault
	show_timeline "$injected" "$file" "$(jq -r '.says // .detail // .error // "nothing"' <<<"$answer")"
}

is_new() { [ -n "$2" ] && [ "$2" != "$1" ]; }

scene_stop() {
	local injected pid new file=$RUN_DIR/scene2.json
	pid=$(cat "$SERVICES_DIR/$DB_NAME.pid")
	say "" "Scene 2: trouble that the daemon did not make: kill -STOP $pid ($DB_NAME)"
	injected=$(now_ms)
	kill -STOP "$pid"
	wait_scene "$injected" "$file"
	check_incident "$injected" "$file" restart
	check "the forest found it, or total loss" has "$file" '[.evidence[] | select(.source == "detector")] |
		length > 0 and all(.scorer == "forest" or .scorer == "total_loss")'
	new=$(cat "$SERVICES_DIR/$DB_NAME.pid" 2>/dev/null || true)
	check "$DB_NAME is a new process (was $pid, now ${new:-none})" is_new "$pid" "$new"
	show_timeline "$injected" "$file" "SIGSTOP to $DB_NAME, process $pid"
}

main() {
	old=$(program_list | jq -c 'map(.id)')
	before=$(snapshot)
	say "archaic-ebpf demo: $AUTH_NAME :$AUTH_PORT, $DB_NAME :$DB_PORT, $PRODUCT_NAME :$PRODUCT_PORT, $PAYMENT_NAME :$PAYMENT_PORT," \
		"operator :$OPERATOR_PORT, detector :$DETECTOR_PORT"
	start_services
	write_config >"$RUN_DIR/demo.conf"
	# Before the daemon: everybody's first log-in, each a hash, is no part of the shop's normal day.
	start_traffic
	sleep 3
	start_daemon --config "$RUN_DIR/demo.conf" --mode auto-safe
	note_programs
	say "Mode auto-safe, cool-down between two actions on one service $COOLDOWN (set for the demo; the default is 300s)," \
		"planner: $(api GET /v1/health | jq -r '.operator.planner // "unknown"')"
	say "Baseline: ticks of 100 ms, $RATE requests a second"
	check "a baseline of $BASELINE samples is learned for each service" learn_baseline
	wait_for 20 calm || true
	scene_timeout
	check "all is calm again" wait_for 40 calm
	scene_stop
	note_programs

	say "" "Cleaning up"
	kill -INT "$traffic_pid" 2>/dev/null || true
	wait "$traffic_pid" || true
	traffic_pid=
	check "services and daemon stop" stop_all
	check "nothing is left: links, programs, qdiscs, filters, rules, cgroups, processes" compare
	if [ "${#failures[@]}" != 0 ]; then
		say "" "FAILED after $((SECONDS - begun)) s: ${#failures[@]} of the steps were not seen:"
		printf '  %s\n' "${failures[@]}"
		exit 1
	fi
	say "" "Every step was seen, in $((SECONDS - begun)) s."
}

main
