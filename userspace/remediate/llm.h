/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * llm.h - one question to one model, in either of two wire formats, and an answer that we checked.
 *
 * Turns a diagnosis, its evidence and the offered actions into numbers and
 * opaque ids (svc_1, act a1), and a model's text into the id of an action that
 * was offered, or into a sentence that says why the playbook is taken instead.
 * Nothing that a model writes is executed; its only free text (why) is cleaned,
 * cut, and shown to people. Telemetry's own texts (names, paths, hosts) never
 * leave the machine. Off unless configured.
 *
 * The key lives in struct llm alone: it is not copied into requests' URLs,
 * errors or logs, and is wiped when freed.
 *
 * A ``` fence around the answer is tolerated (many small models write one whatever the
 * schema says, and it carries no meaning); any other text outside the object is refused.
 */
#ifndef ARCHAIC_LLM_H
#define ARCHAIC_LLM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/http_client.h"
#include "detect/anomaly.h"
#include "diagnose/diagnosis.h"
#include "remediate/action.h"
#include "remediate/plan.h"
#include "remediate/playbook.h"

#define LLM_EVIDENCE_MAX 16
#define LLM_SERVICES_MAX (DIAGNOSIS_CAUSES_MAX + DIAGNOSIS_VICTIMS_MAX)
#define LLM_KEY_MAX 512
#define LLM_URL_MAX 384
#define LLM_BODY_MAX (256 * 1024)
#define LLM_REQUEST_MAX (64 * 1024)
#define LLM_WHY_CHARS 300

enum llm_format { LLM_OFF, LLM_GEMINI, LLM_OPENAI };

/* What the endpoint was found to accept; falls one step at a time, and is remembered. */
enum llm_schema_mode { LLM_SCHEMA, LLM_JSON_OBJECT, LLM_PROMPT_ONLY };

struct llm_config {
	enum llm_format format;
	char base[256];              /* "https://host[:port][/path]"; no user, query or fragment */
	char model[PLAN_MODEL_MAX];  /* [A-Za-z0-9._:/-], no ".."; ':' and '/' not for Gemini */
	char key[LLM_KEY_MAX];       /* "": none is sent */
	uint32_t connect_timeout_ms; /* 2000 */
	uint32_t timeout_ms;         /* 15000: over all tries */
	unsigned retries;            /* 2 */
	unsigned daily_cap;          /* 200 calls of the endpoint in 24 h, tries included */
	unsigned prompt_tokens_max; /* 600, estimated at 3 bytes a token; evidence is left out until it fits */
	unsigned answer_tokens_max; /* 2048 */
	int thinking_budget;        /* Gemini thinkingConfig; -1: not sent */
	bool use_proxy;
};

/** llm_config_default() - off, the figures above. */
void llm_config_default(struct llm_config *c);

/**
 * llm_config_check() - is it usable? @why: static sentence when not.
 * http:// is taken only to a loopback host: a key must not cross a network in clear.
 */
bool llm_config_check(const struct llm_config *c, const char **why);

struct llm_evidence {
	char id[8]; /* "e1" */
	uint32_t service;
	enum feature feature;
	double value, normal, z;
};

struct llm_history {
	uint32_t service;
	enum action_kind kind;
	unsigned tried, verified, failed;
};

/* Everything the prompt is made of; plain data, no outside text but names for putting back. */
struct llm_question {
	char incident[16];
	struct diagnosis diagnosis;
	struct action actions[ACTIONS_MAX];
	size_t nr_actions;
	struct llm_evidence evidence[LLM_EVIDENCE_MAX];
	size_t nr_evidence;
	struct llm_history history[ACTIONS_MAX];
	size_t nr_history;
};

struct llm_answer {
	bool usable; /* action_id was offered and every range holds */
	char action_id[8];
	uint32_t root; /* service id that it named */
	enum fault_class resource;
	double confidence;                     /* 0..1 */
	char why[PLAN_WHY_MAX];                /* cleaned; opaque ids put back to names */
	char model[PLAN_MODEL_MAX];            /* as the endpoint called itself, or as configured */
	char because[224];                     /* when not usable: why, in words, without the key */
	unsigned calls;                        /* HTTP calls made */
	unsigned prompt_tokens, answer_tokens; /* as reported; 0: not */
};

/* ---- pure: request building */

/** llm_service_id() - the opaque id ("svc_2") of a service of the question; NULL where it is none. @text: 16 bytes. */
const char *llm_service_id(const struct llm_question *q, uint32_t service, char text[static 16]);

/** llm_prompt() - the two texts. Evidence that would go over @tokens_max is left out. 0 or buf's error. */
int llm_prompt(const struct llm_question *q, unsigned tokens_max, struct buf *system,
	       struct buf *user);

/** llm_request() - the JSON body. 0 or -ENOMEM/-EMSGSIZE. */
int llm_request(const struct llm_config *c, const struct llm_question *q, enum llm_schema_mode mode,
		struct buf *body);

/** llm_url() - @url: LLM_URL_MAX bytes. 0 or -EINVAL. Never holds the key. */
int llm_url(const struct llm_config *c, char url[static LLM_URL_MAX]);

/* ---- pure: response parsing */

struct llm_failure {
	bool retry;  /* may be worth another try */
	bool schema; /* the endpoint does not take this response format: fall one step */
	uint64_t retry_after_ns; /* asked for by the server; 0: not said */
	char because[224];       /* words */
};

/**
 * llm_extract() - an endpoint's answer -> the model's text.
 * @text: appended to. @model: the endpoint's name for itself, or untouched. @tokens: two numbers.
 * 0, or -EPROTO with @f filled.
 */
int llm_extract(enum llm_format format, int status, const char *body, size_t len, struct buf *text,
		char model[static PLAN_MODEL_MAX], unsigned tokens[2], struct llm_failure *f);

/** llm_retry_after() - a Retry-After value (whole seconds only) or a RetryInfo delay ("26s", "1.5s") in ns; 0: not understood. */
uint64_t llm_retry_after(const char *value, size_t len);

/** llm_validate() - the model's text against what was offered. True: @a is usable; else a->because says why. */
bool llm_validate(const struct llm_question *q, const char *text, size_t len, struct llm_answer *a);

/** llm_clean_why() - @in (valid UTF-8) without control and bidirectional-override characters, cut at 300 characters. */
void llm_clean_why(const char *in, char out[static PLAN_WHY_MAX]);

/* ---- the client */

struct llm;

/** llm_new() - @c is copied, its key included. 0, -EINVAL (llm_config_check() says no) or -ENOMEM. */
int llm_new(const struct llm_config *c, struct llm **ret);
void llm_free(struct llm *l);

/**
 * llm_ask() - ask; takes up to timeout_ms. One thread at a time: the worker.
 * @cancel: looked at about once a second; NULL: never.
 * 0 when a->usable, else -errno with a->because.
 */
int llm_ask(struct llm *l, const struct llm_question *q, const atomic_bool *cancel,
	    struct llm_answer *a);

/** llm_schema_mode() - what the endpoint was found to take. */
enum llm_schema_mode llm_schema_mode(const struct llm *l);

static inline void llm_freep(struct llm **l)
{
	llm_free(*l);
}

#endif
