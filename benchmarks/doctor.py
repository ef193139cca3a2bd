"""Make PPO go wrong in twenty ways, and see whether the doctor knows what was wrong.

    python benchmarks/doctor.py                     all runs, then tables and figures (20 minutes)
    python benchmarks/doctor.py --seconds 300       start no run after that; call it again
    python benchmarks/doctor.py --waves 0 --seconds 0   no run: tables of what is there

Every fault of `rlhf_tutorial/ppo_faults.py` is put into short runs (12 steps of 64 replies, else as
the preset quick) that start from SFT and reward models of seed 0. The rules of `doctor.py` were
written while looking at wave 0 (seeds 0 to 4, one severity). Asked about wave 2, a larger model
that was trained less, they called every healthy run ill; so that wave became one to write on too.
Then they were frozen and asked about waves 1, 3 and 4: other seeds, other severities, both models,
and healthy runs that go on from a trained policy. `diagnose` never sees the gold reward, nor the KL
that is measured after a run from an untouched copy of SFT; both are only shown here.

Histories are kept in `--out`; what was run with the same settings is not run again. A change of
`ppo.py` does not make them stale by itself: use another `--out` to run all anew.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gzip
import json
import math
import re
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from doctor_cases import GOES_ON, MAIN, SETTINGS, Case, cases, frozen_keys  # finds the package too
from doctor_tables import (
    confusion,
    confusion_table,
    fault_table,
    named,
    of,
    shares,
    tell,
    telltale_table,
)
from kept_runs import finished_runs, keep
from ppo_parity import kl_from
from transformers.utils import logging

from rlhf_tutorial import bench_table, models, plotting_doctor, presets, stages
from rlhf_tutorial.doctor import HEALTHY
from rlhf_tutorial.plotting_parts import png_bytes
from rlhf_tutorial.ppo_faults import FAULTS, Job
from rlhf_tutorial.reporting import fill_sections
from rlhf_tutorial.sampling import sample
from rlhf_tutorial.stages_build import gold_mean, ppo_prompts
from rlhf_tutorial.tokenizer import load_tokenizer

ROOT = Path(__file__).resolve().parents[1]
HISTORIES = ROOT / "tests" / "data" / "doctor_histories.jsonl.gz"
CONFUSION_FIGURE = "![Which cause was named first](figures/confusion.png)"


def build_models(folder: Path, size: str) -> None:
    """SFT and reward model of a size: the quick preset's, or larger ones that were trained less."""
    home = folder / "models" / size
    if home.is_dir():
        return
    name = "quick"
    if size != MAIN:
        name, preset = f"doctor-{size}", replace(presets.get_preset("quick"), size=size)
        pretraining = replace(preset.pretraining, steps=400, probe_every=400)
        preset = replace(preset, demonstrations=3000, reviews=2000, pretraining=pretraining)
        presets.PRESETS[name] = preset
    request = stages.Request(name, 0, ROOT / "runs" / f"{name}-0" / "artefacts")
    partial = home.with_name(f".{size}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for stage in ("sft", "reward_model"):
        shutil.copytree(stages.build(request, stage).path, partial / stage)
    partial.rename(home)


def add_gold(step, policy, rollout, row) -> None:
    """Adds the gold score, for the table only."""
    row["gold"] = gold_mean(rollout)


def run(case: Case, folder: Path) -> dict:
    """One history with its case."""
    home = folder / "models" / case.size
    tokenizer = load_tokenizer(home / "sft")
    sft = models.load_language_model(home / "sft", tokenizer)
    reward_model = models.load_reward_model(home / "reward_model", tokenizer)
    texts = ppo_prompts(3000, seed=case.seed, round=0)
    job = Job(sft, copy.deepcopy(sft), tokenizer, texts, reward_model, SETTINGS)
    spoiled = contextlib.nullcontext()
    if case.fault != HEALTHY:
        spoiled = FAULTS[case.fault].spoil(job, case.severity)
    elif case.severity == GOES_ON:
        job.run(case.seed + 1000)
    start = time.perf_counter()
    with spoiled:
        history = job.run(case.seed, [add_gold])
    seconds = round(time.perf_counter() - start, 1)
    # Not from the job's reference, which a fault may have moved.
    untouched = models.load_language_model(home / "sft", tokenizer)
    fresh = sample(sft, tokenizer, texts[:512], max_new_tokens=SETTINGS.max_new_tokens, seed=1)
    row = {**asdict(case), "key": case.key, "seconds": seconds, "kl": kl_from(untouched, fresh)}
    return row | {"history": rounded(history)}


def rounded(history: list[dict]) -> list[dict]:
    """Five digits a number: what the rules need, in half the space."""
    return [
        {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}
        for row in history
    ]


def write(rows: list[dict], frozen: list[dict], planned: int) -> None:
    """The tables between their marks in docs/ppo.md, and two figures.

    `frozen` are the rows that no rule was written on, of `planned` ones.
    """
    note = f"{len(frozen)} of {planned} planned runs, {SETTINGS.steps} steps of "
    note += f"{SETTINGS.batch_size} replies each; the longest run took "
    note += f"{max(row['seconds'] for row in rows):.0f} seconds. {bench_table.machine_line()}"
    told = [note]
    if frozen:
        told = [shares(frozen), confusion_table(frozen), note, CONFUSION_FIGURE]
    sections = {"faults": fault_table(rows), "telltales": telltale_table(rows)}
    fill_sections(ROOT / "docs" / "ppo.md", sections | {"confusion": "\n\n".join(told)})
    for_tests(rows, {row["key"] for row in frozen})
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


def for_tests(rows: list[dict], frozen: set[str]) -> None:
    """Histories, as trainers log them, for `tests/test_doctor_runs.py`."""
    lines = []
    for row in sorted(rows, key=lambda row: row["key"]):
        logged = [{k: v for k, v in step.items() if k != "gold"} for step in row["history"]]
        about = {"fault": row["fault"], "severity": row["severity"], "size": row["size"]}
        about |= {"seed": row["seed"], "frozen": row["key"] in frozen, "history": logged}
        lines.append(json.dumps(about) + "\n")
    packed = gzip.compress("".join(lines).encode("utf-8"), mtime=0)
    HISTORIES.write_bytes(packed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "doctor")
    parser.add_argument("--seconds", type=float, default=math.inf, help="start no run after")
    parser.add_argument("--waves", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", default="", help="faults whose names match this expression")
    parser.add_argument("--print-only", action="store_true", help="leave docs/ alone")
    options = parser.parse_args()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    path = options.out / "histories.jsonl"
    done = finished_runs(path)
    rows = list(done.values())
    start = time.perf_counter()
    for case in [case for wave in options.waves for case in cases(wave)]:
        if case.key in done or not re.search(options.only, case.fault):
            continue
        if time.perf_counter() - start > options.seconds:
            break
        build_models(options.out, case.size)
        rows.append(run(case, options.out))
        keep(path, rows[-1])
        what = f"{case.fault} {case.severity:g}, {case.size}, seed {case.seed}"
        print(f"[doctor] {what}: {named(rows[-1])} ({rows[-1]['seconds']:.0f} s)", flush=True)
    planned = frozen_keys()
    frozen = [row for row in rows if row["key"] in planned]
    print(f"{fault_table(rows)}\n\n{confusion_table(frozen)}\n\n{shares(frozen)}")
    if not options.print_only:
        write(rows, frozen, len(planned))
    return 0


if __name__ == "__main__":
    sys.exit(main())
