"""The settings of a cluster in memory: what a node, a pod or a VM is told about how long things take and what goes
wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from careen._arguments import invalid

_WISH = "true", "false"
_DURATION = re.compile(r"(\d+(\.\d+)?(h|m|s|ms))+")
_COUNT = re.compile(r"\d{1,9}")

NODE = {"unreachable": _WISH, "not-ready": _WISH}
POD: dict[str, Any] = {
    "starts-after": _DURATION,
    "ready-after": _DURATION,
    "ends-after": _DURATION,
    "completes-after": _DURATION,
    "fails-after": _DURATION,
    "never-starts": _WISH,
    "never-ready": _WISH,
    "ignores-termination": _WISH,
    "never-ends": _WISH,
    "left-alone": _WISH,
}
INSTANCE: dict[str, Any] = {
    "guest-starts-after": _DURATION,
    "guest-never-starts": _WISH,
    "shuts-down-after": _DURATION,
    "powers-off-after": _DURATION,
    "crashes-after": _DURATION,
    "not-migratable": None,
    "prepares-for": _DURATION,
    "migrates-for": _DURATION,
    "migration-stays-in": None,
    "migration-fails": _COUNT,
    "migration-mode": ("PreCopy", "PostCopy", "Paused"),
}
KINDS: dict[str, dict[str, Any]] = {
    "nodes": NODE,
    "pods": POD,
    # What it is told, its launcher pods are told as well.
    "virtualmachineinstances.kubevirt.io": {**POD, **INSTANCE},
}
Kind = Literal["nodes", "pods", "virtualmachineinstances.kubevirt.io"]


def metadata_of(settings: Mapping[str, str | None] | None, kind: Kind) -> dict[str, Any]:
    """The metadata that tells an object of that kind these settings; ``None`` takes one away."""
    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings has to be a mapping, not {type(settings).__name__}")
    known = KINDS[kind]
    for name, value in settings.items():
        if name not in known:
            raise invalid("settings", f"{name!r} is none of {', '.join(known)}")
        if value is not None:
            _check(name, value, known[name])
    return {"annotations": {f"sim.careen.dev/{name}": value for name, value in settings.items()}}


def _check(name: str, value: object, form: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"the setting {name} has to be a str, not {type(value).__name__}")
    if isinstance(form, tuple) and value not in form:
        raise invalid("settings", f"{name} is {value!r}, and none of {', '.join(form)}")
    if form is _DURATION and not _DURATION.fullmatch(value):
        raise invalid("settings", f"{name} is {value!r}, and no duration such as 1m30s, 2s or 500ms")
    if form is _COUNT and not _COUNT.fullmatch(value):
        raise invalid("settings", f"{name} is {value!r}, and no count")
