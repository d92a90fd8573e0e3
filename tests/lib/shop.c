// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/lib/shop.h"

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/util.h"

#define ANSWER_MAX (4 << 20)

const char *shop_path(const char *name)
{
	static char paths[16][PATH_MAX + 64];
	static unsigned int next;
	char *path = paths[next++ % ARRAY_SIZE(paths)];
	const char *build = getenv("ARCHAIC_BUILD");
	char cwd[PATH_MAX];

	if (!getcwd(cwd, sizeof(cwd)))
		fail_msg("no working directory: %s", strerror(errno));
	if (build && *build == '/')
		snprintf(path, sizeof(paths[0]), "%.2000s/bin/%s", build, name);
	else
		snprintf(path, sizeof(paths[0]), "%.2000s/%.1000s/bin/%s", cwd, build ?: "build",
			 name);
	return path;
}

static void become(const char *log, const char *const *argv, const char *const *env)
{
	static char bin[PATH_MAX + 80];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int fd = log ? open(log, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	/* For the scripts, which take what lies beside them else. */
	snprintf(bin, sizeof(bin), "ARCHAIC_BIN=%s", shop_path(""));
	putenv(bin);
	for (size_t i = 0; env && env[i]; i++)
		putenv((char *)(uintptr_t)env[i]);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	dprintf(STDERR_FILENO, "cannot start %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

pid_t proc_start(const char *log, const char *const *argv, const char *const *env)
{
	pid_t pid = fork();

	if (pid < 0)
		fail_msg("fork: %s", strerror(errno));
	if (!pid)
		become(log, argv, env);
	return pid;
}

int proc_end(pid_t pid, int sig, unsigned ms)
{
	uint64_t until_ns = clock_mono_ns() + ms * NSEC_PER_MSEC;
	int status;

	if (sig)
		kill(pid, sig);
	do {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		usleep(2000);
	} while (clock_mono_ns() < until_ns);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -1;
}

int proc_run(const char *const *argv, const char *const *env, unsigned ms, const char **out)
{
	static char text[256 << 10];
	char path[] = "/tmp/test-output-XXXXXX";
	CLEANUP(closep) int fd = mkstemp(path);

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	int status = proc_end(proc_start(path, argv, env), 0, ms);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	unlink(path);
	text[n > 0 ? n : 0] = '\0';
	*out = text;
	if (status < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool wait_true(bool (*ready)(void *), void *ctx, unsigned ms)
{
	uint64_t until_ns = clock_mono_ns() + ms * NSEC_PER_MSEC;

	while (!ready(ctx)) {
		if (clock_mono_ns() > until_ns)
			return false;
		usleep(10000);
	}
	return true;
}

static bool healthy(void *url)
{
	return http_status("GET", url, NULL, NULL) == 200;
}

pid_t proc_service(const char *name, uint16_t port, const char *log, const char *const *env)
{
	char binary[64], text[8], url[64];

	snprintf(binary, sizeof(binary), "%s-service", name);
	snprintf(text, sizeof(text), "%u", port);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/health", port);
	const char *argv[] = { shop_path(binary), "--port", text, NULL };
	pid_t pid = proc_start(log, argv, env);
	if (!wait_true(healthy, url, 10000)) {
		proc_end(pid, SIGKILL, 1000);
		if (log)
			file_show(log);
		fail_msg("%s is not healthy after 10 s", argv[0]);
	}
	return pid;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	return buf_add(ctx, data, size * n) ? 0 : size * n;
}

static void take_header(const char *line, size_t len, const char *name, char ret[static 64])
{
	size_t skip = strlen(name);

	if (len <= skip || strncasecmp(line, name, skip) != 0)
		return;
	snprintf(ret, 64, "%.*s", (int)(len - skip), line + skip);
	ret[strcspn(ret, "\r\n")] = '\0';
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct http_answer *a = ctx;

	take_header(line, size * n, "X-Trace-ID: ", a->trace_id);
	take_header(line, size * n, "Allow: ", a->allow);
	return size * n;
}

void http(const char *method, const char *url, const char *body, const char *const *headers,
	  struct http_answer *ret)
{
	struct curl_slist *list = curl_slist_append(NULL, "Expect:");
	struct buf b;
	long status = 0;
	const char *why;
	uint64_t start_ns = clock_mono_ns();

	*ret = (struct http_answer){ 0 };
	buf_init(&b, ANSWER_MAX);
	for (size_t i = 0; headers && headers[i]; i++)
		list = curl_slist_append(list, headers[i]);
	CURL *c = curl_easy_init();
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	if (!strcmp(method, "HEAD"))
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	if (body)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 30000L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &b);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, ret);
	if (curl_easy_perform(c) == CURLE_OK)
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	ret->took_ms = (double)(clock_mono_ns() - start_ns) / 1e6;
	ret->status = (int)status;
	if (json_parse(buf_str(&b), b.len, &ret->json, &why))
		ret->json = NULL;
	ret->body = buf_take(&b);
	curl_easy_cleanup(c);
	curl_slist_free_all(list);
}

void http_release(struct http_answer *a)
{
	free(a->body);
	cJSON_Delete(a->json);
	a->body = NULL;
	a->json = NULL;
}

int http_status(const char *method, const char *url, const char *body, const char *const *headers)
{
	struct http_answer a;

	http(method, url, body, headers, &a);
	http_release(&a);
	return a.status;
}

bool file_has(const char *path, const char *text)
{
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	char line[8192];

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, text))
			return true;
	return false;
}

void file_show(const char *path)
{
	CLEANUP(fclosep) FILE *f = fopen(path, "re");
	char tail[4096] = "";

	if (f && fseek(f, 1 - (long)sizeof(tail), SEEK_END))
		rewind(f);
	size_t n = f ? fread(tail, 1, sizeof(tail) - 1, f) : 0;
	tail[n] = '\0';
	print_error("---- %s\n%s----\n", path, tail);
}

/* Hybrid machines have the second. */
static const char *const v2_mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

bool cgroup_exists(const char *path)
{
	char full[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(v2_mounts); i++) {
		snprintf(full, sizeof(full), "%s%s/cgroup.procs", v2_mounts[i], path);
		if (!access(full, F_OK))
			return true;
	}
	return false;
}

void cgroup_sweep(const char *parent)
{
	char full[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(v2_mounts); i++) {
		snprintf(full, sizeof(full), "%s%s", v2_mounts[i], parent);
		DIR *d = opendir(full);
		for (struct dirent *e; d && (e = readdir(d));)
			if (e->d_type == DT_DIR && e->d_name[0] != '.')
				unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
		if (d)
			closedir(d);
		rmdir(full);
	}
}
