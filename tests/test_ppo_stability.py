"""The benchmark of PPO's stability: which runs, what counts as a collapse, what is written."""

from __future__ import annotations

import copy
import sys
from dataclasses import asdict, replace

import pytest

from benchmarks import kept_runs, ppo_stability
from rlhf_tutorial import models, plotting_stability
from rlhf_tutorial.ppo import PPOSettings
from rlhf_tutorial.tokenizer import train_tokenizer
from rlhf_tutorial.village import corpus


def row(kind: str = "seeds", error: str = "", same: float = 0.02, **settings) -> dict:
    return {
        "kind": kind,
        "base": 10,
        "seed": 0,
        "settings": asdict(ppo_stability.SHORT) | settings,
        "steps": 20,
        "gold_first": 0.6,
        "gold_last": 0.7,
        "kl": 1.5,
        "same": same,
        "error": error,
    }


def test_twenty_seeds_and_a_whole_grid_each_once():
    cases = ppo_stability.cases()
    seeds = [case for case in cases if case.kind == "seeds"]
    assert len(seeds) == len({(case.base, case.seed) for case in seeds}) == 20
    assert all(case.settings == ppo_stability.QUICK.ppo for case in seeds)
    grid = [case for case in cases if case.kind == "grid"]
    assert len(grid) == len(set(grid)) == 27
    keys = {ppo_stability.key(case, f"weights of {case.base}") for case in cases}
    assert len(keys) == len(cases)
    assert ppo_stability.key(grid[0], "weights") != ppo_stability.key(grid[0], "others")


@pytest.mark.parametrize(
    "changes, expected", [({}, False), ({"error": "nan"}, True), ({"same": 0.5}, True)]
)
def test_an_error_or_one_reply_to_many_prompts_is_a_collapse(changes, expected):
    assert ppo_stability.collapsed(row(**changes)) is expected


def test_the_table_counts_what_collapsed():
    table = ppo_stability.seeds_table([row(), row(same=0.4)])
    assert "2 of 20 planned runs" in table and "0 ended in an error, 1 gave one reply" in table
    assert table.count("0.60 → 0.70") == 2


def test_cells_stand_where_their_settings_say():
    budget, clip, rate = 1.0, ppo_stability.CLIPS[2], ppo_stability.RATES[1]
    only = row("grid", kl_budget=budget, clip=clip, learning_rate=rate)
    panels = ppo_stability.grid_panels([only])
    assert list(panels) == ["stop at 1 nat", "stop at 4 nats", "no budget"]
    assert panels["stop at 1 nat"][2][1] is only
    assert (
        sum(cell is not None for cells in panels.values() for line in cells for cell in line) == 1
    )


def test_a_heat_map_needs_a_run_and_says_gold_and_kl():
    axes = ppo_stability.CLIPS, ppo_stability.RATES
    with pytest.raises(ValueError, match="no run"):
        plotting_stability.grid(ppo_stability.grid_panels([]), *axes)
    spoilt = row("grid", error="NaN", kl_budget=None, clip=0.2, learning_rate=1e-3)
    figure = plotting_stability.grid(ppo_stability.grid_panels([spoilt]), *axes)
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words == ["0.70\n1.5 nats\ncollapsed"]


class Part:
    """What `stages.build` gives, as far as a run asks for it."""

    def __init__(self, model, tokenizer):
        self.made, self.words = model, tokenizer

    def model(self):
        return copy.deepcopy(self.made)

    def tokenizer(self):
        return self.words


@pytest.fixture(scope="module")
def bases():
    texts = corpus.plain_texts(corpus.documents(400, seed=0))
    tokenizer = train_tokenizer(texts, 600)
    sft = models.build_language_model("1m", tokenizer, seed=0)
    reward_model = models.build_reward_model(sft, tokenizer, seed=0)
    found = ppo_stability.Bases()
    found.found[10] = {
        "sft": Part(sft, tokenizer),
        "reward_model": Part(reward_model, tokenizer),
    }
    return found


def short(**changes) -> ppo_stability.Case:
    settings = PPOSettings(steps=2, batch_size=4, micro_batch_size=2, max_new_tokens=4)
    return ppo_stability.Case("seeds", 10, 1, replace(settings, **changes))


def test_a_run_says_where_it_began_and_ended(bases):
    found = ppo_stability.run(short(), bases)
    assert found["steps"] == 2 and found["error"] == "" and found["same"] <= 0.5
    assert 0 <= found["gold_first"] <= 1 and 0 <= found["gold_last"] <= 1


def test_a_run_that_ends_in_an_error_is_kept_with_its_words(bases):
    settings = {"steps": 6, "entropy_floor": 100.0}  # more than any policy has
    found = ppo_stability.run(short(**settings), bases)
    assert "the policy has collapsed" in found["error"] and found["steps"] == 3
    assert ppo_stability.collapsed(found)


def test_without_time_only_what_is_kept_is_shown(tmp_path, monkeypatch):
    """`--seconds 0` starts no run and builds no model."""
    case = ppo_stability.cases()[0]
    file = tmp_path / "rows.jsonl"
    kept_runs.keep(file, {"key": ppo_stability.key(case, "weights"), **row()})
    written = []
    monkeypatch.setattr(ppo_stability, "write", written.extend)
    monkeypatch.setattr(ppo_stability, "run", lambda case, bases: pytest.fail("a run was started"))
    monkeypatch.setattr(ppo_stability.Bases, "are_there", lambda self, base: base == case.base)
    monkeypatch.setattr(ppo_stability.Bases, "fingerprint", lambda self, base: "weights")
    monkeypatch.setattr(sys, "argv", ["ppo_stability.py", "--seconds", "0", "--out", str(file)])
    ppo_stability.main()
    assert len(written) == 1
    monkeypatch.setattr(ppo_stability.Bases, "are_there", lambda self, base: False)
    with pytest.raises(SystemExit, match="no run finished"):
        ppo_stability.main()
