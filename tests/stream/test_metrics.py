"""Figures in the text format of Prometheus, over HTTP."""

import urllib.error
import urllib.request

import pytest

from ssmts.stream.metrics import BOUNDS, Figure, Latency, MetricsServer, exposition


def samples(page):
    """Samples by name, each preceded by its HELP and TYPE: what a collector reads."""
    found, known = {}, set()
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            known.add(line.split()[2])
        elif not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            assert any(name.startswith(each) for each in known)
            found[name] = float(value)
    return found


def test_the_histogram_is_cumulative():
    latency = Latency()
    for seconds, count in [(5e-5, 3), (1e-4, 2), (0.3, 1), (9.0, 4)]:
        latency.add(seconds, count)
    found = samples(
        exposition([Figure("x_total", "X.", "counter", 3), Figure("g", "G.", "gauge", float("nan"))], latency)
    )
    assert found["ssmts_watch_x_total"] == 3
    assert found["ssmts_watch_g"] != found["ssmts_watch_g"]
    bucket = "ssmts_watch_latency_seconds_bucket"
    assert found[f'{bucket}{{le="0.0001"}}'] == 5
    assert found[f'{bucket}{{le="0.25"}}'] == 5
    assert found[f'{bucket}{{le="0.5"}}'] == 6
    assert found[f'{bucket}{{le="+Inf"}}'] == found["ssmts_watch_latency_seconds_count"] == 10
    assert found["ssmts_watch_latency_seconds_sum"] == pytest.approx(3 * 5e-5 + 2e-4 + 0.3 + 36)
    counts = [found[f'{bucket}{{le="{bound:g}"}}'] for bound in BOUNDS]
    assert counts == sorted(counts)


def test_the_page_is_served_on_the_loopback_address():
    server = MetricsServer(lambda: "ssmts_watch_x 1\n", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as response:
            assert response.read() == b"ssmts_watch_x 1\n"
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/secret")
        refused.value.close()
    finally:
        server.close()
