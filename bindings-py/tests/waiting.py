"""Waiting with a deadline."""

import time

import careen
from careen.models import DrainOutcome


def ended(drain: careen.Drain) -> DrainOutcome:
    """How it ended. What interrupts a drain waits half a second for its end; that may take longer on a busy machine."""
    deadline = time.monotonic() + 10
    while (result := drain.result) is None:
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.01)
    return result
