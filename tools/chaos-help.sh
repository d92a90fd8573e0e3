#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The one-screen reference.
set -euo pipefail

case "${1:-}" in
'') ;;
-h | --help)
	echo "usage: tools/chaos-help.sh      prints one screen: ports, faults, commands, examples"
	exit 0
	;;
*)
	echo "usage: tools/chaos-help.sh" >&2
	exit 2
	;;
esac
cat <<'END'
archaic-ebpf: chaos on one screen
  8001 auth   8002 db   8003 product   8004 payment   8005 operator   8006 detector, /metrics
  7000 dashboard       8080 chaos control             control socket /run/archaic-ebpf/control.sock

HURT      POST http://localhost:PORT/inject-failure?type=TYPE[&intensity=N][&probability=P][&duration=S]
  timeout   the response leaves 2 x intensity s late        error     the client gets HTTP 500
  cpu       min(95, 20 x intensity) % of its CPU is taken   crash     SIGKILL at the next request
  bad_data  JSON that parses, with wrong values (db)        intensity 1 to 100, probability 0.0 to 1.0
  curl -X POST "http://localhost:8003/inject-failure?type=error&probability=0.3"
  curl -X POST "http://localhost:8002/inject-failure?type=timeout&intensity=5&duration=60"
RESET     curl -X POST http://localhost:8002/reset        one service
          archaic-ebpf reset --all                        everything, daemon alive or not
LOOK      curl localhost:8002/health   localhost:8006/scores   localhost:8005/incidents
          archaic-ebpf services | faults | incidents | doctor   (each with --json)
REPAIR    archaic-ebpf mode observe|suggest|auto-safe|auto   archaic-ebpf incidents approve ID
LOAD      tools/load/run-test.sh normal|spike|endurance|stress [--with-failures]
          archaic-load http http://localhost:8002/products --rate 200 --duration 30s
ALL       make up   make down   make demo   tools/generate_errors.sh   tools/serve-control.sh (phone)
END
