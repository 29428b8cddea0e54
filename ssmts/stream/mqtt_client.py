"""A paho client for an address."""

from __future__ import annotations

import ssl
from typing import Any

from .address import Address, Tls

__all__ = ["mqtt_client"]

KEEPALIVE = 30  # seconds


def mqtt_client(address: Address, name: str, version: int, tls: Tls, *, keep_session: bool) -> Any:
    """A client that is not connected yet, and the arguments of its `connect`."""
    try:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties
    except ImportError as error:
        raise ImportError("mqtt:// needs paho-mqtt: pip install 'ssmts[stream]'") from error
    five = version == 5
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=name,
        clean_session=None if five else not keep_session,
        protocol=paho.MQTTv5 if five else paho.MQTTv311,
        manual_ack=keep_session,
    )
    if address.user is not None or address.password is not None:
        client.username_pw_set(address.user or "", address.password)
    if address.tls:
        client.tls_set(tls.ca, tls.certificate, tls.key, cert_reqs=ssl.CERT_REQUIRED)
    host, port = address.hosts[0]
    how: dict[str, Any] = {"host": host, "port": port, "keepalive": KEEPALIVE}
    if five:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        if keep_session:
            properties.SessionExpiryInterval = 7 * 86400
            properties.ReceiveMaximum = 1000
        how |= {"clean_start": not keep_session, "properties": properties}
    return client, how
