# SPDX-License-Identifier: GPL-2.0-or-later
"""Hold rendered manifests to Kubernetes' own schemas, and to what we promise of them.

usage: manifests.py FILE…      each what kustomize printed; exit status 1 and a line for each fault
       manifests.py --spoiled FILE   spoils a copy in several ways, and sees each of them found
"""
import copy
import sys

import kubernetes_validate
import yaml

VERSION = "1.34"
PORTS = {"auth": 8001, "db": 8002, "product": 8003, "payment": 8004}
AGENT = {"BPF", "PERFMON", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"}
IN_PODS = {"SYS_ADMIN", "KILL"}
ROOT = {("archaic-agent", "agent"), ("archaic-agent", "faults"), ("promtail", "promtail")}
PAGES = {"prometheus": 9090, "jaeger-all-in-one-query": 16686, "loki": 3100, "grafana": 3000}


def named(o):
    return "%s/%s" % (o.get("kind"), o.get("metadata", {}).get("name"))


def schema(o):
    if o["kind"] == "Fault":
        return
    try:
        kubernetes_validate.validate(o, VERSION, strict=True)
    except Exception as e:  # whatever it calls a failure, it is one
        yield "%s: %s" % (named(o), str(e).splitlines()[0])


def container(o, pod, c):
    s, where = c.get("securityContext", {}), "%s, %s" % (named(o), c["name"])
    added = set(s.get("capabilities", {}).get("add", []))
    root = (o["metadata"]["name"], c["name"]) in ROOT
    if s.get("privileged") or s.get("allowPrivilegeEscalation") is not False:
        yield where + ": may gain privileges"
    if s.get("capabilities", {}).get("drop") != ["ALL"]:
        yield where + ": keeps capabilities"
    if not s.get("readOnlyRootFilesystem"):
        yield where + ": may write to its image"
    if not root and not pod.get("securityContext", {}).get("runAsNonRoot"):
        yield where + ": may be root"
    if added and (c["name"] != "agent" or added - AGENT - IN_PODS or AGENT - added):
        yield "%s: capabilities %s" % (where, sorted(added))
    if added & IN_PODS and [e for e in c["env"] if e["name"] == "ARCHAIC_FAULT_TYPES" and e.get("value")]:
        yield where + ": has the capabilities of faults that are not enabled"
    if not c.get("resources", {}).get("limits") or not c["resources"].get("requests"):
        yield where + ": no limits"
    if c["name"] != "faults" and not c.get("readinessProbe"):
        yield where + ": no readiness probe"


def workload(o):
    pod = o["spec"]["template"]["spec"]
    if o["spec"]["selector"]["matchLabels"].items() - o["spec"]["template"]["metadata"]["labels"].items():
        yield named(o) + ": does not select its own pods"
    if pod.get("securityContext", {}).get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield named(o) + ": no seccomp profile"
    if "serviceAccountName" not in pod and pod.get("automountServiceAccountToken") is not False:
        yield named(o) + ": has a token of the API's that it does not need"
    for c in pod["containers"]:
        yield from container(o, pod, c)


def roles(o):
    for rule in o["rules"]:
        for part in ("apiGroups", "resources", "verbs"):
            if "*" in rule.get(part, []):
                yield "%s: * in %s" % (named(o), part)
        if "secrets" in rule.get("resources", []):
            yield named(o) + ": reads secrets"


def shop(objects):
    """Names, ports and images of the contract."""
    for name, port in PORTS.items():
        full = name + "-service"
        ports = [p["port"] for p in objects.get("Service/" + full, {"spec": {"ports": []}})["spec"]["ports"]]
        deployment = objects.get("Deployment/" + full)
        if ports != [port]:
            yield "Service/%s: ports %s" % (full, ports)
        if not deployment or not deployment["spec"]["template"]["spec"]["containers"][0]["image"].endswith(
            full + ":latest"
        ):
            yield "Deployment/%s: is missing, or of another image" % full
        if "PodDisruptionBudget/" + full not in objects:
            yield "PodDisruptionBudget/%s: is missing" % full
    if "NetworkPolicy/default-deny" not in objects:
        yield "NetworkPolicy/default-deny: is missing"


def pages(objects):
    for name, port in PAGES.items():
        if [p["port"] for p in objects.get("Service/" + name, {"spec": {"ports": []}})["spec"]["ports"]] != [port]:
            yield "Service/%s: not on port %d" % (name, port)


def faults_of(documents):
    objects = {named(o): o for o in documents}
    for o in documents:
        yield from schema(o)
        if o["kind"] in ("Deployment", "DaemonSet"):
            yield from workload(o)
        if o["kind"] in ("Role", "ClusterRole"):
            yield from roles(o)
    yield from pages(objects) if "Namespace/observability" in objects else shop(objects)


def spoiled(documents):
    """Each change must be found: a check that cannot fail is none."""

    def change(kind, name, path, value):
        changed = copy.deepcopy(documents)
        at = next(o for o in changed if o["kind"] == kind and o["metadata"]["name"] == name)
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        return changed

    first = ["spec", "template", "spec", "containers", 0]
    changes = [
        ("Deployment", "db-service", ["spec", "replicaz"], 1),
        ("Deployment", "db-service", ["spec", "replicas"], "one"),
        ("Deployment", "db-service", first + ["image"], "other:latest"),
        ("Deployment", "db-service", first + ["resources"], {}),
        ("Deployment", "db-service", ["spec", "template", "spec", "securityContext", "runAsNonRoot"], False),
        ("DaemonSet", "archaic-agent", first + ["securityContext", "privileged"], True),
        ("DaemonSet", "archaic-agent", first + ["securityContext", "capabilities", "add"], ["BPF", "SYS_MODULE"]),
        ("Role", "archaic-agent", ["rules", 0, "verbs"], ["*"]),
        ("Service", "db-service", ["spec", "ports", 0, "port"], 80),
    ]
    for c in changes:
        if not list(faults_of(change(*c))):
            yield "not found: %s" % (c,)


def main(words):
    found = 0
    check = faults_of
    if words[:1] == ["--spoiled"]:
        check, words = spoiled, words[1:]
    for path in words:
        with open(path, encoding="utf-8") as f:
            documents = [d for d in yaml.safe_load_all(f) if d]
        for line in check(documents):
            print("%s: %s" % (path, line))
            found += 1
        print("%s: %d objects" % (path, len(documents)))
    return 1 if found or not words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
