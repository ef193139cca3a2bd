"""The replies that were sampled to choose from: people ranked some of them, nobody the others.

JSON Lines with the fields `prompt` and `completion`, as `datasets` and TRL read them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

FILE = "sampled.jsonl"  # beside the rankings


def save_sampled(folder: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Write pairs of a prompt and a reply into a folder of rankings."""
    lines = (json.dumps({"prompt": prompt, "completion": reply}) + "\n" for prompt, reply in pairs)
    (folder / FILE).write_text("".join(lines), encoding="utf-8")


def load_sampled(folder: Path) -> list[tuple[str, str]]:
    """The pairs of a prompt and a reply in a folder of rankings."""
    rows = map(json.loads, (folder / FILE).read_text(encoding="utf-8").splitlines())
    return [(row["prompt"], row["completion"]) for row in rows]
