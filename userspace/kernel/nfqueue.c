// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel/nfqueue.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/util.h"

#define NAME "archaic-verdict" /* undo.h knows it too */
#define COPY_BYTES 128         /* the largest IP header and TCP header that we understand */
#define QUEUE_MAX 65536
#define SOCKET_BYTES (8 << 20)
#define STOP_TIMEOUT_NS (2 * NSEC_PER_SEC)

/* ---- configuring a queue */

static struct nlmsghdr *message(char *buf, uint8_t type, uint16_t flags, uint16_t queue)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type);
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(queue);
	return nlh;
}

static int ask(struct mnl_socket *nl, struct nlmsghdr *nlh)
{
	char answer[8192];

	nlh->nlmsg_flags |= NLM_F_ACK;
	nlh->nlmsg_seq = 1;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	ssize_t n = mnl_socket_recvfrom(nl, answer, sizeof(answer));
	if (n < 0)
		return -errno;
	return mnl_cb_run(answer, (size_t)n, 1, mnl_socket_get_portid(nl), NULL, NULL) < 0 ?
		-errno :
		0;
}

static int bind_queue(struct mnl_socket *nl, uint16_t queue)
{
	char buf[256];
	struct nlmsghdr *nlh = message(buf, NFQNL_MSG_CONFIG, 0, queue);
	struct nfqnl_msg_config_cmd cmd = { .command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_INET) };

	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(cmd), &cmd);
	return ask(nl, nlh);
}

static int set_params(struct mnl_socket *nl, uint16_t queue)
{
	char buf[256];
	struct nlmsghdr *nlh = message(buf, NFQNL_MSG_CONFIG, 0, queue);
	struct nfqnl_msg_config_params params = { .copy_range = htonl(COPY_BYTES),
						  .copy_mode = NFQNL_COPY_PACKET };
	uint32_t flags = NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO;

	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, htonl(QUEUE_MAX));
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(flags));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(flags));
	return ask(nl, nlh);
}

static void mnl_closep(struct mnl_socket **nl)
{
	if (*nl)
		mnl_socket_close(*nl);
}

/* The first free number; a queue belongs to one socket, so a taken one answers EBUSY or EPERM. */
static int open_queue(struct mnl_socket **ret, uint16_t *queue)
{
	int one = 1, size = SOCKET_BYTES, err = -EBUSY;

	CLEANUP(mnl_closep) struct mnl_socket *nl =
		mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* Without this a burst would stop us with ENOBUFS; what is dropped is dropped either way (and FAIL_OPEN passes it). */
	mnl_socket_setsockopt(nl, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));

	for (uint16_t q = NFQUEUE_FIRST; q < NFQUEUE_FIRST + NFQUEUE_TRIES; q++) {
		err = bind_queue(nl, q);
		if (err == -EBUSY || err == -EPERM)
			continue;
		if (!err)
			err = set_params(nl, q);
		if (err)
			return err == -EINVAL || err == -EOPNOTSUPP ? -ENOTSUP : err;
		*queue = q;
		*ret = TAKE_PTR(nl);
		return 0;
	}
	return err == -EPERM ? -EPERM : -EBUSY;
}

bool nfqueue_available(const char **why)
{
	CLEANUP(mnl_closep) struct mnl_socket *nl = NULL;
	uint16_t queue;

	if (open_queue(&nl, &queue) == 0)
		return true;
	*why = "this kernel has no nfnetlink_queue, or all of our queue numbers are taken";
	return false;
}

/* ---- the holder */

struct holder {
	struct mnl_socket *nl;
	uint16_t queue;
	int conns_fd, pipe_fd;
	void *value;
	const struct fault_ctl *ctl;
	struct nfqueue_page *page;
	struct nfqueue_heap *heap;
};

static void accept_packet(struct holder *h, uint32_t packet_id)
{
	char buf[128];
	struct nlmsghdr *nlh = message(buf, NFQNL_MSG_VERDICT, 0, h->queue);
	struct nfqnl_msg_verdict_hdr v = { .verdict = htonl(NF_ACCEPT), .id = htonl(packet_id) };

	mnl_attr_put(nlh, NFQA_VERDICT_HDR, sizeof(v), &v);
	while (mnl_socket_sendto(h->nl, nlh, nlh->nlmsg_len) < 0 && errno == EINTR)
		;
}

/* One store at a time by the daemon's heartbeat: read each field once. */
static bool is_armed(const struct fault_ctl *c)
{
	uint64_t now = clock_boot_ns();

	return now < __atomic_load_n(&c->lease_end_ns, __ATOMIC_RELAXED) &&
		now < __atomic_load_n(&c->deadline_ns, __ATOMIC_RELAXED);
}

static uint64_t release_of(struct holder *h, const struct fault_tuple *t)
{
	struct fault_conn_head head;

	if (bpf_map_lookup_elem(h->conns_fd, t, h->value) < 0)
		return 0;
	memcpy(&head, h->value, sizeof(head));
	return head.release_ns;
}

static void judge(struct holder *h, uint32_t packet_id, const uint8_t *data, size_t len)
{
	struct fault_tuple t;
	bool payload;

	atomic_fetch_add(&h->page->seen, 1);
	if (!nfqueue_dissect(data, len, &t, &payload) || !payload || !is_armed(h->ctl)) {
		accept_packet(h, packet_id);
		return;
	}
	uint64_t release = release_of(h, &t);

	if (release <= clock_mono_ns() && !nfqueue_heap_holds(h->heap, &t)) {
		accept_packet(h, packet_id);
	} else if (nfqueue_heap_add(h->heap, &t, release, packet_id)) {
		atomic_fetch_add(&h->page->delayed, 1);
	} else {
		atomic_fetch_add(&h->page->full, 1);
		accept_packet(h, packet_id);
	}
}

static int on_packet(const struct nlmsghdr *nlh, void *ctx)
{
	struct holder *h = ctx;
	const struct nfqnl_msg_packet_hdr *header = NULL;
	const uint8_t *data = NULL;
	size_t len = 0;
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFQA_PACKET_HDR &&
		    mnl_attr_get_payload_len(a) >= sizeof(*header)) {
			header = mnl_attr_get_payload(a);
		} else if (mnl_attr_get_type(a) == NFQA_PAYLOAD) {
			data = mnl_attr_get_payload(a);
			len = mnl_attr_get_payload_len(a);
		}
	}
	if (header)
		judge(h, ntohl(header->packet_id), data, len);
	return MNL_CB_OK;
}

/* Everything that has come; returns when there is no more. */
static void receive(struct holder *h)
{
	static char buf[1 << 17];

	for (int i = 0; i < 256; i++) {
		ssize_t n = recv(mnl_socket_get_fd(h->nl), buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ENOBUFS)
			atomic_fetch_add(&h->page->lost, 1);
		if (n <= 0)
			return;
		mnl_cb_run(buf, (size_t)n, 0, 0, on_packet, h);
	}
}

static void release_due(struct holder *h, uint64_t now_ns)
{
	uint32_t id;

	while (nfqueue_heap_take(h->heap, now_ns, &id))
		accept_packet(h, id);
	atomic_store(&h->page->held, nfqueue_heap_size(h->heap));
}

/* True: the daemon's end of the pipe is gone. */
static bool wait_for_something(struct holder *h)
{
	struct pollfd p[2] = {
		{ .fd = mnl_socket_get_fd(h->nl), .events = POLLIN },
		{ .fd = h->pipe_fd, .events = POLLIN },
	};
	uint64_t now = clock_mono_ns(), first = nfqueue_heap_first(h->heap);
	uint64_t wait = first == UINT64_MAX ? NFQUEUE_TURN_NS :
		first > now                 ? MIN(first - now, NFQUEUE_TURN_NS) :
					      0;
	struct timespec t = { .tv_sec = 0, .tv_nsec = (long)wait };

	return ppoll(p, 2, &t, NULL) > 0 && (p[1].revents & (POLLHUP | POLLERR | POLLIN));
}

static _Noreturn void hold(struct holder *h)
{
	for (;;) {
		bool broken = wait_for_something(h);

		receive(h);
		release_due(h, broken || !is_armed(h->ctl) ? UINT64_MAX : clock_mono_ns());
		atomic_store(&h->page->alive_ns, clock_boot_ns());
		if (broken)
			_exit(0);
	}
}

/* Keep 0..2 (made /dev/null) and the three given; close the rest. */
static void close_all_but(int a, int b, int c)
{
	int keep[3] = { a, b, c };
	unsigned int from = 3;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	for (int i = 0; i < 3; i++)
		for (int k = i + 1; k < 3; k++)
			if (keep[k] < keep[i]) {
				int t = keep[i];

				keep[i] = keep[k];
				keep[k] = t;
			}
	for (int i = 0; i < 3; i++) {
		if ((unsigned int)keep[i] > from)
			close_range(from, (unsigned int)keep[i] - 1, 0);
		from = MAX(from, (unsigned int)keep[i] + 1);
	}
	close_range(from, ~0U, 0);
}

static _Noreturn void child(struct holder *h)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, NAME);
	prctl(PR_SET_TIMERSLACK, 1);
	close_all_but(mnl_socket_get_fd(h->nl), h->conns_fd, h->pipe_fd);
	if (chdir("/") < 0)
		_exit(1);
	hold(h);
}

/* ---- the daemon's side */

static int fork_holder(struct holder *h, struct nfqueue *ret)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	h->pipe_fd = p[0];
	pid_t pid = fork();
	if (pid == 0)
		child(h);
	int err = pid < 0 ? -errno : 0;
	close(p[0]);
	if (err) {
		close(p[1]);
		return err;
	}
	ret->pid = pid;
	ret->pipe_fd = p[1];
	return 0;
}

static void heap_freep(struct nfqueue_heap **h)
{
	nfqueue_heap_free(*h);
}

int nfqueue_start(int conns_fd, size_t value_size, const struct fault_ctl *ctl, struct nfqueue *ret)
{
	CLEANUP(mnl_closep) struct mnl_socket *nl = NULL;
	struct nfqueue q = { .pipe_fd = -1 };

	int err = open_queue(&nl, &q.queue);
	if (err)
		return err;
	CLEANUP(heap_freep) struct nfqueue_heap *heap = nfqueue_heap_new(NFQUEUE_HELD_MAX);
	CLEANUP(freep) void *value = malloc(value_size);
	if (!heap || !value)
		return -ENOMEM;
	void *page = mmap(NULL, sizeof(*q.page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	if (page == MAP_FAILED)
		return -errno;
	q.page = page;
	atomic_store(&q.page->alive_ns, clock_boot_ns());

	/* The child's copies of socket, heap and value are its own; ours go with this frame. */
	struct holder h = {
		.nl = nl,
		.queue = q.queue,
		.conns_fd = conns_fd,
		.value = value,
		.ctl = ctl,
		.page = q.page,
		.heap = heap,
	};
	err = fork_holder(&h, &q);
	if (err) {
		munmap(page, sizeof(*q.page));
		return err;
	}
	*ret = q;
	return 0;
}

bool nfqueue_alive(struct nfqueue *q, uint64_t now_boot_ns)
{
	if (q->pid <= 0)
		return false;
	if (waitpid(q->pid, NULL, WNOHANG) != 0) {
		q->pid = 0;
		return false;
	}
	/* A holder that somebody stopped hangs what it holds: as good as dead, and killed by nfqueue_stop(). */
	return atomic_load(&q->page->alive_ns) + 20 * NFQUEUE_TURN_NS > now_boot_ns;
}

void nfqueue_stop(struct nfqueue *q)
{
	if (q->pipe_fd >= 0)
		close(q->pipe_fd);
	q->pipe_fd = -1;
	if (q->pid > 0) {
		uint64_t until = clock_mono_ns() + STOP_TIMEOUT_NS;
		pid_t got;

		while ((got = waitpid(q->pid, NULL, WNOHANG)) == 0 && clock_mono_ns() < until)
			poll(NULL, 0, 1);
		if (got == 0) {
			kill(q->pid, SIGKILL);
			waitpid(q->pid, NULL, 0);
		}
		q->pid = 0;
	}
	if (q->page)
		munmap(q->page, sizeof(*q->page));
	q->page = NULL;
}
