"""Rules of `ssmts._codec` for this library's objects, for functions, and for scikit-learn objects by way of skops.

Only classes and public functions of this library, and functions of numpy and scipy.special, are looked up by name.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from enum import Enum
from typing import Any

from sklearn.base import BaseEstimator

from ._codec import Reader, Rule, Writer
from .exceptions import PersistError


def name_of(thing: Any) -> str:
    """Name under which `find` returns a class or function of this library: ``ssmts:Name`` where public."""
    import ssmts

    module, name = str(thing.__module__), str(thing.__qualname__)
    if getattr(ssmts, name, None) is thing:
        return f"ssmts:{name}"
    return f"{module}:{name}"


def find(name: str) -> Any:
    """Class or function of this library by the name that `name_of` gave.

    Raises
    ------
    PersistError
        A name outside this library, or one that it does not have.
    """
    module, _, qualname = name.partition(":")
    parts = module.split(".")
    if parts[0] != "ssmts" or any(part.startswith("__") for part in parts):
        raise PersistError(f"it names {name!r}, which is not part of ssmts, and was not loaded.")
    try:
        thing: Any = importlib.import_module(module)
        for part in qualname.split("."):
            thing = getattr(thing, part)
    except (ImportError, AttributeError) as error:
        raise PersistError(f"it needs {name!r}, which this version of ssmts does not have ({error}).") from error
    if not is_ours(thing):
        raise PersistError(f"it names {name!r}, which is not part of ssmts, and was not loaded.")
    return thing


def is_ours(thing: Any) -> bool:
    """Whether a class or function is defined in this library."""
    return str(getattr(thing, "__module__", "")).partition(".")[0] == "ssmts"


def _kind(cls: Any) -> str | None:
    """What a class of this library is, or None for a class that cannot be restored from its parts."""
    if not isinstance(cls, type) or not is_ours(cls):
        return None
    if issubclass(cls, Enum):
        return "enum"
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return "tuple"
    if issubclass(cls, BaseEstimator):
        return "estimator"
    return "dataclass" if dataclasses.is_dataclass(cls) else None


def _find_class(name: str, kind: str) -> Any:
    cls = find(name)
    if _kind(cls) != kind:
        raise PersistError(f"it uses {name!r} as a {kind}, which it is not.")
    return cls


# this library's objects -----------------------------------------------------------------------------------------


def _encode_namedtuple(value: Any, writer: Writer) -> Any:
    return [name_of(type(value)), writer.encode_fields(value._asdict())]


def _decode_namedtuple(payload: Any, reader: Reader) -> Any:
    return _find_class(payload[0], "tuple")(**reader.decode_fields(payload[1]))


def _encode_dataclass(value: Any, writer: Writer) -> Any:
    """The arguments of a dataclass; what it derives from them it derives again."""
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    return [name_of(type(value)), writer.encode_fields(fields)]


def _decode_dataclass(payload: Any, reader: Reader) -> Any:
    return _find_class(payload[0], "dataclass")(**reader.decode_fields(payload[1]))


def _encode_estimator(value: Any, writer: Writer) -> Any:
    params = value.get_params(deep=False)
    state = {name: each for name, each in vars(value).items() if name not in params}
    state = {name: None if name in writer.drop else each for name, each in state.items()}
    return [name_of(type(value)), writer.encode_fields(params), writer.encode_fields(state)]


def _decode_estimator(payload: Any, reader: Reader) -> Any:
    cls = _find_class(payload[0], "estimator")
    params, state = reader.decode_fields(payload[1]), reader.decode_fields(payload[2])
    unknown = params.keys() - set(cls._get_param_names())
    if unknown:
        raise PersistError(
            f"it holds parameters {sorted(unknown)}, which {payload[0]!r} of this version does not have."
        )
    estimator = cls(**params)
    vars(estimator).update(state)
    return estimator


def _encode_enum(value: Any, writer: Writer) -> Any:
    return [name_of(type(value)), value.name]


def _decode_enum(payload: Any, reader: Reader) -> Any:
    return _find_class(payload[0], "enum")[payload[1]]


# functions and scikit-learn -------------------------------------------------------------------------------------

_FUNCTION_MODULES = ("numpy", "scipy.special")
_ADVICE = (
    "Use a function of numpy, scipy.special or ssmts, or a scikit-learn transformer that needs none (PowerTransformer)."
)


def _is_function(value: Any) -> bool:
    return callable(value) and hasattr(value, "__name__") and not isinstance(value, type)


def function_name(function: Any) -> str | None:
    """Name of a public function of numpy, scipy.special or this library; None for all others."""
    if is_ours(function):
        name = name_of(function)
        return name if "<" not in name and find(name) is function else None
    name = str(function.__name__)
    for module in _FUNCTION_MODULES:
        if vars(importlib.import_module(module)).get(name) is function:
            return f"{module}:{name}"
    return None


def find_function(name: str) -> Any:
    """Function by the name that `function_name` gave."""
    module, _, attribute = name.partition(":")
    if module not in _FUNCTION_MODULES:
        function = find(name)
    else:
        function = getattr(importlib.import_module(module), attribute, None)
    if not _is_function(function) or function_name(function) is None:
        raise PersistError(f"it names {name!r}, which is no public function, and was not loaded.")
    return function


def _encode_function(value: Any, writer: Writer) -> str:
    name = function_name(value)
    if name is None:
        own = f"{value.__module__}.{getattr(value, '__qualname__', value.__name__)}"
        raise writer.refusal(f"is the function {own}, which a file cannot hold safely. {_ADVICE}")
    return name


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise PersistError("scikit-learn objects in a file need skops: pip install ssmts[persist]") from error
    return skops.io


def _untrusted(data: bytes) -> tuple[list[str], list[str]]:
    """Types in a skops file beyond scikit-learn's: our public functions, and all others."""
    known, unknown = [], []
    for name in _skops().get_untrusted_types(data=data):
        module, _, attribute = name.rpartition(".")
        try:
            find_function(f"{module}:{attribute}")
        except PersistError:
            unknown.append(name)
        else:
            known.append(name)
    return known, unknown


def _is_sklearn(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "sklearn"


def _encode_sklearn(value: Any, writer: Writer) -> int:
    data = _skops().dumps(value)
    unknown = _untrusted(data)[1]
    if unknown:
        raise writer.refusal(f"({value!r}) holds {', '.join(unknown)}, which a file cannot hold safely. {_ADVICE}")
    return writer.blob(data, "skops")


def _decode_sklearn(payload: int, reader: Reader) -> Any:
    data = reader.blob(payload)
    known, unknown = _untrusted(data)
    if unknown:
        raise PersistError(f"it holds {', '.join(unknown)}, which is not trusted, and was not loaded.")
    return _skops().loads(data, trusted=known)


# networks -------------------------------------------------------------------------------------------------------


def _is_network(value: Any) -> bool:
    torch = sys.modules.get("torch")  # a network can only be there if torch is
    return torch is not None and isinstance(value, torch.nn.Module) and is_ours(type(value))


def _encode_network(value: Any, writer: Writer) -> Any:
    """The class, the arguments it was made with, and its weights as safetensors."""
    from safetensors.torch import save

    if not isinstance(getattr(value, "config", None), dict):
        raise writer.refusal(
            f"is the network {name_of(type(value))} without a dict `config` of the arguments it was made with."
        )
    weights = {name: each.detach().cpu().clone().contiguous() for name, each in value.state_dict().items()}
    return [name_of(type(value)), writer.inside(".config", value.config), writer.blob(save(weights), "safetensors")]


def _decode_network(payload: Any, reader: Reader) -> Any:
    cls = find(payload[0])
    torch = sys.modules.get("torch")  # the module of a network has imported it
    if torch is None or not isinstance(cls, type) or not issubclass(cls, torch.nn.Module):
        raise PersistError(f"it uses {payload[0]!r} as a network, which it is not.")
    from safetensors.torch import load

    from .deep._randomness import seeded

    config = reader.decode(payload[1])
    unknown = config.keys() - inspect.signature(cls).parameters.keys()
    if unknown:
        raise PersistError(f"it holds arguments {sorted(unknown)}, which {payload[0]!r} of this version does not have.")
    with torch.device("cpu"), seeded(0):  # first weights, which are drawn, are overwritten
        network = cls(**config)
    weights = load(reader.blob(payload[2]))
    if {name: each.shape for name, each in weights.items()} != {n: e.shape for n, e in network.state_dict().items()}:
        raise PersistError(f"its weights are not those of a {payload[0]!r} of this version with these arguments.")
    network.load_state_dict(weights)
    return network.eval()


OBJECT_RULES = (
    Rule("network", _is_network, _encode_network, _decode_network),
    Rule("enum", lambda v: _kind(type(v)) == "enum", _encode_enum, _decode_enum),
    Rule("namedtuple", lambda v: _kind(type(v)) == "tuple", _encode_namedtuple, _decode_namedtuple),
    Rule("estimator", lambda v: _kind(type(v)) == "estimator", _encode_estimator, _decode_estimator),
    Rule("dataclass", lambda v: _kind(type(v)) == "dataclass", _encode_dataclass, _decode_dataclass),
    Rule("sklearn", _is_sklearn, _encode_sklearn, _decode_sklearn),
    Rule("function", _is_function, _encode_function, lambda p, _: find_function(p)),
)
