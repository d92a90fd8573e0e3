// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/netfilter.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/util.h"
#include "kernel/fault_spawn.h"

#define TOOL_TIMEOUT_NS (10ULL * NSEC_PER_SEC)
#define ARGS_MAX 48
#define LINE_MAX_BYTES 1024

/* Every tool that may hold rules; the first of each family that is installed makes ours. */
static const struct {
	const char *tool, *save;
	bool v6;
} tools[] = {
	{ "iptables", "iptables-save", false },
	{ "iptables-legacy", "iptables-legacy-save", false },
	{ "iptables-nft", "iptables-nft-save", false },
	{ "ip6tables", "ip6tables-save", true },
	{ "ip6tables-legacy", "ip6tables-legacy-save", true },
	{ "ip6tables-nft", "ip6tables-nft-save", true },
};

struct args {
	const char *v[ARGS_MAX];
	size_t n;
};

static void arg(struct args *a, const char *s)
{
	if (a->n < ARGS_MAX - 1)
		a->v[a->n++] = s;
	a->v[a->n] = NULL;
}

static void args(struct args *a, const char *const *list)
{
	for (; *list; list++)
		arg(a, *list);
}

/* @verb: "-A" to append it, "-C" to ask whether it is there. */
static int one_rule(const char *tool, const char *verb, const struct netfilter_rule *r,
		    uint16_t port, struct buf *out)
{
	struct args a = { .n = 0 };
	char port_text[8], queue_text[8], comment[64];

	snprintf(port_text, sizeof(port_text), "%u", port);
	snprintf(queue_text, sizeof(queue_text), "%u", r->queue);
	snprintf(comment, sizeof(comment), NETFILTER_COMMENT "%s", r->id);
	args(&a,
	     (const char *const[]){ tool, "-w", "5", "-t", "mangle", verb, "OUTPUT", "-p", "tcp",
				    "--sport", port_text, NULL });
	if (r->cgroup && r->cgroup[0])
		args(&a, (const char *const[]){ "-m", "cgroup", "--path", r->cgroup, NULL });
	args(&a,
	     (const char *const[]){ "-m", "comment", "--comment", comment, "-j", "NFQUEUE",
				    "--queue-num", queue_text, "--queue-bypass", NULL });
	return fault_spawn(a.v, TOOL_TIMEOUT_NS, out);
}

static void words(char *why, size_t len, const char *text)
{
	size_t n = strcspn(text, "\n");

	if (why && len)
		snprintf(why, len, "%.*s", (int)MIN(n, len - 1), text);
}

static int add_family(bool v6, const struct netfilter_rule *r, char *why, size_t why_len)
{
	char path[FAULT_SPAWN_PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		if (tools[i].v6 != v6 || !fault_spawn_find(tools[i].tool, path))
			continue;

		struct buf out;
		int ret = 0;

		buf_init(&out, 4096);
		for (size_t p = 0; p < r->nr_ports && ret == 0; p++)
			ret = one_rule(path, "-A", r, r->ports[p], &out);
		if (ret)
			words(why, why_len, buf_str(&out));
		buf_release(&out);
		return ret > 0 ? -EIO : ret;
	}
	return -ENOTSUP;
}

static bool have_ipv6(void)
{
	return access("/proc/thread-self/net/if_inet6", R_OK) == 0;
}

int netfilter_add(const struct netfilter_rule *r, char *why, size_t why_len)
{
	if (why && why_len)
		why[0] = '\0';
	int err = add_family(false, r, why, why_len);
	if (!err && have_ipv6())
		err = add_family(true, r, why, why_len);
	if (err)
		netfilter_remove(r->id);
	return err;
}

/* ---- reading back */

/* Split a line of …-save at blanks, honouring its double quotes; in place. */
static size_t split(char *line, char **word, size_t max)
{
	size_t n = 0;
	char *to = line;

	for (char *s = line; *s && n < max;) {
		while (*s == ' ')
			s++;
		if (!*s)
			break;
		word[n++] = to;
		for (bool quoted = false; *s && (quoted || *s != ' '); s++) {
			if (*s == '"')
				quoted = !quoted;
			else if (*s == '\\' && s[1])
				*to++ = *++s;
			else
				*to++ = *s;
		}
		if (*s)
			s++;
		*to++ = '\0';
	}
	return n;
}

/* Is this "-A" line a rule of ours (of fault @id, where one is given)? The comment must be a whole word. */
static bool is_ours(char *const *word, size_t n, const char *id)
{
	size_t prefix = strlen(NETFILTER_COMMENT);

	if (n < 3 || strcmp(word[0], "-A") != 0)
		return false;
	for (size_t i = 1; i + 1 < n; i++)
		if (!strcmp(word[i], "--comment") &&
		    !strncmp(word[i + 1], NETFILTER_COMMENT, prefix))
			return !id || !strcmp(word[i + 1] + prefix, id);
	return false;
}

static int delete_rule(const char *tool, const char *table, char *const *word, size_t n)
{
	struct args a = { .n = 0 };

	args(&a, (const char *const[]){ tool, "-w", "5", "-t", table, "-D", NULL });
	for (size_t i = 1; i < n; i++)
		arg(&a, word[i]);
	int ret = fault_spawn(a.v, TOOL_TIMEOUT_NS, NULL);
	return ret > 0 ? -EIO : ret;
}

enum what { COUNT_OURS, COUNT_OTHERS, REMOVE };

/* One tool's rules. Returns how many matched, or -errno. */
static int scan(const char *tool, char *saved, const char *id, enum what what)
{
	char table[32] = "";
	int nr = 0, err = 0;

	for (char *line = saved, *next; line && *line; line = next) {
		char *word[ARGS_MAX - 8];

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (*line == '*')
			snprintf(table, sizeof(table), "%.31s", line + 1);
		if (strncmp(line, "-A ", 3) != 0 || strlen(line) > LINE_MAX_BYTES)
			continue;

		size_t n = split(line, word, ARRAY_SIZE(word));
		bool ours = is_ours(word, n, id);
		if (what == COUNT_OTHERS) {
			nr += !is_ours(word, n, NULL);
		} else if (ours) {
			int e = what == REMOVE ? delete_rule(tool, table, word, n) : 0;

			nr += !e;
			err = e ? e : err;
		}
	}
	return err ? err : nr;
}

static int each_tool(const char *id, enum what what)
{
	int nr = 0, err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		char tool[FAULT_SPAWN_PATH_MAX], save[FAULT_SPAWN_PATH_MAX],
			base[FAULT_SPAWN_PATH_MAX];

		/* "iptables" is a link to one of the other two: its rules are found there, once. */
		bool generic = !strchr(tools[i].tool, '-');
		if (!fault_spawn_find(tools[i].tool, tool) ||
		    !fault_spawn_find(tools[i].save, save))
			continue;
		snprintf(base, sizeof(base), "%s-nft", tools[i].tool);
		char unused[FAULT_SPAWN_PATH_MAX];
		if (generic && fault_spawn_find(base, unused))
			continue;

		struct buf out;
		buf_init(&out, FAULT_SPAWN_OUTPUT_MAX);
		int ret = fault_spawn((const char *const[]){ save, NULL }, TOOL_TIMEOUT_NS, &out);
		if (ret > 0)
			ret = -EIO;
		if (ret == 0 && out.len)
			ret = scan(tool, out.data, id, what);
		buf_release(&out);
		if (ret < 0)
			err = ret;
		else
			nr += ret;
	}
	return err ? err : nr;
}

int netfilter_remove(const char *id)
{
	return each_tool(id, REMOVE);
}

int netfilter_count(const char *id)
{
	return each_tool(id, COUNT_OURS);
}

int netfilter_others(void)
{
	return each_tool(NULL, COUNT_OTHERS);
}

/* ---- probing */

/*
 * Without CAP_SYS_ADMIN there is no namespace to try it in. Asking for a rule that cannot be there
 * makes nothing, and already needs the kernel's word on the target and the match: status 1 is "no
 * such rule", 2 an option that is not known (NFQUEUE's or the match's revision is missing), 3 or 4 rights.
 */
static int ask_only(struct netfilter_rule *r)
{
	char path[FAULT_SPAWN_PATH_MAX];
	int works = 0;

	if (!fault_spawn_find("iptables", path))
		return 0;
	if (one_rule(path, "-C", r, r->ports[0], NULL) == 1)
		works |= 1;
	r->cgroup = "/";
	if (works && one_rule(path, "-C", r, r->ports[0], NULL) == 1)
		works |= 2;
	return works;
}

/*
 * Tried in a child with a network namespace of its own: the user's rules are
 * not touched by a question. Exit status: bit 0 a plain rule works, bit 1 one
 * with a cgroup match.
 */
static int probe_child(void)
{
	static const uint16_t port = 1;
	struct netfilter_rule r = { .id = "probe", .ports = &port, .nr_ports = 1, .queue = 1 };
	int works = 0;

	if (unshare(CLONE_NEWNET) < 0)
		return ask_only(&r);
	if (netfilter_add(&r, NULL, 0) == 0)
		works |= 1;
	r.cgroup = "/";
	if (works && netfilter_add(&r, NULL, 0) == 0)
		works |= 2;
	return works;
}

static int probe(void)
{
	static int works = -1;

	if (works >= 0)
		return works;
	pid_t pid = fork();
	if (pid < 0)
		return 0;
	if (pid == 0)
		_exit(probe_child());

	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	works = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	return works;
}

bool netfilter_available(const char **why)
{
	char path[FAULT_SPAWN_PATH_MAX];

	if (!fault_spawn_find("iptables", path)) {
		*why = "iptables is not installed";
		return false;
	}
	if (probe() & 1)
		return true;
	*why = "this kernel's netfilter has no NFQUEUE target that iptables can use";
	return false;
}

bool netfilter_cgroup_match(void)
{
	return probe() & 2;
}
