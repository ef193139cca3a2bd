"""PPO's learning rates: one for all weights, or another one for the gains of the last norm.

Those gains scale all logits. They set how sharp the policy's probabilities are, as a temperature
does: with them a policy can learn to err less often in every place at once. They are few and far
from 0, so at a rate that suits the other weights they hardly move (docs/trials.md, "Sharpness").
"""

from __future__ import annotations


def weight_groups(actor, rate: float, final_norm_rate: float | None) -> list[dict]:
    """Weights as an optimizer takes them, each group with the `initial_lr` it starts from.

    `actor` is a `PolicyWithValue`; without a `final_norm_rate` all its weights are one group.
    Raises ValueError for a `final_norm_rate` that is not above 0, or a model without a `ln_f`.
    """
    if final_norm_rate is None:
        return [{"params": list(actor.parameters()), "initial_lr": rate}]
    norm = getattr(actor.policy.base_model, "ln_f", None)
    if norm is None or not final_norm_rate > 0:
        raise ValueError(
            f"PPOSettings.final_norm_learning_rate is {final_norm_rate}: give a rate above 0 for a "
            "GPT-2, and None for a model of another kind"
        )
    others = [weight for weight in actor.parameters() if weight is not norm.weight]
    return [
        {"params": others, "initial_lr": rate},
        {"params": [norm.weight], "initial_lr": final_norm_rate},
    ]


def set_rates(optimizer, share: float) -> None:
    """Give every group this share of the rate it started from."""
    for group in optimizer.param_groups:
        group["lr"] = share * group["initial_lr"]
