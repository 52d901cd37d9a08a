#!/usr/bin/env python3
"""How long packets stay in a running node: from the return of the receive call that brought them until each send returns.

    benches/latency/in_node.py $(pidof sluice) --seconds 5

Counts system calls of the media threads with `perf` (Linux, root or a low `kernel.perf_event_paranoid`), so the node needs no
instrumentation; what the tracing costs is in the figures. One figure for each send, which may carry several packets of equal length.
The ideal forwarder's `latency_from_receive` is the same of itself.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

CALLS = ("sys_exit_recvmmsg", "sys_exit_sendmsg", "sys_enter_epoll_wait")
LINE = re.compile(r"\s*(\d+)\s+([\d.]+):\s+syscalls:(\w+):\s*(.*)")


def media_threads(pid: int) -> list[str]:
    tasks = pathlib.Path(f"/proc/{pid}/task")
    return [task.name for task in tasks.iterdir() if (task / "comm").read_text().startswith("shard-")]


def record(threads: list[str], seconds: float) -> str:
    events = ",".join(f"syscalls:{call}" for call in CALLS)
    with tempfile.NamedTemporaryFile(suffix=".perf") as data:
        subprocess.run(
            ["perf", "record", "-q", "-e", events, "-t", ",".join(threads), "-o", data.name, "--", "sleep", str(seconds)],
            check=True,
        )
        script = ["perf", "script", "-i", data.name, "-F", "tid,time,event,trace"]
        return subprocess.run(script, check=True, capture_output=True, text=True).stdout


def latencies(script: str) -> list[float]:
    """Seconds. A turn of a thread begins with the first receive call that brought something and ends when it waits again."""
    began: dict[str, float] = {}
    found = []
    for line in script.splitlines():
        match = LINE.match(line)
        if not match:
            continue
        thread, at, call, result = match[1], float(match[2]), match[3], match[4]
        if call == "sys_enter_epoll_wait":
            began.pop(thread, None)
        elif call == "sys_exit_recvmmsg":
            # A negative result is an error: nothing there.
            if 0 < int(result, 16) < 1 << 31:
                began.setdefault(thread, at)
        elif thread in began:
            found.append(at - began[thread])
    return sorted(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pid", type=int, help="of the node")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    threads = media_threads(options.pid)
    if not threads:
        sys.exit(f"process {options.pid} has no media threads (shard-0 and so on): is it a node?")
    found = latencies(record(threads, options.seconds))
    if not found:
        sys.exit("nothing was sent upon something received: is there any load?")
    at = lambda share: found[min(len(found) - 1, int(len(found) * share))] * 1e6
    print(f"{len(found)} sends: p50 {at(0.5):.0f} us, p95 {at(0.95):.0f} us, p99 {at(0.99):.0f} us, max {found[-1] * 1e6:.0f} us")


if __name__ == "__main__":
    main()
