#!/usr/bin/env python3
"""Holds the dashboard and the alerts against the metrics that the server exports.

    check_metrics.py [URL]            e.g. http://localhost:7880/metrics of `sluice dev`
    check_metrics.py --rules          only prints the dashboard's expressions as a rule file, for promtool

A metric is known if the server at URL exports it, or if a source file describes it: a counter is exported from its first
event on, so a young server lacks many. Labels are checked where the server shows a series. Needs PyYAML.
"""
import json
import re
import sys
import urllib.request
from pathlib import Path

import yaml

DEPLOY = Path(__file__).resolve().parent
CRATES = DEPLOY.parent / "crates"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
ALERTS = DEPLOY / "prometheus/alerts.yml"
RUNBOOK = DEPLOY.parent / "docs/operations.md"
DATA_SOURCES = DEPLOY / "grafana/provisioning/datasources"

# Labels that Prometheus adds, and that of a histogram's buckets.
LABELS_ADDED = {"instance", "job", "le"}
DESCRIBED = re.compile(r'describe_(counter|gauge|histogram)!\(\s*"(sluice_[a-z0-9_]+)"')
TYPE = re.compile(r"^# TYPE (sluice_[a-z0-9_]+) (\w+)", re.M)
SERIES = re.compile(r"^(sluice_[a-z0-9_]+)(?:\{(.*)\})? ", re.M)
USED = re.compile(r"\b(sluice_[a-z0-9_]+)(?:\s*\{([^}]*)\})?")
LABEL = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')


def from_source():
    """Names to types, as the source describes them."""
    found = {}
    for file in sorted(CRATES.glob("*/src/**/*.rs")):
        found.update({name: kind for kind, name in DESCRIBED.findall(file.read_text(encoding="utf-8"))})
    return found


def from_server(url):
    """Names to types, and names to the labels of their series."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode("utf-8")
    types = dict(TYPE.findall(text))
    labels = {}
    for name, inner in SERIES.findall(text):
        labels.setdefault(base(name, types), set()).update(LABEL.findall(inner))
    return types, labels


def base(name, types):
    """A histogram's series bear suffixes."""
    for suffix in ("_bucket", "_sum", "_count"):
        stem = name.removesuffix(suffix)
        if stem != name and types.get(stem) == "histogram":
            return stem
    return name


def expressions():
    """Where, and what, of everything that is asked of Prometheus."""
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text(encoding="utf-8"))
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                yield f"{file.name}: {panel['title']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{file.name}: variable {variable['name']}", variable["definition"]
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            yield f"{ALERTS.name}: {rule['alert']}", rule["expr"]


def dashboard_faults():
    """What Grafana would show wrongly without a word."""
    data_sources = set()
    for file in DATA_SOURCES.glob("*.yml"):
        data_sources.update(s["uid"] for s in yaml.safe_load(file.read_text(encoding="utf-8"))["datasources"])
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text(encoding="utf-8"))
        data_sources |= {"${%s}" % v["name"] for v in dashboard["templating"]["list"] if v["type"] == "datasource"}
        ids, cells = set(), {}
        for panel in dashboard["panels"]:
            where = f"{file.name}: {panel['title']}"
            if panel["id"] in ids:
                yield f"{where}: the id {panel['id']} is taken"
            ids.add(panel["id"])
            if panel["type"] != "row" and panel["datasource"]["uid"] not in data_sources:
                yield f"{where}: there is no data source {panel['datasource']['uid']}"
            place = panel["gridPos"]
            if place["x"] + place["w"] > 24:
                yield f"{where}: wider than the page"
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    other = cells.setdefault((x, y), panel["title"])
                    if other != panel["title"]:
                        yield f"{where}: lies over {other}"


def runbook_faults():
    """Alerts that would send somebody to a place that is not there."""
    places = {line.lstrip("# ").strip().lower() for line in RUNBOOK.read_text(encoding="utf-8").splitlines()
              if line.startswith("#")}
    for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]:
        for rule in group["rules"]:
            place = rule["annotations"]["runbook_url"].partition("#")[2]
            if place != rule["alert"].lower() or place not in places:
                yield f"{ALERTS.name}: {rule['alert']}: {RUNBOOK.name} has no such heading"


def rules():
    """The dashboard's expressions with its variables filled in, as recording rules: promtool reads no dashboards."""
    filled = []
    for index, (where, expression) in enumerate(expressions()):
        if ": variable " in where:
            continue
        expression = expression.replace("$__rate_interval", "5m")
        filled.append({"record": f"checked:{index}", "expr": re.sub(r"\$\w+", ".*", expression)})
    return yaml.safe_dump({"groups": [{"name": "dashboard", "rules": filled}]}, sort_keys=False)


def main(arguments):
    if arguments == ["--rules"]:
        print(rules())
        return 0
    described = from_source()
    exported, labels = from_server(arguments[0]) if arguments else ({}, {})
    types = described | exported
    faults, used, unseen = [*dashboard_faults(), *runbook_faults()], set(), set()
    faults += [f"{name}: exported, but no source file describes it" for name in sorted(set(exported) - set(described))]
    for where, expression in expressions():
        for name, matchers in USED.findall(expression):
            metric = base(name, types)
            used.add(metric)
            if metric not in types:
                faults.append(f"{where}: nothing exports {name}")
            elif types[metric] == "histogram" and metric == name:
                faults.append(f"{where}: {name} is a histogram; its series end in _bucket, _sum, _count")
            elif metric in labels:
                unknown = set(LABEL.findall(matchers)) - labels[metric] - LABELS_ADDED
                faults += [f"{where}: {name} has no label {label}" for label in sorted(unknown)]
            else:
                unseen.add(metric)
    for fault in faults:
        print(fault)
    where = f"{arguments[0]} exports {len(exported)}" if arguments else "no server was asked"
    print(f"{len(used)} metrics are used, {len(described)} are described, {where}; "
          f"{len(unseen)} of those used are known from the source alone")
    unused = sorted(set(types) - used)
    if unused:
        print("neither on the dashboard nor in an alert: " + ", ".join(unused))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
