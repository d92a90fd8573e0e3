/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * llm_questions.h - what the tests of the model client ask: plain data, no pointers.
 */
#ifndef ARCHAIC_TEST_LLM_QUESTIONS_H
#define ARCHAIC_TEST_LLM_QUESTIONS_H

#include "remediate/llm.h"

/** llm_question_plain() - db (12) is slow, product (13) its victim; a1 reset, a2 restart, a3 escalate; e1, e2. */
struct llm_question llm_question_plain(void);

/**
 * llm_question_secret() - two causes (db 12, auth 11) and a victim (13) whose names and reasons no prompt
 * may show: all contain "secret" or "IGNORE". a1 and a2 reset and restart db, a3 resets auth, a4 escalates;
 * e1 (db, p99), e2 (product, p50); three restarts of db in the history.
 */
struct llm_question llm_question_secret(void);

#endif
