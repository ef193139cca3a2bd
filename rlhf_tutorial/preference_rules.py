"""The rules that the fields of a preference record are checked by, one small function each.

Apart from `preferences.py` so that the readers of other formats can use the same checks and the
same words. Every error is one line: the field, what was expected, what was found.
"""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta

RECORD_START = b'{"schema_version": '  # how every line that this code writes begins
ROLES = ("system", "user", "assistant")


class PreferenceError(ValueError):
    """A record breaks a rule; the message names the field and what was expected."""


def check_prompt(prompt: object) -> None:
    """Raise `PreferenceError` unless `prompt` is a text or turns that end with the user's."""
    if isinstance(prompt, str):
        if not prompt:
            raise PreferenceError("prompt: expected a text that is not empty")
        return
    if not isinstance(prompt, list) or not prompt:
        fail("prompt", "a text or a list of turns", prompt)
    for turn in prompt:
        if not isinstance(turn, dict) or set(turn) != {"role", "content"}:
            fail("prompt", 'turns such as {"role": "user", "content": "..."}', turn)
        if turn["role"] not in ROLES or not isinstance(turn["content"], str):
            fail("prompt", f"a role of {', '.join(ROLES)} and a text as content", turn)
    if prompt[-1]["role"] != "user":
        fail("prompt", "turns that end with the user's", prompt[-1]["role"])


def parse_object(line: str) -> dict:
    """One JSON object, strictly: no repeated fields, no NaN; else `PreferenceError`."""
    try:
        record = json.loads(
            line, object_pairs_hook=_without_repeats, parse_constant=_reject_constant
        )
    except PreferenceError:
        raise
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", error)  # the decoder's own line number would mislead
        raise PreferenceError(f"not valid JSON ({reason}); expected one record a line") from None
    if not isinstance(record, dict):
        raise PreferenceError(f"expected a record, a JSON object, found {short(record)}")
    return record


def is_half_written(raw: bytes) -> bool:
    """True for a last line that our own writer began and did not finish.

    Cut JSON is never valid JSON. Anything else is foreign, and is reported rather than moved.
    After a power cut a file system may leave zero bytes where the text should be.
    """
    if not raw.strip(b"\0"):
        return True
    length = min(len(raw), len(RECORD_START))
    if raw[:length] != RECORD_START[:length]:
        return False
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return True
    return False


def fail(name: str, expected: str, found: object) -> None:
    """Raise `PreferenceError` in the one form that all messages share."""
    raise PreferenceError(f"{name}: expected {expected}, found {short(found)}")


def short(value: object) -> str:
    """A value as it appears in a message: plain ASCII, 60 characters at most."""
    text = ascii(value)  # never a control character or a broken surrogate in a message
    return text if len(text) <= 60 else text[:57] + "..."


def is_list_of(value: object, kind: type) -> bool:
    """True for a list whose items are exactly of that type (True is not a number here)."""
    return isinstance(value, list) and all(type(item) is kind for item in value)


def is_duration(value: object) -> bool:
    """True for a finite number of seconds that is not negative."""
    if type(value) not in (int, float):
        return False
    try:
        return math.isfinite(value) and value >= 0
    except OverflowError:
        return False


def is_utc(value: object) -> bool:
    """True for an ISO 8601 time in UTC, or for an empty text: not recorded."""
    if value == "":
        return True
    try:
        return datetime.fromisoformat(value).utcoffset() == timedelta(0)
    except (TypeError, ValueError):
        return False


def _without_repeats(items: list[tuple[str, object]]) -> dict:
    record = dict(items)
    if len(record) != len(items):
        raise PreferenceError("a field stands twice in one JSON object; expected each once")
    return record


def _reject_constant(name: str) -> None:
    raise PreferenceError(f"{name} is not a JSON number; expected finite numbers")
