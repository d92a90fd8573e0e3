#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Google's own client against server.py: is our idea of the wire format theirs?

Run with the Python of tests/partner.sh google. Exits 0 when every check holds, and says
which one does not. It proves what their parser takes, not what their server sends.
"""

import json
import os
import subprocess
import sys

from google import genai
from google.genai import errors, types

HERE = os.path.dirname(os.path.abspath(__file__))
SCHEMA = {"type": "OBJECT", "required": ["incident_id", "action_id", "confidence"],
          "property_ordering": ["incident_id", "action_id", "confidence"],
          "properties": {"incident_id": {"type": "STRING", "enum": ["i-0004"]},
                         "action_id": {"type": "STRING", "enum": ["a2", "a1"]},
                         "confidence": {"type": "NUMBER", "minimum": 0, "maximum": 1}}}


class Check:
    def __init__(self, port):
        self.port = port
        self.failed = 0

    def ask(self, mode):
        options = types.HttpOptions(base_url=f"http://127.0.0.1:{self.port}/{mode}", api_version="v1beta",
                                    timeout=10000, retry_options=types.HttpRetryOptions(attempts=1))
        client = genai.Client(api_key="test-key", http_options=options)
        config = types.GenerateContentConfig(
            system_instruction="choose", temperature=0, seed=7, candidate_count=1, max_output_tokens=2048,
            response_mime_type="application/json", response_schema=SCHEMA,
            thinking_config=types.ThinkingConfig(thinking_budget=0, include_thoughts=False))
        return client.models.generate_content(model="test-model", contents="incident i-0004\na1 reset_fault svc_1 0",
                                              config=config)

    def that(self, what, holds):
        print("ok  " if holds else "FAIL", what)
        self.failed += not holds

    def answers(self):
        r = self.ask("good")
        plan = json.loads(r.text)
        self.that("a good answer is parsed, thoughts left out", plan["action_id"] == "a2")
        self.that("the schema was understood in their spelling", plan["incident_id"] == "i-0004")
        self.that("token counts", r.usage_metadata.prompt_token_count == 300
                  and r.usage_metadata.candidates_token_count == 64)
        self.that("model version", r.model_version == "test-model-001")
        self.that("finish reason", r.candidates[0].finish_reason == types.FinishReason.STOP)

    def empties(self):
        r = self.ask("max_tokens")
        self.that("MAX_TOKENS: no text, no exception", not r.text
                  and r.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS)
        r = self.ask("refusal")
        self.that("SAFETY: no text", not r.text and r.candidates[0].finish_reason == types.FinishReason.SAFETY)
        r = self.ask("blocked")
        self.that("a blocked prompt", not r.text and r.prompt_feedback.block_reason == types.BlockedReason.SAFETY)
        self.that("an empty object", not self.ask("empty").text)
        self.that("no candidates", not self.ask("none").text)

    def error(self, mode, code, status, kind):
        try:
            self.ask(mode)
            self.that(f"{mode}: raises", False)
        except kind as e:
            self.that(f"{mode}: {code} {status}", e.code == code and e.status == status)

    def errors(self):
        client, server = errors.ClientError, errors.ServerError
        self.error("bad_key", 400, "INVALID_ARGUMENT", client)
        self.error("403", 403, "PERMISSION_DENIED", client)
        self.error("404", 404, "NOT_FOUND", client)
        self.error("429", 429, "RESOURCE_EXHAUSTED", client)
        self.error("per_day", 429, "RESOURCE_EXHAUSTED", client)
        self.error("retry_long", 429, "RESOURCE_EXHAUSTED", client)
        self.error("500", 500, "INTERNAL", server)
        self.error("503", 503, "UNAVAILABLE", server)
        self.error("504", 504, "DEADLINE_EXCEEDED", server)


def main():
    server = subprocess.Popen([sys.executable, os.path.join(HERE, "server.py"), "--die-with-parent"],
                              stdout=subprocess.PIPE, text=True)
    try:
        check = Check(int(server.stdout.readline().split()[1]))
        check.answers()
        check.empties()
        check.errors()
    finally:
        server.kill()
        server.wait()
    print(f"{check.failed} checks failed")
    return 1 if check.failed else 0


if __name__ == "__main__":
    sys.exit(main())
