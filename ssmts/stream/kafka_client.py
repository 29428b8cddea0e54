"""Settings of confluent-kafka for an address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .address import Address, Tls

__all__ = ["kafka_settings"]


def kafka_settings(
    address: Address, tls: Tls, settings: Mapping[str, str], note: Callable[[str, str], None]
) -> tuple[Any, dict[str, Any]]:
    """The module, and settings of librdkafka that consumers and producers share; `settings` win."""
    try:
        import confluent_kafka
    except ImportError as error:
        raise ImportError("kafka:// needs confluent-kafka: pip install 'ssmts[stream]'") from error
    found: dict[str, Any] = {
        "bootstrap.servers": ",".join(f"{host}:{port}" for host, port in address.hosts),
        "security.protocol": ("sasl_" if address.user else "") + ("ssl" if address.tls else "plaintext"),
        "error_cb": lambda error: note("connection", f"{address}: {error.str()}"),
        "log_level": 3,
    }
    if address.user:
        found |= {"sasl.mechanism": "PLAIN", "sasl.username": address.user, "sasl.password": address.password or ""}
    files = {"ssl.ca.location": tls.ca, "ssl.certificate.location": tls.certificate, "ssl.key.location": tls.key}
    found |= {name: path for name, path in files.items() if path is not None}
    return confluent_kafka, found | dict(settings)
