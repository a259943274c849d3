"""Arguments, looked at before anything is asked of the cluster."""

from __future__ import annotations

from datetime import timedelta

from careen.errors import InvalidArgumentError

# What the engine can count: more than 300 years.
LONGEST = timedelta(days=100_000)


def invalid(argument: str, message: str) -> InvalidArgumentError:
    """The error that names that argument."""
    error = InvalidArgumentError(f"{argument}: {message}")
    error.reason, error.argument = "InvalidArgument", argument
    return error


def text(argument: str, value: str | None) -> str | None:
    """A text that the engine takes; surrogates are in none."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{argument} has to be a str, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise invalid(argument, f"is no text: {error.reason}") from None
    return value


def duration(argument: str, value: timedelta | float | None) -> timedelta | None:
    """A duration from seconds; not negative, and finite."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (timedelta, int, float)):
        raise TypeError(f"{argument} has to be a timedelta or seconds, not {type(value).__name__}")
    if not isinstance(value, timedelta):
        # NaN is not within anything; and an int may be too large for a float, but compares.
        longest = LONGEST.total_seconds()
        if not -longest <= value <= longest:
            raise invalid(argument, "is not a number of seconds that anybody can wait for")
        value = timedelta(seconds=value)
    if value < timedelta():
        raise invalid(argument, f"{value} is negative")
    if value > LONGEST:
        raise invalid(argument, f"{value} is longer than anybody can wait for")
    return value


def seconds(argument: str, value: timedelta | float | None) -> float | None:
    """A duration in seconds."""
    checked = duration(argument, value)
    return None if checked is None else checked.total_seconds()
