"""The doctor on real runs of PPO, kept by `benchmarks/doctor.py`: healthy ones, and spoilt ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from statistics import mean

import pytest

from rlhf_tutorial.doctor import HEALTHY, diagnose
from rlhf_tutorial.ppo_faults import FAULTS

HISTORIES = Path(__file__).parent / "data" / "doctor_histories.jsonl.gz"


@pytest.fixture(scope="module")
def runs() -> list[dict]:
    text = gzip.decompress(HISTORIES.read_bytes()).decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def is_right(run: dict) -> bool:
    wanted = HEALTHY if run["fault"] == HEALTHY else FAULTS[run["fault"]].cause
    return diagnose(run["history"])[0].cause == wanted


def test_every_fault_is_there_on_runs_that_no_rule_was_written_on(runs):
    frozen = [run for run in runs if run["frozen"]]
    assert {run["fault"] for run in frozen} == {HEALTHY, *FAULTS}
    assert len({run["seed"] for run in frozen}) > 5 and len({run["size"] for run in frozen}) == 2
    asked, written = (
        {(run["size"], run["seed"]) for run in runs if run["frozen"] is kind}
        for kind in (True, False)
    )
    assert not asked & written


def test_four_in_five_faults_are_named_first(runs):
    spoilt = [is_right(run) for run in runs if run["frozen"] and run["fault"] != HEALTHY]
    assert len(spoilt) >= 3 * len(FAULTS)
    assert mean(spoilt) >= 0.80


def test_healthy_runs_are_healthy_also_those_that_go_on_from_a_trained_policy(runs):
    healthy = [run for run in runs if run["frozen"] and run["fault"] == HEALTHY]
    assert len(healthy) >= 20 and len({run["severity"] for run in healthy}) == 2
    assert mean(map(is_right, healthy)) >= 0.95
