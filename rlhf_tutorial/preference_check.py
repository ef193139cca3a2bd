"""A preference file as it is: its sound records, and every fault with its line.

`preferences.scan` finds lines that are no valid record. Here a repeat is followed to what it
repeats as well, which no line can say of itself: it must be of the same item and person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rlhf_tutorial.preferences import Problem, Ranking, scan


@dataclass(frozen=True)
class Source:
    """One preference file: its sound records, the line of each, and what is damaged."""

    name: str  # as sentences call the file
    records: list[Ranking]
    lines: list[int]
    problems: list[Problem]
    is_cut: bool = False  # the last problem is a half-written last line, which held no saved record


def read_source(name: str, data: bytes) -> Source:
    """The sound records of a file and every problem with its line; nothing is raised."""
    found = scan(data)
    problems = list(found.problems)
    if found.tail:
        message = f"the last line is half-written ({len(found.tail)} bytes)"
        problems.append(Problem(found.tail_line, message))
    damaged = {problem.line for problem in problems}
    lines = [
        number
        for number, raw in enumerate(data.split(b"\n"), start=1)
        if raw.strip() and number not in damaged
    ]
    return Source(name, found.records, lines, problems, is_cut=bool(found.tail))


def check(source: Source) -> list[Problem]:
    """Every fault of a file by line: damaged lines, and repeats of what was not ranked before."""
    problems = list(source.problems)
    earlier: dict[str, Ranking] = {}
    for record, line in zip(source.records, source.lines, strict=True):
        if record.repeat_of is not None:
            wrong = _wrong_repeat(record, earlier.get(record.repeat_of))
            if wrong:
                problems.append(Problem(line, f"repeat_of: {wrong}"))
        if record.kind == "ranking":
            earlier[record.id] = record
    return sorted(problems, key=lambda problem: problem.line)


def _wrong_repeat(record: Ranking, first: Ranking | None) -> str:
    """What is wrong with a repeat, given the record that it names; empty if nothing."""
    if first is None:
        return f"expected the id of an earlier ranking of this file, found {record.repeat_of!a}"
    if (first.prompt, first.replies) != (record.prompt, record.replies):
        return f"expected an earlier ranking of the same item, found {first.id!a} of another one"
    if first.annotator != record.annotator:
        return f"expected an earlier ranking by the same annotator, found {first.id!a}"
    return ""


def sound_repeats(records: Iterable[Ranking]) -> list[Ranking]:
    """The records, where a repeat that names no ranking of the same item and person is no repeat.

    Agreement with oneself can then be taken from any file.
    """
    records = list(records)
    known = {record.id: record for record in records if record.kind == "ranking"}
    return [
        replace(record, repeat_of=None)
        if record.repeat_of is not None and _wrong_repeat(record, known.get(record.repeat_of))
        else record
        for record in records
    ]
