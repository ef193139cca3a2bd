"""The comparison with TRL 1.12, as far as it needs no TRL 1.12: arithmetic, commands, resuming."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from scipy import stats

from benchmarks import kept_runs, ppo_parity, ppo_sides, ppo_vs_trl
from rlhf_tutorial import bench_table

REQUIREMENTS = "# pins\ntorch==2.0\n" + "".join(f"{name}==1.0\n" for name in ppo_vs_trl.SHARED)
REAL = (ppo_vs_trl.ROOT / "requirements.txt").read_text(encoding="utf-8")


def turn(ours: float, trl: float, mb: tuple[float, float] = (100.0, 200.0)) -> dict:
    def row(seconds, megabytes):
        both = {"seconds": seconds, "processor": 2 * seconds}
        return {**both, "run_mb": megabytes, "length": 17.0}

    return {"ours": row(ours, mb[0]), "trl": row(trl, mb[1])}


def cells(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]


# ---- the environment ----


def test_torch_is_installed_first_and_from_the_index_that_was_given():
    venv = Path("somewhere/venv")
    make, torch_first, rest = ppo_vs_trl.install_commands(venv, REQUIREMENTS, "https://wheels/cpu")
    assert make == [sys.executable, "-m", "venv", str(venv)]
    assert torch_first[0] == rest[0] == str(ppo_vs_trl.python_of(venv))
    assert torch_first[-3:] == ["--index-url", "https://wheels/cpu", "torch==2.0"]
    assert "trl==1.12.0" in rest and "transformers==1.0" in rest and "--index-url" not in rest


def test_without_an_index_pip_is_left_to_its_own():
    commands = ppo_vs_trl.install_commands(Path("venv"), REQUIREMENTS, "")
    assert not any("--index-url" in command for command in commands)


def test_both_sides_get_what_this_project_pins():
    rest = ppo_vs_trl.install_commands(Path("venv"), REAL, "")[2]
    for name in ppo_vs_trl.SHARED:
        assert any(line in rest for line in REAL.splitlines() if line.startswith(f"{name}==")), name
    assert sum(part.startswith("trl==") for part in rest) == 1  # and not the newest one as well


def test_a_package_that_is_not_pinned_is_named():
    with pytest.raises(ValueError, match="datasets"):
        ppo_vs_trl.pins(("torch", "datasets"), "torch==2.0\n")


def test_an_environment_that_is_there_is_not_made_again(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(
        ppo_vs_trl.subprocess, "run", lambda command, check: commands.append(command)
    )
    tmp_path.joinpath("venv").mkdir()
    ppo_vs_trl.ensure_environment(tmp_path / "venv")
    assert len(commands) == 3
    ppo_vs_trl.ensure_environment(tmp_path / "venv")
    assert len(commands) == 3
    tmp_path.joinpath("venv/installed.txt").write_text("trl==1.11.0\n")
    ppo_vs_trl.ensure_environment(tmp_path / "venv")
    assert len(commands) == 6


# ---- ratios and intervals ----


def test_the_ratio_is_of_neighbours_and_above_1_where_ours_is_faster():
    turns = [turn(1.0, 3.0), turn(10.0, 20.0), turn(2.0, 8.0)]  # the second on a busy machine
    wall = ppo_vs_trl.compared(turns, "seconds", reach=3.1)
    assert wall.ratios == pytest.approx([3.0, 2.0, 4.0]) and not wall.is_reached
    assert bench_table.spread(wall) == "3.00 [2.00, 4.00]"


def test_the_speed_table_says_samples_a_second_and_the_most_memory():
    turns = [turn(1.0, 4.0, (90, 200)), turn(2.0, 6.0, (100, 250)), turn(4.0, 8.0, (95, 240))]
    header, line = cells(ppo_vs_trl.speed_table({"full": turns}, batch=128))
    said = dict(zip(header, line, strict=True))
    assert (said["samples/s, ours"], said["samples/s, TRL"]) == ("64.0", "21.3")
    assert said["ratio [lowest, highest]"] == "3.00 [2.00, 4.00]"
    assert line[4] == "≥ 2" and line[9] == "≤ 0.6"
    assert (said["MB, ours"], said["MB, TRL"], said["ours of TRL's"]) == ("100", "250", "0.40")
    assert line[0] == ppo_vs_trl.WORDS["full"] and said["tokens a reply, ours"] == "17.0"


def test_replies_that_ended_are_not_passed_off_as_full():
    ppo_vs_trl.check_full([turn(1.0, 2.0)], tokens=17)
    with pytest.raises(RuntimeError, match=r"17\.00 tokens on average, all should have 32"):
        ppo_vs_trl.check_full([turn(1.0, 2.0)], tokens=32)


@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_the_interval_is_students(count):
    values = [0.1 * place**2 - 0.3 for place in range(count)]
    found = ppo_parity.mean_interval(values)
    low, high = stats.t.interval(0.95, count - 1, statistics.fmean(values), stats.sem(values))
    assert found["low"] == pytest.approx(low, rel=5e-3)
    assert found["high"] == pytest.approx(high, rel=5e-3)
    assert found["mean"] == pytest.approx(statistics.fmean(values))


def test_one_seed_says_nothing_of_others():
    assert ppo_parity.mean_interval([0.4]) == {"mean": 0.4, "low": -math.inf, "high": math.inf}


# ---- parity: rows that are kept ----


def parity_row(run: str, seed: int, gold: float) -> dict:
    return {"run": run, "seed": seed, "gold": gold, "kl": 5.0, "score": 1.0, "seconds": 60.0}


def test_differences_are_within_a_seed_and_wait_for_both_sides():
    rows = [parity_row("ours", 10, 0.8), parity_row("trl", 11, 0.5), parity_row("trl", 10, 0.7)]
    rows += [parity_row("network", 11, 0.75)]
    assert ppo_parity.differences(rows, "ours", "gold") == {10: pytest.approx(0.1)}
    assert ppo_parity.differences(rows, "network", "gold") == {11: pytest.approx(0.25)}
    table = cells(ppo_parity.table(rows))
    assert [line[0] for line in table] == [
        "seed",
        "10",
        "11",
        "mean",
        "less TRL's [95 % interval]",
    ]
    assert table[2][1:4] == ["–", "0.750", "0.500"] and table[3][1:4] == ["0.800", "0.750", "0.600"]
    assert table[4][1].startswith("0.100 [") and table[4][3] == "–"


def test_a_key_changes_with_what_decides_a_run():
    same = ppo_parity.key("ours", 10, {"steps": 60}, "weights")
    assert same == ppo_parity.key("ours", 10, {"steps": 60}, "weights")
    others = [
        ppo_parity.key("trl", 10, {"steps": 60}, "weights"),
        ppo_parity.key("ours", 11, {"steps": 60}, "weights"),
        ppo_parity.key("ours", 10, {"steps": 61}, "weights"),
        ppo_parity.key("ours", 10, {"steps": 60}, "other weights"),
    ]
    assert len({same, *others}) == 5


def test_a_line_that_a_kill_cut_short_is_run_again(tmp_path):
    path = tmp_path / "parity.jsonl"
    assert kept_runs.finished_runs(path) == {}
    whole = json.dumps({"key": "a", "side": "ours"})
    path.write_text(f'{whole}\n{{"key": "b", "si\n', encoding="utf-8")
    assert list(kept_runs.finished_runs(path)) == ["a"]


class ShortSide:
    """In a process's place: says at once that it has ended."""

    started: list[tuple[str, bool, int]] = []

    def __init__(self, side, task, folder, python):
        self.started.append((side, task["value_network"], task["seed"]))

    def hear(self, kind):
        return {"seconds": 1.0}

    def close(self):
        pass


def test_parity_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(ppo_vs_trl, "Side", ShortSide)
    monkeypatch.setattr(ShortSide, "started", [])
    numbers = {"gold": 0.5, "kl": 1.0, "score": 0.0, "tokens": 9.0, "finished": 1.0}
    monkeypatch.setattr(ppo_parity, "evaluate", lambda folder, models, seed: numbers)
    models = SimpleNamespace(
        preset=SimpleNamespace(ppo=ppo_vs_trl.SPEED),
        fingerprint="weights",
        tokenizer=SimpleNamespace(eos_token="<|end|>"),
        sft=tmp_path,
        reference=torch.nn.Linear(1000, 1100, bias=False),
        task=lambda settings, seed, end_token, value_network, save: {
            "seed": seed,
            "value_network": value_network,
        },
    )
    options = SimpleNamespace(out=tmp_path, steps=3, seeds=[10, 11], seconds=float("inf"))

    def measure():
        return ppo_vs_trl.measure_parity(options, models, {"ours": None, "trl": None})

    options.seconds = -1.0
    assert measure() is None and ShortSide.started == []
    options.seconds, options.seeds = float("inf"), [10]
    assert "1.1 M weights" in measure()
    kinds = [("ours", False), ("ours", True), ("trl", False)]
    assert ShortSide.started == [(*kind, 10) for kind in kinds]
    options.seeds = [10, 11]
    assert "| 11 " in measure()
    assert ShortSide.started == [(*kind, seed) for seed in (10, 11) for kind in kinds]


# ---- a side ----


def test_scores_that_differ_end_the_run():
    task = {"probe": {"scores": [1.0, 2.0]}}
    ppo_sides.check_scores([1.0, 2.0 + 1e-5], task)
    with pytest.raises(SystemExit, match=r"scored differently, by up to 0\.5000"):
        ppo_sides.check_scores([1.5, 2.0], task)


def test_a_side_that_dies_is_told_with_its_last_words(tmp_path):
    side = ppo_vs_trl.Side("nobody's", {}, tmp_path, Path(sys.executable))
    with pytest.raises(RuntimeError, match="nobody's ended before it said 'step'(.|\n)*KeyError"):
        side.hear("step")
    side.close()


def test_the_side_of_trl_reads_nothing_of_this_project():
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; import benchmarks.ppo_sides; "
            "print([name for name in sys.modules if name.split('.')[0] == 'rlhf_tutorial'])",
        ],
        cwd=ppo_vs_trl.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == "[]"
