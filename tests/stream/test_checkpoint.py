"""Checkpoints: whole or not at all, and refused with a reason."""

import numpy as np
import pytest

from ssmts import InnovationDetector, load, save
from ssmts.exceptions import PersistError
from ssmts.stream import Checkpoint


@pytest.fixture
def path(tmp_path):
    return tmp_path / "watch.checkpoint"


def test_what_was_written_is_read(path):
    keep = Checkpoint(path)
    assert keep.read() is None
    content = {"offset": 3, "held": [(1, "é", float("nan"))], "values": np.arange(3.0), "d": InnovationDetector()}
    assert keep.write(content)
    found = keep.read()
    assert repr({**found, "values": None}) == repr({**content, "values": None})
    np.testing.assert_array_equal(found["values"], content["values"])
    assert (keep.written, keep.failed) == (1, 0)


def test_due_by_rows_and_by_seconds(path):
    rows = Checkpoint(path, rows=10)
    assert [rows.due(4) for _ in range(3)] == [False, False, True]
    rows.write({})
    assert not rows.due(9)
    assert not Checkpoint(path, seconds=3600.0).due(10**9)
    assert Checkpoint(path, seconds=0.0).due()


def test_another_watch_is_refused(path):
    Checkpoint(path, about={"source": "a", "sinks": ["-"]}).write({})
    with pytest.raises(PersistError, match=r"another source: 'a', not 'b'"):
        Checkpoint(path, about={"source": "b", "sinks": ["-"]}).read()
    Checkpoint(path).write({})
    with pytest.raises(PersistError, match="another source: None, not 'b'"):
        Checkpoint(path, about={"source": "b"}).read()


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_one_is_refused(path, part):
    Checkpoint(path).write({"values": np.arange(1000.0)})
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(
        PersistError, match=r"(truncated or damaged|no file of|is empty).*remove this one to begin anew"
    ):
        Checkpoint(path).read()


def test_foreign_files_and_estimators_are_refused_in_both_directions(path, tmp_path):
    path.write_text("time,a\n0,1\n")
    with pytest.raises(PersistError, match=r"no file of ssmts.persist.save: it begins with b'time,a"):
        Checkpoint(path).read()
    save(InnovationDetector(), path)
    with pytest.raises(PersistError, match="is no checkpoint but the estimator InnovationDetector"):
        Checkpoint(path).read()
    Checkpoint(path).write({})
    with pytest.raises(PersistError, match="is no estimator but a checkpoint"):
        load(path)
    with pytest.raises(PersistError, match="no folder"):
        Checkpoint(tmp_path / "no" / "folder")


def test_one_that_cannot_be_written_leaves_the_old_one_and_tells(path, monkeypatch):
    told = []
    keep = Checkpoint(path, note=lambda kind, text: told.append((kind, text)))
    assert keep.write({"offset": 1})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert not keep.write({"offset": 2})
    assert told == [("checkpoint", f"no checkpoint: {path}: No space left on device; the one before stays")]
    assert keep.read() == {"offset": 1}
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_leftovers_of_killed_writers_are_swept_and_others_left(path):
    mine, other = path.with_name(f".{path.name}.abcd.tmp"), path.with_name(".else.abcd.tmp")
    mine.write_text(""), other.write_text("")
    Checkpoint(path).read()
    assert not mine.exists()
    assert other.exists()
