"""The page of a report: what is in it, and what it does in a browser."""

import base64
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from ssmts import InnovationDetector
from ssmts.datasets import make_sensors
from ssmts.exceptions import InputError, PersistError
from ssmts.report import html_report, write_report

NASTY = "flow </script><script>window.hacked = 1</script> & \"co\" 'x' $style"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


@pytest.fixture(scope="module")
def stream():
    """A fitted detector, and rows with all six faults of sensors one of which has a nasty name."""
    X, faults = make_sensors(3000, 3, random_state=4)
    X.columns = [NASTY, "heat", "press"]
    faults["sensor"] = faults["sensor"].map(dict(zip(("sensor_1", "sensor_2", "sensor_3"), X.columns)))
    return InnovationDetector(false_alarm_rate=1e-4).fit(X[:1000]), X[1000:], faults


@pytest.fixture(scope="module")
def page(stream):
    return html_report(stream[0], stream[1], title=f"Line <3> {NASTY}")


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def unpacked(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


class Tags(HTMLParser):
    """Tags of a page, their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_loads_nothing_and_runs_no_text_of_others(page):
    tags = Tags(page).tags
    assert [tag for tag, _ in tags].count("script") == 2
    assert not {"link", "img", "iframe", "object"} & {tag for tag, _ in tags}
    assert not [attrs for _, attrs in tags if {"src", "href"} & attrs.keys()]
    assert not re.search(r"https?://|@import|url\(", page)
    assert "default-src 'none'" in page
    assert page.count("window.hacked") > 0
    assert "<script>window.hacked" not in page


def test_the_table_has_the_incidents_without_any_script(page, stream):
    detector, X, faults = stream
    found = detector.incidents(X)
    tags = Tags(page)
    assert [attrs["data-id"] for tag, attrs in tags.tags if tag == "tr" and "data-id" in attrs] == found["id"].tolist()
    text = "".join(tags.text)
    for each in found.itertuples():
        assert each.kind.replace("_", " ") in text
        assert each.start.isoformat(" ", "seconds") in text
    assert set(found["kind"]) == set(faults["kind"])
    assert NASTY in text


def test_series_are_the_readings(page, stream):
    _, X, _ = stream
    data = data_of(page)
    assert data["single"]
    assert [sensor["name"] for sensor in data["sensors"]] == list(X)
    for sensor in data["sensors"]:
        low, high = (unpacked(sensor[name], "<f4") + sensor["offset"] for name in ("low", "high"))
        np.testing.assert_allclose(low, X[sensor["name"]], rtol=1e-6)
        np.testing.assert_array_equal(low, high)
    edges = unpacked(data["edges"], "<f8")
    np.testing.assert_array_equal(edges[:-1], X.index.as_unit("s").astype("int64"))


def test_many_rows_stay_a_small_page_that_keeps_every_extreme():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        rng.normal(size=(101_000, 2)),
        pd.date_range("2024", periods=101_000, freq="1min", tz="Europe/Berlin"),
        ["a", "b"],
    )
    X.iloc[50_123, 1] = 40.0
    page = html_report(InnovationDetector(false_alarm_rate=1e-6).fit(X[:1000]), X[1000:])
    assert len(page) < 2e6
    data = data_of(page)
    assert (data["zone"], data["single"]) == ("Europe/Berlin", False)
    high = unpacked(data["sensors"][1]["high"], "<f4") + data["sensors"][1]["offset"]
    assert len(high) == 3000
    assert high.max() == pytest.approx(40.0)
    detail = next(each for each in data["details"] if each["sensor"] == 1 and unpacked(each["y"], "<f4").max() > 35)
    assert X.index[50_123].timestamp() in unpacked(detail["times"], "<f8")
    blame = unpacked(data["blame"], "u1").reshape(2, -1)
    assert blame[1].argmax() == np.argmax(high)
    assert blame[1].max() > 128


def test_counted_rows_are_shown_with_stamps():
    X = np.random.default_rng(0).normal(size=(700, 1))
    X[600:, 0] += 15
    detector = InnovationDetector(false_alarm_rate=1e-4).fit(X[:500])
    times = pd.date_range("2024-05-01", periods=200, freq="h")
    page = html_report(detector, X[500:], times=times)
    assert times[100].isoformat(" ", "seconds") in page
    assert data_of(page)["stamped"]
    with pytest.raises(InputError, match="one a row"):
        html_report(detector, X[500:], times=times[:5])


def test_a_quiet_stream_and_a_silent_sensor_have_a_page_too():
    rng = np.random.default_rng(0)
    detector = InnovationDetector(false_alarm_rate=1e-6).fit(rng.normal(size=(300, 2)))
    assert "no incidents" in html_report(detector, rng.normal(size=(20, 2)))
    rows = rng.normal(size=(20, 2))
    rows[:, 1] = np.nan
    assert "no-data" in html_report(detector, rows)


def test_files_are_written_whole_or_not(stream, tmp_path):
    detector, X, _ = stream
    write_report(detector, X, tmp_path / "line.html", gap=5)
    assert "<title>line</title>" in (tmp_path / "line.html").read_text()
    with pytest.raises(PersistError, match="no folder"):
        write_report(detector, X, tmp_path / "absent" / "line.html")


# in a browser --------------------------------------------------------------------------------------------------------

PROBE = """
const told = {errors: []};
window.addEventListener("error", (event) => told.errors.push(event.message));
"""
ACT = """
const plots = document.getElementById("plots"), range = () => [+plots.dataset.start, +plots.dataset.end];
const canvas = document.querySelector("figure canvas"), box = () => canvas.getBoundingClientRect();
const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const column = (k) => [...document.querySelectorAll("tbody tr")].map((row) => row.cells[k].textContent);
told.whole = range();
press("+"); told.closer = range();
press("ArrowRight"); told.moved = range();
press("0"); told.all = range();
const x = box().left + 64 + (box().width - 72) / 4;
canvas.dispatchEvent(new WheelEvent("wheel", {deltaY: -100, ctrlKey: true, clientX: x, bubbles: true, cancelable: true}));
told.wheel = range();
document.getElementById("all").click();
canvas.dispatchEvent(new PointerEvent("pointerdown", {clientX: x, bubbles: true}));
window.dispatchEvent(new PointerEvent("pointerup", {clientX: x + (box().width - 72) / 4}));
told.dragged = range();
canvas.dispatchEvent(new MouseEvent("dblclick", {bubbles: true})); told.back = range();
canvas.dispatchEvent(new PointerEvent("pointermove", {clientX: x, bubbles: true}));
told.readout = document.querySelector("figcaption span").textContent;
document.querySelectorAll(".show")[1].click(); told.shown = range();
told.focus = document.activeElement.getAttribute("aria-label");
document.querySelectorAll("th button")[0].click(); told.kinds = column(0);
document.querySelectorAll("th button")[5].click(); told.deviations = column(5);
document.querySelectorAll("th button")[5].click(); told.falling = column(5);
told.sorted = [...document.querySelectorAll("th")].map((th) => th.getAttribute("aria-sort"));
document.getElementById("only").click();
told.hidden = [...document.querySelectorAll("figure")].map((each) => each.hidden);
told.hacked = window.hacked === 1;
setTimeout(() => {
  told.inked = [...document.querySelectorAll("canvas")].filter((c) => c.width && !c.closest("[hidden]")).map((c) => {
    const pixels = new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer);
    return new Set(pixels).size;
  });
  document.documentElement.setAttribute("data-told", JSON.stringify(told));
}, 200);
"""


def dom(path, tmp_path, *options):
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,900",
    ]
    run = subprocess.run(
        [*command, "--virtual-time-budget=3000", *options, "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return run.stdout


@pytest.fixture(scope="module")
def told(page, tmp_path_factory):
    """What the page has done when it was used: drawn, zoomed by keys, wheel and mouse, sorted, filtered."""
    folder = tmp_path_factory.mktemp("report")
    path = folder / "page.html"
    probed = page.replace("</noscript>", f"</noscript><script>{PROBE}</script>").replace(
        "</body>", f"<script>{ACT}</script></body>"
    )
    path.write_text(probed)
    found = re.search(r'data-told="(.*?)"', dom(path, folder))
    assert found, "the page did not come to its end"
    return json.loads(html.unescape(found[1]))


needs_browser = pytest.mark.skipif(BROWSER is None, reason="needs a headless browser: install chromium")


@pytest.mark.browser
@needs_browser
def test_the_page_works_without_an_error(told):
    assert told["errors"] == []
    assert not told["hacked"]
    assert min(told["inked"]) > 10


@pytest.mark.browser
@needs_browser
def test_series_are_zoomed_by_keys_wheel_and_mouse(told):
    start, end = told["whole"]
    span = end - start
    at = {name: [(time - start) / span for time in told[name]] for name in told if name in
          ("closer", "moved", "all", "wheel", "dragged", "back")}  # fmt: skip
    assert at["closer"] == pytest.approx([0.25, 0.75])
    assert at["moved"] == pytest.approx([0.375, 0.875])
    assert at["all"] == at["back"] == [0.0, 1.0]
    assert at["wheel"] == pytest.approx([0.05, 0.85], abs=0.01)
    assert at["dragged"] == pytest.approx([0.25, 0.5], abs=0.01)
    assert re.match(r"\d+ Jan 2024, \d\d:\d\d: [\d.]+, expected [\d.]+ to [\d.]+$", told["readout"])


@pytest.mark.browser
@needs_browser
def test_an_incident_leads_to_its_readings(told, stream):
    detector, X, _ = stream
    incident = detector.incidents(X).iloc[1]
    start, end = told["shown"]
    assert start < incident["start"].timestamp() < incident["end"].timestamp() < end
    assert end - start < 4 * (incident["end"] - incident["start"]).total_seconds()
    assert told["focus"].startswith(f"Readings of {incident['sensor']}")


@pytest.mark.browser
@needs_browser
def test_the_table_is_sorted_and_sensors_filtered(told, stream):
    detector, X, _ = stream
    found = detector.incidents(X)
    assert told["kinds"] == sorted(told["kinds"])
    deviations = [float(text.split()[0]) for text in told["deviations"] if text]
    assert deviations == sorted(deviations)
    assert len(deviations) == found["deviation"].notna().sum()
    assert told["deviations"][-1] == told["falling"][-1] == ""  # the dropout
    assert [text for text in told["falling"] if text] == [text for text in told["deviations"] if text][::-1]
    assert told["sorted"][5] == "descending"
    assert sum(each is not None for each in told["sorted"]) == 1
    named = {name for names in found["sensors"] for name in names}
    assert told["hidden"] == [name not in named for name in X]
