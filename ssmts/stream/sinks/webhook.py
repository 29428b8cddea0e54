"""A webhook: alerts as HTTP POSTs, tried again until they arrive."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from ...exceptions import InputError
from ..answer import Answer
from ..bell import Bell
from ..incidents import News
from ..records import Record, record_lines
from ._sink import Sink, Undelivered

__all__ = ["Webhook"]

MOST = 10_000  # undelivered ones, beyond which the watch waits
FIRST, LONGEST = 0.5, 60.0  # seconds before the first and between later attempts; they double
TIMEOUT = 10.0
GRACE = 10.0  # seconds at the end


class Webhook(Sink):
    """POSTs a JSON object for each alert (news of an incident, or a reading in alarm), one after the other, in a thread of its own.

    One that does not arrive (no connection, or a status of 5xx, 408 or 429) is tried again, after twice as long each time and a minute at
    most; one that is refused (4xx) is reported and dropped. Those not delivered yet stand in the checkpoint and are sent again by a watch
    that goes on, with the same ``Idempotency-Key``.

    Parameters
    ----------
    url : str
        Of http or https.
    note : callable
        Called with a kind and a text if a delivery fails.
    headers : dict, optional
        Further headers, such as an authorisation.
    incidents : bool, default True
        Whether to send news of incidents, and not every reading in alarm.
    bell : Bell, optional
        Once it has rung, nothing is waited for.

    Raises
    ------
    InputError
        The URL names no host.
    """

    def __init__(
        self,
        url: str,
        note: Callable[[str, str], None],
        headers: dict[str, str] | None = None,
        *,
        incidents: bool = True,
        bell: Bell | None = None,
    ) -> None:
        host = urlsplit(url).hostname
        if host is None:
            raise InputError("The address of a webhook names no host. Pass https://HOST/PATH.")
        self._url, self._note, self._headers = url, note, headers or {}
        self._incidents = incidents
        self._bell = bell
        self._shown = host  # paths of webhooks are often secret
        self._waiting: deque[tuple[str, str]] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._deliver, name="webhook", daemon=True)
        self._thread.start()

    def send(self, records: Sequence[Record]) -> None:
        """Nothing: a webhook is there for alerts."""

    def alert(self, answers: Sequence[Answer], happened: Sequence[tuple[int, News]]) -> None:
        if self._incidents:
            records: Sequence[Record] = [news for _, news in happened]
        else:
            records = [answer for answer in answers if answer.alert]
        for record in records:
            self._put(str(record.key), record_lines([record])[0])

    def state(self) -> Any:
        with self._change:
            return {"waiting": [list(each) for each in self._waiting]}

    def go_on(self, state: Any) -> None:
        for key, body in state["waiting"]:
            self._put(key, body)

    def close(self) -> None:
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join(GRACE)
        if self._waiting:
            self._note("webhook", f"{len(self._waiting)} alert(s) could not be delivered to {self._shown}")

    def _put(self, key: str, body: str) -> None:
        with self._change:
            while not self._change.wait_for(lambda: len(self._waiting) < MOST, 0.2):
                if self._bell is not None and self._bell.wait(seconds=0):
                    raise Undelivered(f"{len(self._waiting)} alerts could not be delivered to {self._shown}")
            self._waiting.append((key, body))
            self._change.notify_all()

    def _deliver(self) -> None:
        pause = FIRST
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                key, body = self._waiting[0]
            if trouble := self._post(key, body):
                self._note("webhook", f"{self._shown}: {trouble}; trying again in {pause:g} s")
                with self._change:
                    if self._change.wait_for(lambda: self._closing, pause):
                        time.sleep(min(pause, GRACE / 20))
                pause = min(2 * pause, LONGEST)
                continue
            pause = FIRST
            with self._change:
                self._waiting.popleft()
                self._change.notify_all()

    def _post(self, key: str, body: str) -> str | None:
        """Send one; why it has to be tried again, None if it has not."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, **self._headers}
        request = urllib.request.Request(self._url, body.encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT):
                return None
        except urllib.error.HTTPError as error:
            if error.code >= 500 or error.code in (408, 429):
                return f"status {error.code}"
            self._note(
                "webhook",
                f"{self._shown} refused the alert {key!r}, status {error.code}: it is dropped",
            )
            return None
        except OSError as error:
            return str(getattr(error, "reason", error))
