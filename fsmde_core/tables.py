"""Tables of text: for a screen and for Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """GitHub's kind of table, in columns; the first to the left, the others to the right."""
    sides = ["left"] + ["right"] * (len(headings) - 1)
    return tabulate(
        rows, headings, tablefmt="github", colalign=sides if rows else None, disable_numparse=True
    )
