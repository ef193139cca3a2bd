"""Finished runs of a benchmark, one a line of JSON, so that a long one can be made in slices.

A row has a "key": a hash of all that decides the run. What was run with the same is not run again.
"""

from __future__ import annotations

import json
from pathlib import Path


def finished_runs(path: Path) -> dict[str, dict]:
    """Runs in the file, by key; a line that a kill cut short is left out, and is run again."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["key"]] = row
    return found


def keep(path: Path, row: dict) -> None:
    """Add a run to the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
