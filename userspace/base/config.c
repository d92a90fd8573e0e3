// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/text.h"

static const char *const mode_names[] = { "observe", "suggest", "auto-safe", "auto" };

const char *config_mode_name(enum config_mode m)
{
	return (size_t)m < ARRAY_SIZE(mode_names) ? mode_names[m] : "suggest";
}

int config_mode_parse(const char *text, enum config_mode *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(mode_names); i++)
		if (strcmp(text, mode_names[i]) == 0) {
			*ret = (enum config_mode)i;
			return 0;
		}
	return -EINVAL;
}

bool config_list_has(const struct config_list *l, const char *item)
{
	for (size_t i = 0; i < l->nr; i++)
		if (strcmp(l->item[i], item) == 0)
			return true;
	return false;
}

/* ---- one value: each parser writes *field only when the text is good */

static int set_text(const struct config_option *o, void *field, const char *value)
{
	if (strlen(value) >= o->size || !text_is_utf8(value, strlen(value)))
		return -EINVAL;
	if (o->type == CONFIG_TYPE_PATH && value[0] && value[0] != '/')
		return -EINVAL;
	snprintf(field, o->size, "%s", value);
	return 0;
}

static int set_bool(void *field, const char *value)
{
	static const char *const words[2][4] = { { "no", "false", "off", "0" },
						 { "yes", "true", "on", "1" } };

	for (int on = 0; on < 2; on++)
		for (size_t i = 0; i < ARRAY_SIZE(words[on]); i++)
			if (strcasecmp(value, words[on][i]) == 0) {
				*(bool *)field = on;
				return 0;
			}
	return -EINVAL;
}

static int set_whole(const struct config_option *o, void *field, const char *value)
{
	uint64_t v;
	int err = text_to_u64(value, (uint64_t)o->min, (uint64_t)o->max, &v);

	if (err)
		return err;
	if (o->type == CONFIG_TYPE_U16)
		*(uint16_t *)field = (uint16_t)v;
	else if (o->type == CONFIG_TYPE_U32)
		*(uint32_t *)field = (uint32_t)v;
	else
		*(uint64_t *)field = v;
	return 0;
}

static int set_duration(const struct config_option *o, void *field, const char *value)
{
	uint64_t ns;
	int err = text_to_duration_ns(value, &ns);

	if (err || (double)ns < o->min || (double)ns > o->max)
		return -EINVAL;
	*(uint64_t *)field = ns;
	return 0;
}

static int set_choice(const struct config_option *o, void *field, const char *value)
{
	size_t len = strlen(value);
	int i = 0;

	for (const char *word = o->choices; word; i++) {
		size_t n = strcspn(word, "|");
		if (n == len && strncmp(word, value, n) == 0) {
			*(int *)field = i;
			return 0;
		}
		word = word[n] ? word + n + 1 : NULL;
	}
	return -EINVAL;
}

static int set_list(void *field, const char *value)
{
	struct config_list list = { .nr = 0 };

	for (const char *p = value; *(p += strspn(p, " \t,"));) {
		size_t n = strcspn(p, " \t,");
		if (list.nr == CONFIG_LIST_MAX || n >= sizeof(list.item[0]))
			return -EINVAL;
		memcpy(list.item[list.nr], p, n);
		list.item[list.nr++][n] = '\0';
		p += n;
	}
	*(struct config_list *)field = list;
	return 0;
}

static int set_value(const struct config_option *o, void *field, const char *value)
{
	switch (o->type) {
	case CONFIG_TYPE_TEXT:
	case CONFIG_TYPE_PATH:
		return set_text(o, field, value);
	case CONFIG_TYPE_BOOL:
		return set_bool(field, value);
	case CONFIG_TYPE_U16:
	case CONFIG_TYPE_U32:
	case CONFIG_TYPE_U64:
		return set_whole(o, field, value);
	case CONFIG_TYPE_RATIO:
		return text_to_double(value, o->min, o->max, field);
	case CONFIG_TYPE_DURATION:
		return set_duration(o, field, value);
	case CONFIG_TYPE_CHOICE:
		return set_choice(o, field, value);
	case CONFIG_TYPE_LIST:
		return set_list(field, value);
	}
	return -EINVAL;
}

static void describe(const struct config_option *o, char *text, size_t size)
{
	switch (o->type) {
	case CONFIG_TYPE_TEXT:
		snprintf(text, size, "at most %zu bytes of UTF-8", o->size - 1);
		break;
	case CONFIG_TYPE_PATH:
		snprintf(text, size, "an absolute path of at most %zu bytes", o->size - 1);
		break;
	case CONFIG_TYPE_BOOL:
		snprintf(text, size, "yes or no");
		break;
	case CONFIG_TYPE_U16:
	case CONFIG_TYPE_U32:
	case CONFIG_TYPE_U64:
		snprintf(text, size, "a whole number from %.0f to %.0f", o->min, o->max);
		break;
	case CONFIG_TYPE_RATIO:
		snprintf(text, size, "a number from %g to %g", o->min, o->max);
		break;
	case CONFIG_TYPE_DURATION:
		snprintf(text, size, "a time from %gs to %gs, such as 250ms, 10s, 5m", o->min / 1e9,
			 o->max / 1e9);
		break;
	case CONFIG_TYPE_CHOICE:
		snprintf(text, size, "one of %s", o->choices);
		break;
	case CONFIG_TYPE_LIST:
		snprintf(text, size, "at most %d names of at most %d bytes", CONFIG_LIST_MAX,
			 SERVICE_NAME_MAX - 1);
		break;
	}
}

int config_set(struct config *c, const struct config_option *o, const char *where,
	       const char *value, struct problem *why)
{
	char allowed[128];

	if (set_value(o, (char *)c + o->offset, value) == 0)
		return 0;
	describe(o, allowed, sizeof(allowed));
	return problem_parameter(why, 400, where, value[0] ? value : "empty", allowed);
}

void config_init(struct config *c)
{
	size_t nr;
	const struct config_option *o = config_options(&nr);

	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < nr; i++)
		(void)config_set(c, &o[i], o[i].key, o[i].fallback, NULL);
}

/* ---- environment and command line */

static const char *env_get(char *const env[], const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; env && env[i]; i++)
		if (strncmp(env[i], name, n) == 0 && env[i][n] == '=')
			return env[i] + n + 1;
	return NULL;
}

static int apply_env(struct config *c, char *const env[], struct problem *why)
{
	size_t nr;
	const struct config_option *o = config_options(&nr);

	for (size_t i = 0; i < nr; i++) {
		char name[64];
		size_t n = (size_t)snprintf(name, sizeof(name), "ARCHAIC_%s", o[i].flag);
		for (size_t k = 0; k < n; k++)
			name[k] = name[k] == '-' ? '_' : (char)toupper((unsigned char)name[k]);

		const char *from = name, *value = env_get(env, name);
		if (!value && o[i].also_env)
			value = env_get(env, from = o[i].also_env);
		int err = value ? config_set(c, &o[i], from, value, why) : 0;
		if (err)
			return err;
	}
	return 0;
}

/* One word of the command line, taken apart. */
struct flag {
	const struct config_option *option; /* NULL: --config */
	const char *value;                  /* NULL: the next word holds it */
};

static bool flag_is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && strncmp(word, name, len) == 0;
}

static int flag_parse(const char *word, struct flag *ret, struct problem *why)
{
	size_t nr;
	const struct config_option *o = config_options(&nr);

	if (strncmp(word, "--", 2) != 0 || !word[2])
		return problem_set(why, 400, "unexpected argument %s; options begin with --", word);
	const char *name = word + 2, *equals = strchr(name, '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	const char *value = equals ? equals + 1 : NULL;

	if (flag_is(name, len, "config")) {
		*ret = (struct flag){ NULL, value };
		return 0;
	}
	for (size_t i = 0; i < nr; i++) {
		bool is_bool = o[i].type == CONFIG_TYPE_BOOL;
		if (flag_is(name, len, o[i].flag)) {
			*ret = (struct flag){ &o[i], value ?: is_bool ? "yes" : NULL };
			return 0;
		}
		if (is_bool && !value && len > 3 && strncmp(name, "no-", 3) == 0 &&
		    flag_is(name + 3, len - 3, o[i].flag)) {
			*ret = (struct flag){ &o[i], "no" };
			return 0;
		}
	}
	return problem_set(why, 400, "unknown option %.*s; see --help", (int)len + 2, word);
}

/* Two passes: the first finds --config (@c NULL), the second applies all the others. */
static int apply_argv(struct config *c, int argc, char *const argv[], const char **file,
		      struct problem *why)
{
	for (int i = 0; i < argc; i++) {
		struct flag flag = { 0 };
		const char *word = argv[i];
		int err = flag_parse(word, &flag, why);
		if (err)
			return err;
		if (!flag.value && ++i == argc)
			return problem_set(why, 400, "%s needs a value", word);
		const char *value = flag.value ?: argv[i];
		if (!flag.option)
			*file = value;
		else if (c) {
			char where[64];
			snprintf(where, sizeof(where), "--%s", flag.option->flag);
			err = config_set(c, flag.option, where, value, why);
			if (err)
				return err;
		}
	}
	return 0;
}

/* ---- all together */

static int read_file(const char *path, bool named, struct buf *ret, struct problem *why)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char chunk[4096];
	ssize_t n;

	if (fd < 0 && errno == ENOENT && !named)
		return 0;
	if (fd < 0)
		return problem_set(why, 400, "cannot read the configuration %s: %s", path,
				   strerror(errno));
	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		int err = buf_add(ret, chunk, (size_t)n);
		if (err == -EMSGSIZE)
			return problem_set(why, 400, "the configuration %s is larger than %d bytes",
					   path, CONFIG_FILE_MAX);
		if (err)
			return err;
	}
	if (n < 0)
		return problem_set(why, 400, "cannot read the configuration %s: %s", path,
				   strerror(errno));
	return 0;
}

static int apply_file(struct config *c, const char *path, bool named, struct problem *why)
{
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, CONFIG_FILE_MAX);
	int err = read_file(path, named, &text, why);

	if (err || !text.data)
		return err;
	if (strlen(path) >= sizeof(c->file))
		return problem_set(why, 400, "the configuration's path is too long: %s", path);
	snprintf(c->file, sizeof(c->file), "%s", path);
	return config_parse_file_text(c, path, text.data, text.len, why);
}

static int fill_socket(struct config *c, struct problem *why)
{
	if (c->daemon.socket[0])
		return 0;
	int n = snprintf(c->daemon.socket, sizeof(c->daemon.socket), "%s/control.sock",
			 c->daemon.run_dir);
	if (n < 0 || (size_t)n >= sizeof(c->daemon.socket))
		return problem_set(why, 400, "run_dir is too long for a socket: %s",
				   c->daemon.run_dir);
	return 0;
}

int config_load(int argc, char *const argv[], char *const env[], struct config *ret,
		struct problem *why)
{
	CLEANUP(freep) struct config *c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	config_init(c);

	const char *file = env_get(env, "ARCHAIC_CONFIG");
	int err = apply_argv(NULL, argc, argv, &file, why);
	if (!err)
		err = apply_file(c, file ?: CONFIG_FILE, file != NULL, why);
	if (!err)
		err = apply_env(c, env, why);
	if (!err)
		err = apply_argv(c, argc, argv, &file, why);
	if (!err)
		err = fill_socket(c, why);
	if (!err)
		err = config_check(c, why);
	if (!err)
		*ret = *c;
	return err;
}

static bool is_loopback(const char *address, bool *valid)
{
	struct in_addr v4;
	struct in6_addr v6;

	*valid = true;
	if (inet_pton(AF_INET, address, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, address, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	*valid = false;
	return false;
}

static bool is_url_or_empty(const char *s)
{
	return !*s || strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0;
}

static int check_service(const struct config_service *s, struct problem *why)
{
	int nr = !!s->port + !!s->pid + !!s->cgroup[0] + !!s->container[0] + !!s->pod[0] +
		!!s->unit[0];

	if (nr != 1)
		return problem_set(
			why, 400,
			"[service %s] needs exactly one of port, pid, cgroup, container, pod and unit",
			s->name);
	return 0;
}

static int check_ports(const struct config *c, struct problem *why)
{
	const struct {
		const char *name;
		uint16_t port;
	} ports[] = { { "operator", c->ports.operator_port },
		      { "detector", c->ports.detector_port },
		      { "dashboard", c->ports.dashboard_port },
		      { "chaos", c->ports.chaos_port } };

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		for (size_t k = 0; k < i; k++)
			if (ports[i].port && ports[i].port == ports[k].port)
				return problem_set(
					why, 400,
					"the ports %s and %s are both %u; they must differ",
					ports[k].name, ports[i].name, ports[i].port);
	return 0;
}

static int check_pages(const struct config *c, struct problem *why)
{
	bool numeric = true;

	if (!!c->pages.tls_cert[0] != !!c->pages.tls_key[0])
		return problem_set(why, 400, "tls_cert and tls_key belong together: give both");
	if (!c->pages.listen[0])
		return 0;
	if (!is_loopback(c->pages.listen, &numeric) && numeric && !c->daemon.token_file[0])
		return problem_parameter(why, 400, "pages listen", c->pages.listen,
					 "a loopback address, or token_file must be set");
	if (!numeric)
		return problem_parameter(why, 400, "pages listen", c->pages.listen,
					 "a numeric IPv4 or IPv6 address");
	return 0;
}

int config_check(const struct config *c, struct problem *why)
{
	bool numeric;

	if (!is_loopback(c->daemon.listen, &numeric) && numeric && !c->daemon.token_file[0])
		return problem_parameter(why, 400, "listen", c->daemon.listen,
					 "a loopback address, or token_file must be set");
	if (!numeric)
		return problem_parameter(why, 400, "listen", c->daemon.listen,
					 "a numeric IPv4 or IPv6 address");
	if (!c->daemon.run_dir[0] || !c->daemon.state_dir[0])
		return problem_set(why, 400, "run_dir and state_dir must not be empty");
	if (c->observe.namespace[0] && !service_name_valid(c->observe.namespace))
		return problem_parameter(
			why, 400, "namespace", c->observe.namespace,
			"letters, digits, '.', '_' and '-', not beginning with '.' or '-'");
	int err = check_ports(c, why) ?: check_pages(c, why);
	if (err)
		return err;
	if (c->observe.warmup_tick_ns > c->observe.tick_ns)
		return problem_set(why, 400, "warmup_tick is longer than tick");
	if (c->detect.shadow > c->detect.baseline)
		return problem_set(why, 400, "shadow is %u; it must not be more than baseline, %u",
				   c->detect.shadow, c->detect.baseline);
	if (!is_url_or_empty(c->llm.base_url))
		return problem_parameter(why, 400, "base_url", c->llm.base_url,
					 "an http:// or https:// URL");
	if (!*c->roles.detector_url || !is_url_or_empty(c->roles.detector_url))
		return problem_parameter(why, 400, "detector_url", c->roles.detector_url,
					 "an http:// or https:// URL");
	if (c->roles.node[0] && !service_name_valid(c->roles.node))
		return problem_parameter(
			why, 400, "node", c->roles.node,
			"letters, digits, '.', '_' and '-', not beginning with '.' or '-'");
	if (!is_url_or_empty(c->prometheus.url))
		return problem_parameter(why, 400, "url", c->prometheus.url,
					 "an http:// or https:// URL");
	if (!is_url_or_empty(c->otlp.endpoint))
		return problem_parameter(why, 400, "endpoint", c->otlp.endpoint,
					 "an http:// or https:// URL");
	for (size_t i = 0; i < c->nr_services; i++) {
		err = check_service(&c->services[i], why);
		if (err)
			return err;
	}
	return 0;
}
