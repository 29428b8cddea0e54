"""What must not lose or double a reading: processes killed, disks full, checkpoints that are not what they should be."""

import signal
import time

import numpy as np
import pytest
from made_streams import long, text, values, wide

FAST = ("--warmup", "100")


def size(path):
    return path.stat().st_size if path.exists() else 0


def killed_again_and_again(watch, arguments, out, whole, seed, n_kills):
    """Kill a watch at random moments: once its output has grown by a random amount, or a random time after the start."""
    rng = np.random.default_rng(seed)
    for marks in np.sort(rng.integers(0, whole, n_kills)):
        process = watch(*arguments)
        if rng.random() < 0.2:
            time.sleep(rng.uniform(0.0, 0.6))
        else:
            while size(out) <= marks and process.poll() is None:
                time.sleep(0.002)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the stream is too short: the watch had ended"


@pytest.mark.parametrize("kind", ["wide", "long and late"])
def test_killed_at_random_moments_the_output_is_that_of_a_watch_never_stopped(watch, finished, tmp_path, kind):
    path, out = tmp_path / "in.ndjson", tmp_path / "out.ndjson"
    if kind == "wide":
        lines, n_kills, options = wide(values(30_000)), 12, FAST
    else:
        rng = np.random.default_rng(2)
        lines = long(values(8_000, 3))
        lines = [lines[i] for i in np.argsort(np.arange(len(lines)) + rng.uniform(0, 90, len(lines)))]
        n_kills, options = 8, (*FAST, "--late", "60s")
    lines[5000:5000] = ["no reading"] * 3
    path.write_bytes(text(lines))
    code, wanted, _ = finished("--from", path, *options)
    assert code == 0
    whole = sum(map(len, wanted)) + len(wanted)
    arguments = ("--from", path, "--to", out, "--checkpoint", tmp_path / "c", "--every", "100rows", *options)
    killed_again_and_again(watch, arguments, out, whole * 0.9, 1, n_kills)
    code, _, err = finished(*arguments)
    assert code == 0
    assert "going on after" in err
    assert out.read_bytes() == b"".join(line + b"\n" for line in wanted)
    assert not list(tmp_path.glob(".c.*")), "what a killed writer left behind is swept"
