"""Where a cluster is, as the arguments of a connection say."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from careen import _careen
from careen._arguments import invalid, text
from careen._read import call_timeout, is_whole, name


class Connecting(NamedTuple):
    """How to connect; what can be said about the arguments has been said."""

    blocking: Callable[[], _careen.Cluster]
    awaitable: Callable[[], Awaitable[_careen.Cluster]]


def connecting(
    kubeconfig: str | os.PathLike[str] | None,
    context: str | None,
    url: str | None,
    token: str | None,
    certificate_authority: str | os.PathLike[str] | None,
    timeout: object,
    scope: str,
) -> Connecting:
    limit, whole = call_timeout(timeout), is_whole(scope)
    if url is None:
        for argument, value in (("token", token), ("certificate_authority", certificate_authority)):
            if value is not None:
                raise invalid(argument, "goes with a url only: a kubeconfig says who asks")
        place = _path("kubeconfig", kubeconfig), text("context", context)
        return Connecting(
            partial(_careen.connect, *place, limit, whole), partial(_careen.connect_async, *place, limit, whole)
        )
    if kubeconfig is not None or context is not None:
        raise invalid("url", "give either a url or a kubeconfig")
    address = name("url", url), text("token", token), _path("certificate_authority", certificate_authority)
    return Connecting(
        partial(_careen.connect_to, *address, limit, whole), partial(_careen.connect_to_async, *address, limit, whole)
    )


def _path(argument: str, value: str | os.PathLike[str] | None) -> str | None:
    if value is None:
        return None
    path = name(argument, os.fspath(value))
    if "\0" in path or not path:
        raise invalid(argument, f"{path!r} is no path of a file")
    return path
