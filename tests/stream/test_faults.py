"""What must not lose or double a reading: processes killed, disks full, checkpoints that are not what they should be."""

import json
import os
import resource
import signal
import subprocess
import time
import urllib.request

import numpy as np
import pandas as pd
import pytest
from made_streams import long, text, values, wide

from ssmts import InnovationDetector, save

FAST = ("--warmup", "100")


def size(path):
    return path.stat().st_size if path.exists() else 0


def killed_again_and_again(watch, arguments, out, checkpoint, whole, seed, n_kills):
    """Kill a watch at random moments: once its output has grown by a random amount, or a random time after the start.

    A watch that was done before it could be killed begins anew.
    """
    rng = np.random.default_rng(seed)
    killed = 0
    for mark in np.sort(rng.integers(0, whole, n_kills)).tolist() * 3:
        process = watch(*arguments)
        if rng.random() < 0.2:
            time.sleep(rng.uniform(0.0, 0.3))
        else:
            while size(out) <= mark and process.poll() is None:
                time.sleep(0.001)
        process.kill()
        process.communicate()
        if process.returncode == -signal.SIGKILL:
            killed += 1
            if killed == n_kills:
                return
        else:
            assert process.returncode == 0
            out.unlink()
            checkpoint.unlink()
    pytest.fail(f"only {killed} of {n_kills} watches could be killed before they were done: the stream is too short")


@pytest.mark.parametrize("kind", ["wide", "long and late"])
def test_killed_at_random_moments_the_output_is_that_of_a_watch_never_stopped(watch, finished, tmp_path, kind):
    path, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    if kind == "wide":
        lines, n_kills, options = wide(values(30_000)), 12, FAST
    else:
        rng = np.random.default_rng(2)
        lines = long(values(12_000, 3))
        lines = [lines[i] for i in np.argsort(np.arange(len(lines)) + rng.uniform(0, 90, len(lines)))]
        n_kills, options = 8, (*FAST, "--late", "60s")
    lines[5000:5000] = ["no reading"] * 3
    path.write_bytes(text(lines))
    code, wanted, _ = finished("--from", path, *options)
    assert code == 0
    whole = sum(map(len, wanted)) + len(wanted)
    arguments = ("--from", path, "--to", out, "--checkpoint", tmp_path / "c", "--every", "100rows", *options)
    killed_again_and_again(watch, arguments, out, tmp_path / "c", whole * 0.75, 1, n_kills)
    code, _, err = finished(*arguments)
    assert code == 0
    assert "going on after" in err
    assert out.read_bytes() == b"".join(line + b"\n" for line in wanted)
    assert not list(tmp_path.glob(".c.*")), "what a killed writer left behind is swept"


def test_killed_while_it_follows_a_file_through_rotations(watch, tmp_path):
    path, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    lines = wide(values(1200))
    arguments = ("--follow", path, "--to", out, "--checkpoint", tmp_path / "c", "--every", "20rows", *FAST)
    rng = np.random.default_rng(5)
    path.write_bytes(text(lines[:100]))
    written = 100
    for mark in (50, 300, 600):
        process = watch(*arguments)
        wait_for(lambda mark=mark: len(lines_of(out)) > mark)
        for rotation in (True, False, True):
            with path.open("ab") as file:
                file.write(text(lines[written : written + 100]))
            written += 100
            if rotation:
                rotate(path)
            time.sleep(rng.uniform(0.0, 0.3))
        process.kill()
        process.communicate()
    with path.open("ab") as file:
        file.write(text(lines[written:]))
    process = watch(*arguments)
    wait_for(lambda: len(lines_of(out)) >= 1200)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    times = [[json.loads(line)["time"] for line in each] for each in (lines_of(out), lines)]
    assert times[0] == times[1]


def lines_of(path):
    return path.read_bytes().splitlines() if path.exists() else []


def rotate(path):
    """As logrotate does it: the newest of the old ones is .1."""
    for k in range(len(list(path.parent.glob(f"{path.name}.*"))), 0, -1):
        os.rename(f"{path}.{k}", f"{path}.{k + 1}")
    path.rename(f"{path}.1")
    path.touch()


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("kind", ["redirected", "piped again", "parquet"])
def test_killed_with_other_sources_of_files(watch, finished, tmp_path, kind):
    out, lines = tmp_path / "out.ndjson", wide(values(20_000))
    arguments = ["--to", out, "--checkpoint", tmp_path / "c", "--every", "100rows", *FAST]
    path = tmp_path / "in.ndjson"
    path.write_bytes(text(lines))
    if kind == "parquet":
        pd.DataFrame([json.loads(line) for line in lines]).to_parquet(tmp_path / "in.parquet", row_group_size=3000)
        arguments += ["--from", tmp_path / "in.parquet"]
    arguments += ["--again"] if kind == "piped again" else []

    def start():
        if kind == "parquet":
            return watch(*arguments)
        if kind == "redirected":
            with path.open("rb") as file:
                return watch(*arguments, stdin=file)
        feeder = subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE)
        feeders.append(feeder)
        return watch(*arguments, stdin=feeder.stdout)

    feeders = []
    for mark in (100_000, 1_000_000):
        process = start()
        wait_for(lambda mark=mark: size(out) > mark)
        process.kill()
        process.communicate()
    process = start()
    assert process.wait(60) == 0
    wanted = finished("--from", path, *FAST)[1]
    assert out.read_bytes().splitlines() == wanted
    for feeder in feeders:
        feeder.stdout.close()
        feeder.wait()


def test_sigterm_keeps_what_is_held_for_its_order_and_the_next_watch_goes_on(watch, finished, tmp_path):
    lines = wide(values(600))
    arguments = ("--late", "60s", "--to", tmp_path / "out", "--checkpoint", tmp_path / "c", *FAST)
    process = watch(*arguments, stdin=subprocess.PIPE)
    process.stdin.write(text(lines[:300]))
    process.stdin.flush()
    wait_for(lambda: size(tmp_path / "out") > 0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert len((tmp_path / "out").read_bytes().splitlines()) == 300 - 60
    code, _, _ = finished(*arguments, input=text(lines[300:]))
    assert code == 0
    assert (tmp_path / "out").read_bytes().splitlines() == finished(*FAST, input=text(lines))[1]


# disks ---------------------------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_old_one_and_stops_nothing(finished, tmp_path):
    """Files may not grow beyond a size that the first checkpoint has and later ones, with a fitted detector, exceed."""
    lines = wide(values(2000))
    limit = 4000
    code, out, err = finished(
        "--checkpoint", tmp_path / "c", "--every", "500rows", *FAST, input=text(lines),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )  # fmt: skip
    assert code == 0
    assert len(out) == 2000
    assert f"no checkpoint: {tmp_path / 'c'}: File too large; the one before stays" in err
    assert 0 < size(tmp_path / "c") <= limit
    assert [each.name for each in tmp_path.iterdir()] == ["c"]
    code, out, err = finished("--checkpoint", tmp_path / "c", *FAST, input=text(lines[:50]))
    assert (code, len(out)) == (0, 50)
    assert "going on after 0 readings" in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_is_full_for_the_answers_ends_the_watch_with_a_reason(finished, tmp_path):
    code, _, err = finished("--to", "/dev/full", *FAST, input=text(wide(values(200))))
    assert code == 1
    assert "No space left on device" in err


@pytest.mark.parametrize("content", [b"", b"time,a\n0,1\n", "half", "model"])
def test_a_truncated_or_foreign_checkpoint_is_refused_with_a_reason(finished, tmp_path, content):
    path = tmp_path / "c"
    if content == "model":
        save(InnovationDetector().fit(values(100)), path)
        content = path.read_bytes()
    elif content == "half":
        finished("--checkpoint", path, *FAST, input=text(wide(values(200))))
        content = path.read_bytes()[:1500]
    path.write_bytes(content)
    code, out, err = finished("--checkpoint", path, input=text(wide(values(200))))
    assert (code, out) == (1, [])
    assert str(path) in err
    assert "remove this one to begin anew" in err
    assert path.read_bytes() == content


def test_a_checkpoint_of_another_watch_and_a_shorter_output_are_refused(finished, tmp_path):
    lines = text(wide(values(200)))
    (tmp_path / "in").write_bytes(lines)
    arguments = ("--from", tmp_path / "in", "--checkpoint", tmp_path / "c", *FAST)
    assert finished(*arguments, "--to", tmp_path / "out")[0] == 0
    code, _, err = finished(*arguments)
    assert code == 1
    assert "another sinks" in err
    (tmp_path / "out").write_bytes(b"")
    code, _, err = finished(*arguments, "--to", tmp_path / "out")
    assert code == 1
    assert "has 0 bytes" in err


# hostile streams -----------------------------------------------------------------------------------------------------


def same_answers(found, wanted):
    assert [json.loads(line) for line in found] == [json.loads(line) for line in wanted]


def test_late_and_shuffled_readings_with_garbage_give_the_answers_of_the_sorted_stream(finished):
    rng = np.random.default_rng(4)
    lines = wide(values(3000))
    delays = rng.uniform(0, 60, 3000)
    mixed = [lines[i] for i in np.argsort(np.arange(3000) + delays, kind="stable")]
    for at in sorted(rng.integers(0, 3000, 150), reverse=True):  # 5 %
        mixed.insert(at, ["{", "[1]", "\x00\x01", '{"time": "soon", "s0": 1}', '{"time": 1, "s0": "x"}'][at % 5])
    code, out, err = finished("--late", "60s", *FAST, input=text(mixed))
    assert code == 0
    same_answers(out, finished(*FAST, input=text(lines))[1])
    assert "3150 lines, 3000 readings, 150 bad, " in err


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_missing_values_in_a_long_stream_are_those_of_the_table(finished, share):
    data = values(1500, 4, seed=6)
    data[np.random.default_rng(7).random(data.shape) < share] = np.nan
    there = ~np.isnan(data).all(axis=1)
    code, out, _ = finished(*FAST, input=text(long(data)))
    assert code == 0
    assert len(out) == there.sum()
    detector = InnovationDetector(false_alarm_rate=1e-3).fit(data[there][:100])
    wanted = np.exp(detector.score_samples(data[there][100:]))
    np.testing.assert_allclose([json.loads(line)["p_value"] for line in out[100:]], wanted, rtol=1e-9)


def test_a_clock_that_goes_back_a_sensor_that_appears_and_one_that_vanishes(finished):
    data = values(1200, 3, seed=8)
    data[:400, 1] = np.nan  # appears
    data[800:, 2] = np.nan  # vanishes
    lines = [*long(data[:1000]), *long(data[1000:], start=1_600_000_000)]
    code, out, err = finished(*FAST, input=text(lines))
    assert code == 0
    assert len(out) == 1200
    assert "the sensor 's1' appeared, and is not watched" in err
    assert "the sensor 's2' has been silent for" in err
    assert "the clock went back by" in err
    code, out, err = finished(*FAST, "--new-sensors", "adopt", input=text(lines))
    assert code == 0
    assert len(out) == 1200
    assert "now watched, too: s1" in err
    assert {json.loads(line)["sensor"] for line in out[600:]} >= {"s0", "s1"}


@pytest.mark.parametrize("scale", [1.0, 1e9])
def test_large_values_constant_sensors_nan_and_infinities(finished, scale):
    rng = np.random.default_rng(9)
    data = np.column_stack([values(1500) * scale, np.full(1500, 7.0 * scale), rng.normal(size=1500) * scale])
    data[rng.random(data.shape) < 0.01] = np.nan
    infinite = rng.random(1500) < 0.01
    lines = [line.replace('"s2": ', '"s2": 1e999, "x": ') if bad else line for line, bad in zip(wide(data), infinite)]
    bad = sum("1e999" in line for line in lines)
    code, out, err = finished(*FAST, "--sensors", "s0", "s1", "s2", input=text(lines))
    assert code == 0
    assert f"{1500 - bad} readings, {bad} bad" in err
    found = [json.loads(line, parse_constant=pytest.fail) for line in out]
    assert {answer["status"] for answer in found} >= {"warming", "ok", "alert"}
    assert all(0 <= answer["p_value"] <= 1 for answer in found if answer["p_value"] is not None)


# figures -------------------------------------------------------------------------------------------------------------


def test_metrics_of_a_running_watch(watch, tmp_path):
    keep = ("--to", tmp_path / "out", "--checkpoint", tmp_path / "c")
    process = watch("--metrics-port", 0, "--late", "5s", *keep, *FAST, stdin=subprocess.PIPE)
    address = next(line for line in process.stderr if b"metrics at" in line).decode().split()[-1]
    lines = [*wide(values(500)), "oops", wide(values(1))[0]]
    process.stdin.write(text([*lines, wide(values(1), start=1_700_000_600)[0]]))
    process.stdin.flush()

    def figures():
        with urllib.request.urlopen(address) as page:
            found = [line.rsplit(" ", 1) for line in page.read().decode().splitlines() if line[0] != "#"]
        return {name.removeprefix("ssmts_watch_"): float(value) for name, value in found}

    wait_for(lambda: figures()["latency_seconds_count"] == 500)
    found = figures()
    assert (found["lines_total"], found["bad_lines_total"], found["late_readings_total"]) == (503, 1, 1)
    assert found["readings_total"] == 500
    assert found["alerts_total"] > 0
    assert found["incidents_total"] > 0
    assert found["lag_seconds"] > 1e6
    assert found["checkpoints_total"] >= 1
    assert 0 <= found["checkpoint_age_seconds"] < 60
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
