"""The preference store: a JSON Lines file that only grows and loses nothing that was acknowledged.

Each record is one line, written by one `os.write` to a file opened for appending, then fsynced;
only then does `append` return. So after `kill -9` or a power cut the file holds every
acknowledged record and at most one unfinished line at its end. Opening the file moves that
unfinished line to `<file>.damaged`, says so, and goes on.

Simplified: no index and no compaction. A person writes some hundreds of lines, and reading them
all takes milliseconds. The lock is advisory: it stops a second store, not a text editor; an
editor's change is noticed before the next write instead.
"""

from __future__ import annotations

import errno
import os
import threading
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rlhf_tutorial.locked_file import (
    StoreError,
    StoreLockedError,
    lock,
    make_owner_only,
    open_to_append,
    read_all,
    reason,
)
from rlhf_tutorial.preferences import (
    PreferenceFileError,
    Problem,
    Ranking,
    apply_retractions,
    new_id,
    scan,
    utc_now,
)

__all__ = ["RankingStore", "StoreError", "StoreLockedError", "StoreSummary", "summarise"]


class RankingStore:
    """Append-only store of `Ranking` records in one file; use it in a `with` block.

    Raises `StoreLockedError` when the file is open elsewhere, `StoreError` when it cannot be
    opened or written, and `PreferenceFileError` when a line in it is not a valid record.
    `set_aside` holds the bytes of a half-written last line found on opening, else `b""`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.damaged_path = Path(f"{self.path}.damaged")
        self.set_aside = b""
        self._mutex = threading.Lock()
        self._file = open_to_append(self.path)
        try:
            lock(self._file, self.path)
            self._recover()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RankingStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, record: Ranking) -> None:
        """Put one record on the disk; when this returns, it is there.

        On failure nothing of the record stays in the file and `append` may be called again with
        the same record. Appending a record that is already stored, field by field, does nothing,
        so that a retry after a crash never doubles it. Raises `PreferenceError` for a record that
        breaks the rules, `StoreError` when the disk refuses.
        """
        record.validate()
        with self._mutex:
            known = self._known.get(record.id)
            if known == record:
                return
            if known is not None:
                raise StoreError(
                    f"{self.path}: id {record.id!r} is taken by another record; use a new id"
                )
            if record.kind == "retraction" and record.retracts not in self._live:
                raise StoreError(
                    f"{self.path}: cannot take back {record.retracts!r}; "
                    "there is no standing ranking with that id"
                )
            self._write_line(record.to_json().encode("utf-8") + b"\n")
            self._remember(record)

    def retract(self, ranking_id: str, *, annotator: str = "", note: str = "") -> Ranking:
        """Take a ranking back by appending a retraction, which is returned.

        It is signed by `annotator`, by default by whoever made the ranking.
        """
        known = self._known.get(ranking_id)
        record = Ranking(
            id=new_id(),
            kind="retraction",
            retracts=ranking_id,
            annotator=annotator or (known.annotator if known else "anonymous"),
            note=note,
            time=utc_now(),
        )
        self.append(record)
        return record

    def records(self) -> list[Ranking]:
        """All records in the order of the file, retractions included."""
        return list(self._known.values())

    def rankings(self) -> list[Ranking]:
        """The rankings that still stand, skipped items included."""
        return apply_retractions(self._known.values())

    def close(self) -> None:
        """Give the lock back. Closing twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _remember(self, record: Ranking) -> None:
        self._known[record.id] = record
        if record.kind == "ranking":
            self._live.add(record.id)
        else:
            self._live.discard(record.retracts)

    def _recover(self) -> None:
        data = read_all(self._file)
        found = scan(data)
        if found.problems:
            raise PreferenceFileError(self.path, found.problems[0].line, found.problems[0].message)
        make_owner_only(self.path)  # not sooner: a file that is not ours is left as it is
        self._known: dict[str, Ranking] = {}
        self._live: set[str] = set()
        for record in found.records:
            self._remember(record)
        self._size = len(data)
        try:
            if found.tail:
                self._set_aside(found.tail, found.tail_line)
            # What a killed process wrote may still be in memory only; make it last before it
            # counts as stored.
            os.fsync(self._file)
        except OSError as error:
            raise StoreError(f"{self.path} could not be repaired: {reason(error)}") from error
        if found.needs_newline:
            self._write_line(b"\n")

    def _set_aside(self, tail: bytes, line: int) -> None:
        """Copy the unfinished line first, cut it off second: a kill in between loses nothing."""
        side = open_to_append(self.damaged_path)
        try:
            make_owner_only(self.damaged_path)
            written = os.write(side, tail + b"\n")
            if written != len(tail) + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(side)
        finally:
            os.close(side)
        self._size -= len(tail)
        os.ftruncate(self._file, self._size)
        self.set_aside = tail
        warnings.warn(
            f"{self.path}, line {line}: a half-written last line ({len(tail)} bytes) was moved to "
            f"{self.damaged_path}; the ranking being saved when the program stopped is not stored",
            stacklevel=4,
        )

    def _write_line(self, line: bytes) -> None:
        if self._file < 0:
            raise StoreError(f"{self.path} is closed; open the store again")
        try:
            self._check_unchanged()
            written = os.write(self._file, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except StoreError:
            raise
        except OSError as error:
            # After a failed fsync the system may drop the data and report success next time, so
            # the line is taken out and a retry writes it afresh.
            self._roll_back()
            raise StoreError(
                f"{self.path}: the record was not saved ({reason(error)}); "
                "mend that and submit it again"
            ) from error
        except BaseException:  # an interrupt between write and fsync: not acknowledged, so not kept
            self._roll_back()
            raise
        self._size += len(line)

    def _roll_back(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
            self._must_roll_back = False
        except OSError:
            self._must_roll_back = True  # tried again before the next write

    _must_roll_back = False

    def _check_unchanged(self) -> None:
        if self._must_roll_back:
            os.ftruncate(self._file, self._size)
            self._must_roll_back = False
        try:
            on_disk = os.stat(self.path)
        except FileNotFoundError:
            on_disk = None
        ours = os.fstat(self._file)
        same_file = on_disk is not None and os.path.samestat(on_disk, ours)
        if not same_file or ours.st_size != self._size:
            raise StoreError(
                f"{self.path} was moved, deleted or changed by another program while it was open; "
                "the record was not saved: open the store again and submit it again"
            )


@dataclass(frozen=True)
class StoreSummary:
    """What a preference file holds, good lines and bad; nothing in the file is changed."""

    path: str
    records: int
    rankings: int  # standing, skipped ones left out
    skipped: int
    retracted: int
    annotators: dict[str, int]  # standing records of each
    guideline_versions: dict[str, int]
    problems: list[Problem]  # every bad line, a half-written last one included

    def __str__(self) -> str:
        counts = f"{self.rankings} rankings, {self.skipped} skipped, {self.retracted} taken back"
        lines = [f"{self.path}: {counts}"]
        lines += [f"  annotator {name}: {n}" for name, n in self.annotators.items()]
        lines += [
            f"  guidelines {name or '(none)'}: {n}" for name, n in self.guideline_versions.items()
        ]
        lines += [f"  line {problem.line}: {problem.message}" for problem in self.problems]
        return "\n".join(lines)


def summarise(path: str | Path) -> StoreSummary:
    """Read a preference file leniently: count what is good and list every problem."""
    found = scan(Path(path).read_bytes())
    problems = list(found.problems)
    if found.tail:
        message = f"the last line is half-written ({len(found.tail)} bytes)"
        problems.append(Problem(found.tail_line, message))
    standing = apply_retractions(found.records)
    skipped = sum(record.skip is not None for record in standing)
    return StoreSummary(
        path=str(path),
        records=len(found.records),
        rankings=len(standing) - skipped,
        skipped=skipped,
        retracted=sum(record.kind == "retraction" for record in found.records),
        annotators=dict(Counter(record.annotator for record in standing)),
        guideline_versions=dict(Counter(record.guideline_version for record in standing)),
        problems=problems,
    )
