"""Replies are text, never markup: what a person must see of them, and what may do no harm.

A reply can hold anything: terminal codes, characters that turn the reading direction round, others
that take no room. What steers or hides is shown as an escape such as `\\x1b`; all else as it is.
What is stored is the text as it was.
"""

from __future__ import annotations

import sys
import unicodedata

# Letters and symbols by their category, yet nothing is seen of them.
INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
JOINERS = frozenset("\u200c\u200d")  # emoji of several parts and some scripts need them


def harmless(text: str) -> str:
    """For a terminal: everything that steers it, or hides in it, as visible escapes."""
    seen = "".join(
        char if char.isprintable() and char not in INVISIBLE else _escape(char) for char in text
    )
    encoding = sys.stdout.encoding or "utf-8"  # a terminal may know ASCII only
    return seen.encode(encoding, errors="backslashreplace").decode(encoding)


def pieces(text: str) -> list[tuple[str, bool]]:
    """For a page: a text cut into runs, each with whether it is the escape of something hidden.

    `"a\\x1bb"` gives `[("a", False), ("\\\\x1b", True), ("b", False)]`. Line ends become `\\n`.
    """
    text = text.replace("\r\n", "\n")
    runs: list[tuple[str, bool]] = []
    for place, char in enumerate(text):
        hidden = _is_hidden(text, place)
        shown = _escape(char) if hidden else char
        if runs and not hidden and not runs[-1][1]:
            runs[-1] = (runs[-1][0] + shown, False)
        else:
            runs.append((shown, hidden))
    return runs


def _is_hidden(text: str, place: int) -> bool:
    char = text[place]
    if char in JOINERS:
        return not _joins(text[place - 1 : place], text[place + 1 : place + 2])
    if char in "\n\t" or unicodedata.category(char) == "Zs":
        return False
    return not char.isprintable() or char in INVISIBLE


def _joins(before: str, after: str) -> bool:
    """Whether a joiner between these two is part of writing: within an emoji or an Indic word."""
    if not before or not after:
        return False
    kinds = {unicodedata.category(before), unicodedata.category(after)}
    return kinds <= {"So", "Sk", "Mn"} or kinds <= {"Lo", "Mn", "Mc"}


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
