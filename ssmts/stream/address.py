"""Where a broker is and how to log in, from one text, and without ever showing a password."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from ..exceptions import InputError

__all__ = ["Address", "Tls"]

SCHEMES = {"mqtt": ("mqtt", False), "mqtts": ("mqtt", True), "kafka": ("kafka", False), "kafkas": ("kafka", True)}
PORTS = {("mqtt", False): 1883, ("mqtt", True): 8883, ("kafka", False): 9092, ("kafka", True): 9093}


class Tls(NamedTuple):
    """Files of an encrypted connection: of authorities to trust (those of the system unless given), and of a certificate of one's own."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class Address(NamedTuple):
    """``mqtt://[user[:password]@]host[:port]/topic``, or ``mqtts``, ``kafka``, ``kafkas``; Kafka takes several hosts, with commas.

    Examples
    --------
    >>> address = Address.parse("mqtts://ann:secret@broker.example/plant/#", {})
    >>> address.hosts, address.topic, address.password, str(address)
    ((('broker.example', 8883),), 'plant/#', 'secret', 'mqtts://broker.example:8883/plant/#')
    """

    kind: str  # "mqtt" or "kafka"
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    topic: str
    user: str | None
    password: str | None

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str] = os.environ) -> Address:
        """Read an address; user and password that it lacks come from ``SSMTS_MQTT_USER``, ``SSMTS_MQTT_PASSWORD`` or those of Kafka.

        Raises
        ------
        InputError
            It is none; the message does not repeat it beyond its scheme.
        """
        scheme, _, rest = text.partition("://")
        if scheme not in SCHEMES:
            raise InputError(f"{scheme}:// is none of {', '.join(f'{each}://' for each in SCHEMES)}.")
        kind, tls = SCHEMES[scheme]
        before, _, topic = rest.partition("/")
        login, at, places = before.rpartition("@")
        user, colon, password = login.partition(":")
        hosts = tuple(_host(place, PORTS[kind, tls], scheme) for place in places.split(","))
        if not topic or (kind == "mqtt" and len(hosts) > 1):
            raise InputError(
                f"Pass the address as {scheme}://HOST:PORT/TOPIC; it lacks the topic, or has several hosts."
            )
        prefix = f"SSMTS_{kind.upper()}"
        return cls(
            kind,
            tls,
            hosts,
            topic,
            (unquote(user) if at else None) or environment.get(f"{prefix}_USER"),
            unquote(password) if colon else environment.get(f"{prefix}_PASSWORD"),
        )

    def __str__(self) -> str:
        """The address without user and password."""
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.kind}{'s' if self.tls else ''}://{hosts}/{self.topic}"

    def __repr__(self) -> str:
        """The address without user and password."""
        return f"Address({str(self)!r})"


def has_password(text: str) -> bool:
    """Whether an address has a password in it, which whoever lists the processes can read."""
    login = text.partition("://")[2].partition("/")[0].rpartition("@")[0]
    return ":" in login


def shown(text: str) -> str:
    """An address without user and password, and other names as they are."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return text
    before, slash, after = rest.partition("/")
    return f"{scheme}://{before.rpartition('@')[2]}{slash}{after}"


def _host(place: str, port: int, scheme: str) -> tuple[str, int]:
    name, colon, number = place.rpartition(":") if not place.endswith("]") else (place, "", "")
    if not colon:
        name, number = place, str(port)
    if not name or not number.isdigit() or int(number) > 65535:
        raise InputError(f"Pass the address as {scheme}://HOST:PORT/TOPIC; its host or port is none.")
    return name.strip("[]"), int(number)
