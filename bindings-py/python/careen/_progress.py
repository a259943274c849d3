"""A bar on a terminal."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType

from careen.models import BlockClass, DrainEvent

WIDTH = 24


class Bar:
    """Shows how a drain is doing in one line of standard error, if that is a terminal and the bar is wanted."""

    def __init__(self, node: str, wanted: bool) -> None:
        self._node = node
        self._shown = wanted and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._shown:
            print(file=sys.stderr, flush=True)

    def show(self, event: DrainEvent) -> None:
        """Shows the event in place of the one before."""
        if self._shown:
            columns = shutil.get_terminal_size().columns
            print(f"\r{line(self._node, event)[: columns - 1]:<{columns - 1}}", end="", file=sys.stderr, flush=True)


def line(node: str, event: DrainEvent) -> str:
    """The bar's line."""
    progress = event.progress
    done = WIDTH * progress.percent // 100
    bar = "#" * done + "-" * (WIDTH - done)
    gone = progress.had_to_leave - progress.left
    said = f"{node} [{bar}] {gone}/{progress.had_to_leave} {event.phase}"
    if event.trouble is not None:
        return f"{said} ({event.trouble.message})"
    if event.blocking:
        first = event.blocking[0]
        class_ = "stuck" if first.class_ is BlockClass.STUCK else "waits"
        return f"{said}, {progress.blocked} blocked ({first.namespace}/{first.name} {class_}: {first.reason})"
    return said
