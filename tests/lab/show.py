#!/usr/bin/env python3
"""Shows people what the gateway wrote: `show.py audit FILE` or `show.py metrics BEFORE AFTER`."""

import json
import sys

INTENT = ("user.name", "winrm.method", "destination.domain", "winrm.operation", "user.effective.name", "rule.name")
OUTCOME = ("winrm.result", "winrm.stage", "event.reason", "http.response.status_code", "winrm.fault_code", "process.exit_code",
           "error.message")


def audit(path):
    """Each request with its intent and its outcome, one below the other."""
    requests = {}
    with open(path) as file:
        for line in file:
            record = json.loads(line)
            if record.get("event.action") in ("intent", "outcome"):
                requests.setdefault(record["event.id"], {})[record["event.action"]] = record
    for name, records in requests.items():
        print(f"  {name}")
        for kind, fields in (("intent", INTENT), ("outcome", OUTCOME)):
            record = records.get(kind)
            if record is None:
                # What is refused has no intent: it never may run. Its outcome says who it was.
                print(f"    {kind:8} -")
                continue
            if kind == "outcome" and "intent" not in records:
                fields = INTENT + fields
            print(f"    {kind:8}", ", ".join(f"{field} {record[field]}" for field in fields if field in record))


def read(path):
    values = {}
    with open(path) as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
    return values


def metrics(before, after):
    """The counters and gauges that changed; histograms by their counts."""
    former = read(before)
    for name, value in sorted(read(after).items()):
        change = value - former.get(name, 0.0)
        if change and not name.partition("{")[0].endswith(("_bucket", "_sum")):
            print(f"  {name}  {former.get(name, 0.0):g} -> {value:g}")


if __name__ == "__main__":
    {"audit": audit, "metrics": metrics}[sys.argv[1]](*sys.argv[2:])
