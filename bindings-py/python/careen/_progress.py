"""A bar on a terminal."""

from __future__ import annotations

import shutil
import sys
from types import TracebackType

from careen.models import BlockClass, Blocking, DrainEvent, Maintenance

WIDTH = 24


class Bar:
    """Shows how a node is doing in one line of standard error, if that is a terminal and the bar is wanted."""

    def __init__(self, node: str, wanted: bool) -> None:
        self._node = node
        self.is_shown = wanted and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.is_shown:
            print(file=sys.stderr, flush=True)

    def show(self, seen: DrainEvent | Maintenance) -> None:
        """Shows it in place of what was seen before."""
        if self.is_shown:
            columns = shutil.get_terminal_size().columns
            print(f"\r{line(self._node, seen)[: columns - 1]:<{columns - 1}}", end="", file=sys.stderr, flush=True)


def line(node: str, seen: DrainEvent | Maintenance) -> str:
    """The bar's line."""
    if isinstance(seen, DrainEvent):
        progress = seen.progress
        return drawn(
            f"{node} [{bar(progress.percent)}] {progress.had_to_leave - progress.left}/{progress.had_to_leave} {seen.phase}",
            None if seen.trouble is None else seen.trouble.message,
            progress.blocked,
            seen.blocking,
        )
    percent = seen.drain_progress or 0
    return drawn(f"{node} [{bar(percent)}] {percent} % {seen.phase}", seen.last_error, seen.blocked or 0, seen.blocking)


def bar(percent: int) -> str:
    done = WIDTH * percent // 100
    return "#" * done + "-" * (WIDTH - done)


def drawn(said: str, trouble: str | None, blocked: int, blocking: tuple[Blocking, ...]) -> str:
    """A bar, and what is to be known of the trouble."""
    if trouble:
        return f"{said} ({trouble})"
    if blocking:
        first = blocking[0]
        class_ = "stuck" if first.class_ is BlockClass.STUCK else "waits"
        return f"{said}, {blocked} blocked ({first.namespace}/{first.name} {class_}: {first.reason})"
    return said
