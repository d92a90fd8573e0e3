#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the running daemon against its own openapi.json, with schemathesis.

usage: PYTHON tests/api/schema.py SOCKET FOLDER [PART...]

For each part (the control socket, through a relay, and each TCP port) it writes
the description with that part's operations alone, and lets schemathesis send
what the description allows, and what it does not. Fails on a 5xx, and on an
answer (status, type, body, header) that the file does not describe.

Left out: /v1/events, whose answer has no end (tests/host/test_api_live.c reads
it), and attaching by root on the socket, which could attach any process of the
machine and then hurt it. A small server stands in for Prometheus on port 9090.
"""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading

PARTS = ["socket", "8005", "8006", "7000", "8080"]
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance"
)
# What the socket answers too is asked of a port less often: it is the same code behind another gate.
EXAMPLES, EXAMPLES_AGAIN = "25", "6"


class Prometheus(http.server.BaseHTTPRequestHandler):
    """Answers every query with one series."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        kind = "matrix" if "range" in self.path else "vector"
        one = {"metric": {}, "values": [[1700000000, "1"]]} if kind == "matrix" else {"metric": {}, "value": [1, "1"]}
        body = json.dumps({"status": "success", "data": {"resultType": kind, "result": [one]}}).encode()
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def relay(path):
    """A TCP port whose connections go to the Unix socket at @path."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve():
        while True:
            near, _ = listener.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(path)
            for pair in ((near, far), (far, near)):
                threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def part_of(document, part, again):
    """The description with the operations that @part answers (@again: the socket too), and how many they are."""
    paths, nr = {}, 0
    for path, operations in document["paths"].items():
        kept = {
            method: op
            for method, op in operations.items()
            if part in op["x-archaic-ports"]
            and op["operationId"] not in ("events", "attach")
            and again == (part != "socket" and "socket" in op["x-archaic-ports"])
        }
        if kept:
            paths[path] = kept
            nr += len(kept)
    return dict(document, paths=paths), nr


def check(part, port, document, folder, again):
    described, nr = part_of(document, part, again)
    if not nr:
        return True
    name = os.path.join(folder, f"openapi-{part}.json")
    with open(name, "w", encoding="utf-8") as f:
        json.dump(described, f)
    st = os.path.join(os.path.dirname(sys.executable), "st")
    command = [st, "run", name, "--url", f"http://127.0.0.1:{port}", "--checks", CHECKS]
    command += ["--header", "X-Archaic-Request:1", "--seed", "1"]
    command += ["--max-examples", EXAMPLES_AGAIN if again else EXAMPLES, "--request-timeout", "30"]
    command += ["--phases", "fuzzing" if again else "coverage,fuzzing"]
    command += ["--continue-on-failure", "--no-color", "--warnings", "off", "--suppress-health-check", "all"]
    env = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    env["HYPOTHESIS_STORAGE_DIRECTORY"] = os.path.join(folder, "hypothesis")
    run = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=False)
    print(f"==== {part}: {nr} operations, exit status {run.returncode}")
    print(run.stdout[-20000:])
    print(run.stderr[-2000:])
    return run.returncode == 0


def main():
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    path, folder, parts = sys.argv[1], sys.argv[2], sys.argv[3:] or PARTS
    stand_in = http.server.ThreadingHTTPServer(("127.0.0.1", 9090), Prometheus)
    threading.Thread(target=stand_in.serve_forever, daemon=True).start()
    with open("userspace/serve/openapi.json", encoding="utf-8") as f:
        document = json.load(f)
    through = relay(path)
    failed = [
        part
        for part in parts
        for again in (False, True)
        if not check(part, through if part == "socket" else part, document, folder, again)
    ]
    print("failed: " + ", ".join(failed) if failed else "every answer is described")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
