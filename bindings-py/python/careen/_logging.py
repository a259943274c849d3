"""The engine's log becomes Python's: logger ``careen``, and ``careen.drain.requests`` for what that module says."""

from __future__ import annotations

import atexit
import logging

from careen import _careen

LEVELS = {"ERROR": logging.ERROR, "WARN": logging.WARNING, "INFO": logging.INFO, "DEBUG": logging.DEBUG}


def deliver(level: str, target: str, file: str, line: int, time: float, message: str, lost: int) -> None:
    """Called by the engine, in a thread of its own; ``lost`` lines before this one found no place in its queue."""
    logger = logging.getLogger(name_of(target))
    if lost:
        logger.warning("%d lines before this one are lost: they came faster than they were handled", lost)
    number = LEVELS[level]
    if logger.isEnabledFor(number):
        record = logger.makeRecord(logger.name, number, file, line, message, (), None)
        record.created, record.msecs = time, time % 1 * 1000
        logger.handle(record)


def name_of(target: str) -> str:
    """``careen.drain.requests`` for ``careen_core::drain::requests``."""
    crate, *modules = target.split("::")
    parts = ["careen", "sim"] if crate == "careen_sim" else ["careen"]
    return ".".join([*parts, *modules])


# As is usual for libraries: who sets up no logging sees none.
logging.getLogger("careen").addHandler(logging.NullHandler())
atexit.register(_careen.end_log)
