"""The doctor's rules on what PPO learns from: do tokens, masks and log-probabilities agree?

Each rule takes the `Log` of a run and returns a `Finding`, or None; what healthy runs show is said
at its threshold. What goes wrong here makes most other quantities meaningless.
"""

from __future__ import annotations

import math

from rlhf_tutorial.doctor_log import FEW_STEPS, Finding, Log, mean_and_error

RATIO_ERROR = 2e-3  # of the first ratio from 1; healthy runs stay within 1e-4
START_KL = 0.02  # nats a reply at the first step, where policy and reference are one


def not_numbers(log: Log) -> Finding | None:
    """Any infinite or missing number: the run is over, whatever else shows."""
    for step, row in enumerate(log.rows, start=1):
        for name, value in row.items():
            if not math.isfinite(value) and name in log.names:
                return Finding(
                    "not a number",
                    f"{name} is {value} in row {step}",
                    "start again from the last good weights with a lower learning rate, and look "
                    "for huge rewards",
                )
    return None


def never_ends(log: Log) -> Finding | None:
    """No reply has its end token. Healthy policies end nearly every reply."""
    ends = log.column("val/num_eos_tokens")
    if not ends or sum(ends[: max(FEW_STEPS, len(ends) // 3)]) > 0:
        return None
    return Finding(
        "end token",
        f"no reply ends: val/num_eos_tokens is 0 in {len(ends)} steps",
        "look whether sampling forbids the end token, whether tokenizer and model agree on its id, "
        "and whether replies have room enough to end",
    )


def sampler_and_learner_disagree(log: Log) -> Finding | None:
    """The ratio before the first update must be 1: the model that learns is the one that spoke."""
    ratio, start_kl = log.start("val/ratio_first"), log.start("objective/kl")
    if ratio is None or abs(ratio - 1) <= RATIO_ERROR:
        return None
    moved, clipped = log.column("policy/approxkl_avg"), log.column("policy/clipfrac_avg")
    evidence = f"val/ratio_first is {ratio:.3f} at the first step and should be 1"
    if start_kl is None or not moved or not clipped:
        return Finding(
            "sampling",
            evidence,
            "compare the log-probabilities of one reply: those of "
            "sampling, and those of a fresh pass in eval mode",
        )
    evidence += f"; objective/kl is {start_kl:.2f} there"
    if abs(start_kl) < START_KL:
        return Finding(
            "dropout",
            f"{evidence}, as it should, so only the learner is another",
            "call eval() before the update, or set all dropout to 0",
        )
    if moved[0] > 5:
        return Finding(
            "padding counted",
            f"{evidence}, and policy/approxkl_avg {moved[0]:.0f}",
            "print the mask beside the tokens of one reply: it must stop at the end token",
        )
    if min(clipped) > 0.1 or not _never_above_one(log):
        highest = max(log.column("val/ratio_first"))
        return Finding(
            "padding",
            f"{evidence}; over all steps val/ratio_first is {highest:.3f} at most, "
            f"and policy/clipfrac_avg is at least {min(clipped):.2f}",
            "sample one prompt alone and in a batch with a longer one: replies must be the same; "
            "pad prompts on the left, and count positions from the first real token",
        )
    surprise, error = mean_and_error(log.surprises)
    if math.isfinite(error):
        evidence += f"; {_surprise_says(surprise)}"
        return _end_is_forbidden(evidence) if surprise > 0 else _restricted(evidence)
    # What is forbidden all along takes a little from each token's chance, the end token takes much
    # from few: then the mean of -log is far from -log of the mean.
    length = log.start("val/reply_length") or 1.0
    uneven = start_kl / (-length * math.log(ratio)) if 0 < ratio < 1 else 1.0
    return _end_is_forbidden(evidence) if uneven > 2 else _restricted(evidence)


def _never_above_one(log: Log) -> bool:
    """Whether the first ratio is above 1 in no step.

    Drawing from a part of the distribution, scaled up, can only raise the chance of what is drawn:
    the learner's share of it is below 1 for each token. Where another distribution was drawn from,
    the mean over all that it can say is 1, with much noise.
    """
    return max(log.column("val/ratio_first")) <= 1 + RATIO_ERROR


def stale_log_probabilities(log: Log) -> Finding | None:
    """The ratio is 1 at the first step and not at later ones: old weights answer for new ones."""
    ratios = log.column("val/ratio_first")
    if len(ratios) < 2:
        return None
    worst = max(ratios[1:], key=lambda ratio: abs(ratio - 1))
    if abs(ratios[0] - 1) > RATIO_ERROR or abs(worst - 1) <= RATIO_ERROR:
        return None
    return Finding(
        "stale log-probabilities",
        f"val/ratio_first is {ratios[0]:.4f} at the first step and {worst:.3f} later",
        "take the old log-probabilities anew in each step, from the weights that sampled",
    )


def surprising_tokens(log: Log) -> Finding | None:
    """Sampled tokens are as surprising as the policy's entropy says, if drawn from the policy."""
    surprise, error = mean_and_error(log.surprises)
    if abs(surprise) < 0.05 or abs(surprise) < 3 * error:
        return None
    evidence = _surprise_says(surprise)
    return _end_is_forbidden(evidence) if surprise > 0 else _restricted(evidence)


def _surprise_says(surprise: float) -> str:
    more = "more" if surprise > 0 else "less"
    return f"sampled tokens are {abs(surprise):.0%} {more} surprising than the policy's entropy"


def _end_is_forbidden(evidence: str) -> Finding:
    return Finding(
        "end token",
        evidence,
        "print one reply's tokens with their log-probabilities and mask: an end token that is "
        "forbidden (minimum length) leaves tokens that the policy hardly knows, one that is masked "
        "out is not learnt",
    )


def _restricted(evidence: str) -> Finding:
    return Finding(
        "restricted sampling",
        evidence,
        "sample from the whole distribution: no top-k, no top-p, the temperature of training",
    )
