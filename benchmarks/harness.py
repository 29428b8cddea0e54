"""What every benchmark here shares: timing, the machine and versions in words, and a dated table in results/."""

import csv
import datetime
import importlib.metadata
import os
import platform
import statistics
import time
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # one thread on either side; a benchmark imports this module before NumPy

RESULTS = Path(__file__).parent / "results"


def seconds(call, repeats=7, at_least=0.05, clock=time.perf_counter):
    """Median and range of the seconds a call takes, after one uncounted call; each sample is a loop of at least `at_least` seconds."""
    call()
    start = clock()
    call()
    loops = max(1, int(at_least / max(clock() - start, 1e-9)))
    samples = []
    for _ in range(repeats):
        start = clock()
        for _ in range(loops):
            call()
        samples.append((clock() - start) / loops)
    return statistics.median(samples), min(samples), max(samples)


def interleaved(calls, repeats=7, at_least=0.05, clock=time.perf_counter):
    """`seconds` of several calls taken in turn, so that a drift of the machine's speed meets all of them alike."""
    samples = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            samples[name].append(seconds(call, repeats=1, at_least=at_least, clock=clock)[0])
    return {name: (statistics.median(s), min(s), max(s)) for name, s in samples.items()}


def duration(value):
    """Seconds in words of three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def machine():
    """Processor, cores and Python in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, one thread a side, Python {platform.python_version()}"


def logged(path):
    """Lines of the log of a benchmark that goes on where it was cut off, each a dict of text."""
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def is_logged(path, key):
    """Whether a log has a line with these values: such a run is not run again."""
    return any(all(row[k] == str(v) for k, v in key.items()) for row in logged(path))


def log(path, row):
    """Print a line, and add it to a log."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)


def report(name, title, columns, rows, packages, notes=()):
    """Print a Markdown table with what it was made with, and write it to results/."""
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)
    text = [f"# {title}", "", f"{datetime.date.today().isoformat()}. {machine()}.", f"{versions}.", ""]
    text += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    text += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    text += ["", *notes] if notes else []
    out = "\n".join(text) + "\n"
    print(out)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(out)
