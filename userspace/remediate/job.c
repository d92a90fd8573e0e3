// SPDX-License-Identifier: GPL-2.0-or-later
#include "remediate/job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "incident/archive.h"
#include "remediate/restart.h"

static int write_record(struct store *s, const struct record *r)
{
	return r->audit ?
		audit_append(s, r->at_ms, r->actor, r->state, r->json) :
		archive_save(s, r->id, r->state, r->at_ms, r->root[0] ? r->root : NULL, r->json);
}

static int write_records(const struct job *j, struct store *s)
{
	int err = 0;

	for (size_t k = 0; s && k < j->nr_records; k++) {
		int one = write_record(s, &j->records[k]);
		err = err ? err : one;
	}
	return err;
}

static void run_plan(struct job *j, const struct executor *x)
{
	if (x->llm) {
		j->err = llm_ask(x->llm, j->question, x->cancel, &j->answer);
		return;
	}
	j->err = -ENOTCONN;
	snprintf(j->answer.because, sizeof(j->answer.because), "no model is configured");
}

static void run_reset(struct job *j, const struct executor *x)
{
	if (!x->reset_fault) {
		j->err = -ENOTSUP;
		snprintf(j->says, sizeof(j->says), "faults cannot be reset here");
		return;
	}
	int n = x->reset_fault(x->ctx, j->action.target, j->action.target_name, j->says,
			       sizeof(j->says));
	j->err = n < 0 ? n : 0;
	j->acted = n > 0;
	if (j->says[0])
		return;
	if (n < 0)
		snprintf(j->says, sizeof(j->says), "the reset failed: %s", strerror(-n));
	else if (n == 0)
		snprintf(j->says, sizeof(j->says), "nothing was armed");
	else
		snprintf(j->says, sizeof(j->says), "%d fault%s disarmed", n, n == 1 ? "" : "s");
}

static void run_restart(struct job *j, const struct executor *x)
{
	if (x->restart)
		j->err = x->restart(x->ctx, &j->target, j->says, sizeof(j->says));
	else
		j->err = restart_process(&j->target, RESTART_WAIT_NS, x->cancel, j->says,
					 sizeof(j->says));
	j->acted = !j->err;
}

/* What was found there, and what shall be: on disk before it is done. Only then can anybody take it back. */
static int write_change(struct job *j, const struct executor *x)
{
	CLEANUP(json_freep) cJSON *o = change_json(&j->change);
	struct record r = { .audit = true };

	if (!x->store)
		return 0;
	if (j->nr_records)
		r = j->records[0];
	snprintf(r.state, sizeof(r.state), "undo");
	cJSON_AddStringToObject(o, "incident", r.id);
	r.json = o ? cJSON_PrintUnformatted(o) : NULL;
	int err = r.json ? write_record(x->store, &r) : -ENOMEM;
	cJSON_free(r.json);
	return err;
}

static void run_change(struct job *j, const struct executor *x)
{
	if (!x->prepare || !x->change) {
		j->err = -ENOTSUP;
		snprintf(j->says, sizeof(j->says), "that cannot be done here");
		return;
	}
	int no = x->prepare(x->ctx, j->action.kind, &j->target, &j->change, j->says,
			    sizeof(j->says));
	if (no) {
		/* The precondition does not hold: nothing was done, and that is no failure. */
		j->err = no < 0 ? no : 0;
		return;
	}
	j->err = write_change(j, x);
	if (j->err) {
		snprintf(j->says, sizeof(j->says),
			 "nothing was done: the undo record could not be written (%s)",
			 strerror(-j->err));
		return;
	}
	j->err = x->change(x->ctx, &j->change, j->says, sizeof(j->says));
	/* Late is done all the same. */
	j->acted = !j->err || j->err == -ETIMEDOUT || j->err == -ECANCELED;
}

static void run_undo(struct job *j, const struct executor *x)
{
	j->err = -ENOTSUP;
	snprintf(j->says, sizeof(j->says), "that cannot be taken back here");
	if (!x->undo)
		return;
	j->err = x->undo(x->ctx, &j->change, j->says, sizeof(j->says));
	j->acted = !j->err;
}

static void run_action(struct job *j, const struct executor *x)
{
	/* What cannot be written down is not done: nobody could tell afterwards what it was. */
	j->err = write_records(j, x->store);
	if (j->err) {
		snprintf(j->says, sizeof(j->says),
			 "nothing was done: the undo record could not be written (%s)",
			 strerror(-j->err));
		return;
	}
	switch (j->action.kind) {
	case ACTION_RESET_FAULT:
		run_reset(j, x);
		break;
	case ACTION_RESTART:
		run_restart(j, x);
		break;
	default:
		if (change_handles(j->action.kind)) {
			run_change(j, x);
			break;
		}
		j->err = -EINVAL;
		snprintf(j->says, sizeof(j->says), "there is nothing to execute");
		break;
	}
}

void job_run(struct job *j, const struct executor *x)
{
	switch (j->kind) {
	case JOB_PLAN:
		run_plan(j, x);
		break;
	case JOB_ACT:
		run_action(j, x);
		break;
	case JOB_UNDO:
		run_undo(j, x);
		break;
	case JOB_RECORD:
		j->err = write_records(j, x->store);
		break;
	}
}

void job_free(struct job *j)
{
	if (!j)
		return;
	for (size_t k = 0; k < j->nr_records; k++)
		free(j->records[k].json);
	free(j->question);
	free(j);
}
