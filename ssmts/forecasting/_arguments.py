"""Arguments checked at the door, in the same words by all forecasters."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from ..exceptions import InputError


def whole(name: str, value: Any, least: int) -> int:
    """A whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}; received {value!r}.")
    return int(value)


def choice(name: str, value: Any, known: tuple[str, ...]) -> str:
    """One of some words."""
    if value not in known:
        raise InputError(f"{name} is {value!r}: choose one of {known}.")
    return str(value)
