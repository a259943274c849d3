"""The engine's JSON, as models; and arguments, as the engine takes them."""

from __future__ import annotations

import json
import re
from typing import Literal, TypeVar

from careen._arguments import duration, invalid, text
from careen._model import Model
from careen.models import DrainOptions, Ticket

T = TypeVar("T", bound=Model)

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")

Scope = Literal["nodes", "whole"]
"""How much of the cluster a connection looks at."""


def one(model: type[T], answer: str) -> T:
    return model.from_dict(json.loads(answer))


def many(model: type[T], answer: str) -> list[T]:
    return [model.from_dict(each) for each in json.loads(answer)]


def name(argument: str, value: str) -> str:
    checked = text(argument, value)
    if checked is None:
        raise TypeError(f"{argument} has to be a str, not NoneType")
    return checked


def drain_options(options: DrainOptions | None) -> str:
    if options is None:
        return "{}"
    if not isinstance(options, DrainOptions):
        raise TypeError(f"options has to be careen.DrainOptions, not {type(options).__name__}")
    return json.dumps({key: value for key, value in options.to_dict().items() if value is not None})


def object_name(argument: str, value: str) -> str:
    """A name that can stand in a path of the API."""
    checked = name(argument, value)
    if not _NAME.fullmatch(checked):
        raise invalid(argument, f"{value!r} is not a name that Kubernetes takes")
    return checked


def maintenance(
    reason: str | None, ticket: Ticket | str | None, options: DrainOptions | None
) -> tuple[str | None, str | None, str | None]:
    """What a maintenance is to be like, as the engine takes it."""
    named: dict[str, str | None] | None
    if isinstance(ticket, Ticket):
        named = {"id": name("ticket", ticket.id), "url": text("ticket", ticket.url)}
    else:
        named = None if ticket is None else {"id": name("ticket", ticket), "url": None}
    return (
        text("reason", reason),
        None if named is None else json.dumps(named),
        None if options is None else drain_options(options),
    )


def call_timeout(timeout: object) -> float:
    limit = duration("timeout", timeout)  # type: ignore[arg-type]  # it looks at the type itself
    if not limit:
        raise invalid("timeout", "has to be longer than nothing")
    return limit.total_seconds()


def is_whole(scope: str) -> bool:
    if scope not in ("nodes", "whole"):
        raise invalid("scope", f"{scope!r} is neither 'nodes' nor 'whole'")
    return scope == "whole"
