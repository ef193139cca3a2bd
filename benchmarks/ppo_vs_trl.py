"""PPO beside TRL 1.12's, the last release that has it: speed, memory, and where 60 steps end.

    python benchmarks/ppo_vs_trl.py                      speed and memory, about 10 minutes
    python benchmarks/ppo_vs_trl.py --parity             60 steps, five seeds, all: an hour or two
    python benchmarks/ppo_vs_trl.py --parity --seconds 900   what fits, then stop; call it again

The script makes an environment for TRL of its own in runs/trl-1.12/venv, once (TORCH_INDEX as in
the Makefile), with this project's own versions of all that both need. Models are the preset
quick's SFT and reward model (built where missing); a side is a process of its own that loads them
from plain folders (`ppo_sides.py`). Speed: both processes live side by side and take turns, a step
each, after one warm-up step; the ratio is of neighbours. The learning rate is next to 0 there, so
that both go on speaking as SFT does and have the same work in all steps. Memory is the most that a
process held less what it held after its imports. Parity: ours runs twice, with its value head on
the policy's trunk and with a value network as TRL has one. Finished runs are kept in
runs/trl-1.12/parity.jsonl; what was run with the same code, weights and settings is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import kept_runs, ppo_parity, ppo_tasks  # noqa: E402
from benchmarks.ppo_sides import MARK  # noqa: E402
from rlhf_tutorial import bench_table, reporting  # noqa: E402
from rlhf_tutorial.bench_timing import Comparison  # noqa: E402
from rlhf_tutorial.models import count_weights  # noqa: E402
from rlhf_tutorial.ppo import PPOSettings  # noqa: E402
from rlhf_tutorial.tokenizer import USER  # noqa: E402

SIDES = ("ours", "trl")
TRL = "trl==1.12.0"
SHARED = ("transformers", "datasets", "accelerate", "tokenizers", "safetensors", "numpy", "psutil")
SPEED = PPOSettings(max_new_tokens=32, kl_coefficient=0.1, learning_rate=1e-9)
GOALS = {"ended": 3.0, "full": 2.0}  # times TRL's samples a second
MEMORY_GOAL = 0.6  # of TRL's
WORDS = {"ended": "replies ending by themselves", "full": "every reply of the full 32 tokens"}


def pins(names: tuple[str, ...], text: str) -> list[str]:
    """The lines of requirements.txt that pin these packages; ValueError if one is missing."""
    found = {line.split("==")[0]: line for line in text.splitlines() if "==" in line}
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"requirements.txt does not pin {', '.join(missing)}")
    return [found[name] for name in names]


def install_commands(venv: Path, requirements: str, index: str) -> list[list[str]]:
    """The commands that make TRL's environment: torch first, so that no other one is pulled in."""
    pip = [str(python_of(venv)), "-m", "pip", "install", "--quiet"]
    return [
        [sys.executable, "-m", "venv", str(venv)],
        [*pip, *(["--index-url", index] if index else []), *pins(("torch",), requirements)],
        [*pip, TRL, *pins(SHARED, requirements)],
    ]


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ensure_environment(venv: Path) -> None:
    """Make TRL's environment unless it is there, of these very versions."""
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = "\n".join([TRL, *pins(("torch", *SHARED), requirements)]) + "\n"
    stamp = venv / "installed.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"[ppo vs trl] making {venv} (some minutes and 2 GB, once)", flush=True)
    for command in install_commands(venv, requirements, os.environ.get("TORCH_INDEX", "")):
        subprocess.run(command, check=True)
    stamp.write_text(wanted, encoding="utf-8")


class Side:
    """A process that runs one side of a task."""

    def __init__(self, side: str, task: dict, folder: Path, python: Path):
        self.side, self.log = side, folder / f"{side}.log"
        path = folder / f"{side}-task.json"
        path.write_text(json.dumps({**task, "folder": str(folder)}), encoding="utf-8")
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
        if side == "ours":
            environment["PYTHONPATH"] = str(ROOT)
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [str(python), str(ROOT / "benchmarks" / "ppo_sides.py"), side, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )

    def go(self) -> None:
        """It may take its next step."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def hear(self, kind: str) -> dict | float:
        """The next word of this kind that it says; RuntimeError if it ends first."""
        for line in self.process.stdout:
            if line.startswith(MARK):
                row = json.loads(line.removeprefix(MARK))
                if kind in row:
                    return row[kind]
        self.process.wait()
        tail = self.log.read_text(encoding="utf-8")[-2000:]
        raise RuntimeError(f"the side {self.side} ended before it said {kind!r}:\n{tail}")

    def close(self) -> None:
        """Let it end, or end it."""
        self.process.stdin.close()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def race(tasks: dict[str, dict], steps: int, folder: Path, pythons: dict[str, Path]) -> list[dict]:
    """Both sides, a step each in turn, the warm-up left out: `{"ours": row, "trl": row}` a turn."""
    racers = {side: Side(side, tasks[side], folder, pythons[side]) for side in SIDES}
    turns = []
    try:
        for turn in range(steps + 1):
            rows = {}
            for side, racer in racers.items():
                racer.go()
                rows[side] = racer.hear("step")
            if turn:
                turns.append(rows)
                times = ", ".join(
                    f"{side} {rows[side]['seconds']:.2f} s ({rows[side]['processor']:.2f} s of "
                    f"processor)"
                    for side in SIDES
                )
                print(f"[ppo vs trl] turn {turn} of {steps}: {times}", flush=True)
    finally:
        for racer in racers.values():
            racer.close()
    return turns


def compared(turns: list[dict], of: str, reach: float) -> Comparison:
    """How much less of seconds, or of processor time, a step of ours takes, turn by turn."""
    speeds = [tuple(1 / rows[side][of] for rows in turns) for side in SIDES]
    return Comparison("PPO", TRL, f"steps per second of {of}", *speeds, reach)


def speed_table(races: dict[str, list[dict]], batch: int) -> str:
    """One line a race: samples a second, memory and length of replies on both sides."""
    header = ["replies", "samples/s, ours", "samples/s, TRL", "ratio [lowest, highest]", "reach"]
    header += ["ratio of processor time"]
    header += ["MB, ours", "MB, TRL", "ours of TRL's", "reach", "tokens a reply, ours", "TRL"]
    lines = []
    for name, turns in races.items():
        wall, worked = (compared(turns, of, GOALS[name]) for of in ("seconds", "processor"))
        held = {side: max(rows[side]["run_mb"] for rows in turns) for side in SIDES}
        part = held["ours"] / held["trl"]
        line = [WORDS[name]]
        line += [
            reporting.number(batch * statistics.median(side), 1)
            for side in (wall.ours, wall.theirs)
        ]
        line += [bench_table.spread(wall), f"≥ {wall.reach:g}{', missed' * (not wall.is_reached)}"]
        line += [bench_table.spread(worked)]
        line += [reporting.number(held[side], 0) for side in SIDES]
        line += [reporting.number(part), f"≤ {MEMORY_GOAL:g}{', missed' * (part > MEMORY_GOAL)}"]
        for side in SIDES:
            length = statistics.median(rows[side]["length"] for rows in turns)
            line += [reporting.number(length, 1)]
        lines.append(line)
    return reporting.markdown_table(header, lines)


def check_full(turns: list[dict], tokens: int) -> None:
    """RuntimeError unless replies had all their tokens, but for one in a thousand tokens."""
    shortest = min(rows[side]["length"] for rows in turns for side in SIDES)
    if shortest < 0.999 * tokens:
        raise RuntimeError(f"replies of {shortest:.2f} tokens on average, all should have {tokens}")


def measure_speed(options, models: ppo_tasks.Models, pythons: dict[str, Path]) -> str:
    """Run the races and say what came out."""
    races = {}
    for name in options.replies:
        settings = replace(SPEED, steps=options.steps + 1)
        end = USER if name == "full" else models.tokenizer.eos_token
        task = models.task(settings, seed=0, end_token=end, turns=True)
        races[name] = race(dict.fromkeys(SIDES, task), options.steps, options.out, pythons)
        if name == "full":
            check_full(races[name], settings.max_new_tokens)
    note = (
        f"{options.steps} steps of {SPEED.batch_size} replies a side after one of warm-up, "
        f"{SPEED.epochs} epochs × {SPEED.minibatches} minibatches, medians; preset quick, seed 0, "
        f"{size_of(models)}; "
        f"{bench_table.machine_line()} On the side of TRL it is trl 1.12.0."
    )
    return f"{speed_table(races, SPEED.batch_size)}\n\n{note}"


def size_of(models: ppo_tasks.Models) -> str:
    """As in "1.1 M weights"."""
    return f"{count_weights(models.reference) / 1e6:.1f} M weights"


def measure_parity(options, models: ppo_tasks.Models, pythons: dict[str, Path]) -> str | None:
    """Run what is missing as far as time allows; the table of what there is, None if nothing."""
    started, kept = time.perf_counter(), options.out / "parity.jsonl"
    settings = replace(models.preset.ppo, steps=options.steps)
    done, rows = kept_runs.finished_runs(kept), []
    for seed in options.seeds:
        for run in ppo_parity.RUNS:
            key = ppo_parity.key(run, seed, asdict(settings), models.fingerprint)
            row = done.get(key)
            if row is None and time.perf_counter() - started < options.seconds:
                policy = options.out / f"policy-{run}-{seed}"
                end, network = models.tokenizer.eos_token, run == "network"
                task = models.task(
                    settings, seed=seed, end_token=end, value_network=network, save=policy
                )
                side = "trl" if run == "trl" else "ours"
                process = Side(side, task, options.out, pythons[side])
                try:
                    ended = process.hear("done")
                finally:
                    process.close()
                row = {"key": key, "run": run, "seed": seed, "seconds": ended["seconds"]}
                row |= ppo_parity.evaluate(policy, models, seed)
                kept_runs.keep(kept, row)
                print(f"[ppo vs trl] {row}", flush=True)
            rows += [row] if row else []
    if not rows:
        return None
    start = ppo_parity.evaluate(models.sft, models, seed=0)
    told = ppo_parity.note(rows, start, options.steps, size_of(models))
    return f"{ppo_parity.table(rows)}\n\n{told}"


def main() -> None:
    parser = argparse.ArgumentParser(description="PPO beside that of TRL 1.12.")
    parser.add_argument("--parity", action="store_true", help="where it ends, not how fast it is")
    parser.add_argument("--steps", type=int, help="PPO steps: 10 for speed, 60 for parity")
    parser.add_argument("--replies", nargs="+", choices=tuple(GOALS), default=list(GOALS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no run after")
    parser.add_argument("--artefacts", type=Path, help="where the preset's models are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "trl-1.12")
    parser.add_argument("--venv", type=Path, help="TRL's environment, if it is not in --out")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md alone")
    options = parser.parse_args()
    options.steps = options.steps or (60 if options.parity else 10)
    options.out.mkdir(parents=True, exist_ok=True)
    venv = options.venv or options.out / "venv"
    ensure_environment(venv)
    pythons = {"ours": Path(sys.executable), "trl": python_of(venv)}
    models = ppo_tasks.Models(options.artefacts)
    measure = measure_parity if options.parity else measure_speed
    content = measure(options, models, pythons)
    if content is None:
        raise SystemExit("no run finished: give more --seconds")
    print(content)
    if options.print_only:
        return
    section = "trl-parity" if options.parity else "trl-speed"
    reporting.fill_sections(ROOT / "docs" / "benchmarks.md", {section: content})


if __name__ == "__main__":
    main()
