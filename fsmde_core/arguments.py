"""Types of command line arguments."""

from __future__ import annotations

from argparse import ArgumentTypeError


def positive(text: str) -> int:
    """A whole number above 0."""
    return _from(text, 1, "not positive")


def not_negative(text: str) -> int:
    """A whole number, 0 or above."""
    return _from(text, 0, "negative")


def _from(text: str, least: int, otherwise: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no whole number") from None
    if number < least:
        raise ArgumentTypeError(f"{number} is {otherwise}")
    return number
