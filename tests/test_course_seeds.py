"""The table of what the notebooks measured with other seeds is read from executed notebooks."""

import shutil
from pathlib import Path

import nbformat
import pytest

from benchmarks import course_seeds

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


@pytest.fixture
def folder(tmp_path) -> Path:
    """The course as committed, as if it had been run with seeds 1 and 2."""
    for seed in (1, 2):
        (tmp_path / f"notebooks-{seed}").mkdir()
        for path in NOTEBOOKS.glob("[0-9]*.ipynb"):
            shutil.copy(path, tmp_path / f"notebooks-{seed}")
    return tmp_path


def change(path: Path, edit) -> None:
    notebook = nbformat.read(path, as_version=4)
    edit([cell for cell in notebook.cells if cell.cell_type == "code"][-1])
    nbformat.write(notebook, path)


def test_every_claim_of_every_notebook_has_a_row_with_a_value_for_each_seed(folder):
    text, held = course_seeds.table(folder, [1, 2])
    assert held
    lines = text.splitlines()[2:]
    printed = 0
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        last = [cell for cell in cells if cell.cell_type == "code"][-1]
        printed += sum(output.get("text", "").count("held      ") for output in last.outputs)
    assert len(lines) == printed > 30
    for line in lines:
        *_, first, second, _ = line.split("|")
        assert first.strip() == second.strip() != ""


def test_a_claim_that_did_not_hold_is_bold_and_counts(folder):
    def break_one(cell):
        for output in cell.outputs:
            output["text"] = output["text"].replace("held      ", "NOT HELD  ", 1)

    change(folder / "notebooks-2" / "05_ppo.ipynb", break_one)
    text, held = course_seeds.table(folder, [1, 2])
    assert not held
    assert text.count("**") == 2


def test_a_notebook_that_stopped_or_is_missing_is_named(folder):
    path = folder / "notebooks-1" / "02_sft.ipynb"

    def stop(cell):
        cell.outputs = [nbformat.v4.new_output("error", ename="AssertionError", evalue="x")]

    change(path, stop)
    with pytest.raises(ValueError, match=r"02_sft.ipynb stopped with AssertionError"):
        course_seeds.table(folder, [1, 2])
    path.unlink()
    with pytest.raises(OSError, match="02_sft"):
        course_seeds.table(folder, [1, 2])
