"""JSON objects with the line they stand on, from a JSON Lines file or from one JSON array.

The standard `json` module forgets where in an array an object began, and a reader of a file of a
thousand records needs to know which one is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from rlhf_tutorial.preferences import PreferenceError, Ranking
from rlhf_tutorial.whole_file import write_whole


class DatasetFileError(ValueError):
    """A record of a data file is not what was expected; `line` counts from 1."""

    def __init__(self, path: str | Path, line: int, message: str) -> None:
        super().__init__(f"{path}, line {line}: {message}")
        self.path = str(path)
        self.line = line


def read_records(path: str | Path) -> Iterator[tuple[int, dict]]:
    """Yield `(line, object)`; the line is where the object begins.

    Raises `DatasetFileError` for bad JSON, anything that is not an object, or an empty file.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DatasetFileError(path, line, "not valid UTF-8; expected JSON text") from None
    if not text.strip():
        raise DatasetFileError(path, 1, "the file is empty; expected at least one record")
    parse = _read_array if text.lstrip().startswith("[") else _read_lines
    for line, record in parse(path, text):
        if not isinstance(record, dict):
            kind = type(record).__name__
            raise DatasetFileError(path, line, f"expected a JSON object, found a {kind}")
        yield line, record


def text_field(path: str | Path, line: int, record: dict, name: str) -> str:
    """The text under `name`, or `DatasetFileError` saying what stands there instead."""
    if name not in record:
        found = ", ".join(sorted(map(str, record))[:8]) or "nothing"
        raise DatasetFileError(path, line, f"expected a field {name!r}, found {found}")
    if not isinstance(record[name], str):
        kind = type(record[name]).__name__
        raise DatasetFileError(path, line, f"{name}: expected a text, found a {kind}")
    return record[name]


def check_ranking(path: str | Path, line: int, ranking: Ranking) -> Ranking:
    """The ranking itself, or `DatasetFileError` with the rule that it breaks."""
    try:
        return ranking.validate()
    except PreferenceError as error:
        raise DatasetFileError(path, line, str(error)) from None


def write_rows(rows: Iterable[dict], path: str | Path) -> int:
    """Write rows as JSON Lines and return how many; the file is replaced whole or not at all."""
    count = 0

    def lines() -> Iterator[str]:
        nonlocal count
        for count, row in enumerate(rows, start=1):  # noqa: B007 (count is returned)
            yield one_line(row) + "\n"

    write_whole(Path(path), lines())
    return count


def one_line(row: dict) -> str:
    """A row as one line of JSON, without the line end; any text survives exactly."""
    line = json.dumps(row, ensure_ascii=False)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate has no UTF-8 form, but has a JSON escape
        line = json.dumps(row, ensure_ascii=True)
    return line


def _read_lines(path: Path, text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DatasetFileError(path, number, _bad_json(error)) from None


def _read_array(path: Path, text: str) -> Iterator[tuple[int, object]]:
    decoder = json.JSONDecoder()
    position = text.index("[") + 1
    line, counted = 1, 0
    expect_value = False  # true after a comma

    def skip_space(start: int) -> int:
        while start < len(text) and text[start] in " \t\r\n":
            start += 1
        return start

    while True:
        position = skip_space(position)
        line, counted = line + text.count("\n", counted, position), position
        if position >= len(text):
            raise DatasetFileError(path, line, "the file ends inside the array; expected ]")
        if text[position] == "]" and not expect_value:
            break
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            if isinstance(error, json.JSONDecodeError):
                line = error.lineno
            raise DatasetFileError(path, line, _bad_json(error)) from None
        yield line, value
        position = skip_space(position)
        expect_value = text[position : position + 1] == ","
        if expect_value:
            position += 1
        elif text[position : position + 1] not in ("]", ""):
            line += text.count("\n", counted, position)
            raise DatasetFileError(path, line, "expected a comma or ] after a record")
    rest = skip_space(position + 1)
    if rest < len(text):
        line += text.count("\n", counted, rest)
        raise DatasetFileError(path, line, "expected nothing after the closing ]")


def _bad_json(error: Exception) -> str:
    return f"not valid JSON ({getattr(error, 'msg', error)}); expected one record"
