"""The command `preferences`: look at preference files, check, pool and export them.

What files say (names, reasons, ids) is shown with control characters as escapes. Files are written
whole or not at all and are readable by their owner only, like the store's own.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from rlhf_tutorial.json_records import one_line
from rlhf_tutorial.locked_file import OWNER_ONLY
from rlhf_tutorial.merging import Pool, pool
from rlhf_tutorial.preference_check import Source, check, read_source
from rlhf_tutorial.preferences import Problem, Ranking, apply_retractions, scan
from rlhf_tutorial.visible_text import harmless
from rlhf_tutorial.whole_file import write_whole


def main(options: argparse.Namespace) -> int:
    """Runs one of the four commands; returns the exit code.

    Raises:
        ValueError: files are damaged, or --out would lose something; says what to do.
        OSError: a file cannot be read or written.
    """
    sources = [read_source(str(path), path.read_bytes()) for path in options.files]
    action = {"summary": _summary, "validate": _validate, "merge": _merge, "export": _export}
    return action[options.action](options, sources)


def _summary(options: argparse.Namespace, sources: list[Source]) -> int:
    from rlhf_tutorial.preference_summary import summary_lines

    pooled = pool(sources)
    for source in sources:
        _say(f"{source.name}: {_records(source)}")
    for heading, text in summary_lines(pooled.records):
        _say(f"  {heading:<15}  {text}")
    _say_notes(pooled)
    for source in sources:
        _say_faults(source, source.problems)
    return 0


def _validate(options: argparse.Namespace, sources: list[Source]) -> int:
    faults = 0
    for source in sources:
        found = check(source)
        _say_faults(source, found)
        if not found:
            _say(f"{source.name}: {_records(source)}, no fault")
        faults += len(found)
    return 2 if faults else 0


def _merge(options: argparse.Namespace, sources: list[Source]) -> int:
    _expect_sound(sources, options.skip_damaged)
    pooled = pool(sources, drop_names=options.drop_names, drop_times=options.drop_times)
    written = [record.to_json() for record in pooled.records]
    _write(options, "".join(f"{line}\n" for line in written), _is_within(set(written)))
    people = len({record.annotator for record in pooled.records if record.kind == "ranking"})
    _say(f"files: {len(sources)}, annotators: {people}, records: {len(written)}")
    _say_notes(pooled)
    _say(f"File: {options.out}")
    return 0


def _export(options: argparse.Namespace, sources: list[Source]) -> int:
    _expect_sound(sources, options.skip_damaged)
    pooled = pool(sources)
    rankings = apply_retractions(pooled.records)
    text, count = export_text(rankings, options.format)
    if not count:
        raise ValueError("there is nothing to export: no ranking puts one reply above another")
    _write(options, text, lambda old: old.decode("utf-8", "replace") == text)
    _say(f"rankings and skipped items: {len(rankings)}, rows of {options.format}: {count}")
    _say_notes(pooled)
    _say(f"File: {options.out}")
    if options.format == "label-studio":
        from rlhf_tutorial.labelling_formats import LABEL_STUDIO_CONFIG

        print(f"Labelling interface for Label Studio:\n{LABEL_STUDIO_CONFIG}", end="")
    return 0


def export_text(rankings: Sequence[Ranking], format_name: str) -> tuple[str, int]:
    """The text of an export and how many rows it has.

    Raises:
        ValueError: the format cannot say a ranking; says which, and what to do.
    """
    from rlhf_tutorial import datasets_io, labelling_formats

    if format_name == "label-studio":
        rows = labelling_formats.to_label_studio(rankings)
    elif format_name == "argilla":
        rows = labelling_formats.to_argilla(rankings)
    elif format_name == "hh-rlhf":
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            rows = datasets_io.to_hh_rows(rankings, unsayable="skip")
        for warning in told:
            _say(f"note: {warning.message}")
    else:
        rows = datasets_io.to_preference_rows(rankings, chat=format_name == "trl-chat")
    if format_name in ("label-studio", "argilla"):
        return labelling_formats.array_text(rows), len(rows)
    return "".join(f"{one_line(row)}\n" for row in rows), len(rows)


def _write(options: argparse.Namespace, text: str, nothing_is_lost: Callable) -> None:
    """Write --out, but never over an input, nor in silence over what is not in the new text."""
    out: Path = options.out
    if out.exists():
        if any(out.samefile(path) for path in options.files):
            raise ValueError(f"--out is {out}, one of the files to read: give another file")
        if not out.is_file():
            raise ValueError(f"--out is {out}, which is no file: give another name")
        if not nothing_is_lost(out.read_bytes()):
            if not options.replace:
                raise ValueError(
                    f"{out} is there already and holds what would be lost: give another file, "
                    "or --replace"
                )
            _say(f"note: {out} was there already and was replaced")
    write_whole(out, [text], mode=OWNER_ONLY)


def _is_within(lines: set[str]) -> Callable[[bytes], bool]:
    """Whether a file holds records of the new pool and nothing else: an earlier pool of these."""

    def within(old: bytes) -> bool:
        found = scan(old)
        whole = not found.problems and not found.tail
        return whole and all(record.to_json() in lines for record in found.records)

    return within


def _expect_sound(sources: list[Source], skip_damaged: bool) -> None:
    """Damaged lines stop a merge, since one may have taken a ranking back; a cut last line not."""
    for source in sources:
        damaged = len(source.problems) - source.is_cut
        if damaged and not skip_damaged:
            first = source.problems[0]
            raise ValueError(
                harmless(
                    f"{source.name}, line {first.line}: {first.message} ({damaged} damaged in this "
                    "file): `preferences validate` shows all, --skip-damaged goes on without them"
                )
            )
        _say_faults(source, source.problems, then="left out")


def _say_faults(source: Source, problems: Sequence[Problem], then: str = "") -> None:
    for problem in problems:
        text = f"{source.name}, line {problem.line}: {problem.message}"
        _say(f"{text}: {then}" if then else text)


def _say_notes(pooled: Pool) -> None:
    for note in pooled.notes:
        _say(f"note: {note}")


def _records(source: Source) -> str:
    number = len(source.records)
    return f"{number} record{'s' * (number != 1)}"


def _say(text: str) -> None:
    print(harmless(text))
