"""The command `diagnose`: what is wrong with a finished, or failed, run of PPO.

Reads a run's folder, an artefact's, or rows as JSON Lines or as one JSON array, such as those that
any trainer with TRL's names of quantities writes.
"""

from __future__ import annotations

from pathlib import Path

from rlhf_tutorial.doctor import NO_HISTORY, UNKNOWN, describe, diagnose
from rlhf_tutorial.json_records import read_records


def main(path: Path) -> int:
    """Prints the findings for each history found; returns the exit code, 0.

    Raises:
        ValueError: there is no history, or a record of it is damaged; says which.
        OSError: a file cannot be read.
    """
    files = history_files(path)
    for file in files:
        findings = diagnose([row for _, row in read_records(file)])
        if findings[0].cause in (NO_HISTORY, UNKNOWN):
            raise ValueError(f"{file}: {findings[0].evidence}; {findings[0].check}")
        if len(files) > 1:
            print(f"{file.parent.name}:")
        print(describe(findings))
    return 0


def history_files(path: Path) -> list[Path]:
    """The file itself, that of an artefact, or those of all PPO artefacts of a run by age."""
    if not path.is_dir():
        if not path.exists():
            raise ValueError(f"there is no {path}: give a run's folder or a file of rows")
        return [path]
    if (path / "history.json").is_file():
        return [path / "history.json"]
    found = list(path.glob("artefacts/rlhf-*/history.json"))
    if not found:
        raise ValueError(f"{path} holds no PPO history: give a run that has come to PPO, or a file")
    return sorted(found, key=lambda file: file.stat().st_mtime)
