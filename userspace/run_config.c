// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "run_daemon.h"

static void copy_names(const struct config_list *from, char to[][SERVICE_NAME_MAX], size_t max,
		       size_t *nr)
{
	for (*nr = 0; *nr < from->nr && *nr < max; (*nr)++)
		snprintf(to[*nr], SERVICE_NAME_MAX, "%s", from->item[*nr]);
}

/* The key's first line. The environment's key is read for Gemini alone: a key there is no permission to send anything. */
static int read_key(const struct config *c, char key[static LLM_KEY_MAX])
{
	const char *env = c->llm.provider == CONFIG_LLM_GEMINI ? getenv("GEMINI_API_KEY") : NULL;

	if (!*c->llm.key_file) {
		snprintf(key, LLM_KEY_MAX, "%s", env ? env : "");
		return 0;
	}
	CLEANUP(fclosep) FILE *f = fopen(c->llm.key_file, "re");
	if (!f || !fgets(key, LLM_KEY_MAX, f)) {
		log_error("cannot read the model's key from %s: %s", c->llm.key_file,
			  strerror(errno));
		return -EINVAL;
	}
	key[strcspn(key, "\r\n")] = '\0';
	return 0;
}

struct provider {
	enum llm_format format;
	const char *name, *base, *model;
};

static const struct provider providers[] = {
	[CONFIG_LLM_NONE] = { LLM_OFF, "none", "", "" },
	[CONFIG_LLM_GEMINI] = { LLM_GEMINI, "gemini", "https://generativelanguage.googleapis.com",
				"gemini-2.5-flash" },
	[CONFIG_LLM_OPENAI] = { LLM_OPENAI, "openai", "http://127.0.0.1:11434", "default" },
};

void run_model_says(const struct config *c, char *says, size_t size)
{
	const struct provider *p = &providers[c->llm.provider];

	if (p->format == LLM_OFF)
		snprintf(
			says, size,
			"no model is configured: the built-in playbook plans, and nothing is sent anywhere");
	else
		snprintf(
			says, size,
			"for each incident numbers and opaque ids, no names, paths or bodies, are sent to %s (%s)",
			*c->llm.base_url ? c->llm.base_url : p->base, p->name);
}

static int llm_from(const struct config *c, struct llm_config *l)
{
	const struct provider *p = &providers[c->llm.provider];
	const char *why = NULL;

	llm_config_default(l);
	l->format = p->format;
	if (l->format == LLM_OFF)
		return 0;
	snprintf(l->base, sizeof(l->base), "%s", *c->llm.base_url ? c->llm.base_url : p->base);
	snprintf(l->model, sizeof(l->model), "%.63s", *c->llm.model ? c->llm.model : p->model);
	l->timeout_ms = (uint32_t)(c->llm.timeout_ns / NSEC_PER_MSEC);
	l->answer_tokens_max = c->llm.max_tokens;
	l->daily_cap = c->llm.daily_cap;
	int err = read_key(c, l->key);
	if (!err && !llm_config_check(l, &why)) {
		log_error("[llm]: %s", why);
		err = -EINVAL;
	}
	return err;
}

void run_limits_config(const struct config *c, struct guard_limits *guard,
		       struct verify_limits *verify)
{
	guard->cooldown_ns = c->remediate.cooldown_ns;
	guard->per_hour = c->remediate.max_actions_per_hour;
	guard->per_incident = c->remediate.max_actions_per_incident;
	guard->blast_ratio = c->remediate.max_share;
	copy_names(&c->remediate.protect, guard->protected_, GUARD_NAMES_MAX, &guard->nr_protected);
	verify->window_ns = c->remediate.verify_within_ns;
	verify->settle_ns = c->remediate.settle_ns;
}

enum guard_mode run_mode(const struct config *c)
{
	static const enum guard_mode modes[] = {
		[CONFIG_MODE_OBSERVE] = GUARD_OBSERVE,
		[CONFIG_MODE_SUGGEST] = GUARD_SUGGEST,
		[CONFIG_MODE_AUTO_SAFE] = GUARD_AUTO_SAFE,
		[CONFIG_MODE_AUTO] = GUARD_AUTO,
	};

	return modes[c->daemon.mode];
}

int run_engine_config(const struct config *c, struct engine_config *ret)
{
	engine_config_default(ret);
	ret->mode = run_mode(c);
	run_limits_config(c, &ret->guard, &ret->verify);
	return llm_from(c, &ret->llm);
}

static uint32_t allowed_types(const struct config_list *types)
{
	uint32_t bits = 0;

	for (int t = 0; t < NR_FAULT_TYPES; t++)
		if (!types->nr || config_list_has(types, fault_types()[t].name))
			bits |= 1U << t;
	return bits;
}

void run_faults_config(const struct config *c, struct faults_config *ret)
{
	faults_config_default(ret);
	snprintf(ret->run_dir, sizeof(ret->run_dir), "%s", c->daemon.run_dir);
	ret->max_duration_ns = c->faults.max_duration_ns;
	ret->max_intensity = c->faults.max_intensity;
	ret->max_delay_ns = c->faults.max_delay_ns;
	ret->allowed_types = c->faults.enabled ? allowed_types(&c->faults.types) : 0;
}
