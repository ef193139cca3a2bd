"""The replies that were sampled to choose from: people ranked some of them, nobody the others.

JSON Lines with the fields `prompt` and `completion`, as `datasets` and TRL read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rlhf_tutorial.json_records import read_records, write_rows

FILE = "sampled.jsonl"  # beside the rankings


def save_sampled(folder: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Write pairs of a prompt and a reply into a folder of rankings."""
    write_rows(({"prompt": prompt, "completion": reply} for prompt, reply in pairs), folder / FILE)


def load_sampled(folder: Path) -> list[tuple[str, str]]:
    """The pairs of a prompt and a reply in a folder of rankings."""
    return [(row["prompt"], row["completion"]) for _, row in read_records(folder / FILE)]
