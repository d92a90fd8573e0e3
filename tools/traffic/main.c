// SPDX-License-Identifier: GPL-2.0-or-later
/* archaic-traffic: users of the demo shop at a set rate, and what they measure. */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/util.h"
#include "tools/traffic/tally.h"
#include "tools/traffic/user.h"

#define USERS_MAX 256
#define RATE_MAX 5000

struct options {
	struct traffic traffic;
	char urls[3][256];
	uint64_t users, duration_ns, slow_ms;
	bool help;
};

static const char usage[] =
	"usage: archaic-traffic [OPTION...]\n\n"
	"  --users N        at the same time, 1 to 256; default 16\n"
	"  --rate R         requests a second, of all users together, up to 5000; default 100\n"
	"  --duration TIME  then it stops by itself: 60, 90s, 5m; default 60s, at most 24h\n"
	"  --slow-ms MS     a request that takes so long gets a line of its own; default 500\n"
	"  --timeout TIME   a user's patience; default 15s\n"
	"  --urls A,P,C     of auth, product and payment; default AUTH_SERVICE_URL, PRODUCT_SERVICE_URL,\n"
	"                   PAYMENT_SERVICE_URL, else http://127.0.0.1:8001, :8003, :8004\n\n"
	"Prints one JSON object a second, and one for each slow or failed request. Exit status: 0 some\n"
	"request was answered well, 1 none, 2 usage.\n\n"
	"EXAMPLES\n"
	"  archaic-traffic --users 8 --rate 50 --duration 30s | jq -c 'select(.kind == \"second\")'\n";

static int take_url(struct options *o, size_t i, const char *url, size_t len)
{
	while (len && url[len - 1] == '/')
		len--;
	if (len < 8 || len >= sizeof(o->urls[i]) ||
	    (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)) {
		fprintf(stderr, "%.*s is no address; it must look like http://127.0.0.1:8001\n",
			(int)MIN(len, (size_t)200), url);
		return -EINVAL;
	}
	memcpy(o->urls[i], url, len);
	o->urls[i][len] = '\0';
	return 0;
}

static int take_urls(struct options *o, const char *list)
{
	for (size_t i = 0; i < 3; i++) {
		size_t len = strcspn(list, ",");
		if (take_url(o, i, list, len))
			return -EINVAL;
		list += len;
		if (i < 2 ? *list++ != ',' : *list != '\0') {
			fprintf(stderr, "--urls needs three addresses with commas between them\n");
			return -EINVAL;
		}
	}
	return 0;
}

static int default_urls(struct options *o)
{
	static const struct {
		const char *env, *fallback;
	} urls[3] = { { "AUTH_SERVICE_URL", "http://127.0.0.1:8001" },
		      { "PRODUCT_SERVICE_URL", "http://127.0.0.1:8003" },
		      { "PAYMENT_SERVICE_URL", "http://127.0.0.1:8004" } };

	for (size_t i = 0; i < 3; i++) {
		const char *url = getenv(urls[i].env);
		if (!url || !*url)
			url = urls[i].fallback;
		if (take_url(o, i, url, strlen(url)))
			return -EINVAL;
	}
	return 0;
}

static int complain(const char *name, const char *value, const char *allowed)
{
	fprintf(stderr, "--%s is %.64s; it must be %s\n", name, value, allowed);
	return -EINVAL;
}

static int take_option(struct options *o, int c, const char *value)
{
	uint64_t ns;

	switch (c) {
	case 'u':
		return text_to_u64(value, 1, USERS_MAX, &o->users) ?
			complain("users", value, "1 to 256") :
			0;
	case 'r':
		return text_to_double(value, 0.1, RATE_MAX, &o->traffic.rate_per_s) ?
			complain("rate", value, "0.1 to 5000") :
			0;
	case 'd':
		if (text_to_duration_ns(value, &o->duration_ns) || !o->duration_ns ||
		    o->duration_ns > 86400 * NSEC_PER_SEC)
			return complain("duration", value, "a time above 0, at most 24h");
		return 0;
	case 's':
		return text_to_u64(value, 1, 3600000, &o->slow_ms) ?
			complain("slow-ms", value, "1 to 3600000") :
			0;
	case 't':
		if (text_to_duration_ns(value, &ns) || ns < NSEC_PER_MSEC ||
		    ns > 3600 * NSEC_PER_SEC)
			return complain("timeout", value, "1ms to 1h");
		o->traffic.timeout_ms = (unsigned int)(ns / NSEC_PER_MSEC);
		return 0;
	case 'a':
		return take_urls(o, value);
	case 'h':
		o->help = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = { { "users", required_argument, NULL, 'u' },
					       { "rate", required_argument, NULL, 'r' },
					       { "duration", required_argument, NULL, 'd' },
					       { "slow-ms", required_argument, NULL, 's' },
					       { "timeout", required_argument, NULL, 't' },
					       { "urls", required_argument, NULL, 'a' },
					       { "help", no_argument, NULL, 'h' },
					       { 0 } };
	int c;

	*o = (struct options){ .users = 16,
			       .duration_ns = 60 * NSEC_PER_SEC,
			       .slow_ms = 500,
			       .traffic = { .rate_per_s = 100, .timeout_ms = 15000 } };
	if (default_urls(o))
		return -EINVAL;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		if (take_option(o, c, optarg))
			return -EINVAL;
	if (optind < argc) {
		fprintf(stderr, "unknown argument %s; see --help\n", argv[optind]);
		return -EINVAL;
	}
	o->traffic.auth_url = o->urls[0];
	o->traffic.product_url = o->urls[1];
	o->traffic.payment_url = o->urls[2];
	return 0;
}

/* One line a second until the end or a signal. */
static void watch(uint64_t duration_ns, const sigset_t *signals)
{
	uint64_t start_ns = clock_mono_ns(), next_ns = start_ns;

	while (next_ns < start_ns + duration_ns) {
		next_ns = MIN(next_ns + NSEC_PER_SEC, start_ns + duration_ns);
		uint64_t now_ns = clock_mono_ns(),
			 wait_ns = next_ns > now_ns ? next_ns - now_ns : 0;
		struct timespec ts = { .tv_sec = (time_t)(wait_ns / NSEC_PER_SEC),
				       .tv_nsec = (long)(wait_ns % NSEC_PER_SEC) };
		bool stop = sigtimedwait(signals, NULL, &ts) > 0;
		tally_second();
		if (stop)
			return;
	}
}

int main(int argc, char **argv)
{
	static struct options o;
	static struct user users[USERS_MAX];
	static pthread_t threads[USERS_MAX];
	sigset_t signals;
	uint64_t requests, errors, nr = 0;
	uint32_t random = (uint32_t)getpid();

	if (read_options(argc, argv, &o))
		return 2;
	if (o.help) {
		fputs(usage, stdout);
		return 0;
	}

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	curl_global_init(CURL_GLOBAL_ALL);
	if (getrandom(&random, sizeof(random), 0) < 0)
		fprintf(stderr, "no random numbers (%s): users are told apart by our pid\n",
			strerror(errno));
	snprintf(o.traffic.run, sizeof(o.traffic.run), "%08x", random);
	tally_init(stdout, o.slow_ms * NSEC_PER_MSEC);

	for (; nr < o.users; nr++) {
		users[nr] = (struct user){ .traffic = &o.traffic, .nr = (unsigned int)nr };
		if (pthread_create(&threads[nr], NULL, user_run, &users[nr])) {
			fprintf(stderr, "only %" PRIu64 " of %" PRIu64 " users could be started\n",
				nr, o.users);
			break;
		}
	}
	watch(o.duration_ns, &signals);
	user_stop_all();
	for (uint64_t i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	curl_global_cleanup();
	tally_totals(&requests, &errors);
	return requests > errors ? 0 : 1;
}
