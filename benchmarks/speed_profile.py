"""Where the time goes in what misses its speed goal: shares of torch's operators, by kind.

    python benchmarks/speed_profile.py --run runs/quick-0

Pretraining, sampling at batch 8 and a reward model on pairs, as `speed_*.py` measure them, under
torch's profiler. The profiler itself takes some microseconds a call, so kinds with many small calls
look dearer than they are. Writes its section of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from rlhf_tutorial import (  # noqa: E402
    bench_finetuning,
    bench_pretraining,
    bench_table,
    cli_bench,
    models,
    reporting,
)
from rlhf_tutorial.bench_materials import SIZE, Materials  # noqa: E402
from rlhf_tutorial.bench_timing import StepClock  # noqa: E402
from rlhf_tutorial.pretraining import PretrainingSettings  # noqa: E402
from rlhf_tutorial.sampling import sample  # noqa: E402

ROWS, TOKENS, CALLS = 8, 48, 8  # of sampling
KINDS = {  # kind -> how names of its operators begin, after "aten::"
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "_addmm", "linear", "matmul"),
    "attention": ("_scaled_dot_product", "scaled_dot_product"),
    "norms": ("native_layer_norm", "linalg_vector_norm", "norm", "_foreach_norm"),
    "loss and drawing": (
        *("_log_softmax", "nll_loss", "cross_entropy", "logsumexp", "gather", "_softmax"),
        *("cumsum", "sort", "argmax", "searchsorted", "exponential", "uniform"),
    ),
    "AdamW": ("_fused_adamw",),
    "activations and sums": (
        *("add", "sub", "mul", "div", "tanh", "gelu", "pow", "sum", "mean", "neg", "exp", "rsub"),
        *("log", "sqrt", "max", "min", "clamp", "eq", "ne", "lt", "gt", "ge", "le", "bitwise"),
        *(
            "_foreach",
            "addcmul",
            "addcdiv",
            "lerp",
            "masked_fill",
            "where",
            "any",
            "all",
            "maximum",
        ),
    ),
    "moving data": (
        *("copy", "cat", "index", "embedding", "clone", "contiguous", "fill", "zero", "stack"),
        *("slice_backward", "select_backward", "to", "_to_copy", "scatter", "arange", "full"),
    ),
}
OTHER, OUTSIDE = "other operators", "outside operators (Python)"


class Window(StepClock):
    """A clock that also profiles the steps that it times: all but the first and the last."""

    def __init__(self) -> None:
        super().__init__()
        self.profiler = profile(activities=[ProfilerActivity.CPU])

    def __call__(self, step: int, total: int) -> None:
        if step == 1:
            self.profiler.__enter__()
        super().__call__(step, total)  # neither starting nor ending the profiler counts
        if step == total - 1:
            self.profiler.__exit__(None, None, None)


def kind_of(name: str) -> str:
    """The kind of an operator, by the longest beginning that fits its name."""
    plain = name.removeprefix("aten::")
    fitting = [
        (len(b), kind) for kind, begins in KINDS.items() for b in begins if plain.startswith(b)
    ]
    return max(fitting)[1] if fitting else OTHER


def shares(run: Callable[[Window], None]) -> tuple[dict[str, float], float, float]:
    """Shares of time by kind, operator calls and milliseconds per step, all while profiled."""
    window = Window()
    run(window)
    spent, calls = Counter(), 0
    for event in window.profiler.key_averages():
        if event.key.startswith("aten::"):
            spent[kind_of(event.key)] += event.self_cpu_time_total / 1e6
            calls += event.count
    spent[OUTSIDE] = max(0.0, window.seconds - spent.total())
    found = {kind: spent[kind] / window.seconds for kind in (*KINDS, OTHER, OUTSIDE)}
    return found, calls / window.steps, 1000 * window.seconds / window.steps


def runs(materials: Materials) -> dict[str, Callable[[Window], None]]:
    """What is profiled; each calls the window after every step."""
    tokenizer = materials.tokenizer
    twos = [two for r in materials.rankings for two in bench_finetuning.as_pairs(r)]
    twos = twos[: len(twos) // bench_finetuning.BATCH * bench_finetuning.BATCH]

    def pretraining(window: Window) -> None:
        settings = PretrainingSettings(steps=bench_pretraining.STEPS)
        bench_pretraining.pretraining_flops(
            SIZE, tokenizer, materials.documents, settings, 0, clock=window
        )

    def sampling(window: Window) -> None:
        for call in range(CALLS):
            batch = materials.prompts[ROWS * call : ROWS * (call + 1)]
            sample(materials.model, tokenizer, batch, max_new_tokens=TOKENS, seed=call)
            window(call + 1, CALLS)

    def reward_model(window: Window) -> None:
        model = models.build_reward_model(materials.model, tokenizer, seed=0)
        bench_finetuning.our_reward(model, tokenizer, twos, bench_finetuning.BATCH, 0, clock=window)

    return {
        "pretraining, a step": pretraining,
        f"sampling, a batch of {ROWS}": sampling,
        "reward model, 32 pairs": reward_model,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder of a finished run, whose SFT model to use")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md alone")
    options = parser.parse_args()
    cli_bench.quiet()
    materials = Materials(options.run)
    columns = {name: shares(run) for name, run in runs(materials).items()}
    rows = [
        [kind, *(f"{found[kind]:.0%}" for found, _, _ in columns.values())]
        for kind in (*KINDS, OTHER, OUTSIDE)
    ]
    rows.append(["calls of operators", *(f"{calls:,.0f}" for _, calls, _ in columns.values())])
    rows.append(["milliseconds", *(f"{took:,.0f}" for _, _, took in columns.values())])
    table = reporting.markdown_table(["", *columns], rows)
    print(table)
    if not options.print_only:
        content = f"{table}\n\n{materials.about()} {bench_table.machine_line()}"
        reporting.fill_sections(ROOT / "docs" / "benchmarks.md", {"speed-profile": content})


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
