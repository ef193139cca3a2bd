"""How cost grows with the model, the batch and the length of replies.

    python benchmarks/growth.py                 all points, a table and a figure (about 10 minutes)
    python benchmarks/growth.py --seconds 200   start no point after that; call it again
    python benchmarks/growth.py --seconds 0     measure nothing: tables of what is there

One thing changes at a time; the others stay at the course's size, a batch of 128 and replies of 32
tokens. Each point is a process of its own (`growth_point.py`), since only so the most memory it
held is its own. The slope is that of a straight line through the logarithms: −1 means that twice
the size takes twice the time. What the same path costs with larger models is worked out on paper
(`growth_paper.py`). Points are kept in `--out`; what was measured in the same way is not measured
again.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import growth_paper, kept_runs  # noqa: E402
from rlhf_tutorial import bench_table, models, plotting_growth, reporting  # noqa: E402
from rlhf_tutorial.plotting_parts import png_bytes  # noqa: E402

POINT = Path(__file__).with_name("growth_point.py")
USUAL = {"size": "2m", "batch": 128, "length": 32}
VARIED = {
    "size": tuple(models.SIZES),
    "batch": (8, 16, 32, 64, 128, 256),
    "length": (8, 16, 32, 64, 96),
}
X = {"size": "weights (millions)", "batch": "batch (replies)", "length": "reply (tokens)"}
MEASURES = {  # what a point says of itself, and how it is called
    "pretraining": "pretraining, tokens/s",
    "sampling": "sampling, tokens/s",
    "ppo": "PPO, replies learnt/s",
    "ppo_mb": "memory of PPO, MB",
}


def points() -> list[dict]:
    """All settings that are measured, each once."""
    found = [USUAL | {name: value} for name, values in VARIED.items() for value in values]
    return [point for index, point in enumerate(found) if point not in found[:index]]


def key(point: dict) -> str:
    """What a kept point was measured with."""
    return json.dumps(point, sort_keys=True)


def measure(point: dict) -> dict:
    """Measure one point in a process of its own; RuntimeError with its last words if it fails."""
    command = [sys.executable, str(POINT), json.dumps(point)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the point {point} failed:\n{done.stderr[-2000:]}")
    return {"key": key(point), **point, **json.loads(done.stdout.splitlines()[-1])}


def slope(xs: list[float], ys: list[float]) -> float:
    """The exponent b of the y = a·x^b that lies closest, by least squares of the logarithms.

    Raises:
        ValueError: fewer than two different x, or a value that is not above 0.
    """
    if len(set(xs)) < 2 or min(*xs, *ys) <= 0:
        raise ValueError("a slope needs two different points, all above 0")
    fit = statistics.linear_regression([math.log(x) for x in xs], [math.log(y) for y in ys])
    return fit.slope


def curves(rows: list[dict]) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    """What was measured, `{varied: {measure: (x, y)}}`, in order of x."""
    found = {}
    for varied in VARIED:
        usual = {name: value for name, value in USUAL.items() if name != varied}
        line = [row for row in rows if all(row[name] == value for name, value in usual.items())]
        x_of = "weights" if varied == "size" else varied
        line.sort(key=lambda row: row[x_of])
        scale = 1e6 if varied == "size" else 1
        found[varied] = {
            measure: (
                [row[x_of] / scale for row in line if measure in row],
                [row[measure] for row in line if measure in row],
            )
            for measure in MEASURES
        }
    return found


def table(found: dict) -> str:
    """One line a point for each thing that is varied, and the slopes."""
    header = ["varied", "", *MEASURES.values()]
    lines = []
    for varied, measures in found.items():
        for x in sorted({x for xs, _ in measures.values() for x in xs}):
            cells = [dict(zip(xs, ys, strict=True)).get(x) for xs, ys in measures.values()]
            shown = ["–" if cell is None else f"{cell:,.0f}" for cell in cells]
            lines.append([X[varied], f"{x:.1f}" if varied == "size" else f"{x:g}", *shown])
        slopes = [f"{slope(xs, ys):.2f}" if len(xs) > 1 else "–" for xs, ys in measures.values()]
        lines.append([X[varied], "slope", *slopes])
    return reporting.markdown_table(header, lines)


def write(found: dict) -> None:
    """Tables and figure into docs/."""
    panels = [
        (X[varied], MEASURES[measure], xs, ys, slope(xs, ys))
        for measure in MEASURES
        for varied, measures in found.items()
        for xs, ys in [measures[measure]]
        if len(xs) > 1
    ]
    picture = png_bytes(plotting_growth.growth(panels, columns=len(VARIED)), dpi=90, optimize=True)
    (ROOT / "docs" / "figures" / "growth.png").write_bytes(picture)
    about = (
        f"What is not varied: a model {USUAL['size']}, a batch of {USUAL['batch']} replies of "
        f"{USUAL['length']} tokens, none of which ends earlier. PPO samples, scores with a reward "
        "model of the same size, and learns, 2 epochs × 2 minibatches. Memory is the most that a "
        "process held less what it held after its imports. Medians of 3 steps. "
    )
    figure = "![Speed and memory against size, batch and length](figures/growth.png)"
    content = f"{table(found)}\n\n{about}{bench_table.machine_line()}\n\n{figure}"
    sections = {"growth": content, "growth-paper": growth_paper.tables()}
    reporting.fill_sections(ROOT / "docs" / "benchmarks.md", sections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no point after")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "growth.jsonl")
    parser.add_argument("--print-only", action="store_true", help="leave docs/ alone")
    options = parser.parse_args()
    start, done = time.perf_counter(), kept_runs.finished_runs(options.out)
    for point in points():
        if key(point) in done or time.perf_counter() - start > options.seconds:
            continue
        row = measure(point)
        kept_runs.keep(options.out, row)
        done[row["key"]] = row
        print(f"[growth] {row}", flush=True)
    rows = [done[key(point)] for point in points() if key(point) in done]
    if not rows:
        raise SystemExit("no point measured: give more --seconds")
    found = curves(rows)
    print(table(found))
    if not options.print_only:
        write(found)


if __name__ == "__main__":
    main()
