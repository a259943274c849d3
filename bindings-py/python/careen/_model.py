"""How a model is made of the engine's JSON, and becomes JSON again."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from careen._arguments import LONGEST, invalid
from careen.errors import InvalidArgumentError

T = TypeVar("T", bound="Model")


class Model:
    """Base of all models: frozen, comparable, hashable, and picklable."""

    __slots__ = ()

    @classmethod
    def from_dict(cls: type[T], data: Mapping[str, Any]) -> T:
        """The model of JSON as :meth:`to_dict` gives it; :class:`~careen.errors.InvalidArgumentError` if it is none."""
        try:
            return cls(**{field: decode(key, data.get(key)) for field, key, decode in _decoders(cls)})
        except InvalidArgumentError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise invalid("data", f"is no {cls.__name__}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """As JSON of every face of Careen: camelCase keys, times as text."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        return {_camel_case(field.name): _encode(getattr(self, field.name)) for field in fields}


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_Decoder = Callable[[str, Any], Any]
"""Makes a value of what stands at a key."""

_KNOWN: dict[type[Model], tuple[tuple[str, str, _Decoder], ...]] = {}


def _decoders(cls: type[Model]) -> tuple[tuple[str, str, _Decoder], ...]:
    """Field, key and decoder of each field; worked out once."""
    if cls not in _KNOWN:
        _KNOWN[cls] = tuple(_decoders_anew(cls))
    return _KNOWN[cls]


def _decoders_anew(cls: type[Model]) -> Iterator[tuple[str, str, _Decoder]]:
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return ((name, _camel_case(name), _decoder(hints[name])) for name in names)


def _decoder(hint: Any) -> _Decoder:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (_decoder(argument) for argument in arguments if argument is not type(None))
        return lambda key, value: None if value is None else inner(key, value)
    if origin is tuple:
        item = _decoder(arguments[0])
        return lambda key, value: tuple(item(key, each) for each in value or ())
    if origin is Mapping:
        return lambda key, value: dict(value or {})
    if hint is datetime:
        return _present(parse_time)
    if hint is timedelta:
        return _present(parse_duration)
    if isinstance(hint, type) and issubclass(hint, Model):
        return _present(hint.from_dict)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return _present(hint)
    return _present(lambda value: value)


def _present(decode: Callable[[Any], Any]) -> _Decoder:
    """Only lists and what may be ``None`` may be left out."""

    def decode_it(key: str, value: Any) -> Any:
        if value is None:
            raise ValueError(f"{key} is missing")
        return decode(value)

    return decode_it


def _encode(value: Any) -> Any:
    if isinstance(value, Model):
        return value.to_dict()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, tuple):
        return [_encode(each) for each in value]
    if isinstance(value, Mapping):
        return dict(value)
    return value


def parse_time(text: str) -> datetime:
    """RFC 3339 in UTC, of any precision."""
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    time = datetime.strptime(seconds, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return time.replace(microsecond=int(fraction[:6].ljust(6, "0"))) if fraction else time


def format_time(time: datetime) -> str:
    text = time.astimezone(timezone.utc).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


_UNITS = {"ms": timedelta(milliseconds=1), "s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


def parse_duration(text: str) -> timedelta:
    """As Kubernetes writes them: ``1h30m``. What is longer than anybody can wait for is read as the longest: one such
    text in a cluster does not hide everything else."""
    total, number, unit = timedelta(), "", ""
    for character in text + "0":
        if character.isdigit() and unit:
            try:
                total = min(total + int(number) * _UNITS[unit], LONGEST)
            except OverflowError:
                total = LONGEST
            number, unit = "", ""
        if character.isdigit():
            number += character
        else:
            unit += character
    return total


def format_duration(duration: timedelta) -> str:
    milliseconds = round(duration / timedelta(milliseconds=1))
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        amount, milliseconds = divmod(milliseconds, size)
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts) or "0s"
