"""What the last cells of the notebooks measured, seed by seed.

    python benchmarks/course_seeds.py runs/seeds --seeds 10 11 12 13 14

Reads executed copies, `FOLDER/notebooks-SEED/*.ipynb`, which `make verify` makes. Each last cell
prints a line for each of its claims; here they stand side by side. Writes its section of
docs/benchmarks.md. Exits with 1 where a notebook is missing, did not end, or a claim does not hold.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rlhf_tutorial.reporting import fill_sections, markdown_table  # noqa: E402

LINE = re.compile(r"(?P<state>held|NOT HELD)\s+(?P<claim>.+): (?P<value>\S+) \((?P<bound>.+)\)")


def claims(path: Path) -> dict[str, tuple[str, str, bool]]:
    """Value, bound and whether it held, of each claim that an executed notebook printed.

    Raises:
        ValueError: it has no claims, or a cell stopped with an error before or in the last one.
    """
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    stopped = [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    if stopped:
        raise ValueError(f"{path} stopped with {stopped[0].ename}: run it again")
    printed = "".join(output.get("text", "") for output in cells[-1].outputs)
    found = {
        match["claim"]: (match["value"], match["bound"], match["state"] == "held")
        for match in map(LINE.fullmatch, printed.splitlines())
        if match
    }
    if not found:
        raise ValueError(f"the last cell of {path} printed no claim: run it again")
    return found


def table(folder: Path, seeds: list[int]) -> tuple[str, bool]:
    """One row a claim, one column a seed; and whether all of them held."""
    rows, all_held = [], True
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        by_seed = {seed: claims(folder / f"notebooks-{seed}" / path.name) for seed in seeds}
        for claim, (_, bound, _) in by_seed[seeds[0]].items():
            values = []
            for seed in seeds:
                value, _, held = by_seed[seed][claim]
                values.append(value if held else f"**{value}**")
                all_held &= held
            rows.append([path.name[:2], claim, bound, *values])
    return markdown_table(["notebook", "claim", "bound", *map(str, seeds)], rows), all_held


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the folders notebooks-SEED")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    arguments = parser.parse_args()
    try:
        text, all_held = table(arguments.folder, arguments.seeds)
    except (OSError, ValueError, KeyError) as error:
        print(f"Not all notebooks are there: {error}", file=sys.stderr)
        return 1
    print(text)
    fill_sections(ROOT / "docs" / "benchmarks.md", {"course": text})
    return 0 if all_held else 1


if __name__ == "__main__":
    sys.exit(main())
