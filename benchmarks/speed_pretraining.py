"""Pretraining against the processor: model FLOP/s over those of a bare matrix product.

    python benchmarks/speed_pretraining.py

What is counted, and how, stands in `rlhf_tutorial/bench_pretraining.py`. Writes its section of
docs/benchmarks.md.
"""

from __future__ import annotations

from pathlib import Path

from rlhf_tutorial import cli_bench

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


if __name__ == "__main__":
    cli_bench.script("pretraining", __doc__, PAGE, turns=9)
