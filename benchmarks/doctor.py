"""Make PPO go wrong in nineteen ways, and see whether the doctor knows what was wrong.

    python benchmarks/doctor.py                     all runs, then tables and figures (70 minutes)
    python benchmarks/doctor.py --seconds 300       start no run after that; call it again
    python benchmarks/doctor.py --waves 0 --seconds 0   no run: tables of what is there

Every fault of `rlhf_tutorial/ppo_faults.py` is put into short runs (12 steps of 64 replies) that
start from the quick preset's SFT and reward model of seed 0. The rules of `doctor.py` were written
while looking at wave 0 (seeds 0 and 1, one severity). Then they were frozen and asked about waves
1 to 3: other seeds, other severities, and a smaller and worse model whose stages are built here.
`diagnose` never sees the gold reward, which is only shown here.

Histories are kept in `--out`; what was run with the same settings is not run again. A change of
`ppo.py` does not make them stale by itself: use another `--out` to run all anew.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import json
import math
import re
import shutil
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, stdev

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from transformers.utils import logging  # noqa: E402

from rlhf_tutorial import models, plotting_doctor, presets, stages  # noqa: E402
from rlhf_tutorial.doctor import HEALTHY, diagnose  # noqa: E402
from rlhf_tutorial.plotting_parts import png_bytes  # noqa: E402
from rlhf_tutorial.ppo import PPOSettings  # noqa: E402
from rlhf_tutorial.ppo_faults import FAULTS, Job  # noqa: E402
from rlhf_tutorial.reporting import markdown_table, replace_section  # noqa: E402
from rlhf_tutorial.tokenizer import load_tokenizer  # noqa: E402
from rlhf_tutorial.village import gold, prompts  # noqa: E402

SETTINGS = PPOSettings(steps=12, batch_size=64, max_new_tokens=56, kl_coefficient=0.1)
# For each fault: the severity of wave 0, then two that the rules were not written on.
SEVERITIES = {
    "top-k": (20, 5, 50),
    "top-k, recomputed": (20, 5, 50),
    "minimum length": (12, 8, 20),
    "minimum length, recomputed": (12, 8, 20),
    "dropout left on": (0.1, 0.05, 0.2),
    "padding on the right": (1, 1, 1),
    "positions count padding": (1, 1, 1),
    "padding counted": (100, 4, 1),
    "end token not counted": (1, 1, 1),
    "end token never sampled": (1000, 1000, 1000),
    "another chat template": (0, 1, 2),
    "reward on the wrong token": (0.0, 0.5, 0.25),
    "advantages not whitened": (1, 1, 1),
    "value head": (10, 3, 30),
    "learning rate": (10, 5, 20),
    "KL coefficient 0": (0, 0, 0),
    "KL sign": (0.1, 0.3, 0.05),
    "stale log-probabilities": (1, 3, 1000),
    "moving reference": (1.0, 0.5, 0.2),
}
HEALTHY_SEEDS = range(10, 20)  # of the frozen rules' healthy runs, for each size of model
SIZES = ("2m", "1m")
LATE = 4  # steps at the end of a run whose means are shown


@dataclass(frozen=True)
class Case:
    """One run: what is wrong, how much of it, the size of the model, the seed of PPO."""

    fault: str
    severity: float
    size: str
    seed: int

    @property
    def key(self) -> str:
        """What a finished run must have been run with to be kept."""
        text = json.dumps([asdict(self), asdict(SETTINGS)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def cases(wave: int) -> list[Case]:
    """Wave 0 is for writing rules, 1 to 3 for the frozen ones."""
    if wave == 0:
        return [
            Case(name, severity, "2m", seed)
            for seed in (0, 1)
            for name, severity in [(HEALTHY, 0), *((n, SEVERITIES[n][0]) for n in FAULTS)]
        ]
    which, size, seed = {1: (1, "2m", 10), 2: (0, "1m", 12), 3: (2, "2m", 11)}[wave]
    healthy = {1: ("2m", HEALTHY_SEEDS[:5]), 2: ("1m", HEALTHY_SEEDS[:5])}.get(wave)
    made = [Case(HEALTHY, 0, healthy[0], s) for s in healthy[1]] if healthy else []
    made += [Case(name, SEVERITIES[name][which], size, seed) for name in FAULTS]
    if wave == 3:
        made += [Case(HEALTHY, 0, size, s) for s in HEALTHY_SEEDS[5:] for size in SIZES]
    return made


def build_models(folder: Path, size: str) -> None:
    """SFT and reward model of a size: the quick preset's, or those of a smaller, worse one."""
    home = folder / "models" / size
    if (home / "reward_model").is_dir():
        return
    name = "quick"
    if size != "2m":
        name, quick = f"doctor-{size}", presets.get_preset("quick")
        pretraining = replace(quick.pretraining, steps=400, probe_every=400)
        presets.PRESETS[name] = replace(
            quick, size=size, demonstrations=3000, reviews=2000, pretraining=pretraining
        )
    request = stages.Request(name, 0, ROOT / "runs" / f"{name}-0" / "artefacts")
    for stage in ("sft", "reward_model"):
        shutil.copytree(stages.build(request, stage).path, home / stage, dirs_exist_ok=True)


def gold_mean(step, policy, rollout, row) -> None:
    """Adds the gold score, for the table only."""
    pairs = zip(rollout.prompts, rollout.texts, strict=True)
    scores = [gold.judge(prompt, reply).gold for prompt, reply in pairs]
    row["gold"] = sum(scores) / len(scores)


def run(case: Case, folder: Path) -> dict:
    """One history with its case."""
    home = folder / "models" / case.size
    tokenizer = load_tokenizer(home / "sft")
    sft = models.load_language_model(home / "sft", tokenizer)
    reward_model = models.load_reward_model(home / "reward_model", tokenizer)
    asked = prompts.draw_prompts(
        3000, split="train", seed=5000 * (case.seed + 1), families=prompts.BY_KIND, held_out=False
    )
    texts = [prompt.text for prompt in asked]
    job = Job(sft, copy.deepcopy(sft), tokenizer, texts, reward_model, SETTINGS)
    spoiled = contextlib.nullcontext()
    if case.fault != HEALTHY:
        spoiled = FAULTS[case.fault].spoil(job, case.severity)
    start = time.perf_counter()
    with spoiled:
        history = job.run(case.seed, [gold_mean])
    seconds = round(time.perf_counter() - start, 1)
    return {**asdict(case), "key": case.key, "seconds": seconds, "history": rounded(history)}


def rounded(history: list[dict]) -> list[dict]:
    """Five digits a number: what the rules need, in half the space."""
    return [
        {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}
        for row in history
    ]


# ---- what came out ----


def late(row: dict, key: str) -> float:
    """Mean of a quantity over the last steps of a run."""
    values = [step[key] for step in row["history"] if key in step]
    return mean(values[-LATE:]) if values else math.nan


def named(row: dict) -> str:
    """The cause that the doctor names first, from what trainers log."""
    return diagnose([{k: v for k, v in step.items() if k != "gold"} for step in row["history"]])[
        0
    ].cause


def right(row: dict) -> bool:
    return named(row) == (HEALTHY if row["fault"] == HEALTHY else FAULTS[row["fault"]].cause)


def harm(rows: list[dict], healthy: list[dict]) -> str:
    """What a fault did to gold and KL at the end of its runs, beside healthy runs of the seeds."""

    def band(key):
        values = [late(row, key) for row in healthy]
        return mean(values), 2 * (stdev(values) if len(values) > 1 else 0.0)

    (usual_gold, gold_width), (usual_kl, kl_width) = band("gold"), band("objective/kl")
    told = []
    if mean(late(row, "gold") for row in rows) < usual_gold - gold_width:
        told.append("gold lower")
    kl = mean(late(row, "objective/kl") for row in rows)
    if kl > max(usual_kl + kl_width, 1.5 * usual_kl):
        told.append("KL higher")
    return ", ".join(told) or "harmless here"


def fault_table(rows: list[dict]) -> str:
    """One line a fault: the wrong line, what it does, the tell-tale quantity, the fix."""
    healthy = [row for row in rows if row["fault"] == HEALTHY and row["size"] == "2m"]
    lines = [["(healthy)", "", *numbers(healthy, None), "", ""]]
    for name, fault in FAULTS.items():
        found = [
            row
            for row in rows
            if row["fault"] == name
            and row["size"] == "2m"
            and row["severity"] == SEVERITIES[name][0]
        ]
        if found:
            what = f"{fault.line} ({SEVERITIES[name][0]:g})" if severe(name) else fault.line
            outcome = harm(found, healthy)
            lines.append([name, what, *numbers(found, fault), outcome, fault.fix])
    header = ["fault", "the wrong line", "score", "gold", "KL", "what it did", "the fix"]
    return markdown_table(header, lines)


def severe(name: str) -> bool:
    """Whether a fault has severities."""
    return len(set(SEVERITIES[name])) > 1


def numbers(rows: list[dict], fault) -> list[str]:
    """Score, gold and KL at the end, means over runs."""
    keys = ("objective/scores", "gold", "objective/kl")
    return [f"{mean(late(row, key) for row in rows):.2f}" if rows else "–" for key in keys]


def telltale_table(rows: list[dict]) -> str:
    """One line a fault: its tell-tale quantity, in healthy runs and with the fault, by step."""
    lines = []
    for name, fault in FAULTS.items():
        found, healthy = of(rows, name), of(rows, HEALTHY)
        if found and healthy:
            cells = [
                f"{tell(r, fault.tell)[0]:.3g} … {tell(r, fault.tell)[-1]:.3g}"
                for r in (healthy[0], found[0])
            ]
            lines.append([name, f"`{fault.tell}`", *cells, fault.cause])
    header = ["fault", "tell-tale quantity", "healthy, first … last step", "with the fault"]
    return markdown_table([*header, "cause named by `diagnose`"], lines)


def of(rows: list[dict], fault: str) -> list[dict]:
    """The runs of wave 0 with a fault, by seed."""
    wanted = {case.key for case in cases(0) if case.fault == fault}
    return sorted((row for row in rows if row["key"] in wanted), key=lambda row: row["seed"])


def tell(row: dict, quantity: str) -> list[float]:
    """A tell-tale quantity by steps; "surprise" is how surprising tokens are, over the entropy."""
    if quantity != "surprise":
        return [step.get(quantity, math.nan) for step in row["history"]]
    return [
        step["objective/entropy"] / step["val/reply_length"] / step["policy/entropy_avg"]
        for step in row["history"]
    ]


def confusion(rows: list[dict]) -> dict[str, Counter]:
    """For each fault, how often which cause was named first."""
    counts = {name: Counter() for name in (HEALTHY, *FAULTS)}
    for row in rows:
        counts[row["fault"]][named(row)] += 1
    return {name: count for name, count in counts.items() if count}


def confusion_table(rows: list[dict]) -> str:
    lines = []
    for name, count in confusion(rows).items():
        wanted = HEALTHY if name == HEALTHY else FAULTS[name].cause
        others = ", ".join(f"{c} ({n})" for c, n in count.most_common() if c != wanted)
        total = sum(count.values())
        lines.append([name, wanted, f"{count[wanted]} of {total}", others or "–"])
    return markdown_table(["what was wrong", "cause to name", "named first", "instead"], lines)


def shares(rows: list[dict]) -> str:
    """Right first with faults, and healthy of the healthy, by kind of run."""
    lines = []
    for title, chosen in (
        ("all", rows),
        ("2 M weights", [row for row in rows if row["size"] == "2m"]),
        ("1 M weights", [row for row in rows if row["size"] == "1m"]),
    ):
        spoilt = [right(row) for row in chosen if row["fault"] != HEALTHY]
        healthy = [right(row) for row in chosen if row["fault"] == HEALTHY]
        cells = [
            f"{sum(kind)} of {len(kind)} ({mean(kind):.0%})" if kind else "–"
            for kind in (spoilt, healthy)
        ]
        lines.append([title, *cells])
    header = ["runs that no rule was written on", "right cause first", "healthy called healthy"]
    return markdown_table(header, lines)


def write(rows: list[dict]) -> None:
    """The tables between their marks in docs/ppo.md, and two figures."""
    frozen = [row for row in rows if row["key"] in {c.key for w in (1, 2, 3) for c in cases(w)}]
    planned = sum(len(cases(wave)) for wave in (1, 2, 3))
    page = ROOT / "docs" / "ppo.md"
    text = page.read_text(encoding="utf-8")
    text = replace_section(text, "faults", fault_table(rows))
    text = replace_section(text, "telltales", telltale_table(rows))
    note = f"{len(frozen)} of {planned} planned runs, {SETTINGS.steps} steps of "
    note += f"{SETTINGS.batch_size} replies each."
    told = [shares(frozen), confusion_table(frozen), note]
    text = replace_section(text, "confusion", "\n\n".join(told))
    page.write_text(text, encoding="utf-8")
    healthy = of(rows, HEALTHY)
    panels = [
        (
            name,
            fault.tell,
            [tell(r, fault.tell) for r in of(rows, name)],
            [tell(r, fault.tell) for r in healthy],
        )
        for name, fault in FAULTS.items()
        if of(rows, name)
    ]
    figures = ROOT / "docs" / "figures"
    picture = png_bytes(plotting_doctor.beside_healthy(panels), dpi=80, optimize=True)
    (figures / "faults.png").write_bytes(picture)
    counts = confusion(frozen)
    causes = list(dict.fromkeys([HEALTHY, *(fault.cause for fault in FAULTS.values())]))
    causes += sorted({cause for count in counts.values() for cause in count} - set(causes))
    if counts:
        picture = png_bytes(plotting_doctor.confusion(counts, causes), dpi=80, optimize=True)
        (figures / "confusion.png").write_bytes(picture)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "doctor")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no run after")
    parser.add_argument("--waves", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--only", default="", help="faults whose names match this expression")
    parser.add_argument("--print-only", action="store_true", help="leave docs/ alone")
    options = parser.parse_args()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    path = options.out / "histories.jsonl"
    rows = []
    if path.exists():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    done = {row["key"] for row in rows}
    start = time.perf_counter()
    for case in [case for wave in options.waves for case in cases(wave)]:
        if case.key in done or not re.search(options.only, case.fault):
            continue
        if time.perf_counter() - start > options.seconds:
            break
        build_models(options.out, case.size)
        rows.append(run(case, options.out))
        options.out.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        what = f"{case.fault} {case.severity:g}, {case.size}, seed {case.seed}"
        print(f"[doctor] {what}: {named(rows[-1])} ({rows[-1]['seconds']:.0f} s)", flush=True)
    frozen = [row for row in rows if row["key"] in {c.key for w in (1, 2, 3) for c in cases(w)}]
    print(f"{fault_table(rows)}\n\n{confusion_table(frozen)}\n\n{shares(frozen)}")
    if not options.print_only:
        write(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
