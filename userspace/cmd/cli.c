// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of commands, and how a line becomes one of them. */
#include <string.h>

#include "base/config.h"
#include "cmd/cmd.h"

#define COMMANDS_MAX 24
#define OPTIONS(...) ((const struct cli_option[]){ __VA_ARGS__, { NULL, NULL, NULL } })

static const struct cli_command commands[] = {
	{ "run", "", "watch, detect and repair, until SIGTERM", .own_options = true, .run = cmd_run,
	  .more_help = config_print_help,
	  .examples =
		  "  archaic-ebpf run\n"
		  "  archaic-ebpf run --mode auto-safe --port-operator 9005\n"
		  "  ARCHAIC_MODE=observe archaic-ebpf run --config /etc/archaic-ebpf/archaic-ebpf.conf\n" },
	{ "agent", "", "watch this node and push what it does to a detector", .own_options = true,
	  .run = cmd_agent, .more_help = config_print_help,
	  .examples =
		  "  archaic-ebpf agent --detector-url http://10.0.0.9:8006 --samples-token-file /etc/archaic-ebpf/samples\n" },
	{ "detector", "", "judge what the agents of many nodes push", .own_options = true,
	  .run = cmd_detector, .more_help = config_print_help,
	  .examples =
		  "  archaic-ebpf detector --listen 0.0.0.0 --token-file /etc/archaic-ebpf/token --samples-token-file /etc/archaic-ebpf/samples\n" },
	{ "operator", "", "repair what a detector finds, one of several at a time",
	  .own_options = true, .run = cmd_operator, .more_help = config_print_help,
	  .examples =
		  "  archaic-ebpf operator --mode auto-safe --detector-url http://10.0.0.9:8006\n" },
	{ "attach", "[NAME]",
	  "watch a service, known by its port, a process, a cgroup, a container, a pod or a unit",
	  0, 1, .run = cmd_attach,
	  .options = OPTIONS(
		  { "port", "PORT", "the TCP port it listens on" },
		  { "pid", "PID", "one of its processes" },
		  { "cgroup", "PATH", "its cgroup, below the cgroup v2 mount" },
		  { "container", "NAME|ID", "Docker's, containerd's or CRI-O's" },
		  { "pod", "NS/NAME",
		    "a pod on this machine, by its name or its Deployment's, or NS/app=VALUE" },
		  { "unit", "NAME", "a systemd unit" },
		  { "supervised", NULL, "something starts it again: a repair may kill it" }),
	  .examples =
		  "  archaic-ebpf attach shop --port 9000\n"
		  "  archaic-ebpf attach --container shop-db-1\n"
		  "  archaic-ebpf attach --pod shop/db\n"
		  "  archaic-ebpf attach web --unit nginx\n"
		  "  archaic-ebpf attach worker --cgroup /system.slice/worker.service --supervised\n" },
	{ "detach", "NAME", "stop watching a service; its faults end", 1, 1, .run = cmd_detach,
	  .examples = "  archaic-ebpf detach shop\n" },
	{ "inject", "SERVICE TYPE", "hurt a service", 2, 2, .run = cmd_inject,
	  .options =
		  OPTIONS({ "intensity", "N", "1 to 100, what it means depends on the type" },
			  { "delay-ms", "MS", "timeout: how late answers leave" },
			  { "status", "CODE", "error: what the client gets" },
			  { "percent", "P", "cpu, loss: how much" },
			  { "keys", "A,B", "bad_data: which members are spoiled" },
			  { "seed", "N", "draw the same requests again" },
			  { "probability", "P", "0 to 1, drawn once per request; default 1" },
			  { "duration", "TIME",
			    "30, 30s, 5m; default until reset, within the daemon's limit" },
			  { "health", NULL, "hurt liveness probes too" },
			  { "follow", NULL,
			    "a container, pod or unit that is replaced: hurt the next one, too" },
			  { "slot", "NAME", "replace what was armed in this slot" },
			  { "dry-run", NULL, "say what would be attached where; arm nothing" }),
	  .examples =
		  "  archaic-ebpf faults types\n"
		  "  archaic-ebpf inject db timeout --delay-ms 300 --probability 0.3 --duration 60s\n"
		  "  archaic-ebpf inject auth error --status 503 --dry-run\n" },
	{ "reset", "[SERVICE|ID]", "end faults: of a service, one by its id, or --all", 0, 1,
	  .run = cmd_reset,
	  .options = OPTIONS(
		  { "all", NULL, "everything, also what a dead daemon left; needs no daemon" },
		  { "service", "NAME", "as SERVICE, for one whose name looks like an id" },
		  { "dry-run", NULL, "say what would end; end nothing" }),
	  .examples = "  archaic-ebpf reset db\n"
		      "  archaic-ebpf reset f-7k2m\n"
		      "  archaic-ebpf reset --all\n" },
	{ "faults", "[types]", "what is armed; or what can be armed here", 0, 1, .run = cmd_faults,
	  .options = OPTIONS({ "all", NULL, "also faults that have ended" },
			     { "service", "NAME", "only this service's" }),
	  .examples = "  archaic-ebpf faults\n"
		      "  archaic-ebpf faults types\n"
		      "  archaic-ebpf faults --all --json\n" },
	{ "services", "[NAME [accept]]", "what is watched, and how it is; take it for normal", 0, 2,
	  .run = cmd_services,
	  .examples =
		  "  archaic-ebpf services\n"
		  "  archaic-ebpf services db --json\n"
		  "  archaic-ebpf services db accept        # an anomaly that is no trouble\n" },
	{ "incidents", "[ID | approve ID | reject ID | report ID]",
	  "what happened, why, and what was done", 0, 2, .run = cmd_incidents,
	  .options =
		  OPTIONS({ "state", "STATE",
			    "only these: open, awaiting_approval, repaired, escalated, closed, …" },
			  { "limit", "N", "at most so many, newest first" },
			  { "action", "ID", "approve: the action that you mean" },
			  { "why", "TEXT", "reject: your reason, kept in the record" }),
	  .examples = "  archaic-ebpf incidents\n"
		      "  archaic-ebpf incidents i-0004\n"
		      "  archaic-ebpf incidents approve i-0004\n"
		      "  archaic-ebpf incidents report i-0004 >post-mortem.md\n" },
	{ "mode", "[MODE]", "what the daemon may do by itself: observe, suggest, auto-safe, auto",
	  0, 1, .run = cmd_mode,
	  .examples = "  archaic-ebpf mode\n"
		      "  archaic-ebpf mode suggest\n" },
	{ "doctor", "", "what this kernel offers, what conflicts, and what to do about it",
	  .run = cmd_doctor,
	  .examples = "  archaic-ebpf doctor\n"
		      "  archaic-ebpf doctor --json\n" },
	{ "pages", "[--qr]", "where the two web pages are; --qr: as a code for a phone's camera",
	  .own_options = true, .local = true, .run = cmd_pages, .more_help = config_print_help,
	  .examples =
		  "  archaic-ebpf pages\n"
		  "  archaic-ebpf pages --qr --pages-listen 0.0.0.0 --token-file /etc/archaic-ebpf/token\n" },
	{ "check-config", "", "read the configuration as run would, and say what is wrong",
	  .own_options = true, .local = true, .run = cmd_check_config,
	  .more_help = config_print_help,
	  .examples =
		  "  archaic-ebpf check-config --config ./archaic-ebpf.conf\n"
		  "  archaic-ebpf check-config --template >archaic-ebpf.conf    # all of it commented\n"
		  "  archaic-ebpf check-config --defaults >archaic-ebpf.conf\n" },
	{ "completion", "bash", "print the completion of this command line for bash", 1, 1,
	  .local = true, .run = cmd_completion,
	  .examples = "  . <(archaic-ebpf completion bash)\n" },
	{ "watch-faults", "", "carry out the cluster's Fault objects on this node, until SIGTERM",
	  .run = cmd_watch_faults,
	  .options = OPTIONS({ "node", "NAME", "this node's name; default ARCHAIC_NODE" },
			     { "kubeconfig", "PATH", "default: the pod's service account" }),
	  .examples = "  archaic-ebpf watch-faults --node worker-1\n" },
	{ "version", "", "the version", .local = true, .run = cmd_version,
	  .examples = "  archaic-ebpf version\n" },
};

const struct cli_command *cli_commands(size_t *nr)
{
	*nr = ARRAY_SIZE(commands);
	return commands;
}

const char *cli_env(const struct cli *c, const char *name)
{
	size_t len = strlen(name);

	for (char *const *env = c->env; env && *env; env++)
		if (!strncmp(*env, name, len) && (*env)[len] == '=' && (*env)[len + 1])
			return *env + len + 1;
	return NULL;
}

static int find_places(struct cli *c)
{
	const char *dir = cli_option(c, "run-dir") ?:
		cli_env(c, "ARCHAIC_RUN_DIR")      ?:
						     "/run/archaic-ebpf";
	/* A run dir that was said means the socket in it, whatever the environment says. */
	const char *elsewhere = cli_option(c, "run-dir") ? NULL : cli_env(c, "ARCHAIC_SOCKET");
	const char *socket = cli_option(c, "socket") ?: elsewhere;
	int n = snprintf(c->run_dir, sizeof(c->run_dir), "%s", dir);

	if (n >= (int)sizeof(c->run_dir))
		return cli_complain(c, CLI_USAGE, "the run dir's path is longer than %zu bytes",
				    sizeof(c->run_dir) - 1);
	n = socket ? snprintf(c->socket, sizeof(c->socket), "%s", socket) :
		     snprintf(c->socket, sizeof(c->socket), "%s/control.sock", dir);
	if (n >= (int)sizeof(c->socket))
		return cli_complain(c, CLI_USAGE, "the socket's path is longer than %zu bytes",
				    sizeof(c->socket) - 1);
	c->json = cli_option(c, "json");
	return 0;
}

static int unknown_command(struct cli *c, const char *word)
{
	const char *names[COMMANDS_MAX + 1] = { 0 }, *near;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[i] = commands[i].name;
	near = cli_nearest(word, names);
	if (near)
		return cli_complain(c, CLI_USAGE, "there is no command %s; did you mean %s?", word,
				    near);
	return cli_complain(c, CLI_USAGE, "there is no command %s; archaic-ebpf --help lists them",
			    word);
}

static bool wants_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

static bool asks_help(const struct cli *c)
{
	for (int i = 0; i < c->nr_rest; i++)
		if (!strcmp(c->rest[i], "--help") || !strcmp(c->rest[i], "-h"))
			return true;
	return false;
}

static const struct cli_command *find(const char *word)
{
	for (size_t i = 0; word && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, word))
			return &commands[i];
	return NULL;
}

static int run_command(struct cli *c)
{
	if (asks_help(c)) {
		cli_help(c->out, c->command);
		return CLI_DONE;
	}
	if (c->command->own_options)
		return c->command->run(c);
	return cli_parse(c) ?: find_places(c) ?: c->command->run(c);
}

int cli_main(int argc, char *const argv[], char *const env[], FILE *out, FILE *err)
{
	_Static_assert(ARRAY_SIZE(commands) <= COMMANDS_MAX, "COMMANDS_MAX");
	struct cli c = { .out = out, .err = err, .env = env };

	if (argc < 2) {
		cli_help(err, NULL);
		return CLI_USAGE;
	}
	c.rest = argv + 2;
	c.nr_rest = argc - 2;
	if (wants_help(argv[1])) {
		const char *of = argc > 2 ? argv[2] : NULL;
		if (of && !find(of))
			return unknown_command(&c, of);
		cli_help(out, find(of));
		return CLI_DONE;
	}
	c.command = find(!strcmp(argv[1], "--version") ? "version" : argv[1]);
	if (!c.command)
		return unknown_command(&c, argv[1]);
	int status = run_command(&c);
	/* A full disk or a closed pipe behind --json must not look like success. */
	if (fflush(out) || ferror(out))
		return status ?: CLI_FAILED;
	return status;
}
