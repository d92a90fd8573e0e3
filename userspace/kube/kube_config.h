/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kube_config.h - where the Kubernetes API is, whom to trust there, and who we are.
 *
 * From a pod's service account, or from a kubeconfig: YAML as kubectl writes it (kube_yaml.h) or
 * JSON. Of a kubeconfig its current context is taken: cluster.server, certificate-authority(-data);
 * user.client-certificate(-data) with client-key(-data), or token, or tokenFile; context.namespace.
 * File names are taken relative to the kubeconfig, as kubectl does.
 * Refused by name, since each would mean something else than what is asked for: exec,
 * auth-provider, username and password, insecure-skip-tls-verify, proxy-url, tls-server-name,
 * impersonation. http:// is taken to a loopback address alone.
 */
#ifndef ARCHAIC_KUBE_CONFIG_H
#define ARCHAIC_KUBE_CONFIG_H

#include <stddef.h>

#define KUBE_SERVER_MAX 256
#define KUBE_NAMESPACE_MAX 64
#define KUBE_PATH_MAX 512
#define KUBE_PEM_MAX (64u << 10)
#define KUBE_TOKEN_MAX (16u << 10)
#define KUBE_ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

struct kube_config {
	char server[KUBE_SERVER_MAX]; /* "https://10.0.0.1:6443", without a slash at the end */
	char namespace_[KUBE_NAMESPACE_MAX]; /* "default" where nothing is said */
	char *ca, *cert, *key;               /* PEM, owned; NULL: none */
	char *token;                         /* owned; NULL: none */
	char token_file[KUBE_PATH_MAX];      /* read anew for each call: it rotates. "": none */
};

/**
 * kube_config_account() - the service account of the pod that we run in.
 * @folder: NULL takes KUBE_ACCOUNT_FOLDER. @host, @port: of the API; NULL takes KUBERNETES_SERVICE_HOST
 * and KUBERNETES_SERVICE_PORT. @ret: on success only; release it. @why: a sentence on failure.
 * 0, -ENOENT (not in a pod), -EINVAL, -EMSGSIZE, -ENOMEM, or open()'s error.
 */
int kube_config_account(const char *folder, const char *host, const char *port,
			struct kube_config *ret, char *why, size_t why_size);

/** kube_config_file() - a kubeconfig. Errors as above. */
int kube_config_file(const char *path, struct kube_config *ret, char *why, size_t why_size);

/** kube_config_parse() - its text. @folder: of file names that are relative; "" for the current one. */
int kube_config_parse(const char *text, size_t len, const char *folder, struct kube_config *ret,
		      char *why, size_t why_size);

/** kube_config_load() - @path where one is given (not NULL, not ""), else the service account. */
int kube_config_load(const char *path, struct kube_config *ret, char *why, size_t why_size);

/** kube_config_release() - wipes keys and tokens. May be said twice. */
void kube_config_release(struct kube_config *c);

/** kube_read_file() - the whole of a small file, NUL-terminated, owned by the caller. 0, -EMSGSIZE, -ENOMEM or -errno. */
int kube_read_file(const char *path, size_t max, char **ret);

#endif
