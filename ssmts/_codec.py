"""Values to JSON and arrays, and back: what a file of `ssmts.persist` can hold, and nothing else.

None, truth values, finite numbers, strings and lists stand for themselves; everything else is a node
``{"t": tag, "v": payload}``. Each tag is one `Rule`. Arrays of one type lie end to end in one member of the file, so
that thousands of small ones stay small. Rules for pandas and for objects are in the modules beside.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .exceptions import PersistError

Array = np.ndarray[Any, Any]


class Rule(NamedTuple):
    """How values of one kind are written and read."""

    tag: str
    matches: Callable[[Any], bool]
    encode: Callable[[Any, Writer], Any]
    decode: Callable[[Any, Reader], Any]


class Writer:
    """Collects the arrays and blobs of the values it encodes.

    Parameters
    ----------
    rules : sequence of Rule
        Tried in order.
    drop : set of str
        Attributes of estimators that are written as None.
    """

    def __init__(self, rules: tuple[Rule, ...], drop: frozenset[str] = frozenset()) -> None:
        self.rules, self.drop = rules, drop
        self.blobs: list[tuple[str, bytes]] = []  # kind and content
        self._parts: dict[str, list[Array]] = {}
        self._sizes: dict[str, int] = {}
        self._seen: dict[int, tuple[Array, list[Any]]] = {}  # holds the array, so that its id stays taken
        self._path: list[str] = []

    def encode(self, value: Any) -> Any:
        """Encode one value as JSON."""
        if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
            return value
        if type(value) is list:
            return self.encode_all(value)
        for rule in self.rules:
            if rule.matches(value):
                return {"t": rule.tag, "v": rule.encode(value, self)}
        raise self.refusal(
            f"is a {type(value).__module__}.{type(value).__qualname__}, which a file cannot hold safely."
        )

    def encode_all(self, values: Any) -> list[Any]:
        """Encode a sequence, item by item."""
        return [self.inside(f"[{i}]", value) for i, value in enumerate(values)]

    def encode_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Encode named values."""
        return {name: self.inside(f".{name}", value) for name, value in fields.items()}

    def inside(self, step: str, value: Any) -> Any:
        """Encode a value that sits at ``step`` within the present one."""
        with self._at(step):
            return self.encode(value)

    def array(self, values: Array) -> list[Any]:
        """Keep an array of numbers, times or fixed-width strings; returns where it lies."""
        if id(values) in self._seen:
            return self._seen[id(values)][1]
        if values.dtype.kind not in "biufcmMUS":
            raise self.refusal(f"is an array of type {values.dtype}, which a file cannot hold safely.")
        order = "F" if values.flags.f_contiguous and not values.flags.c_contiguous else "C"
        dtype = values.dtype.newbyteorder("<")
        name = dtype.name
        start = self._sizes.get(name, 0)
        self._parts.setdefault(name, []).append(values.astype(dtype, copy=False).ravel(order))  # type: ignore[arg-type]
        self._sizes[name] = start + values.size
        place = [name, start, list(values.shape), order]
        self._seen[id(values)] = values, place
        return place

    def blob(self, data: bytes, kind: str) -> int:
        """Keep bytes of a format of their own, named by its kind; returns their number."""
        self.blobs.append((kind, data))
        return len(self.blobs) - 1

    def arrays(self) -> dict[str, Array]:
        """One flat array for each type."""
        return {name: np.concatenate(parts) for name, parts in self._parts.items()}

    def refusal(self, reason: str) -> PersistError:
        """Error that says where the value sits."""
        return PersistError(f"`{''.join(self._path).lstrip('.') or 'value'}` {reason}")

    @contextmanager
    def _at(self, step: str) -> Iterator[None]:
        self._path.append(step)
        yield
        self._path.pop()


class Reader:
    """Decodes what a `Writer` encoded."""

    def __init__(self, rules: tuple[Rule, ...], arrays: dict[str, Array], blobs: list[bytes]) -> None:
        self.rules = {rule.tag: rule for rule in rules}
        self._arrays, self._blobs = arrays, blobs

    def decode(self, node: Any) -> Any:
        """Decode one value."""
        if isinstance(node, list):
            return [self.decode(each) for each in node]
        if isinstance(node, dict):
            return self.rules[node["t"]].decode(node["v"], self)
        return node

    def decode_fields(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Decode named values."""
        return {name: self.decode(node) for name, node in fields.items()}

    def array(self, place: list[Any]) -> Array:
        """Array that lies at a place given by `Writer.array`."""
        name, start, shape, order = place
        size = math.prod(shape)
        flat = self._arrays[name][start : start + size] if size else self._arrays[name][:0]
        return flat.reshape(shape, order=order).copy(order)  # type: ignore[no-any-return]

    def blob(self, number: int) -> bytes:
        """Bytes kept by `Writer.blob`."""
        return self._blobs[number]


def _encode_objects(value: Any, writer: Writer) -> Any:
    return [list(value.shape), writer.encode_all(value.ravel().tolist())]


def _decode_objects(payload: Any, reader: Reader) -> Any:
    result = np.empty(len(payload[1]), dtype=object)
    for i, node in enumerate(payload[1]):
        result[i] = reader.decode(node)
    return result.reshape(payload[0])


def _encode_dict(value: Any, writer: Writer) -> Any:
    return [[writer.encode(key), writer.inside(f"[{key!r}]", each)] for key, each in value.items()]


def _encode_generator(value: Any, writer: Writer) -> Any:
    if isinstance(value, np.random.Generator):
        return ["Generator", writer.encode(value.bit_generator.state)]
    return ["RandomState", writer.encode(value.get_state(legacy=False))]


def _decode_generator(payload: Any, reader: Reader) -> Any:
    state = reader.decode(payload[1])
    bits = {cls.__name__: cls for cls in np.random.BitGenerator.__subclasses__()}[state["bit_generator"]]()
    if payload[0] == "Generator":
        bits.state = state
        return np.random.Generator(bits)
    random_state = np.random.RandomState(bits)
    random_state.set_state(state)
    return random_state


def _exactly(*types: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in types


PLAIN_RULES = (
    Rule("float", _exactly(float), lambda v, _: repr(v), lambda p, _: float(p)),  # nan and infinities
    Rule("bytes", _exactly(bytes), lambda v, _: base64.b64encode(v).decode(), lambda p, _: base64.b64decode(p)),
    Rule("complex", _exactly(complex), lambda v, _: [repr(v.real), repr(v.imag)], lambda p, _: complex(*map(float, p))),
    Rule("tuple", _exactly(tuple), lambda v, w: w.encode_all(v), lambda p, r: tuple(r.decode(p))),
    Rule("set", _exactly(set), lambda v, w: w.encode_all(sorted(v, key=repr)), lambda p, r: set(r.decode(p))),
    Rule(
        "frozenset",
        _exactly(frozenset),
        lambda v, w: w.encode_all(sorted(v, key=repr)),
        lambda p, r: frozenset(r.decode(p)),
    ),
    Rule("dict", _exactly(dict), _encode_dict, lambda p, r: {r.decode(key): r.decode(each) for key, each in p}),
    Rule(
        "slice", _exactly(slice), lambda v, w: w.encode_all([v.start, v.stop, v.step]), lambda p, r: slice(*r.decode(p))
    ),
    Rule("range", _exactly(range), lambda v, _: [v.start, v.stop, v.step], lambda p, _: range(*p)),
    Rule("objects", lambda v: type(v) is np.ndarray and v.dtype == object, _encode_objects, _decode_objects),
    Rule("array", _exactly(np.ndarray), lambda v, w: w.array(v), lambda p, r: r.array(p)),
    Rule("scalar", lambda v: isinstance(v, np.generic), lambda v, w: w.array(np.array(v)), lambda p, r: r.array(p)[()]),
    Rule("generator", _exactly(np.random.Generator, np.random.RandomState), _encode_generator, _decode_generator),
)
