/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.h - command line, environment and file into one checked struct.
 *
 * ONE table (config_options()) drives the parser, --help, the printed default
 * file and the environment's names. Precedence: command line, environment,
 * file, default. Every option KEY of [SECTION] has a long form (--port-operator)
 * and a variable (ARCHAIC_PORT_OPERATOR). Unknown keys, sections and long
 * options are errors, with the file's line where there is one; unknown
 * ARCHAIC_… variables are left alone, since other programs read theirs.
 * The struct is plain data, borrowed by everybody, read-only after loading.
 */
#ifndef ARCHAIC_CONFIG_H
#define ARCHAIC_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/problem.h"
#include "discover/service.h"

#define CONFIG_FILE "/etc/archaic-ebpf/archaic-ebpf.conf"
#define CONFIG_FILE_MAX (256 * 1024) /* bytes */
#define CONFIG_TEXT_MAX 256          /* bytes of a text value, with the NUL */
#define CONFIG_PATH_MAX 256
#define CONFIG_SERVICES_MAX 64 /* [service NAME] sections */
#define CONFIG_LIST_MAX 32     /* entries of a list */
#define CONFIG_SOCKET_MAX 108  /* sun_path */

enum config_mode {
	CONFIG_MODE_OBSERVE,   /* watch and detect */
	CONFIG_MODE_SUGGEST,   /* plan, and wait for approval */
	CONFIG_MODE_AUTO_SAFE, /* act alone where the action is reversible or the target supervised */
	CONFIG_MODE_AUTO,      /* act alone within the guard's limits */
};

/** config_mode_name() - "observe", "suggest", "auto-safe", "auto". */
const char *config_mode_name(enum config_mode m);

/** config_mode_parse() - 0 or -EINVAL. */
int config_mode_parse(const char *text, enum config_mode *ret);

enum config_llm { CONFIG_LLM_NONE, CONFIG_LLM_GEMINI, CONFIG_LLM_OPENAI };

struct config_list {
	char item[CONFIG_LIST_MAX][SERVICE_NAME_MAX];
	size_t nr;
};

/** config_list_has() - is @item in the list? */
bool config_list_has(const struct config_list *l, const char *item);

/* A [service NAME] section: exactly one of port, pid, cgroup is set. */
#define CONFIG_TARGET_MAX (SERVICE_NAMESPACE_MAX + SERVICE_WORKLOAD_MAX)

struct config_service {
	char name[SERVICE_NAME_MAX];
	uint16_t port;                   /* 0: not by port */
	pid_t pid;                       /* 0: not by pid */
	char cgroup[SERVICE_CGROUP_MAX]; /* "": not by cgroup */
	char container[CONFIG_TARGET_MAX], pod[CONFIG_TARGET_MAX],
		unit[CONFIG_TARGET_MAX]; /* "": not by that; see target_selector_parse() */
	bool supervised;                 /* somebody starts it again when it dies */
};

struct config {
	char file[CONFIG_PATH_MAX]; /* that was read; "" for none */

	struct {
		char listen[CONFIG_TEXT_MAX];     /* numeric address */
		char run_dir[CONFIG_PATH_MAX];    /* control.sock, journal, daemon.log */
		char state_dir[CONFIG_PATH_MAX];  /* archaic.db */
		char socket[CONFIG_SOCKET_MAX];   /* never "": run_dir/control.sock by default */
		char token_file[CONFIG_PATH_MAX]; /* "": none */
		enum config_mode mode;
		enum log_level log_level;
	} daemon;
	struct {
		uint16_t operator_port, detector_port;
		uint16_t dashboard_port, chaos_port; /* 0: that page is not served */
	} ports;
	struct {
		char listen[CONFIG_TEXT_MAX];           /* "": as daemon.listen */
		bool read_only;                         /* the pages change nothing */
		char chaos_token_file[CONFIG_PATH_MAX]; /* "": none on loopback */
		char tls_cert[CONFIG_PATH_MAX], tls_key[CONFIG_PATH_MAX]; /* both or none */
		char host_names[CONFIG_TEXT_MAX]; /* further names for Host, by commas */
	} pages;
	struct {
		uint64_t tick_ns;
		uint64_t warmup_tick_ns; /* until every baseline is full */
		uint64_t slow_ns;        /* requests from here on enter the ring of requests */
		uint32_t sample_every;   /* one request in so many enters the ring; 0: none */
		bool discover;           /* find listening sockets by itself */
		char docker_socket[CONFIG_PATH_MAX]; /* "": do not ask Docker */
		char containers_below
			[CONFIG_PATH_MAX]; /* containers below this cgroup are found; "": all that hang on our network */
		char namespace[64]; /* service_namespace of all services; "": none */
		bool program_stats; /* let the kernel time our programs */
	} observe;
	struct {
		uint32_t baseline; /* samples per service */
		uint32_t shadow;   /* samples held back from the baseline */
		uint64_t static_p99_ns;
		double static_errors; /* ratio */
		uint64_t total_loss_ns;
		uint32_t close_ticks; /* quiet ticks that end an anomaly */
		uint64_t seed;        /* of the forest; 0: from the clock */
	} detect;
	struct {
		bool enabled;
		uint64_t max_duration_ns;
		uint32_t max_intensity;
		uint64_t max_delay_ns;
		struct config_list types; /* allowed fault types; empty: all */
	} faults;
	struct {
		uint64_t cooldown_ns; /* between two actions on one service */
		uint32_t max_actions_per_hour;
		uint32_t max_actions_per_incident;
		double max_share; /* of the services under action at once */
		uint64_t verify_within_ns;
		uint64_t settle_ns;         /* after an action, before verification looks */
		struct config_list protect; /* services that are never acted on; key "protected" */
		char kill_switch[CONFIG_PATH_MAX]; /* while it exists, nothing is acted on; "": none */
		char kubernetes
			[CONFIG_TEXT_MAX]; /* "": none; "account": the pod's service account; else a kubeconfig */
		char docker[CONFIG_PATH_MAX]; /* socket; "": none */
		bool systemd;
	} remediate;
	struct {
		enum config_llm provider;
		char base_url[CONFIG_TEXT_MAX]; /* "": the provider's own */
		char model[CONFIG_TEXT_MAX];    /* "": the provider module's default */
		char key_file[CONFIG_PATH_MAX]; /* "": GEMINI_API_KEY, for gemini only */
		uint64_t timeout_ns;
		uint32_t max_tokens;
		uint32_t daily_cap; /* calls per UTC day */
	} llm;
	struct {
		char url[CONFIG_TEXT_MAX]; /* "": none; also PROMETHEUS_URL */
	} prometheus;
	struct {
		char node[SERVICE_NAME_MAX];        /* "": the host's name */
		char detector_url[CONFIG_TEXT_MAX]; /* of agents and operator */
		char samples_token_file
			[CONFIG_PATH_MAX]; /* agents show it, the detector asks for it; "": none */
		char detector_token_file
			[CONFIG_PATH_MAX]; /* the operator shows it to the detector; "": none */
		char agents_token_file[CONFIG_PATH_MAX]; /* the operator shows it to agents; "": none */
		char lock_file[CONFIG_PATH_MAX]; /* of the one operator that acts; "": in state_dir */
		char lease[CONFIG_TEXT_MAX];     /* name of a Kubernetes Lease instead; "": none */
		char token_review
			[CONFIG_TEXT_MAX]; /* service account of agents, NAMESPACE:NAME; "": none */
	} roles;
	struct {
		char endpoint[CONFIG_TEXT_MAX]; /* "": no traces; also OTEL_EXPORTER_OTLP_ENDPOINT */
		char headers_file[CONFIG_PATH_MAX]; /* "": none */
	} otlp;

	struct config_service services[CONFIG_SERVICES_MAX];
	size_t nr_services;
};

enum config_type {
	CONFIG_TYPE_TEXT,
	CONFIG_TYPE_PATH, /* absolute, or "" */
	CONFIG_TYPE_BOOL, /* yes|no|true|false|on|off|1|0 */
	CONFIG_TYPE_U16,
	CONFIG_TYPE_U32,
	CONFIG_TYPE_U64,
	CONFIG_TYPE_RATIO,    /* double, min to max */
	CONFIG_TYPE_DURATION, /* ns; "10s", "250ms"; bounds in ns */
	CONFIG_TYPE_CHOICE,   /* int, index into the "a|b|c" of choices */
	CONFIG_TYPE_LIST,     /* names, separated by blanks or commas */
};

struct config_option {
	const char *section, *key;
	const char *flag;     /* --FLAG on the command line, ARCHAIC_FLAG in the environment */
	const char *also_env; /* another variable that is honoured; NULL: none */
	enum config_type type;
	size_t offset, size;  /* in struct config */
	const char *fallback; /* as it would be written in the file */
	double min, max;
	const char *choices;
	const char *doc; /* one line */
	bool live;       /* taken over by a reload (SIGHUP); others need a restart */
};

/** config_options() - the table; @nr: its length. Static. */
const struct config_option *config_options(size_t *nr);

/** config_init() - all defaults. Cannot fail: the defaults are tested. */
void config_init(struct config *c);

/**
 * config_load() - defaults, then the file, then the environment, then the command line; then config_check().
 * @argc, @argv: words after the subcommand: --long VALUE, --long=VALUE; a bool may
 *	stand alone (--faults-enabled) or negated (--no-discover). "--config PATH" names the file.
 * @env: NULL-ended "NAME=value" list, like environ. ARCHAIC_CONFIG names the file too.
 * @ret: written on success only.
 * The file named by nobody may be missing; one that is named must exist.
 * 0, -EINVAL with @why, or -ENOMEM. @why may be NULL.
 */
int config_load(int argc, char *const argv[], char *const env[], struct config *ret,
		struct problem *why);

/** config_parse_file_text() - apply @text as a configuration file on top of @c. @name: for messages. 0, -EINVAL or -ENOMEM. */
int config_parse_file_text(struct config *c, const char *name, const char *text, size_t len,
			   struct problem *why);

/** config_set() - set one option from text, as the file would. @where: for messages, e.g. "--tick". 0 or -EINVAL. */
int config_set(struct config *c, const struct config_option *o, const char *where,
	       const char *value, struct problem *why);

/** config_check() - what no single option can know: ports differ, off loopback needs a token… 0 or -EINVAL. */
int config_check(const struct config *c, struct problem *why);

/** config_differs() - has the option another value in @b than in @a? */
bool config_differs(const struct config_option *o, const struct config *a, const struct config *b);

/** config_copy_option() - give @to the value that @from has. Nothing is allocated. */
void config_copy_option(const struct config_option *o, struct config *to,
			const struct config *from);

/** config_value() - the option's value in @c as the file would have it, into @to (cut when it does not fit). Returns @to. */
const char *config_value(const struct config_option *o, const struct config *c, char *to,
			 size_t size);

/**
 * config_print_defaults() - the whole default file with its comments; it parses back to the defaults.
 * @commented: every KEY = VALUE is a comment too: the file to install, which changes nothing until
 *	somebody takes a # away, and so keeps following the program's own defaults.
 */
void config_print_defaults(FILE *to, bool commented);

/** config_print_man() - archaic-ebpf.conf(5)'s list of options, in the man macros. */
void config_print_man(FILE *to);

/** config_print_help() - one line an option, for --help. */
void config_print_help(FILE *to);

#endif
