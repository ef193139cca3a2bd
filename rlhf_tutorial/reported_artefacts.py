"""Which artefacts of a run's folder its report is about; others may lie beside them."""

from __future__ import annotations

from pathlib import Path

from rlhf_tutorial.reporting import read_report


def artefacts_of(folder: Path) -> dict[str, Path]:
    """Folders of the finished stages that a run's report is about; empty where it does not say.

    A folder may hold other artefacts too: of notebooks, of other rankings, of older code.

    Raises:
        ValueError: as `read_report`.
    """
    if not (Path(folder) / "report.json").is_file():
        return {}
    told = read_report(folder).get("artefacts", {})
    found = {stage: Path(folder) / "artefacts" / name for stage, name in told.items()}
    return {stage: path for stage, path in found.items() if (path / "stage.json").is_file()}
