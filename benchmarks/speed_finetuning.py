"""SFT and reward-model training against TRL's SFTTrainer and RewardTrainer.

    python benchmarks/speed_finetuning.py --run runs/quick-0
    python benchmarks/speed_finetuning.py             with a model trained for some seconds

What is compared, and with which settings of TRL, stands in `rlhf_tutorial/bench_finetuning.py`.
Writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

from pathlib import Path

from rlhf_tutorial import cli_bench

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"


if __name__ == "__main__":
    cli_bench.script("finetuning", __doc__, PAGE, turns=7)
