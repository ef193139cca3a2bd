"""Sampling against `model.generate` of transformers, in tokens a second.

    python benchmarks/speed_sampling.py --run runs/quick-0
    python benchmarks/speed_sampling.py               with a model trained for some seconds

What is compared, and how, stands in `rlhf_tutorial/bench_sampling.py`. Writes its section of
docs/benchmarks.md.
"""

from __future__ import annotations

from pathlib import Path

from rlhf_tutorial import cli_bench

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


if __name__ == "__main__":
    cli_bench.script("sampling", __doc__, PAGE, turns=11)
