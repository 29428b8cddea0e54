"""Files that grow, are rotated, emptied, and gone on with."""

import os

import pytest

from ssmts.stream import Bell, FollowedFile, LineSource, Mark


@pytest.fixture
def bell():
    with Bell() as bell:
        yield bell


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("time,a\n0,1\n1,2\n")
    return path


def times(source, most=20):
    """Times of the readings until nothing comes."""
    found, quiet = [], 0
    for block in source:
        quiet = 0 if block else quiet + 1
        found += [item.time for item in block]
        if quiet > 2:
            break
    return found


def test_a_file_is_read_to_its_end_with_an_unfinished_last_line(path, bell):
    path.write_text("time,a\n0,1\n1,2")
    source = LineSource(FollowedFile(path, bell, follow=False))
    assert [item.time for block in source for item in block] == ["0", "1"]
    assert source.position()["read"]["offset"] == path.stat().st_size


def test_a_growing_file_is_followed_line_by_line(path, bell):
    source = LineSource(FollowedFile(path, bell))
    assert times(source) == ["0", "1"]
    with path.open("a") as file:
        file.write("2,3\n3,")
    assert times(source) == ["2"]
    with path.open("a") as file:
        file.write("4\n")
    assert times(source) == ["3"]


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(path, bell):
    source = LineSource(FollowedFile(path, bell))
    assert times(source) == ["0", "1"]
    with path.open("a") as file:
        file.write("2,3\n")
        path.rename(path.with_suffix(".csv.1"))
        file.write("3,4\n4,5")  # the writer has not noticed yet
    path.write_text("time,a\n5,6\n")
    assert times(source) == ["2", "3", "4", "5"]
    assert source.bad == 0, "the header of the new file is none"


@pytest.mark.parametrize("new", ["time,a\n7,8\n", "time,a\n5,6\n6,7\n7,8\n8,9\n9,10\n"])
def test_an_emptied_file_is_read_from_its_beginning(path, bell, new):
    told = []
    source = LineSource(FollowedFile(path, bell, note=told.append))
    path.write_text("time,a\n100,1\n101,2\n102")
    assert times(source) == ["100", "101"]
    path.write_text(new)  # the same file, whether shorter or longer than what was read of it
    assert times(source) == [line.split(",")[0] for line in new.splitlines()[1:]]
    assert told == [f"{path} was emptied and is read from its beginning"]


def test_another_header_in_a_new_file_holds_for_what_follows(path, bell):
    source = LineSource(FollowedFile(path, bell))
    assert times(source) == ["0", "1"]
    path.write_text("b,a,time\n5,6,2\n")
    (block,) = [block for block in iter_some(source) if block]
    assert (block[0].time, block[0].values) == ("2", [6.0])


def iter_some(source, most=4):
    for _, block in zip(range(most), source):
        yield block


@pytest.mark.parametrize("rotations", [0, 1, 2])
def test_a_position_is_found_again_in_the_file_of_then(path, bell, rotations):
    source = LineSource(FollowedFile(path, bell))
    assert times(source) == ["0", "1"]
    with path.open("a") as file:
        file.write("2,3\n3,")
    assert times(source) == ["2"]
    position = source.position()
    with path.open("a") as file:
        file.write("4\n")
    for k in range(rotations):
        for older in range(k, 0, -1):
            os.rename(f"{path}.{older}", f"{path}.{older + 1}")
        path.rename(f"{path}.1")
        path.write_text(f"time,a\n{10 + k},1\n")
    other = LineSource(FollowedFile(path, bell))
    other.go_on(position)
    assert times(other) == ["3", *(str(10 + k) for k in range(rotations))]


def test_a_copied_file_is_known_by_its_beginning_and_another_one_is_told(path, bell):
    source = LineSource(FollowedFile(path, bell))
    times(source)
    position = source.position()
    content = path.read_bytes()
    path.unlink()
    path.with_name("other").write_text("x")  # takes the number of the file
    path.write_bytes(content + b"2,3\n")
    told = []
    other = LineSource(FollowedFile(path, bell, note=told.append))
    other.go_on(position)
    assert times(other) == ["2"]
    assert not told
    path.write_text("time,b\n8,1\n" * 9)
    third = LineSource(FollowedFile(path, bell, note=told.append), time="time")
    third.go_on(position)
    assert "is not the file" in told[0]


def test_a_signal_ends_the_wait(path):
    with Bell() as bell:
        read = FollowedFile(path, bell)
        assert read()
        assert read() is Mark.IDLE
        os.kill(os.getpid(), 15)
        assert read() is None
    assert bell.signal == 15
