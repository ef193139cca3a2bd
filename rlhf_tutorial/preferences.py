"""Preference records: what one person said about one prompt's replies, and pairs made of it.

A `Ranking` holds the 2 to 5 replies in a canonical order, the order in which they were shown, and
the order given, as tiers (best first; replies in one tier are tied). Taking a ranking back is a
record too (`kind="retraction"`), so that a file of records only ever grows.

`scan` reads the bytes of a record file and lists every problem with its line; `load_rankings`
raises at the first. Simplified: a ranking orders all of its replies or is skipped as a whole;
partial orders are not stored, since with 5 replies or fewer people can place them all.

Ranking several replies per prompt follows Ouyang and others (2022, arXiv 2203.02155, section 3.5).
"""

from __future__ import annotations

import json
import uuid
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from rlhf_tutorial.preference_rules import (
    PreferenceError,
    check_prompt,
    fail,
    is_duration,
    is_half_written,
    is_list_of,
    is_utc,
    parse_object,
    short,
)

SCHEMA_VERSION = 1
MINIMUM_REPLIES = 2
MAXIMUM_REPLIES = 5
KINDS = ("ranking", "retraction")


class PreferenceFileError(PreferenceError):
    """A file holds something that is not a valid record; `line` counts from 1."""

    def __init__(self, path: str | Path, line: int, message: str) -> None:
        super().__init__(f"{path}, line {line}: {message}")
        self.path = str(path)
        self.line = line


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """One record of a preference file. `validate` states the rules; nothing is checked before."""

    schema_version: int = SCHEMA_VERSION
    id: str  # unique within a file
    kind: str = "ranking"  # or "retraction"
    prompt: str | list = ""  # text, or turns [{"role": ..., "content": ...}] ending with the user's
    replies: list[str] = field(default_factory=list)  # canonical order; other fields index into it
    shown: list[int] | None = None  # order on screen; None means the canonical order
    tiers: list[list[int]] = field(default_factory=list)  # best first; empty when skipped
    skip: str | None = None  # the reason, when no order was given
    flags: list[str] = field(default_factory=list)  # such as "harmful"
    note: str = ""
    annotator: str = "anonymous"  # a pseudonym will do
    seconds: float = 0.0  # time spent on the item
    model: str = ""  # which model wrote the replies
    time: str = ""  # ISO 8601 in UTC; empty when not recorded
    guideline_version: str = ""
    repeat_of: str | None = None  # id of the earlier ranking of the same item
    retracts: str | None = None  # id of the ranking taken back, in a retraction

    def __post_init__(self) -> None:
        # Tuples become lists, so that a record equals itself after a trip through JSON.
        def listed(value):
            return [listed(v) for v in value] if isinstance(value, (list, tuple)) else value

        if self.shown is None and isinstance(self.replies, (list, tuple)):
            object.__setattr__(self, "shown", list(range(len(self.replies))))
        for name in ("prompt", "replies", "shown", "tiers", "flags"):
            object.__setattr__(self, name, listed(getattr(self, name)))

    def validate(self) -> Ranking:
        """Return self, or raise `PreferenceError` naming the first rule that is broken."""
        if type(self.schema_version) is not int or self.schema_version != SCHEMA_VERSION:
            fail("schema_version", f"{SCHEMA_VERSION}", self.schema_version)
        if self.kind not in KINDS:
            fail("kind", " or ".join(KINDS), self.kind)
        for name in ("id", "annotator"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                fail(name, "a text that is not empty", getattr(self, name))
        for name in ("note", "model", "guideline_version"):
            if not isinstance(getattr(self, name), str):
                fail(name, "a text", getattr(self, name))
        for name in ("skip", "repeat_of", "retracts"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                fail(name, "null or a text that is not empty", value)
        if not is_list_of(self.flags, str):
            fail("flags", "a list of texts", self.flags)
        if not is_duration(self.seconds):
            fail("seconds", "a finite number of at least 0", self.seconds)
        if not is_utc(self.time):
            fail("time", "ISO 8601 in UTC such as 2026-01-31T12:00:00+00:00, or empty", self.time)
        if self.kind == "retraction":
            self._validate_retraction()
        else:
            self._validate_ranking()
        return self

    def _validate_retraction(self) -> None:
        if self.retracts is None or self.retracts == self.id:
            fail("retracts", "the id of the ranking that is taken back", self.retracts)
        for name in ("prompt", "replies", "shown", "tiers", "skip", "repeat_of"):
            if getattr(self, name):
                fail(name, "nothing in a retraction", getattr(self, name))

    def _validate_ranking(self) -> None:
        check_prompt(self.prompt)
        if not is_list_of(self.replies, str):
            fail("replies", "a list of texts", self.replies)
        count = len(self.replies)
        if not MINIMUM_REPLIES <= count <= MAXIMUM_REPLIES:
            expected = f"{MINIMUM_REPLIES} to {MAXIMUM_REPLIES} replies"
            raise PreferenceError(f"replies: expected {expected}, found {count}")
        everyone = list(range(count))
        if not is_list_of(self.shown, int) or sorted(self.shown) != everyone:
            fail("shown", f"each of the numbers 0 to {count - 1} once", self.shown)
        if self.retracts is not None:
            fail("retracts", "null in a ranking", self.retracts)
        if self.repeat_of == self.id:
            fail("repeat_of", "the id of an earlier ranking", self.repeat_of)
        if not isinstance(self.tiers, list) or not all(is_list_of(t, int) for t in self.tiers):
            fail("tiers", "a list of lists of numbers", self.tiers)
        if self.skip is not None:
            if self.tiers:
                fail("tiers", "no tiers when the item is skipped", self.tiers)
        elif not all(self.tiers) or sorted(i for tier in self.tiers for i in tier) != everyone:
            fail("tiers", f"each of the numbers 0 to {count - 1} in one tier", self.tiers)

    def to_json(self) -> str:
        """One line of JSON without the newline; any text survives exactly."""
        record = asdict(self)
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        try:
            line.encode("utf-8")
        except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form, but has a JSON escape
            line = json.dumps(record, ensure_ascii=True, allow_nan=False)
        return line

    @classmethod
    def from_json(cls, line: str) -> Ranking:
        """Parse and validate one line; `PreferenceError` says what was expected."""
        record = parse_object(line)
        if record.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
            fail("schema_version", f"{SCHEMA_VERSION}", record["schema_version"])
        names = [f.name for f in fields(cls)]
        unknown = [name for name in record if name not in names]
        missing = [name for name in names if name not in record]
        if unknown or missing:
            parts = [f"field {name!r} is missing" for name in missing[:3]]
            parts += [f"field {short(name)} is unknown" for name in unknown[:3]]
            raise PreferenceError(
                f"not a Ranking record: {', '.join(parts)}; "
                f"expected the {len(names)} fields of schema version {SCHEMA_VERSION}"
            )
        if record["shown"] is None:
            fail("shown", "a list of numbers", None)
        return cls(**record).validate()


@dataclass(frozen=True)
class Problem:
    """Something wrong in a record file: the line (from 1) and one sentence."""

    line: int
    message: str


@dataclass(frozen=True)
class Scan:
    """What the bytes of a record file hold. `tail` is a half-written last line, not a record."""

    records: list[Ranking]
    problems: list[Problem]
    tail: bytes = b""
    tail_line: int = 0
    needs_newline: bool = False  # the last line is a whole record that only lacks its newline


def scan(data: bytes) -> Scan:
    """Parse every line of a record file, collecting problems instead of raising."""
    records: list[Ranking] = []
    problems: list[Problem] = []
    seen: dict[str, int] = {}  # id -> line
    live: set[str] = set()
    lines = data.split(b"\n")
    for number, raw in enumerate(lines, start=1):
        if not raw.strip():
            continue  # an empty line holds nothing that could be lost
        try:
            record = _parse_line(raw)
            _check_against_earlier(record, seen, live)
        except PreferenceError as error:
            if number == len(lines) and is_half_written(raw):
                return Scan(records, problems, tail=raw, tail_line=number)
            problems.append(Problem(number, str(error)))
            continue
        seen[record.id] = number
        if record.kind == "ranking":
            live.add(record.id)
        else:
            live.discard(record.retracts)
        records.append(record)
    return Scan(records, problems, needs_newline=bool(lines[-1].strip()))


def apply_retractions(records: Iterable[Ranking]) -> list[Ranking]:
    """The rankings that still stand, in the order of the file."""
    records = list(records)
    retracted = {record.retracts for record in records if record.kind == "retraction"}
    return [r for r in records if r.kind == "ranking" and r.id not in retracted]


def load_rankings(path: str | Path) -> list[Ranking]:
    """Rankings of a file with retractions applied; the file is not changed.

    Raises `PreferenceFileError` (line number, what was expected) for a bad record. A half-written
    last line gives a warning; `store.RankingStore` sets it aside when it opens the file.
    """
    found = scan(Path(path).read_bytes())
    if found.problems:
        raise PreferenceFileError(path, found.problems[0].line, found.problems[0].message)
    if found.tail:
        warnings.warn(
            f"{path}, line {found.tail_line}: the last line is half-written "
            f"({len(found.tail)} bytes) and was left out",
            stacklevel=2,
        )
    return apply_retractions(found.records)


def ranks(ranking: Ranking) -> list[int]:
    """The tier of each reply in canonical order, 0 = best; empty when skipped."""
    place = {index: number for number, tier in enumerate(ranking.tiers) for index in tier}
    return [place[index] for index in sorted(place)]


def pairs(ranking: Ranking) -> list[tuple[int, int]]:
    """(winner, loser) indexes into `replies`; ties and identical replies give none."""
    found = []
    for number, tier in enumerate(ranking.tiers):
        worse = [index for later in ranking.tiers[number + 1 :] for index in later]
        found += [
            (winner, loser)
            for winner in tier
            for loser in worse
            if ranking.replies[winner] != ranking.replies[loser]
        ]
    return found


def new_id() -> str:
    """A fresh record id (random, so files of two machines can be merged)."""
    return uuid.uuid4().hex


def utc_now() -> str:
    """The time now, as `Ranking.time` wants it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _parse_line(raw: bytes) -> Ranking:
    if raw.startswith(b"\xef\xbb\xbf"):
        raise PreferenceError("begins with a byte order mark; expected UTF-8 without one")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PreferenceError(f"not valid UTF-8 ({error.reason}); expected JSON text") from None
    return Ranking.from_json(text)


def _check_against_earlier(record: Ranking, seen: dict[str, int], live: set[str]) -> None:
    if record.id in seen:
        raise PreferenceError(
            f"id {short(record.id)} already stands on line {seen[record.id]}; "
            "expected every id once"
        )
    if record.kind == "retraction" and record.retracts not in live:
        raise PreferenceError(
            f"retracts {short(record.retracts)}; expected the id of an earlier ranking "
            "that has not been taken back"
        )
