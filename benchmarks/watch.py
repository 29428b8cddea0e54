"""The streaming program end to end: ``python benchmarks/watch.py``.

From lines to lines, by processor time of the watch alone (what else runs on the machine takes turns with it, not shares of it), without
its start: the time for a tenth of the lines is subtracted. Latency is by the clock, one reading at a time through two pipes.
Resident memory is read over ten million readings; checkpoints of a thousand sensors count until they are on the disk.
`benchmarks/stream.py` measures the detectors alone. ``--only WORDS`` runs the rows whose names contain one of the words.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import harness  # isort: skip  # first: it sets the number of threads
import numpy as np
import pandas as pd

import ssmts
from ssmts import InnovationDetector
from ssmts.stream import Arrange, Checkpoint, Notes, Reading, Watch

COLUMNS = ["job", "figure", "range", "asked", "besides"]
PROGRAM = "import sys; {without}from ssmts.cli import main; sys.exit(main(sys.argv[1:]))"
SLOW = "sys.modules['orjson'] = None; "
START = 1_700_000_000
MILLION = 10**6


def readings(n, d, seed=0):
    """Local levels: random walks seen with noise."""
    rng = np.random.default_rng(seed)
    return (np.cumsum(0.2 * rng.standard_normal((n, d)), axis=0) + rng.standard_normal((n, d))).round(4)


def wide(X):
    for t, row in enumerate(X.tolist()):
        yield json.dumps({"time": START + t, **{f"s{j}": v for j, v in enumerate(row)}}) + "\n"


def long(X):
    for t, row in enumerate(X.tolist()):
        for j, v in enumerate(row):
            yield json.dumps({"time": START + t, "sensor": f"s{j}", "value": v}) + "\n"


def table_of(X):
    names = [f"s{j}" for j in range(X.shape[1])]
    yield ",".join(["time", *names]) + "\n"
    for t, row in enumerate(X.tolist()):
        yield ",".join(map(str, [START + t, *row])) + "\n"


def influx(X):
    for t, row in enumerate(X.tolist()):
        yield "plant " + ",".join(f"s{j}={v}" for j, v in enumerate(row)) + f" {START + t}\n"


def rate(value):
    return f"{value / 1e6:.3g} M/s" if value >= 1e6 else f"{value / 1e3:.3g} k/s"


class Folder:
    """A folder with a model, and files of lines for it."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp())

    def model(self, d):
        path = self.path / f"model{d}.ssmts"
        if not path.exists():
            training = pd.DataFrame(readings(2000, d, seed=1), columns=[f"s{j}" for j in range(d)])
            ssmts.save(InnovationDetector(false_alarm_rate=1e-4).fit(training), path)
        return path

    def lines(self, make, n, d):
        path = self.path / f"{make.__name__}{n}x{d}"
        if not path.exists():
            path.write_text("".join(make(readings(n, d))))
        return path


def used(arguments, without=""):
    """Processor seconds of a watch, and the number of lines it wrote."""
    command = [sys.executable, "-c", PROGRAM.format(without=without), "watch", *map(str, arguments)]
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE)
        err = process.stderr.read()
        _, status, spent = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        if process.returncode:
            raise RuntimeError(err.decode())
        out.seek(0)
        return spent.ru_utime + spent.ru_stime, sum(1 for _ in out)


def throughput(folder, make, n, d, options=(), without="", repeats=5, model=True):
    """Median, least and largest readings a second."""
    learnt = ["--model", folder.model(d)] if model else ["--warmup", 500]
    found = []
    for _ in range(repeats + 1):  # the first is not counted: it may compile
        few, many = (used(["--from", folder.lines(make, k, d), *learnt, *options], without) for k in (n // 10, n))
        assert few[1] > 0
        assert many[1] >= 0.99 * n
        found.append(0.9 * n * d / (many[0] - few[0]))
    return statistics.median(found[1:]), min(found[1:]), max(found[1:])


def end_to_end(table, folder):
    jobs = {
        "NDJSON, one sensor a line": ("100 k/s", wide, 200_000, 1, (), ""),
        "NDJSON, one sensor a line, without orjson": ("50 k/s", wide, 200_000, 1, (), SLOW),
        "NDJSON, eight sensors a line": ("100 k/s", wide, 100_000, 8, (), ""),
        "NDJSON, eight sensors a line, without orjson": ("50 k/s", wide, 100_000, 8, (), SLOW),
        "NDJSON, one sensor a line, --late 60s": ("", wide, 200_000, 1, ("--late", "60s"), ""),
        "NDJSON, one sensor a line, --output both": ("", wide, 200_000, 1, ("--output", "both"), ""),
        "NDJSON, one value a line, eight sensors": ("", long, 50_000, 8, (), ""),
        "CSV, one sensor a line": ("", table_of, 200_000, 1, (), ""),
        "Influx line protocol, eight fields a line": ("", influx, 50_000, 8, ("--format", "influx"), ""),
    }
    for name, (asked, make, n, d, options, without) in jobs.items():
        if table.wants(name):
            median, least, largest = throughput(folder, make, n, d, options, without)
            table.put(
                name,
                rate(median),
                f"{rate(least)} to {rate(largest)}",
                asked,
                f"{rate(median / d)} rows" if d > 1 else "",
            )
    name = "NDJSON, one sensor a line, into a file with a checkpoint every 10 s"
    if table.wants(name):
        found = []
        for _ in range(4):
            seconds = []
            for n in (20_000, 200_000):
                fresh = folder.path / f"kept{time.monotonic_ns()}"
                kept = ("--checkpoint", fresh, "--to", f"{fresh}.ndjson")
                arguments = ["--from", folder.lines(wide, n, 1), "--model", folder.model(1), *kept]
                seconds.append(used(arguments)[0])
            found.append(180_000 / (seconds[1] - seconds[0]))
        table.put(name, rate(statistics.median(found[1:])), f"{rate(min(found[1:]))} to {rate(max(found[1:]))}")


def latency(table, folder):
    name = "latency of a reading, through two pipes"
    if not table.wants(name):
        return
    command = [sys.executable, "-c", PROGRAM.format(without=""), "watch", "--model", str(folder.model(1))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    taken = []
    for line in wide(readings(20_500, 1)):
        start = time.perf_counter()
        process.stdin.write(line.encode())
        process.stdin.flush()
        process.stdout.readline()
        taken.append(time.perf_counter() - start)
    process.communicate()
    low, mid, high = np.quantile(taken[500:], [0.01, 0.5, 0.99])
    table.put(
        name,
        f"p99 {harness.duration(high)}",
        f"median {harness.duration(mid)}",
        "",
        f"p1 {harness.duration(low)}; by the clock",
    )


def memory(table, folder):
    for name, extra in {
        "": (),
        ", --late 60s and a checkpoint": ("--late", "60s", "--checkpoint", folder.path / "cm"),
    }.items():
        job = f"resident memory after 1 and after 10 million readings, eight sensors a line{name}"
        if not table.wants(job):
            continue
        command = [sys.executable, "-c", PROGRAM.format(without=""), "watch", "--model", folder.model(8), *extra]
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        X, held = readings(25_000, 8), []
        rows = [json.dumps({f"s{j}": v for j, v in enumerate(row)})[1:] for row in X.tolist()]
        for k in range(10 * MILLION // 8):
            process.stdin.write(f'{{"time": {START + k}, {rows[k % len(rows)]}\n'.encode())
            if (k + 1) * 8 in (MILLION, 10 * MILLION):
                process.stdin.flush()
                time.sleep(3)  # it answers what is in the pipe
                held.append(
                    int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024
                )
        process.communicate()
        table.put(job, f"{held[0]:.1f} MB, {held[1]:.1f} MB", "", "flat", f"{held[1] - held[0]:+.1f} MB")


def checkpoints(table, folder):
    notes = Notes(print)
    for name, held in {"": 0, ", 60,000 readings held for their order": 60_000}.items():
        job = (
            f"checkpoint of a watch of 1,000 sensors{name}"
            if not held
            else f"checkpoint of a watch of one sensor{name}"
        )
        if not table.wants(job):
            continue
        d = 1 if held else 1000
        X = readings(1100, d)
        watch = Watch(
            InnovationDetector(false_alarm_rate=1e-4).fit(X[:500]), sensors=[f"s{j}" for j in range(d)], incidents={}
        )
        watch.answer([Reading(t, START + t, row) for t, row in enumerate(X[500:].tolist())])
        arrange = Arrange(notes, late=60 * 10**9)
        arrange.take([Reading(t, START + t / 1000, [20.0]) for t in range(held)], ["s0"])
        keep = Checkpoint(folder.path / "c", note=notes)
        median, least, largest = harness.seconds(
            lambda w=watch, a=arrange, k=keep: k.write({"w": w.state(), "a": a.state()}), repeats=15
        )
        size = (folder.path / "c").stat().st_size / 1e6
        spread = f"{harness.duration(least)} to {harness.duration(largest)}"
        table.put(job, harness.duration(median), spread, "100 ms", f"{size:.2f} MB, on the disk when it returns")


def mqtt(table, folder):
    job = "MQTT by mosquitto, 50 readings a message, QoS 1"
    program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
    if not table.wants(job) or program is None:
        return
    import paho.mqtt.client as paho

    config = folder.path / "mosquitto.conf"
    config.write_text(
        "listener 21883 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 1000\n"
    )
    address = "mqtt://127.0.0.1:21883/plant"
    broker = subprocess.Popen([program, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    command = [
        sys.executable,
        "-c",
        PROGRAM.format(without=""),
        "watch",
        "--from",
        address,
        "--model",
        folder.model(1),
    ]
    out = folder.path / "answers"
    process = subprocess.Popen([*map(str, command), "--to", str(out)], stderr=subprocess.PIPE)
    for line in process.stderr:
        if b"subscribed" in line:
            break
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", 21883)
    client.loop_start()
    lines = list(wide(readings(200_000, 1)))
    before = time.perf_counter()
    sent = [client.publish("plant", "".join(lines[i : i + 50]), qos=1) for i in range(0, len(lines), 50)]
    size = 0
    while size < len(lines):
        time.sleep(0.1)
        with out.open("rb") as file:
            size = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    seconds = time.perf_counter() - before
    process.terminate()
    _, status, spent = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    own = spent.ru_utime + spent.ru_stime
    process.stderr.close()
    client.disconnect()
    client.loop_stop()
    broker.terminate()
    broker.wait()
    assert all(each.is_published() for each in sent)
    table.put(
        job,
        rate(len(lines) / seconds),
        "",
        "",
        f"by the clock, of three processes; {rate(len(lines) / own)} by the watch's own seconds, with its start",
    )


class Table:
    def __init__(self, only):
        self.only, self.rows = only, []

    def wants(self, job):
        return not self.only or any(word in job for word in self.only)

    def put(self, job, figure, spread="", asked="", besides=""):
        self.rows.append((job, figure, spread, asked, besides))
        print(*(f"{each}" for each in (job, figure, spread, asked, besides) if each), sep=" | ", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    table, folder = Table(options.only), Folder()
    for part in (end_to_end, latency, memory, checkpoints, mqtt):
        part(table, folder)
    shutil.rmtree(folder.path)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    harness.report(
        "watch" if not options.only else "watch-part",
        "ssmts watch, end to end",
        COLUMNS,
        table.rows,
        ["ssmts", "numpy", "numba", "orjson", "paho-mqtt", "pyarrow"],
        [
            "A reading is one value of one sensor. Readings a second are of processor time of the watch alone, from reading its lines "
            "to having written its answers, incidents followed, without its start. Latency, memory and MQTT are of a machine with "
            f"other work: load over the last 1, 5 and 15 minutes when the run ended: {load}."
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
