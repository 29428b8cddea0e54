"""Readings a second of the detectors and of the watch: ``python benchmarks/stream.py``.

A second is one of a core's own, processor time of the process that works: what else runs on the machine takes turns with it, not shares
of it. Only the latency of single calls is by the clock on the wall.

One reading a call beside river and filterpy in the same run and in turn; fleets of a thousand sensors; memory over ten million
readings, and the time of a checkpoint, each in a process of its own; and ``ssmts watch`` end to end, from lines to lines, with and without
orjson. ``--only WORDS`` runs the rows whose names contain one of the words. Peers: `stream_peers.txt`.
"""

import argparse
import functools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness  # isort: skip  # first: it sets the number of threads
import numpy as np
import stream_peers as peers

import ssmts
from ssmts import Autoregressive, InnovationDetector

COLUMNS = ["job", "ssmts", "range", "asked", "river, Gaussian", "river, half-space trees", "filterpy", "besides"]
PEERS = {
    "river, Gaussian": ("river", peers.gaussian_scorer),
    "river, half-space trees": ("river", peers.half_space_trees),
    "filterpy": ("filterpy", peers.filterpy),
}
SENSORS, ROWS = 1000, 1000
timed = functools.partial(harness.seconds, clock=time.process_time)
PARSERS = {"with orjson": "", "without orjson": "sys.modules['orjson'] = None; "}


def readings(n, d=1, seed=0):
    """Local levels: random walks seen with noise."""
    rng = np.random.default_rng(seed)
    return np.cumsum(0.2 * rng.standard_normal((n, d)), axis=0) + rng.standard_normal((n, d))


def rate(value):
    """A number a second, in words of three digits."""
    for unit, size in ((" M/s", 1e6), (" k/s", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g} /s"


class Table:
    def __init__(self, only):
        self.only, self.rows = only, []

    def wants(self, job):
        return not self.only or any(word in job for word in self.only)

    def add(self, job, seconds, n, asked, besides="", others=None):
        """A row of a job whose median, least and largest seconds are for n readings."""
        median, least, largest = (rate(n / s) for s in seconds)
        others = {name: rate(value) for name, value in (others or {}).items()}
        self.put(job, median, f"{largest} to {least}", asked, besides, others)

    def put(self, job, value, spread="", asked="", besides="", others=None):
        cells = [(others or {}).get(name, "") for name in PEERS]
        self.rows.append([job, value, spread, asked, *cells, besides])
        print(*self.rows[-1], sep=" | ", flush=True)


# one reading a call --------------------------------------------------------------------------------------------------


def one_by_one(table):
    y = readings(6000)[:, 0]
    news = y[5000:].tolist()
    rows = [np.array([[value]]) for value in news]
    calls = {}
    for name, model in (("local level", "local_level"), ("autoregression of order 8", "autoregressive")):
        job = f"one sensor, one reading a call of update, {name}"
        if table.wants(job):
            detector = InnovationDetector(model, false_alarm_rate=1e-4).fit(y[:5000, None])
            calls[job] = detector.update, rows
    if not calls:
        return
    for name, (package, make) in PEERS.items():
        if peers.installed(package):
            calls[name] = make(y[:5000].tolist()), news
    seconds = harness.interleaved(
        {name: (lambda t=t, v=v: [t(x) for x in v]) for name, (t, v) in calls.items()}, clock=time.process_time
    )
    late = {name: late_calls(*call) for name, call in calls.items()}
    others = {name: len(news) / seconds[name][0] for name in PEERS if name in seconds}
    slow = {name: harness.duration(late[name]) for name in PEERS if name in late}
    for job in [name for name in calls if name not in PEERS]:
        local = "local level" in job
        table.add(job, seconds[job], len(news), "100 k/s" if local else "", others=others)
        table.put(
            f"{job}: 99 % of calls within", harness.duration(late[job]), asked="50 µs" if local else "", others=slow
        )


def late_calls(take, values):
    """Seconds that 99 of 100 calls stay within."""
    samples = []
    for k in range(20_000):
        value = values[k % len(values)]
        start = time.perf_counter()
        take(value)
        samples.append(time.perf_counter() - start)
    return float(np.quantile(samples, 0.99))


# fleets --------------------------------------------------------------------------------------------------------------


def fleets(table):
    X = readings(500 + ROWS, SENSORS)
    news = X[500:]
    jobs = {
        "score and threshold": ("70 M/s", lambda d: d.update_sensors(news, p_values=False), ROWS),
        "with p-value": ("25 M/s", lambda d: d.update_sensors(news), ROWS),
        "score and threshold, one row a call": ("", lambda d: d.update_sensors(news[:1], p_values=False), 1),
        "joint covariance of all of them": ("5 M/s", lambda d: d.update(news), ROWS),
    }
    wanted = {f"{SENSORS:,} local levels, {name}": job for name, job in jobs.items()}
    wanted = {name: job for name, job in wanted.items() if table.wants(name)}
    if wanted:
        local = InnovationDetector(false_alarm_rate=1e-4).fit(X[:500])
        for name, (asked, take, n) in wanted.items():
            table.add(name, timed(functools.partial(take, local)), n * SENSORS, asked)
    job = f"{SENSORS:,} recursive least squares of order 8, with p-value"
    if table.wants(job):
        learning = InnovationDetector(Autoregressive(order=8), false_alarm_rate=1e-4).fit(X[:500])
        seconds = timed(lambda: learning.update_sensors(news), repeats=5)
        table.add(job, seconds, ROWS * SENSORS, "0.4 M/s")
    job = "8 local levels, joint covariance"
    if table.wants(job):
        few = readings(20_000, 8)
        detector = InnovationDetector(false_alarm_rate=1e-4).fit(few[:2000])
        table.add(job, timed(lambda: detector.update(few[2000:])), 8 * 18_000, "")


# memory and checkpoints ----------------------------------------------------------------------------------------------


def resident():
    """MB that this process holds in memory (Linux)."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) / 1024


def measure_memory(kind):
    """MB after one million and after ten million readings, one row a call."""
    d = SENSORS if kind == "fleet" else 1
    X = readings(1000, d)
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(X[:500])
    detector.rows_ = None
    take = detector.update_sensors if kind == "fleet" else detector.update
    rows, held = [row[None] for row in X[500:]], []
    calls = 0
    for total in (10**6, 10**7):
        while calls * d < total:
            take(rows[calls % 500])
            calls += 1
        held.append(resident())
    print(json.dumps(held))


def memory(table):
    names = {"one": "one sensor, one reading a call", "fleet": f"{SENSORS:,} sensors, one row a call"}
    for kind, name in names.items():
        job = f"resident memory after 1 and after 10 million readings, {name}"
        if table.wants(job):
            command = [sys.executable, __file__, "--memory", kind]
            first, last = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            table.put(job, f"{first:.1f} MB, {last:.1f} MB", asked="flat", besides=f"{last - first:+.1f} MB")


def checkpoints(table):
    for name, model in (("local levels", "local_level"), ("autoregressions", "autoregressive")):
        job = f"ssmts.save of a detector of {SENSORS:,} {name}"
        if not table.wants(job):
            continue
        detector = InnovationDetector(model).fit(readings(500, SENSORS))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "detector.ssmts"
            median, least, largest = harness.seconds(
                functools.partial(ssmts.save, detector, path)
            )  # the disk counts too
            size = path.stat().st_size / 1e6
        spread = f"{harness.duration(least)} to {harness.duration(largest)}"
        table.put(job, harness.duration(median), spread, "100 ms", f"{size:.1f} MB, on disk when it returns")


# the watch -----------------------------------------------------------------------------------------------------------


def watches(table):
    for d, n in ((1, 200_000), (8, 100_000)):
        for parser, without in PARSERS.items():
            job = f"ssmts watch, NDJSON, {d} sensor{'s' if d > 1 else ''} a line, {parser}"
            if not table.wants(job):
                continue
            if not without and not peers.installed("orjson"):
                table.put(job, "", besides="orjson is not installed")
                continue
            seconds = watched(d, n, without)
            asked = "100 k/s" if not without else "50 k/s"
            table.add(job, seconds, n * d, asked, f"{rate(n / seconds[0])} lines; without start-up")


def watched(d, n, without):
    """Median, least and largest seconds that the program takes for n lines beyond those for a tenth of them, scaled to n."""
    X = readings(2000 + n, d)
    with tempfile.TemporaryDirectory() as folder:
        model, few, many = (Path(folder) / name for name in ("model.ssmts", "few.ndjson", "many.ndjson"))
        ssmts.save(InnovationDetector(false_alarm_rate=1e-4).fit(X[:2000]), model)
        lines = [
            json.dumps({"time": k, **{f"s{i}": round(value, 4) for i, value in enumerate(row)}}) + "\n"
            for k, row in enumerate(X[2000:].tolist())
        ]
        few.write_text("".join(lines[: n // 10]))
        many.write_text("".join(lines))
        program = f"import sys; {without}from ssmts.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", program, "watch", "--model", str(model), "--time", "time"]
        taken = []
        for _ in range(6):  # the first is not counted: it may compile
            taken.append((piped(command, many, n) - piped(command, few, n // 10)) / 0.9)
    return statistics.median(taken[1:]), min(taken[1:]), max(taken[1:])


def piped(command, path, n):
    """Processor seconds of a program that reads a file by a pipe and must answer every line."""
    out = path.with_suffix(".out")
    with path.open("rb") as lines, out.open("wb") as answers:
        cat = subprocess.Popen(["cat"], stdin=lines, stdout=subprocess.PIPE)
        process = subprocess.Popen(command, stdin=cat.stdout, stdout=answers, stderr=subprocess.DEVNULL)
        cat.stdout.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cat.wait()
    with out.open("rb") as answers:
        count = sum(1 for _ in answers)
    if process.returncode or count != n:
        raise RuntimeError(f"{n} lines had {count} answers, exit code {process.returncode}")
    return used.ru_utime + used.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--memory", choices=("one", "fleet"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        return measure_memory(options.memory)
    table = Table(options.only)
    for part in (one_by_one, fleets, memory, checkpoints, watches):
        part(table)
    packages = ["ssmts", "numpy", "numba", *(p for p in ("orjson", "river", "filterpy") if peers.installed(p))]
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    harness.report(
        "stream" if not options.only else "stream-part",
        "Streams: readings a second",
        COLUMNS,
        table.rows,
        packages,
        [
            "Medians of repeats, the range beside them; a reading is one value of one sensor. Every reading is scored before it is learnt. "
            "Seconds are processor time of one core, but for `save` and for the latency of calls, which are by the clock: load of the "
            f"machine over the last 1, 5 and 15 minutes when the run ended: {load}.",
            "",
            "River's Gaussian scorer looks at the last 500 readings and has no notion of time; its half-space trees are the default "
            "ones (10 trees of height 8). filterpy filters a local level and squares the innovation. Only ssmts gives calibrated "
            "p-values here.",
        ],
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
