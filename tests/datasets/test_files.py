"""The order data folder, cache, download, on a server of our own; and what a failure says."""

import hashlib
import io
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ssmts.datasets import _files, load_classic, load_monash
from ssmts.datasets._files import Origin, cache_folder, locate, origins
from ssmts.exceptions import DataUnavailableError

CONTENT = b"rownames,time,value\n1,1821,269\n2,1822,321\n3,1823,585\n"
TSF = b"@attribute series_name string\n@data\nT1:1,?\n"
LYNX = "classics/lynx.csv"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        """Keep the test's output clean."""


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A data folder and a cache, both empty, with nothing of the user's own in sight."""
    monkeypatch.setenv("SSMTS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SSMTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data", tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """Address and folder of a file server on the loopback."""
    folder = tmp_path / "public"
    folder.mkdir()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", folder
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def publish(server, monkeypatch):
    """Put bytes on the server and register them as the origin of a path."""
    address, folder = server

    def put(path, content, name="file", checksum=None):
        (folder / name).write_bytes(content)
        known = {**origins(), path: Origin(checksum or sha256(content), f"{address}/{name}")}
        monkeypatch.setattr(_files, "origins", lambda: known)

    return put


def write(folder, path, content):
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content)


def test_download_is_checked_cached_and_used_again(folders, publish, server):
    _, cache = folders
    publish(LYNX, CONTENT)
    data, _ = load_classic("lynx")
    assert data.tolist() == [269.0, 321.0, 585.0]
    assert (cache / LYNX).read_bytes() == CONTENT
    assert [file.name for file in (cache / "classics").iterdir()] == ["lynx.csv"]  # nothing temporary is left
    (server[1] / "file").unlink()
    assert load_classic("lynx").data.equals(data)


def test_data_folder_comes_before_the_cache(folders):
    data, cache = folders
    write(cache, LYNX, CONTENT)
    assert locate(LYNX) == cache / LYNX
    write(data, LYNX, CONTENT)
    assert locate(LYNX) == data / LYNX


def test_member_of_an_archive_is_unpacked_and_checked(folders, publish):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("folder/hospital_dataset.tsf", TSF)
    publish("monash/hospital_dataset.tsf", archive.getvalue(), "hospital.zip", checksum=sha256(TSF))
    assert load_monash("hospital").data.isna().tolist() == [False, True]


@pytest.mark.parametrize("failure", ["checksum", "absent", "no archive", "empty archive", "no checksum", "no server"])
def test_failure_says_what_to_fetch_and_where_to_put_it(folders, publish, monkeypatch, failure):
    data, cache = folders
    path, url = "classics/lynx.csv", "http://127.0.0.1:9/lynx.csv"  # port 9 is closed
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    if failure == "checksum":
        publish(path, CONTENT, checksum=sha256(b"other"))
    elif failure == "no archive":
        publish(path, CONTENT, "file.zip")
    elif failure == "empty archive":
        publish(path, empty.getvalue(), "file.zip")
    elif failure == "absent":
        publish(path, CONTENT)
        known = {path: Origin(sha256(CONTENT), _files.origins()[path].url + "-gone")}
        monkeypatch.setattr(_files, "origins", lambda: known)
    else:
        checksum = "" if failure == "no checksum" else sha256(CONTENT)
        monkeypatch.setattr(_files, "origins", lambda: {path: Origin(checksum, url)})
    with pytest.raises(DataUnavailableError) as caught:
        load_classic("lynx")
    message = str(caught.value)
    assert _files.origins()[path].url in message
    assert str(data / path) in message
    assert not (cache / path).exists()
    if failure == "checksum":
        assert sha256(CONTENT) in message
        assert sha256(b"other") in message
        assert "SHA-256" in message


def test_failure_without_a_data_folder_names_the_cache_and_the_variable(folders, monkeypatch):
    monkeypatch.delenv("SSMTS_DATA")
    monkeypatch.setattr(_files, "origins", lambda: {LYNX: Origin("", "http://127.0.0.1:9/lynx.csv")})
    with pytest.raises(DataUnavailableError, match="SSMTS_DATA") as caught:
        locate(LYNX)
    assert str(folders[1] / LYNX) in str(caught.value)


def test_progress_bar_only_when_asked(folders, publish, capsys):
    _, cache = folders
    publish(LYNX, CONTENT)
    locate(LYNX)
    assert capsys.readouterr() == ("", "")
    (cache / LYNX).unlink()
    locate(LYNX, progress=True)
    assert "lynx.csv" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [
        ("linux", "XDG_CACHE_HOME", ("ssmts",)),
        ("win32", "LOCALAPPDATA", ("ssmts",)),
        ("darwin", "HOME", ("Library", "Caches", "ssmts")),
    ],
)
def test_cache_folder_of_each_platform(monkeypatch, tmp_path, platform, variable, tail):
    monkeypatch.delenv("SSMTS_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(_files.sys, "platform", platform)
    assert cache_folder() == tmp_path.joinpath(*tail)


def test_every_known_address_is_complete():
    for path, origin in origins().items():
        assert origin.url.startswith("https://"), path
        assert origin.sha256 == "" or len(bytes.fromhex(origin.sha256)) == 32, path


@pytest.mark.data
def test_checksums_are_those_of_the_published_files(data_folder):
    known = {path: origin.sha256 for path, origin in origins().items() if origin.sha256}
    assert {path: sha256((data_folder / path).read_bytes()) for path in known} == known
