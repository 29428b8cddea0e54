"""Alerts by HTTP: tried again until they arrive, refused ones dropped, undelivered ones kept."""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ssmts.exceptions import InputError
from ssmts.stream import Answer, Bell, Webhook
from ssmts.stream.sinks import webhook


@pytest.fixture
def server():
    """A server that answers with the given statuses, then with 200, and keeps what came."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = server.statuses.pop(0) if server.statuses else 200
            server.came.append((status, self.headers["Idempotency-Key"], json.loads(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.statuses, server.came = [], []
    server.url = f"http://127.0.0.1:{server.server_address[1]}/secret/path"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(webhook, "FIRST", 0.01)


def alert(key):
    return Answer(key, 1e-9, True, "a", 1.0, 0.0, -1.0, 1.0, "alert", None, key)


def test_alerts_arrive_in_order_through_troubles_of_the_server(server):
    server.statuses += [500, 503, 429]
    told = []
    hook = Webhook(server.url, lambda kind, text: told.append(text), incidents=False)
    hook.alert([alert(1), Answer(2), alert(3)], [])
    hook.close()
    assert [(status, key) for status, key, _ in server.came] == [
        (500, "1"),
        (503, "1"),
        (429, "1"),
        (200, "1"),
        (200, "3"),
    ]
    assert server.came[3][2]["status"] == "alert"
    assert [text.partition(";")[0] for text in told] == [
        "127.0.0.1: status 500",
        "127.0.0.1: status 503",
        "127.0.0.1: status 429",
    ]
    assert not any("secret" in text for text in told)


def test_a_refused_alert_is_told_and_dropped(server):
    server.statuses += [400]
    told = []
    hook = Webhook(server.url, lambda kind, text: told.append(text), incidents=False)
    hook.alert([alert(1), alert(2)], [])
    hook.close()
    assert [key for _, key, _ in server.came] == ["1", "2"]
    assert told == ["127.0.0.1 refused the alert '1', status 400: it is dropped"]


def test_what_nobody_takes_is_kept_for_the_next_watch(server, monkeypatch):
    monkeypatch.setattr(webhook, "GRACE", 0.05)
    told = []
    hook = Webhook("http://127.0.0.1:1/", lambda kind, text: told.append(text), incidents=False)
    hook.alert([alert("a"), alert("b")], [])
    state = hook.state()
    assert [key for key, _ in state["waiting"]] == ["a", "b"]
    hook.close()
    assert told[-1] == "2 alert(s) could not be delivered to 127.0.0.1"
    later = Webhook(server.url, lambda kind, text: None)
    later.go_on(state)
    later.close()
    assert [key for _, key, _ in server.came] == ["a", "b"]


def test_a_watch_waits_for_a_receiver_that_takes_nothing_but_not_after_a_signal(monkeypatch):
    monkeypatch.setattr(webhook, "MOST", 2)
    monkeypatch.setattr(webhook, "GRACE", 0.05)
    with Bell() as bell:
        hook = Webhook("http://127.0.0.1:1/", lambda kind, text: None, incidents=False, bell=bell)
        hook.alert([alert("a"), alert("b")], [])
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(OSError, match="2 alerts could not be delivered"):
            hook.alert([alert("c")], [])
        hook.close()


def test_an_address_without_a_host_is_refused():
    with pytest.raises(InputError, match="names no host"):
        Webhook("https:///path", print)
