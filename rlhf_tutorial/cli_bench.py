"""The command `bench`: how fast the parts are on this machine, as ratios, in one table.

Everything that needs no second environment. The longer measurements behind the tables of the
documentation are the same functions, called by the scripts in `benchmarks/`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rlhf_tutorial import bench_finetuning, bench_pretraining, bench_sampling, bench_table
from rlhf_tutorial.bench_materials import Materials
from rlhf_tutorial.bench_timing import Comparison
from rlhf_tutorial.progress import say, stage_bar

Measure = Callable[[Materials, int], list[Comparison]]


def sampling(materials: Materials, turns: int) -> list[Comparison]:
    """Sampling against `model.generate`."""
    return bench_sampling.measure(
        materials.model, materials.tokenizer, materials.prompts, turns=turns
    )


def pretraining(materials: Materials, turns: int) -> list[Comparison]:
    """Pretraining against the processor's own peak."""
    return bench_pretraining.measure(materials.tokenizer, materials.documents, turns=turns)


def finetuning(materials: Materials, turns: int) -> list[Comparison]:
    """SFT and reward-model training against TRL."""
    return bench_finetuning.measure(
        materials.model,
        materials.tokenizer,
        materials.demonstrations,
        materials.rankings,
        turns=turns,
    )


MEASURES: dict[str, Measure] = {
    "sampling": sampling,
    "pretraining": pretraining,
    "finetuning": finetuning,
}


def main(options: argparse.Namespace) -> int:
    """Measures what is asked for and prints the table; returns the exit code.

    Raises:
        ValueError: a folder without a finished run.
    """
    start = time.perf_counter()
    quiet()
    names = options.only or list(MEASURES)
    with stage_bar("a model") as bar:
        materials = Materials(options.run, progress=bar)
        about = about_model(materials, names)
    comparisons = compare(materials, names, options.turns)
    print(f"\n{bench_table.table(comparisons)}\n")
    print(bench_table.note(comparisons, about))
    print(f"Measured in {time.perf_counter() - start:.0f} seconds.")
    return 0


def quiet() -> None:
    """Keeps bars and notes of the libraries out of the table."""
    import datasets
    from transformers.utils import logging

    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def about_model(materials: Materials, names: Sequence[str]) -> str:
    """What model the measures work on; nothing where each makes its own."""
    return materials.about() if set(names) - {"pretraining"} else ""


def compare(materials: Materials, names: Sequence[str], turns: int) -> list[Comparison]:
    """The comparisons of some of `MEASURES`, in turn."""
    found: list[Comparison] = []
    for name in names:
        say(f"[bench] {name} ...")
        found += MEASURES[name](materials, turns)
    return found


def script(name: str, docstring: str, page: Path, turns: int) -> None:
    """What the scripts in `benchmarks/` do: one measure, its table printed and written to a page.

    The section of the page is called `speed-NAME`.
    """
    parser = argparse.ArgumentParser(description=docstring.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of a finished run, whose SFT model to use")
    parser.add_argument("--turns", type=int, default=turns, help="times that each side is measured")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md alone")
    options = parser.parse_args()
    quiet()
    materials = Materials(options.run)
    about = about_model(materials, [name])
    comparisons = MEASURES[name](materials, options.turns)
    bench_table.publish(f"speed-{name}", comparisons, about, None if options.print_only else page)
