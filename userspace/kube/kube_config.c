// SPDX-License-Identifier: GPL-2.0-or-later
#include "kube/kube_config.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "kube/kube_yaml.h"

struct reader {
	const char *folder;
	char *why;
	size_t why_size;
};

static int fail(const struct reader *r, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int fail(const struct reader *r, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, r->why_size, fmt, ap);
	va_end(ap);
	return err;
}

int kube_read_file(const char *path, size_t max, char **ret)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(buf_release) struct buf b;
	char block[4096];
	ssize_t n;

	buf_init(&b, max);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, block, sizeof(block))) > 0) {
		int err = buf_add(&b, block, (size_t)n);
		if (err)
			return err;
	}
	if (n < 0)
		return -errno;
	char *text = buf_take(&b);
	if (!text)
		return -ENOMEM;
	*ret = text;
	return 0;
}

static void wipe(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

void kube_config_release(struct kube_config *c)
{
	wipe(&c->ca);
	wipe(&c->cert);
	wipe(&c->key);
	wipe(&c->token);
	*c = (struct kube_config){ 0 };
}

/* ---- pieces */

static bool loopback(const char *host)
{
	static const char *const names[] = { "127.0.0.1", "localhost", "[::1]" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);
		if (!strncmp(host, names[i], n) && (!host[n] || host[n] == ':' || host[n] == '/'))
			return true;
	}
	return false;
}

static int set_server(const struct reader *r, const char *server, struct kube_config *c)
{
	bool tls = server && !strncmp(server, "https://", 8);
	bool plain = server && !strncmp(server, "http://", 7) && loopback(server + 7);

	if (!tls && !plain)
		return fail(r, -EINVAL,
			    "the cluster's server must be https:// (http:// only to loopback)");
	size_t len = strlen(server);
	while (len && server[len - 1] == '/')
		len--;
	/* A user or a query in it would go out with every call. */
	if (len >= sizeof(c->server) || strcspn(server, "@?#\\ \"'<>\r\n\t") != strlen(server))
		return fail(r, -EINVAL, "the cluster's server is no address that is accepted");
	snprintf(c->server, sizeof(c->server), "%.*s", (int)len, server);
	return 0;
}

static int set_namespace(const struct reader *r, const char *name, struct kube_config *c)
{
	if (!name || !*name)
		name = "default";
	if (strlen(name) >= sizeof(c->namespace_) ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name))
		return fail(r, -EINVAL, "the namespace has no valid name");
	snprintf(c->namespace_, sizeof(c->namespace_), "%s", name);
	return 0;
}

static int decode(const struct reader *r, const char *name, const char *text, char **ret)
{
	size_t len = strlen(text), got = 0;
	CLEANUP(freep) char *out = NULL;

	if (len > 2 * KUBE_PEM_MAX)
		return fail(r, -EMSGSIZE, "%s is too long", name);
	out = calloc(1, len + 1);
	if (!out)
		return fail(r, -ENOMEM, "out of memory");
	if (sodium_base642bin((unsigned char *)out, len, text, len, " \r\n", &got, NULL,
			      sodium_base64_VARIANT_ORIGINAL) ||
	    strlen(out) != got)
		return fail(r, -EINVAL, "%s is not base64 of a text", name);
	*ret = TAKE_PTR(out);
	return 0;
}

static int path_of(const struct reader *r, const char *name, char *ret, size_t size)
{
	int n = *name == '/' || !*r->folder ? snprintf(ret, size, "%s", name) :
					      snprintf(ret, size, "%s/%s", r->folder, name);

	return n < 0 || (size_t)n >= size ? fail(r, -EINVAL, "a file's name is too long") : 0;
}

/* "NAME-data" in base64, else the file that "NAME" names. -ENOENT: neither. */
static int read_pem(const struct reader *r, const cJSON *from, const char *name, char **ret)
{
	char data_name[64], path[KUBE_PATH_MAX];

	snprintf(data_name, sizeof(data_name), "%s-data", name);
	const char *data = json_str(from, data_name), *file = json_str(from, name);
	if (data && *data)
		return decode(r, data_name, data, ret);
	if (!file || !*file)
		return -ENOENT;
	int err = path_of(r, file, path, sizeof(path));
	if (err)
		return err;
	err = kube_read_file(path, KUBE_PEM_MAX, ret);
	return err ? fail(r, err == -ENOENT ? -EINVAL : err, "%s: %s", path, strerror(-err)) : 0;
}

/* ---- a kubeconfig */

static int refuse(const struct reader *r, const cJSON *from, const char *const *names)
{
	for (; *names; names++) {
		const cJSON *j = cJSON_GetObjectItemCaseSensitive(from, *names);
		const char *text = cJSON_GetStringValue(j);
		if (j && !cJSON_IsNull(j) && !cJSON_IsFalse(j) && !(text && !*text))
			return fail(r, -EINVAL, "%s is not accepted", *names);
	}
	return 0;
}

/* The item of that name of one of a kubeconfig's lists, and of it the member @what. */
static const cJSON *named(const cJSON *root, const char *list, const char *name, const char *what)
{
	const cJSON *i;

	cJSON_ArrayForEach(i, cJSON_GetObjectItemCaseSensitive(root, list)) {
		const char *n = json_str(i, "name");
		if (name && n && !strcmp(n, name))
			return cJSON_GetObjectItemCaseSensitive(i, what);
	}
	return NULL;
}

static int read_cluster(const struct reader *r, const cJSON *cluster, struct kube_config *c)
{
	static const char *const refused[] = { "insecure-skip-tls-verify", "proxy-url",
					       "tls-server-name", NULL };
	int err = refuse(r, cluster, refused);

	if (!err)
		err = set_server(r, json_str(cluster, "server"), c);
	if (!err) {
		err = read_pem(r, cluster, "certificate-authority", &c->ca);
		err = err == -ENOENT ? 0 : err;
	}
	return err;
}

static int read_token(const struct reader *r, const cJSON *user, struct kube_config *c)
{
	const char *token = json_str(user, "token"), *file = json_str(user, "tokenFile");

	/* kubectl: the file wins, it may rotate. */
	if (file && *file)
		return path_of(r, file, c->token_file, sizeof(c->token_file));
	if (!token || !*token)
		return 0;
	if (strlen(token) > KUBE_TOKEN_MAX || strpbrk(token, " \r\n\t"))
		return fail(r, -EINVAL, "the token is none");
	c->token = strdup(token);
	return c->token ? 0 : fail(r, -ENOMEM, "out of memory");
}

static int read_user(const struct reader *r, const cJSON *user, struct kube_config *c)
{
	static const char *const refused[] = {
		"exec",   "auth-provider", "username",      "password", "as",
		"as-uid", "as-groups",     "as-user-extra", NULL
	};
	int err = refuse(r, user, refused);

	if (!err) {
		err = read_pem(r, user, "client-certificate", &c->cert);
		err = err == -ENOENT ? 0 : err;
	}
	if (!err && c->cert) {
		err = read_pem(r, user, "client-key", &c->key);
		if (err == -ENOENT)
			return fail(r, -EINVAL, "a client-certificate without a client-key");
	}
	return err ? err : read_token(r, user, c);
}

static int read_root(const struct reader *r, const cJSON *root, struct kube_config *c)
{
	const char *current = json_str(root, "current-context");
	const cJSON *context = named(root, "contexts", current, "context");

	if (!cJSON_IsObject(context))
		return fail(r, -EINVAL, "it has no current-context that is among its contexts");
	const cJSON *cluster = named(root, "clusters", json_str(context, "cluster"), "cluster");
	if (!cJSON_IsObject(cluster))
		return fail(r, -EINVAL, "the current context's cluster is not among its clusters");
	const cJSON *user = named(root, "users", json_str(context, "user"), "user");
	if (!cJSON_IsObject(user))
		return fail(r, -EINVAL, "the current context's user is not among its users");
	int err = read_cluster(r, cluster, c);
	if (!err)
		err = read_user(r, user, c);
	if (!err)
		err = set_namespace(r, json_str(context, "namespace"), c);
	return err;
}

int kube_config_parse(const char *text, size_t len, const char *folder, struct kube_config *ret,
		      char *why, size_t why_size)
{
	const struct reader r = { folder, why, why_size };
	CLEANUP(json_freep) cJSON *root = NULL;
	CLEANUP(kube_config_release) struct kube_config c = { 0 };
	int err = kube_yaml_parse(text, len, &root, why, why_size);

	if (!err)
		err = read_root(&r, root, &c);
	if (err)
		return err;
	*ret = c;
	c = (struct kube_config){ 0 };
	return 0;
}

int kube_config_file(const char *path, struct kube_config *ret, char *why, size_t why_size)
{
	const struct reader r = { "", why, why_size };
	CLEANUP(wipe) char *text = NULL;
	char folder[KUBE_PATH_MAX], said[256];
	const char *slash = strrchr(path, '/');
	int err = kube_read_file(path, KUBE_YAML_MAX, &text);

	if (err)
		return fail(&r, err, "%s: %s", path, strerror(-err));
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 0, path);
	/* "/config": the folder is the root, and "" would mean the current one. */
	if (slash == path)
		snprintf(folder, sizeof(folder), "/.");
	err = kube_config_parse(text, strlen(text), folder, ret, said, sizeof(said));
	return err ? fail(&r, err, "%s: %s", path, said) : 0;
}

/* ---- a service account */

int kube_config_account(const char *folder, const char *host, const char *port,
			struct kube_config *ret, char *why, size_t why_size)
{
	const struct reader r = { folder ?: KUBE_ACCOUNT_FOLDER, why, why_size };
	CLEANUP(kube_config_release) struct kube_config c = { 0 };
	CLEANUP(freep) char *name = NULL;
	char path[KUBE_PATH_MAX], server[KUBE_SERVER_MAX];

	host = host ?: getenv("KUBERNETES_SERVICE_HOST");
	port = port ?: getenv("KUBERNETES_SERVICE_PORT");
	if (!host || !*host || !port || !*port)
		return fail(&r, -ENOENT, "not in a pod: KUBERNETES_SERVICE_HOST is not set");
	snprintf(server, sizeof(server), strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s",
		 host, port);
	int err = set_server(&r, server, &c);
	if (!err)
		err = path_of(&r, "token", c.token_file, sizeof(c.token_file));
	if (!err && access(c.token_file, R_OK))
		err = fail(&r, -errno, "%s: %s", c.token_file, strerror(errno));
	if (!err)
		err = path_of(&r, "ca.crt", path, sizeof(path));
	if (!err && (err = kube_read_file(path, KUBE_PEM_MAX, &c.ca)))
		err = fail(&r, err, "%s: %s", path, strerror(-err));
	if (!err)
		err = path_of(&r, "namespace", path, sizeof(path));
	if (!err && kube_read_file(path, KUBE_NAMESPACE_MAX, &name) == 0)
		name[strcspn(name, " \r\n")] = '\0';
	if (!err)
		err = set_namespace(&r, name, &c);
	if (err)
		return err;
	*ret = c;
	c = (struct kube_config){ 0 };
	return 0;
}

int kube_config_load(const char *path, struct kube_config *ret, char *why, size_t why_size)
{
	return path && *path ? kube_config_file(path, ret, why, why_size) :
			       kube_config_account(NULL, NULL, NULL, ret, why, why_size);
}
