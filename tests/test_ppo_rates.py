"""A learning rate of its own for the last norm: what it moves, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from test_ppo_checkpoint import SETTINGS, Stopped, assert_same, new_policy, run

from rlhf_tutorial.ppo_rates import set_rates, weight_groups

SHARP = replace(SETTINGS, final_norm_learning_rate=0.1)


def test_every_weight_is_in_one_group_and_rates_fall_together():
    actor = new_policy()
    one, (others, norm) = weight_groups(actor, 0.01, None), weight_groups(actor, 0.01, 0.5)
    assert len(one) == 1 and one[0]["initial_lr"] == 0.01
    assert norm["params"] == [actor.policy.transformer.ln_f.weight] and norm["initial_lr"] == 0.5
    together = {id(weight) for weight in [*others["params"], *norm["params"]]}
    assert together == {id(weight) for weight in actor.parameters()}
    assert len(others["params"]) + 1 == len(together)
    optimizer = torch.optim.AdamW([others, norm])
    set_rates(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.0025, 0.125]


@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_a_rate_that_is_not_above_0_is_told(rate):
    with pytest.raises(ValueError, match="final_norm_learning_rate is"):
        weight_groups(new_policy(), 0.01, rate)


def test_the_same_rate_for_both_groups_is_one_rate():
    assert_same(run(settings=SETTINGS), run(settings=replace(SHARP, final_norm_learning_rate=3e-3)))


def test_the_gains_move_further_at_a_rate_of_their_own():
    def moved(settings):
        before = new_policy().policy.transformer.ln_f.weight.detach()
        return float(
            (run(settings=settings)[0].policy.transformer.ln_f.weight.detach() - before)
            .abs()
            .mean()
        )

    assert moved(SHARP) > 5 * moved(SETTINGS) > 0


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, SHARP, stop_after=3)
    assert_same(run(tmp_path, SHARP), run(settings=SHARP))
