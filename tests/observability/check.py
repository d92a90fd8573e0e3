#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds tools/deploy/observability and the README's queries against what /metrics really has.

usage: PYTHON tests/observability/check.py files FAMILIES PROMTOOL
       PYTHON tests/observability/check.py ask URL

files: every PromQL expression in rules, dashboards and the README's section
"Observability" parses (promtool) and names only series and labels that are in
FAMILIES (JSON: [{name, kind, labels}], written by the test from the daemon's
own table), or that a rule records. Dashboards and the configurations of
Grafana, Loki and promtail, which do not run here, are held against the types
of their fields below.

ask: sends each of them to a real Prometheus that scrapes a real daemon. All
must be answered, the README's with at least one series.

PYTHON has PyYAML. What is wrong is printed, a line each; exit status 1.
"""

import glob
import json
import re
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

import yaml

HOME = "tools/deploy/observability"
WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}
# Those that Prometheus itself adds, and the labels of a scraped target.
BUILT_IN = {"up", "ALERTS"}
TARGET_LABELS = {"job", "instance", "alertname", "alertstate", "service_name", "service_namespace", "otel_metric_overflow"}
wrong = []


def complain(where, what):
    wrong.append(f"{where}: {what}")


# ---- what there is


def known_series(path):
    """{name: labels} of everything that /metrics can hold."""
    known = {}
    for family in json.load(open(path)):
        labels = set(family["labels"])
        if family["kind"] == "histogram":
            known[family["name"] + "_bucket"] = labels | {"le"}
            known[family["name"] + "_sum"] = known[family["name"] + "_count"] = labels
        else:
            known[family["name"]] = labels
    return known


def rule_files():
    for path in sorted(glob.glob(HOME + "/prometheus/rules/*.yml")):
        for group in yaml.safe_load(open(path))["groups"]:
            for rule in group["rules"]:
                yield path, rule


def recorded():
    return {rule["record"]: None for _, rule in rule_files() if "record" in rule}


# ---- expressions


def dashboard_expressions(path):
    board = json.load(open(path))
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            if target["datasource"]["type"] == "prometheus":
                yield f"{path}: {panel['title']}", target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            inner = re.fullmatch(r"label_values\((.+), *\w+\)", variable["query"]["query"])
            if not inner:
                complain(path, f"variable {variable['name']}: not label_values(series, label)")
            else:
                yield f"{path}: ${variable['name']}", inner.group(1)


def readme_expressions():
    text = open("README.md").read()
    section = re.search(r"^## Observability$(.*?)(?=^## )", text, re.M | re.S)
    blocks = re.findall(r"^```promql\n(.*?)^```$", section.group(1) if section else "", re.M | re.S)
    for block in blocks:
        for line in block.splitlines():
            # "query    # what it says"
            expression = re.split(r"\s+# ", line)[0].strip()
            if expression and not expression.startswith("#"):
                yield "README.md", expression


def expressions():
    found = [(f"{path}: {rule.get('record') or rule.get('alert')}", rule["expr"]) for path, rule in rule_files()]
    for path in sorted(glob.glob(HOME + "/grafana/dashboards/*.json")):
        found += dashboard_expressions(path)
    return found, list(readme_expressions())


def concrete(expression):
    """Grafana's variables as a person would have chosen them."""
    return re.sub(r"\$\{?service\}?", "db", expression)


def names_and_labels(expression):
    """Of a valid expression: what it reads, and by which labels."""
    text = re.sub(r'"(\\.|[^"\\])*"', '""', expression)
    labels = set()
    for inside in re.findall(r"\{([^}]*)\}", text):
        labels |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", text)
    for inside in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", text):
        labels |= set(re.findall(r"\w+", inside))
    text = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", text)
    names = set()
    for word in re.finditer(r"(?<![\w.:])[A-Za-z_:][\w:]*", text):
        if word.group() not in WORDS and not re.match(r"\s*\(", text[word.end() :]):
            names.add(word.group())
    return names, labels


def check_expressions(found, known):
    rules = []
    everything = set(known) | set(recorded()) | BUILT_IN
    for where, expression in found:
        names, labels = names_and_labels(concrete(expression))
        if not names:
            complain(where, f"reads no series: {expression}")
        for name in sorted(names - everything):
            complain(where, f"there is no series {name}")
        # What is recorded has the labels of what it was made from: one list for all of them.
        allowed = set(TARGET_LABELS)
        for name in names:
            allowed |= known.get(name) or ({label for labels_of in known.values() for label in labels_of})
        for label in sorted(labels - allowed):
            complain(where, f"no series here has a label {label}: {expression}")
        rules.append({"record": f"check:{len(rules)}", "expr": concrete(expression)})
    return rules


def check_syntax(rules, promtool):
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as f:
        yaml.safe_dump({"groups": [{"name": "check", "rules": rules}]}, f)
        f.flush()
        said = subprocess.run([promtool, "check", "rules", f.name], capture_output=True, text=True)
        if said.returncode:
            complain("promtool", (said.stdout + said.stderr).strip())


# ---- dashboards


def check_panel(where, panel, seen):
    for key in ("id", "type", "title", "gridPos"):
        if key not in panel:
            complain(where, f"a panel without {key}")
    where = f"{where}: {panel['title']}"
    if panel["id"] in seen:
        complain(where, f"id {panel['id']} twice")
    seen.add(panel["id"])
    if panel["type"] == "row":
        return
    if not panel.get("description"):
        complain(where, "no description")
    if panel["type"] != "logs" and not panel["fieldConfig"]["defaults"].get("unit"):
        complain(where, "no unit")
    refs = [target["refId"] for target in panel["targets"]]
    if not refs or len(refs) != len(set(refs)):
        complain(where, "targets without a refId of their own")
    for target in panel["targets"]:
        if target["datasource"] != panel["datasource"] or not panel["datasource"]["uid"].startswith("${"):
            complain(where, "the data source is not the dashboard's variable")


def overlaps(a, b):
    return a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


def check_dashboards():
    uids = set()
    for path in sorted(glob.glob(HOME + "/grafana/dashboards/*.json")):
        text = open(path).read()
        board = json.loads(text)
        if board["uid"] in uids or not board.get("title") or "id" in board:
            complain(path, "needs a uid of its own, a title, and no id")
        uids.add(board["uid"])
        seen, panels = set(), board["panels"]
        for i, panel in enumerate(panels):
            check_panel(path, panel, seen)
            grid = panel["gridPos"]
            if grid["x"] + grid["w"] > 24:
                complain(path, f"{panel['title']} is wider than the page")
            for other in panels[:i]:
                if overlaps(grid, other["gridPos"]):
                    complain(path, f"{panel['title']} lies on {other['title']}")
        variables = {variable["name"] for variable in board["templating"]["list"]}
        for name in set(re.findall(r"\$\{?(\w+)\}?", text)) - variables:
            complain(path, f"the variable ${name} is not defined")
    if len(uids) != 4:
        complain(HOME, f"{len(uids)} dashboards")


# ---- files for programs that do not run here

TEXT, WHOLE, YES = str, int, bool
GRAFANA_SOURCES = {
    "apiVersion": WHOLE,
    "datasources": [
        {
            "name": TEXT,
            "uid": TEXT,
            "type": {"prometheus", "jaeger", "loki"},
            "access": {"proxy"},
            "url": TEXT,
            "isDefault": YES,
            "jsonData": {
                "timeInterval": TEXT,
                "exemplarTraceIdDestinations": [{"name": TEXT, "datasourceUid": TEXT}],
            },
        }
    ],
}
GRAFANA_PROVIDERS = {
    "apiVersion": WHOLE,
    "providers": [
        {
            "name": TEXT,
            "folder": TEXT,
            "type": {"file"},
            "disableDeletion": YES,
            "allowUiUpdates": YES,
            "options": {"path": TEXT},
        }
    ],
}
LOKI = {
    "auth_enabled": YES,
    "server": {"http_listen_port": WHOLE},
    "common": {
        "instance_addr": TEXT,
        "path_prefix": TEXT,
        "replication_factor": WHOLE,
        "ring": {"kvstore": {"store": {"inmemory"}}},
        "storage": {"filesystem": {"chunks_directory": TEXT, "rules_directory": TEXT}},
    },
    "schema_config": {
        "configs": [
            {
                "from": TEXT,
                "store": {"tsdb"},
                "object_store": {"filesystem"},
                "schema": {"v13"},
                "index": {"prefix": TEXT, "period": {"24h"}},
            }
        ]
    },
    "limits_config": {"allow_structured_metadata": YES, "retention_period": TEXT},
    "compactor": {"working_directory": TEXT, "retention_enabled": YES, "delete_request_store": {"filesystem"}},
    "analytics": {"reporting_enabled": YES},
}
PROMTAIL = {
    "server": {"http_listen_port": WHOLE, "grpc_listen_port": WHOLE},
    "positions": {"filename": TEXT},
    "clients": [{"url": TEXT}],
    "scrape_configs": [
        {
            "job_name": TEXT,
            "static_configs": [{"targets": [TEXT], "labels": {"job": TEXT, "__path__": TEXT}}],
            "pipeline_stages": [
                {
                    "json": {"expressions": {"service": TEXT, "level": TEXT, "timestamp": TEXT}},
                    "labels": {"service": type(None), "level": type(None)},
                    "timestamp": {"source": TEXT, "format": {"RFC3339Nano"}},
                }
            ],
        }
    ],
}


def check_type(where, value, wanted):
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return complain(where, "must be an object")
        for key, inner in value.items():
            if key not in wanted:
                complain(where, f"unknown field {key}")
            else:
                check_type(f"{where}.{key}", inner, wanted[key])
    elif isinstance(wanted, list):
        if not isinstance(value, list) or not value:
            return complain(where, "must be a list of one or more")
        for i, inner in enumerate(value):
            check_type(f"{where}[{i}]", inner, wanted[0])
    elif isinstance(wanted, set):
        if value not in wanted:
            complain(where, f"is {value}; it must be one of {', '.join(sorted(wanted))}")
    elif type(value) is not wanted:
        complain(where, f"is {value!r}; it must be a {wanted.__name__}")


def check_types():
    for name, wanted in (
        ("grafana/provisioning/datasources/archaic-ebpf.yml", GRAFANA_SOURCES),
        ("grafana/provisioning/dashboards/archaic-ebpf.yml", GRAFANA_PROVIDERS),
        ("loki/loki.yml", LOKI),
        ("promtail/promtail.yml", PROMTAIL),
    ):
        path = f"{HOME}/{name}"
        check_type(name, yaml.safe_load(open(path)), wanted)
    # A link from one source to another must lead somewhere.
    sources = yaml.safe_load(open(f"{HOME}/grafana/provisioning/datasources/archaic-ebpf.yml"))["datasources"]
    uids = {source["uid"] for source in sources}
    for uid in re.findall(r"datasourceUid: (\S+)", open(f"{HOME}/grafana/provisioning/datasources/archaic-ebpf.yml").read()):
        if uid not in uids:
            complain("datasources", f"no data source has the uid {uid}")


def check_files(families, promtool):
    known = known_series(families)
    found, readme = expressions()
    if not readme:
        complain("README.md", 'no ```promql block in the section "Observability"')
    check_syntax(check_expressions(found + readme, known), promtool)
    check_dashboards()
    check_types()
    if not wrong:
        print(f"{len(found)} expressions of rules and dashboards and {len(readme)} of the README are sound")


# ---- against the real thing


def ask(url):
    found, readme = expressions()
    empty = []
    for where, expression in found + readme:
        query = urllib.parse.urlencode({"query": concrete(expression)})
        try:
            answer = json.load(urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=20))
        except OSError as error:
            complain(where, f"{error}: {expression}")
            continue
        if not answer["data"]["result"]:
            empty.append((where, expression))
    for where, expression in empty:
        if where == "README.md":
            complain(where, f"nothing answers {expression}")
        else:
            print("empty now: " + where.replace(HOME + "/", ""))
    print(f"{len(found) + len(readme)} expressions asked of a real Prometheus, {len(empty)} without a series")


def main():
    if sys.argv[1:2] == ["files"] and len(sys.argv) == 4:
        check_files(sys.argv[2], sys.argv[3])
    elif sys.argv[1:2] == ["ask"] and len(sys.argv) == 3:
        ask(sys.argv[2])
    else:
        sys.exit(__doc__)
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
