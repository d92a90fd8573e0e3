// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What doctor says, in sentences: which back end each fault and metric gets and
 * why not the one before it, who is in the way, and what to do about what is missing.
 * Each look is a process of its own, since what a kernel can is asked once in a process; the
 * tests that take something away come first, before this process has asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"
#include "fault_rig.h"
#include "kernel/fault_spawn.h"
#include "serve/doctor.h"

#define NOBODY 65534

static struct fault_rig rig;
static bool available;

static int setup(void **state)
{
	(void)state;
	available = fault_rig_available("test_fault_doctor");
	if (available)
		fault_rig_start(&rig, AF_INET);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (available)
		fault_rig_stop(&rig);
	return 0;
}

static void need_root(void)
{
	if (!available)
		skip();
}

static void as_is(void)
{
}

/* The report of a process that has done @prepare before. Owned by the caller. */
static cJSON *look(void (*prepare)(void))
{
	static char text[65536];
	size_t n = 0;
	const char *why;
	cJSON *report = NULL;
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		cJSON *j = NULL;

		prepare();
		char *said = doctor_probe(&j) ? NULL : cJSON_PrintUnformatted(j);
		_exit(said && write(p[1], said, strlen(said)) > 0 ? 0 : 1);
	}
	close(p[1]);
	for (ssize_t got; (got = read(p[0], text + n, sizeof(text) - n)) > 0;)
		n += (size_t)got;
	close(p[0]);
	waitpid(pid, NULL, 0);
	assert_int_equal(json_parse(text, n, &report, &why), 0);
	return report;
}

static const cJSON *item(const cJSON *report, const char *area, const char *name)
{
	const cJSON *i;

	cJSON_ArrayForEach(i, cJSON_GetObjectItem(report, "items"))
		if (!strcmp(json_str(i, "area"), area) && !strcmp(json_str(i, "name"), name))
			return i;
	fail_msg("no %s in %s", name, area);
	return NULL;
}

static bool is_ok(const cJSON *item)
{
	return cJSON_IsTrue(cJSON_GetObjectItem(item, "ok"));
}

/* Is there a conflict that says @a, with advice? */
static bool has_conflict(const cJSON *report, const char *a)
{
	const cJSON *i;

	cJSON_ArrayForEach(i, cJSON_GetObjectItem(report, "items"))
		if (!strcmp(json_str(i, "area"), "conflicts") && strstr(json_str(i, "says"), a)) {
			print_message("%s → %s\n", json_str(i, "says"), json_str(i, "advice"));
			return json_str(i, "advice") != NULL;
		}
	return false;
}

/* Sentences; and whatever does not work, or works in a second-best way, says what to do. */
static void assert_advised(const cJSON *report)
{
	const cJSON *i;

	cJSON_ArrayForEach(i, cJSON_GetObjectItem(report, "items")) {
		const char *says = json_str(i, "says");

		assert_true(says && strlen(says) > 3);
		if ((!is_ok(i) || strstr(says, "Not by")) && !json_str(i, "advice"))
			fail_msg("no advice for: %s %s", json_str(i, "name"), says);
	}
}

static const char *const types[] = { "timeout", "error", "bad_data", "cpu", "crash", "loss" };

/* What doctor says is what arming takes. */
static void assert_backends_are_those_of_arming(const cJSON *report)
{
	fault_rig_faults(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const cJSON *said = item(report, "faults", types[i]);
		struct fault_request req;
		struct problem p = { 0 };
		struct fault f;
		char body[96];
		const char *why;
		CLEANUP(json_freep) cJSON *j = NULL;

		snprintf(body, sizeof(body), "{\"type\":\"%s\"%s}", types[i],
			 !strcmp(types[i], "loss") ? ",\"params\":{\"percent\":1}" : "");
		assert_int_equal(json_parse(body, strlen(body), &j, &why), 0);
		assert_int_equal(fault_request_parse(j, &req, &p), 0);
		int err = faults_arm(rig.faults, &req, &rig.service, true, &f, &p);
		print_message("%-9s %-11s %s\n", types[i], json_str(said, "backend") ?: "-",
			      json_str(said, "says"));
		if (!err != is_ok(said))
			fail_msg("arming says: %s", p.detail);
		if (!err)
			assert_string_equal(json_str(said, "backend"), f.backend);
	}
	faults_free(rig.faults);
	rig.faults = NULL;
}

static void test_fault_doctor_says_what_arming_takes(void **state)
{
	(void)state;
	need_root();
	CLEANUP(json_freep) cJSON *report = look(as_is);

	assert_true(is_ok(item(report, "machine", "rights")));
	assert_true(is_ok(item(report, "machine", "BTF")));
	assert_true(is_ok(item(report, "machine", "cgroup v2")));
	assert_non_null(json_str(item(report, "metrics", "requests"), "backend"));
	item(report, "metrics", "tasks");
	/* A namespace of our own has nobody in it, but the v1 hierarchies are the machine's. */
	assert_false(has_conflict(report, "netfilter") || has_conflict(report, "root qdisc"));
	assert_advised(report);
	assert_backends_are_those_of_arming(report);
}

static void tool(const char *const *argv)
{
	char path[FAULT_SPAWN_PATH_MAX];
	const char *v[16] = { path };

	assert_true(fault_spawn_find(argv[0], path));
	for (size_t i = 1; argv[i]; i++)
		v[i] = argv[i];
	assert_int_equal(fault_spawn(v, 10 * NSEC_PER_SEC, NULL), 0);
}
#define TOOL(...) tool((const char *const[]){ __VA_ARGS__, NULL })

static void test_fault_doctor_sees_a_foreign_qdisc(void **state)
{
	(void)state;
	need_root();
	TOOL("tc", "qdisc", "replace", "dev", "lo", "root", "handle", "77:", "pfifo");
	CLEANUP(json_freep) cJSON *report = look(as_is);

	assert_true(has_conflict(report, "lo has a root qdisc of somebody else (pfifo)"));
	assert_string_equal(json_str(item(report, "faults", "timeout"), "backend") ?: "-",
			    "nfqueue");
	assert_non_null(strstr(json_str(item(report, "faults", "timeout"), "says"), "Not by fq: "));
	assert_advised(report);
	/* And arming does the same, and leaves it alone. */
	assert_backends_are_those_of_arming(report);
	TOOL("tc", "qdisc", "del", "dev", "lo", "root", "handle", "77:", "pfifo");
	CLEANUP(json_freep) cJSON *after = look(as_is);
	assert_false(has_conflict(after, "root qdisc"));
}

static void test_fault_doctor_sees_rules_of_others(void **state)
{
	(void)state;
	need_root();
	TOOL("iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "ACCEPT");
	TOOL("ip6tables", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "ACCEPT");
	/* One of ours is nobody's conflict. */
	TOOL("iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-m", "comment", "--comment",
	     "archaic-ebpf:f-test", "-j", "ACCEPT");
	CLEANUP(json_freep) cJSON *report = look(as_is);
	assert_true(has_conflict(report, "2 netfilter rules of others"));
	assert_false(has_conflict(report, "managed"));

	TOOL("iptables", "-N", "ufw-before-output");
	TOOL("ip6tables", "-N", "f2b-sshd");
	CLEANUP(json_freep) cJSON *managed = look(as_is);
	assert_true(has_conflict(managed, "is managed by ufw, fail2ban"));
	assert_advised(managed);

	static const char *const tables[] = { "iptables", "ip6tables" };
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		TOOL(tables[i], "-F");
		TOOL(tables[i], "-X");
	}
	CLEANUP(json_freep) cJSON *after = look(as_is);
	assert_false(has_conflict(after, "netfilter") || has_conflict(after, "managed"));
}

/* ---- nftables, with no nft installed: a batch of one message */

static struct nlmsghdr *nft_message(char *at, uint16_t type, uint16_t flags, uint8_t family,
				    uint16_t subsystem)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(at);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = 1;
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = (uint16_t)(subsystem << 8 | subsystem >> 8);
	return nlh;
}

static int nft_table(uint16_t what, uint16_t flags, const char *name)
{
	char buf[1024] = "", answer[4096];
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	char *at = buf;

	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -1;
	at += nft_message(at, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES)->nlmsg_len;
	struct nlmsghdr *nlh = nft_message(at, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what),
					   (uint16_t)(flags | NLM_F_ACK), NFPROTO_INET, 0);
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, name);
	at += nlh->nlmsg_len;
	at += nft_message(at, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES)->nlmsg_len;
	int r = mnl_socket_sendto(nl, buf, (size_t)(at - buf)) < 0 ? -1 : 0;
	if (!r) {
		ssize_t n = mnl_socket_recvfrom(nl, answer, sizeof(answer));

		r = n < 0 ? -1 :
			    mnl_cb_run(answer, (size_t)n, 1, mnl_socket_get_portid(nl), NULL, NULL);
	}
	mnl_socket_close(nl);
	return r;
}

static void test_fault_doctor_sees_nftables_of_others(void **state)
{
	(void)state;
	need_root();
	if (nft_table(NFT_MSG_NEWTABLE, NLM_F_CREATE, "firewalld") < 0) {
		print_message(
			"SKIP test_fault_doctor_sees_nftables_of_others: this kernel has no nf_tables\n");
		skip();
	}
	assert_true(nft_table(NFT_MSG_NEWTABLE, NLM_F_CREATE, "somebody") >= 0);
	CLEANUP(json_freep) cJSON *report = look(as_is);
	assert_true(has_conflict(report, "is managed by firewalld"));
	assert_true(has_conflict(report, "1 nftables tables of others"));
	assert_true(nft_table(NFT_MSG_DELTABLE, 0, "firewalld") >= 0);
	assert_true(nft_table(NFT_MSG_DELTABLE, 0, "somebody") >= 0);
	CLEANUP(json_freep) cJSON *after = look(as_is);
	assert_false(has_conflict(after, "nftables") || has_conflict(after, "managed"));
}

/* ---- a machine with less */

static void become_nobody(void)
{
	if (setgid(NOBODY) || setuid(NOBODY))
		_exit(2);
}

static void test_fault_doctor_says_what_root_is_for(void **state)
{
	(void)state;
	need_root();
	CLEANUP(json_freep) cJSON *report = look(become_nobody);

	assert_false(is_ok(item(report, "machine", "rights")));
	assert_non_null(strstr(json_str(item(report, "machine", "rights"), "advice"), "sudo"));
	assert_false(is_ok(item(report, "metrics", "all")));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i], "crash") != 0)
			assert_false(is_ok(item(report, "faults", types[i])));
	assert_advised(report);
}

static void lose_cgroup_v2(void)
{
	char line[4096], at[64][256];
	size_t n = 0;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		_exit(2);
	FILE *f = fopen("/proc/self/mountinfo", "re");
	while (f && n < ARRAY_SIZE(at) && fgets(line, sizeof(line), f))
		if (strstr(line, " - cgroup2 ") &&
		    sscanf(line, "%*s %*s %*s %*s %255s", at[n]) == 1)
			n++;
	while (n--)
		umount2(at[n], MNT_DETACH);
	if (f)
		fclose(f);
}

static void test_fault_doctor_says_what_cgroup_v2_is_for(void **state)
{
	(void)state;
	need_root();
	CLEANUP(json_freep) cJSON *report = look(lose_cgroup_v2);

	assert_false(is_ok(item(report, "machine", "cgroup v2")));
	assert_non_null(strstr(json_str(item(report, "machine", "cgroup v2"), "advice"), "mount"));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		const cJSON *fault = item(report, "faults", types[i]);
		bool alone = !strcmp(types[i], "cpu") || !strcmp(types[i], "crash");

		/* What acts on requests is drawn in a cgroup; the other two need none. */
		assert_int_equal(is_ok(fault), alone);
		if (!alone)
			assert_non_null(strstr(json_str(fault, "says"), "no cgroup v2 hierarchy"));
	}
	assert_advised(report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fault_doctor_says_what_root_is_for),
		cmocka_unit_test(test_fault_doctor_says_what_cgroup_v2_is_for),
		cmocka_unit_test(test_fault_doctor_says_what_arming_takes),
		cmocka_unit_test(test_fault_doctor_sees_a_foreign_qdisc),
		cmocka_unit_test(test_fault_doctor_sees_rules_of_others),
		cmocka_unit_test(test_fault_doctor_sees_nftables_of_others),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
