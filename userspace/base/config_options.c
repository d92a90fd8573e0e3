// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of options, and what is made from it: defaults, the printed file, --help.
 */
#include <string.h>

#include "base/config.h"

#define FIELD(f) .offset = offsetof(struct config, f), .size = sizeof(((struct config *)0)->f)
#define S ((double)NSEC_PER_SEC)
#define MS ((double)NSEC_PER_MSEC)
#define HOUR (3600 * S)

static const struct config_option options[] = {
	{ "daemon", "listen", "listen", NULL, CONFIG_TYPE_TEXT, FIELD(daemon.listen), "127.0.0.1",
	  0, 0, NULL, "Numeric address to listen on; off loopback a token_file is needed." },
	{ "daemon", "run_dir", "run-dir", NULL, CONFIG_TYPE_PATH, FIELD(daemon.run_dir),
	  "/run/archaic-ebpf", 0, 0, NULL,
	  "Folder of the control socket, the journal and the log." },
	{ "daemon", "state_dir", "state-dir", NULL, CONFIG_TYPE_PATH, FIELD(daemon.state_dir),
	  "/var/lib/archaic-ebpf", 0, 0, NULL, "Folder of the database." },
	{ "daemon", "socket", "socket", NULL, CONFIG_TYPE_PATH, FIELD(daemon.socket), "", 0, 0,
	  NULL, "Control socket; empty: control.sock in run_dir." },
	{ "daemon", "token_file", "token-file", NULL, CONFIG_TYPE_PATH, FIELD(daemon.token_file),
	  "", 0, 0, NULL,
	  "File with the bearer token that callers over TCP must show; empty: none." },
	{ "daemon", "mode", "mode", NULL, CONFIG_TYPE_CHOICE, FIELD(daemon.mode), "suggest", 0, 0,
	  "observe|suggest|auto-safe|auto", "What the daemon may do by itself.", .live = true },
	{ "daemon", "log_level", "log-level", NULL, CONFIG_TYPE_CHOICE, FIELD(daemon.log_level),
	  "info", 0, 0, "debug|info|warning|error", "Least level that is logged.", .live = true },

	{ "ports", "operator", "port-operator", NULL, CONFIG_TYPE_U16, FIELD(ports.operator_port),
	  "8005", 1, 65535, NULL, "Port of the operator." },
	{ "ports", "detector", "port-detector", NULL, CONFIG_TYPE_U16, FIELD(ports.detector_port),
	  "8006", 1, 65535, NULL, "Port of the detector and of /metrics." },

	{ "ports", "dashboard", "port-dashboard", NULL, CONFIG_TYPE_U16,
	  FIELD(ports.dashboard_port), "7000", 0, 65535, NULL,
	  "Port of the dashboard, a page for browsers; 0: none." },
	{ "ports", "chaos", "port-chaos", NULL, CONFIG_TYPE_U16, FIELD(ports.chaos_port), "8080", 0,
	  65535, NULL, "Port of the chaos control, a page for browsers; 0: none." },

	{ "pages", "listen", "pages-listen", NULL, CONFIG_TYPE_TEXT, FIELD(pages.listen), "", 0, 0,
	  NULL, "Numeric address of the two pages; empty: as [daemon] listen." },
	{ "pages", "read_only", "read-only", NULL, CONFIG_TYPE_BOOL, FIELD(pages.read_only), "no",
	  0, 0, NULL, "The pages show everything and change nothing." },
	{ "pages", "chaos_token_file", "chaos-token-file", NULL, CONFIG_TYPE_PATH,
	  FIELD(pages.chaos_token_file), "", 0, 0, NULL,
	  "File with a token that the chaos control asks for on loopback too; empty: none there." },
	{ "pages", "tls_cert", "tls-cert", NULL, CONFIG_TYPE_PATH, FIELD(pages.tls_cert), "", 0, 0,
	  NULL, "PEM certificate (chain): the pages are served over TLS; empty: not." },
	{ "pages", "tls_key", "tls-key", NULL, CONFIG_TYPE_PATH, FIELD(pages.tls_key), "", 0, 0,
	  NULL, "PEM key of that certificate." },
	{ "pages", "host_names", "host-names", NULL, CONFIG_TYPE_TEXT, FIELD(pages.host_names), "",
	  0, 0, NULL, "Further names that the Host header may have, up to 8, by commas." },

	{ "observe", "tick", "tick", NULL, CONFIG_TYPE_DURATION, FIELD(observe.tick_ns), "1s",
	  20 * MS, 60 * S, NULL, "Time between two samples once the baseline is full." },
	{ "observe", "warmup_tick", "warmup-tick", NULL, CONFIG_TYPE_DURATION,
	  FIELD(observe.warmup_tick_ns), "100ms", 20 * MS, 60 * S, NULL,
	  "The same until then; not more than tick." },
	{ "observe", "slow", "slow", NULL, CONFIG_TYPE_DURATION, FIELD(observe.slow_ns), "500ms",
	  1 * MS, HOUR, NULL, "Requests that took longer are kept for /v1/requests." },
	{ "observe", "sample_every", "sample-every", NULL, CONFIG_TYPE_U32,
	  FIELD(observe.sample_every), "100", 0, 1e9, NULL,
	  "Of the others one in so many is kept; 0: none." },
	{ "observe", "discover", "discover", NULL, CONFIG_TYPE_BOOL, FIELD(observe.discover), "yes",
	  0, 0, NULL, "Find listening services by itself." },
	{ "observe", "docker_socket", "docker-socket", NULL, CONFIG_TYPE_PATH,
	  FIELD(observe.docker_socket), "/var/run/docker.sock", 0, 0, NULL,
	  "Docker's socket, asked for names and labels of containers; empty: it is not." },
	{ "observe", "containers_below", "containers-below", NULL, CONFIG_TYPE_PATH,
	  FIELD(observe.containers_below), "", 0, 0, NULL,
	  "Containers below this cgroup path only are found; empty: all whose network hangs on ours." },
	{ "observe", "namespace", "namespace", NULL, CONFIG_TYPE_TEXT, FIELD(observe.namespace), "",
	  0, 0, NULL, "service_namespace of every service, in /metrics; empty: none." },
	{ "observe", "program_stats", "program-stats", NULL, CONFIG_TYPE_BOOL,
	  FIELD(observe.program_stats), "no", 0, 0, NULL,
	  "Let the kernel time our BPF programs, for /metrics: about 20 ns a run." },

	{ "detect", "baseline", "baseline", NULL, CONFIG_TYPE_U32, FIELD(detect.baseline), "1024",
	  100, 2048, NULL, "Samples a service's baseline holds." },
	{ "detect", "shadow", "shadow", NULL, CONFIG_TYPE_U32, FIELD(detect.shadow), "256", 100,
	  2048, NULL, "Newest samples held back from the baseline; not more than baseline." },
	{ "detect", "static_p99", "static-p99", NULL, CONFIG_TYPE_DURATION,
	  FIELD(detect.static_p99_ns), "1s", 1 * MS, HOUR, NULL,
	  "Limit of the 99th percentile while there is no baseline." },
	{ "detect", "static_errors", "static-errors", NULL, CONFIG_TYPE_RATIO,
	  FIELD(detect.static_errors), "0.10", 0, 1, NULL,
	  "Limit of the error ratio while there is no baseline." },
	{ "detect", "total_loss", "total-loss", NULL, CONFIG_TYPE_DURATION,
	  FIELD(detect.total_loss_ns), "3s", 100 * MS, HOUR, NULL,
	  "Requests in flight and none finished for so long: total loss." },
	{ "detect", "close_ticks", "close-ticks", NULL, CONFIG_TYPE_U32, FIELD(detect.close_ticks),
	  "12", 1, 10000, NULL, "Quiet ticks that end an anomaly." },
	{ "detect", "seed", "seed", NULL, CONFIG_TYPE_U64, FIELD(detect.seed), "0", 0,
	  9007199254740992.0, NULL, "Seed of the forest; 0: from the clock." },

	{ "faults", "enabled", "faults-enabled", NULL, CONFIG_TYPE_BOOL, FIELD(faults.enabled),
	  "yes", 0, 0, NULL, "May faults be armed at all?", .live = true },
	{ "faults", "max_duration", "max-duration", NULL, CONFIG_TYPE_DURATION,
	  FIELD(faults.max_duration_ns), "1h", 1 * MS, 24 * HOUR, NULL,
	  "Longest that a fault lasts.", .live = true },
	{ "faults", "max_intensity", "max-intensity", NULL, CONFIG_TYPE_U32,
	  FIELD(faults.max_intensity), "100", 1, 100, NULL, "Highest intensity.", .live = true },
	{ "faults", "max_delay", "max-delay", NULL, CONFIG_TYPE_DURATION,
	  FIELD(faults.max_delay_ns), "200s", 1 * MS, HOUR, NULL,
	  "Longest delay that a fault adds to a request.", .live = true },
	{ "faults", "types", "fault-types", NULL, CONFIG_TYPE_LIST, FIELD(faults.types), "", 0, 0,
	  NULL, "Allowed fault types; empty: all.", .live = true },

	{ "remediate", "cooldown", "cooldown", NULL, CONFIG_TYPE_DURATION,
	  FIELD(remediate.cooldown_ns), "300s", 0, 24 * HOUR, NULL,
	  "Time between two actions on one service.", .live = true },
	{ "remediate", "max_actions_per_hour", "max-actions-per-hour", NULL, CONFIG_TYPE_U32,
	  FIELD(remediate.max_actions_per_hour), "6", 0, 1000, NULL,
	  "Actions an hour, on all services.", .live = true },
	{ "remediate", "max_actions_per_incident", "max-actions-per-incident", NULL,
	  CONFIG_TYPE_U32, FIELD(remediate.max_actions_per_incident), "3", 0, 100, NULL,
	  "Actions that one incident may take.", .live = true },
	{ "remediate", "max_share", "max-share", NULL, CONFIG_TYPE_RATIO,
	  FIELD(remediate.max_share), "0.25", 0, 1, NULL,
	  "Share of all services that may be under action at once; one is always allowed.",
	  .live = true },
	{ "remediate", "verify_within", "verify-within", NULL, CONFIG_TYPE_DURATION,
	  FIELD(remediate.verify_within_ns), "120s", 1 * S, 24 * HOUR, NULL,
	  "An action that has not helped by then has failed.", .live = true },
	{ "remediate", "settle", "settle", NULL, CONFIG_TYPE_DURATION, FIELD(remediate.settle_ns),
	  "2s", 0, HOUR, NULL, "Time after an action before its effect is judged.", .live = true },
	{ "remediate", "protected", "protected", NULL, CONFIG_TYPE_LIST, FIELD(remediate.protect),
	  "", 0, 0, NULL, "Services that are never acted on.", .live = true },
	{ "remediate", "kill_switch", "kill-switch", NULL, CONFIG_TYPE_PATH,
	  FIELD(remediate.kill_switch), "", 0, 0, NULL,
	  "While this file exists nothing is acted on; empty: none.", .live = true },

	{ "remediate", "kubernetes", "repair-kubernetes", NULL, CONFIG_TYPE_TEXT,
	  FIELD(remediate.kubernetes), "", 0, 0, NULL,
	  "Pods may be repaired through: account (the pod's own), or a kubeconfig; empty: not." },
	{ "remediate", "docker", "repair-docker", NULL, CONFIG_TYPE_PATH, FIELD(remediate.docker),
	  "", 0, 0, NULL,
	  "Containers may be restarted through this socket of a Docker Engine; empty: not." },
	{ "remediate", "systemd", "repair-systemd", NULL, CONFIG_TYPE_BOOL,
	  FIELD(remediate.systemd), "no", 0, 0, NULL,
	  "Units may be restarted through systemd on the system's bus." },

	{ "llm", "provider", "llm-provider", NULL, CONFIG_TYPE_CHOICE, FIELD(llm.provider), "none",
	  0, 0, "none|gemini|openai",
	  "Who plans; none: the built-in playbook, and nothing is sent." },
	{ "llm", "base_url", "llm-base-url", NULL, CONFIG_TYPE_TEXT, FIELD(llm.base_url), "", 0, 0,
	  NULL, "Where the model is; empty: the provider's own address." },
	{ "llm", "model", "llm-model", NULL, CONFIG_TYPE_TEXT, FIELD(llm.model), "", 0, 0, NULL,
	  "Name of the model; empty: the provider's usual one." },
	{ "llm", "key_file", "llm-key-file", NULL, CONFIG_TYPE_PATH, FIELD(llm.key_file), "", 0, 0,
	  NULL, "File with the key; empty: GEMINI_API_KEY, where the provider is gemini." },
	{ "llm", "timeout", "llm-timeout", NULL, CONFIG_TYPE_DURATION, FIELD(llm.timeout_ns), "15s",
	  100 * MS, 600 * S, NULL, "A model that is slower is passed over." },
	{ "llm", "max_tokens", "llm-max-tokens", NULL, CONFIG_TYPE_U32, FIELD(llm.max_tokens),
	  "1024", 16, 65536, NULL, "Longest answer." },
	{ "llm", "daily_cap", "llm-daily-cap", NULL, CONFIG_TYPE_U32, FIELD(llm.daily_cap), "100",
	  0, 1000000, NULL, "Calls a day (UTC); after that the playbook plans." },

	{ "prometheus", "url", "prometheus-url", "PROMETHEUS_URL", CONFIG_TYPE_TEXT,
	  FIELD(prometheus.url), "", 0, 0, NULL,
	  "Prometheus server that /api/v1/query is passed on to; empty: none." },

	{ "roles", "node", "node", NULL, CONFIG_TYPE_TEXT, FIELD(roles.node), "", 0, 0, NULL,
	  "agent: the name of this node; empty: the host's." },
	{ "roles", "detector_url", "detector-url", NULL, CONFIG_TYPE_TEXT,
	  FIELD(roles.detector_url), "http://127.0.0.1:8006", 0, 0, NULL,
	  "agent, operator: where the detector is." },
	{ "roles", "samples_token_file", "samples-token-file", NULL, CONFIG_TYPE_PATH,
	  FIELD(roles.samples_token_file), "", 0, 0, NULL,
	  "File with the token that agents show with their samples and the detector asks for; empty: none, or token_file off loopback." },
	{ "roles", "detector_token_file", "detector-token-file", NULL, CONFIG_TYPE_PATH,
	  FIELD(roles.detector_token_file), "", 0, 0, NULL,
	  "operator: file with the token to show to the detector; empty: none." },
	{ "roles", "agents_token_file", "agents-token-file", NULL, CONFIG_TYPE_PATH,
	  FIELD(roles.agents_token_file), "", 0, 0, NULL,
	  "operator: file with the token to show to agents' chaos control; empty: none." },
	{ "roles", "lock_file", "lock-file", NULL, CONFIG_TYPE_PATH, FIELD(roles.lock_file), "", 0,
	  0, NULL,
	  "operator: whoever holds this file acts, others stand by; empty: operator.lock in state_dir." },
	{ "roles", "lease", "lease", NULL, CONFIG_TYPE_TEXT, FIELD(roles.lease), "", 0, 0, NULL,
	  "operator: name of a Kubernetes Lease in our namespace that is held instead; empty: none." },
	{ "roles", "token_review", "token-review", NULL, CONFIG_TYPE_TEXT,
	  FIELD(roles.token_review), "", 0, 0, NULL,
	  "detector: also take samples by a token that Kubernetes says is this service account's, NAMESPACE:NAME; empty: not." },

	{ "otlp", "endpoint", "otlp-endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", CONFIG_TYPE_TEXT,
	  FIELD(otlp.endpoint), "", 0, 0, NULL,
	  "OpenTelemetry receiver (OTLP/HTTP, port 4318) that traces are sent to; empty: none." },
	{ "otlp", "headers_file", "otlp-headers-file", NULL, CONFIG_TYPE_PATH,
	  FIELD(otlp.headers_file), "", 0, 0, NULL,
	  "File with \"Name: value\" lines, such as a key, that go with each of its requests." },
};

const struct config_option *config_options(size_t *nr)
{
	*nr = ARRAY_SIZE(options);
	return options;
}

void config_print_help(FILE *to)
{
	static const char *const kinds[] = {
		[CONFIG_TYPE_TEXT] = "TEXT",   [CONFIG_TYPE_PATH] = "PATH",
		[CONFIG_TYPE_BOOL] = "yes|no", [CONFIG_TYPE_U16] = "N",
		[CONFIG_TYPE_U32] = "N",       [CONFIG_TYPE_U64] = "N",
		[CONFIG_TYPE_RATIO] = "RATIO", [CONFIG_TYPE_DURATION] = "TIME",
		[CONFIG_TYPE_CHOICE] = "WORD", [CONFIG_TYPE_LIST] = "NAME,…",
	};

	fprintf(to, "  --%-32s %s\n", "config PATH",
		"Configuration file (default " CONFIG_FILE ").");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct config_option *o = &options[i];
		char left[64];
		snprintf(left, sizeof(left), "%s %s", o->flag, o->choices ?: kinds[o->type]);
		fprintf(to, "  --%-32s %s", left, o->doc);
		if (o->fallback[0])
			fprintf(to, " [%s]", o->fallback);
		fputc('\n', to);
	}
}
