// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>

#include "base/text.h"
#include "base/util.h"
#include "tools/load/commands.h"
#include "tools/load/crowd.h"
#include "tools/load/hurt.h"
#include "tools/load/options.h"
#include "tools/load/show.h"

#define URL_SIZE 256
#define MARGIN_NS (30 * NSEC_PER_SEC) /* faults outlive the run by so much at most */

enum service { AUTH, DB, PRODUCT, PAYMENT, NR_SERVICES };

struct run {
	struct crowd_options crowd;
	struct shape shape;
	char urls[NR_SERVICES][URL_SIZE];
	uint64_t users, duration_ns; /* of `steady` */
	uint64_t slow_ns, squeeze_ns;
	struct threshold thresholds[THRESHOLDS_MAX];
	unsigned int nr_thresholds;
	bool with_failures, json, json_lines;
	struct report report;
	struct show show;
	struct tally tally;
};

static int take_url(struct run *r, enum service s, const char *value, const char **allowed)
{
	struct target t;
	size_t len = strlen(value);

	while (len && value[len - 1] == '/')
		len--;
	if (len >= URL_SIZE) {
		*allowed = "shorter";
		return -EINVAL;
	}
	snprintf(r->urls[s], URL_SIZE, "%.*s", (int)len, value);
	if (target_parse(r->urls[s], &t, allowed))
		return -EINVAL;
	if (strcmp(t.path, "/") != 0) {
		*allowed = "an address without a path";
		return -EINVAL;
	}
	return 0;
}

static int take_auth(void *ctx, const char *value, const char **allowed)
{
	return take_url(ctx, AUTH, value, allowed);
}

static int take_db(void *ctx, const char *value, const char **allowed)
{
	return take_url(ctx, DB, value, allowed);
}

static int take_product(void *ctx, const char *value, const char **allowed)
{
	return take_url(ctx, PRODUCT, value, allowed);
}

static int take_payment(void *ctx, const char *value, const char **allowed)
{
	return take_url(ctx, PAYMENT, value, allowed);
}

static int take_failures(void *ctx, const char *value, const char **allowed)
{
	(void)value, (void)allowed;
	((struct run *)ctx)->with_failures = true;
	return 0;
}

static int take_users(void *ctx, const char *value, const char **allowed)
{
	*allowed = "1 to 1000";
	return text_to_u64(value, 1, SHAPE_USERS_MAX, &((struct run *)ctx)->users);
}

static int take_rate(void *ctx, const char *value, const char **allowed)
{
	*allowed = "0.1 to 10000";
	return text_to_double(value, 0.1, 10000, &((struct run *)ctx)->crowd.rate_per_s);
}

static int take_time(const char *value, uint64_t max_ns, uint64_t *ret)
{
	return text_to_duration_ns(value, ret) || *ret < NSEC_PER_MSEC || *ret > max_ns ? -EINVAL :
											  0;
}

static int take_duration(void *ctx, const char *value, const char **allowed)
{
	*allowed = "1ms to 24h";
	return take_time(value, 86400 * NSEC_PER_SEC, &((struct run *)ctx)->duration_ns);
}

static int take_slow(void *ctx, const char *value, const char **allowed)
{
	*allowed = "1ms to 1h";
	return take_time(value, 3600 * NSEC_PER_SEC, &((struct run *)ctx)->slow_ns);
}

static int take_squeeze(void *ctx, const char *value, const char **allowed)
{
	*allowed = "100ms to 1h";
	if (take_time(value, 3600 * NSEC_PER_SEC, &((struct run *)ctx)->squeeze_ns))
		return -EINVAL;
	return ((struct run *)ctx)->squeeze_ns < 100 * NSEC_PER_MSEC ? -EINVAL : 0;
}

static int take_timeout(void *ctx, const char *value, const char **allowed)
{
	*allowed = "1ms to 1h";
	return take_time(value, 3600 * NSEC_PER_SEC, &((struct run *)ctx)->crowd.timeout_ns);
}

static int take_threshold(void *ctx, const char *value, const char **allowed)
{
	struct run *r = ctx;

	*allowed = "one of at most 16";
	if (r->nr_thresholds == THRESHOLDS_MAX ||
	    threshold_parse(value, &r->thresholds[r->nr_thresholds], allowed))
		return -EINVAL;
	r->nr_thresholds++;
	return 0;
}

static int take_json(void *ctx, const char *value, const char **allowed)
{
	(void)value, (void)allowed;
	((struct run *)ctx)->json = true;
	return 0;
}

static int take_json_lines(void *ctx, const char *value, const char **allowed)
{
	(void)value, (void)allowed;
	((struct run *)ctx)->json_lines = true;
	return 0;
}

static const struct options_entry entries[] = {
	{ 0, "with-failures", NULL, "timeout at .2 on db and error at .1 on auth, for the run",
	  take_failures },
	{ 0, "json", NULL, "the summary as JSON", take_json },
	{ 0, "json-lines", NULL, "a JSON object a second, the summary at the end",
	  take_json_lines },
	{ 0, "threshold", "EXPR", "in place of the shape's own; may be said again",
	  take_threshold },
	{ 0, "timeout", "TIME", "a user's patience; default 15s", take_timeout },
	{ 0, "slow", "TIME", "with --json-lines: a line for each that takes so long, or fails",
	  take_slow },
	{ 0, "squeeze", "TIME", "the shape's stages within so long", take_squeeze },
	{ 0, "auth-url", "URL", "default AUTH_SERVICE_URL, else http://127.0.0.1:8001", take_auth },
	{ 0, "db-url", "URL", "default DB_SERVICE_URL, else …:8002", take_db },
	{ 0, "product-url", "URL", "default PRODUCT_SERVICE_URL, else …:8003", take_product },
	{ 0, "payment-url", "URL", "default PAYMENT_SERVICE_URL, else …:8004", take_payment },
	{ 0, "users", "N", "steady only: 1 to 1000; default 16", take_users },
	{ 0, "duration", "TIME", "steady only; default 60s", take_duration },
	{ 0, "rate", "R", "steady only: requests a second of all together, no pauses", take_rate },
};

static const struct options_command command = {
	.usage = "usage: archaic-load run normal|spike|endurance|stress|steady [OPTION...]",
	.says = "Users of the demo shop: each signs up, then logs in, lists products, adds one to the cart,\n"
		"looks at it and checks out, again and again, over keep-alive connections. How many at what\n"
		"time is the shape's: archaic-load shapes. steady is so many users at a set rate.",
	.ends = "Exit status: 0 all thresholds hold, 99 one does not, 1 could not run, 2 usage,\n"
		"130 or 143 stopped by Ctrl-C or SIGTERM. Faults armed by --with-failures are reset at the\n"
		"end whatever happens, and end by themselves 30 s later.\n\n"
		"EXAMPLES\n"
		"  archaic-load run normal\n"
		"  archaic-load run stress --with-failures --json | jq '.thresholds'\n"
		"  archaic-load run steady --users 8 --rate 50 --duration 5m --json-lines --slow 500ms\n",
	.entries = entries,
	.nr = ARRAY_SIZE(entries),
};

static int second(void *ctx, const struct tally *t, unsigned int users, uint64_t now_ns)
{
	struct run *r = ctx;

	(void)t;
	r->report.users = users;
	int err = show_second(&r->show, &r->report, now_ns);

	r->report.second_slow = 0;
	return err;
}

static void ended(void *ctx, const struct crowd_request *rq)
{
	struct run *r = ctx;

	bool slow = r->slow_ns && rq->ended_ns - rq->started_ns >= r->slow_ns;

	r->report.second_slow += slow;
	if (slow || (r->slow_ns && rq->failed))
		show_request(&r->show, rq);
}

static int usage(const char *what, const char *why)
{
	fprintf(stderr, "%.200s: %s\n", what, why);
	return -EINVAL;
}

/* From the environment; options come later. */
static int init(struct run *r)
{
	static const struct {
		const char *env, *fallback;
	} urls[NR_SERVICES] = { { "AUTH_SERVICE_URL", "http://127.0.0.1:8001" },
				{ "DB_SERVICE_URL", "http://127.0.0.1:8002" },
				{ "PRODUCT_SERVICE_URL", "http://127.0.0.1:8003" },
				{ "PAYMENT_SERVICE_URL", "http://127.0.0.1:8004" } };
	const char *why = "";

	r->crowd = (struct crowd_options){ .per_login = 1,
					   .timeout_ns = 15 * NSEC_PER_SEC,
					   .second = second,
					   .ended = ended,
					   .ctx = r };
	for (int i = 0; i < NR_SERVICES; i++) {
		const char *url = getenv(urls[i].env);

		if (take_url(r, (enum service)i, url && *url ? url : urls[i].fallback, &why))
			return usage(urls[i].env, why);
	}
	return 0;
}

static int steady(struct run *r)
{
	struct shape *s = &r->shape;
	const char *why;

	*s = (struct shape){ .name = "steady",
			     .start_users = (unsigned int)(r->users ?: 16),
			     .nr_stages = 1,
			     .step_pause_ns = 200 * NSEC_PER_MSEC,
			     .pause_ns = NSEC_PER_SEC,
			     .grace_ns = NSEC_PER_SEC,
			     .nr_thresholds = 1 };
	s->stages[0] = (struct shape_stage){ r->duration_ns ?: 60 * NSEC_PER_SEC, s->start_users };
	/* A background of users, not a test of it; and log-ins, each a hash, must not drown the shop's own work. */
	r->crowd.per_login = r->crowd.rate_per_s ? 200 : 1;
	return threshold_parse("http_req_failed:rate<1", &s->thresholds[0], &why);
}

static int complete(struct run *r, const char *name)
{
	bool is_steady = name && !strcmp(name, "steady");

	if (!name)
		return usage("a shape is missing", "normal, spike, endurance, stress or steady");
	if (!is_steady && (r->users || r->duration_ns || r->crowd.rate_per_s))
		return usage(name, "--users, --duration and --rate go with steady only");
	if (is_steady ? steady(r) : shape_find(name, r->with_failures, &r->shape))
		return usage(
			name,
			"there is no such shape; there are normal, spike, endurance, stress and steady");
	if (r->squeeze_ns)
		shape_squeeze(&r->shape, r->squeeze_ns);
	if (r->nr_thresholds) {
		memcpy(r->shape.thresholds, r->thresholds, sizeof(r->thresholds));
		r->shape.nr_thresholds = r->nr_thresholds;
	}
	r->crowd.shape = &r->shape;
	r->report = (struct report){ .t = &r->tally,
				     .shape = r->shape.name,
				     .planned_ns = shape_duration_ns(&r->shape),
				     .users_max = shape_users_max(&r->shape),
				     .with_failures = r->with_failures,
				     .thresholds = r->shape.thresholds,
				     .nr_thresholds = r->shape.nr_thresholds };
	show_init(&r->show, r->json, r->json_lines);
	return 0;
}

static int connect_all(struct run *r)
{
	static const enum service of[NR_PARTS] = {
		[PART_AUTH] = AUTH, [PART_PRODUCT] = PRODUCT, [PART_PAYMENT] = PAYMENT
	};
	const char *why;

	for (int i = 0; i < NR_PARTS; i++) {
		const char *url = r->urls[of[i]];
		struct target *t = &r->crowd.targets[i];
		int err = target_parse(url, t, &why) ?: target_connect(t, 5000);

		if (!err)
			continue;
		fprintf(stderr,
			"archaic-load: %s cannot be reached at %s: %s (make up starts the services)\n",
			journey_part_name((enum part)i), url,
			err == -ENOENT ? "no such host" : strerror(-err));
		return err;
	}
	return 0;
}

static int prepare_random(struct run *r)
{
	uint64_t random[2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	r->crowd.seed = random[0] | 1;
	snprintf(r->crowd.run, sizeof(r->crowd.run), "%08" PRIx32, (uint32_t)random[1]);
	return 0;
}

/* With the faults armed, where they are wanted, and reset whatever comes. */
static int go(struct run *r, int *sig)
{
	const char *db = r->urls[DB], *auth = r->urls[AUTH];
	char why[512];
	int err = 0;

	if (r->with_failures)
		err = hurt_arm(db, auth, r->report.planned_ns + r->shape.grace_ns + MARGIN_NS, why,
			       sizeof(why));
	if (err) {
		fprintf(stderr, "archaic-load: no faults, no run: %s\n", why);
		return err;
	}
	err = crowd_run(&r->crowd, &r->tally, sig);
	int reset = r->with_failures ? hurt_reset(db, auth, why, sizeof(why)) : 0;
	if (reset)
		fprintf(stderr,
			"archaic-load: the faults could not be reset (they end by themselves): %s\n",
			why);
	if (err == -EINTR)
		err = 0;
	if (err)
		fprintf(stderr, "archaic-load: %s\n", strerror(-err));
	return err ?: reset;
}

int command_run(int argc, char **argv)
{
	static struct run r; /* histograms: too large for a stack */
	const char *name;
	sigset_t set;
	int sig = 0;

	if (init(&r))
		return LOAD_USAGE;
	int err = options_read(&command, argc, argv, &r, &name);
	if (err)
		return err > 0 ? 0 : LOAD_USAGE;
	if (complete(&r, name))
		return LOAD_USAGE;
	/* From here on a signal waits for the loop: no fault is left armed by one that comes in between. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (prepare_random(&r) || connect_all(&r) || go(&r, &sig))
		return LOAD_COULD_NOT;
	r.report.stopped = sig;
	r.report.users = 0;
	if (show_summary(&r.show, &r.report))
		return LOAD_COULD_NOT;
	if (sig)
		return LOAD_SIGNAL + sig;
	return report_passed(&r.report) ? LOAD_PASSED : LOAD_BROKEN;
}
