"""The record table: how soon is the model aligned? One line an improvement, in docs/benchmarks.md.

    python benchmarks/time_to_aligned.py --what "People rank replies that differ"
    python benchmarks/time_to_aligned.py --what "First version" --commit 8a4614f

Aligned means that RLHF wins at least 0.80 of comparisons with SFT. A line is read off the five rows
that `benchmarks/five_seeds.py` wrote for the quick preset: those of this working copy, or those
that a commit holds. Seconds are those of whole runs, evaluation included, on whatever machine ran
them. The same commit twice replaces its line.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rlhf_tutorial import reporting  # noqa: E402

ALIGNED = 0.80
PAGE = "docs/benchmarks.md"
HEADER = [
    "day",
    "commit",
    "seconds, median (all)",
    "RLHF over SFT",
    "aligned seeds",
    "what changed",
]


def section(page: str, name: str) -> list[list[str]]:
    """The cells of a marked table, without its header; nothing where there is no table yet.

    Raises:
        ValueError: the page has no such marks.
    """
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if start not in page or end not in page:
        raise ValueError(f"there are no rows between {start} and {end}: run five_seeds.py first")
    lines = page.split(start)[1].split(end)[0].strip().splitlines()
    table = [line for line in lines if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def line(page: str, day: str, commit: str, what: str) -> list[str]:
    """One line of the record table, from the five-seed rows of a page."""
    rows = section(page, "seeds-quick")
    if not rows:
        raise ValueError("the five-seed rows of the quick preset are empty: run five_seeds.py")
    seconds = [int(row[1]) for row in rows]
    wins = [float(row[6].split()[0]) for row in rows]
    return [
        day,
        commit,
        f"{statistics.median(seconds):.0f} ({min(seconds)} to {max(seconds)})",
        ", ".join(f"{win:.2f}" for win in wins),
        f"{sum(win >= ALIGNED for win in wins)} of {len(wins)}",
        what,
    ]


def with_line(page: str, new: list[str]) -> str:
    """The page's record table with a line more, in order of days."""
    lines = [old for old in section(page, "aligned") if old[1] != new[1]]
    return reporting.markdown_table(HEADER, sorted([*lines, new], key=lambda cells: cells[0]))


def git(*words: str) -> str:
    """What a git command prints."""
    return subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", required=True, help="what changed since the line before")
    parser.add_argument("--commit", help="read the rows that this commit holds")
    options = parser.parse_args()
    path = ROOT / PAGE
    page = path.read_text(encoding="utf-8")
    commit = options.commit or "HEAD"
    rows = git("show", f"{commit}:{PAGE}") if options.commit else page
    day, name = git("log", "-1", "--format=%ad %h", "--date=short", commit).split()
    new = line(rows, day, name, options.what)
    reporting.fill_sections(path, {"aligned": with_line(page, new)})
    print(" | ".join(new))


if __name__ == "__main__":
    main()
