"""The doctor's rules on how PPO learns: step size, KL, advantages, values, reward.

Each rule takes the `Log` of a run and returns a `Finding`, or None; what healthy runs show is said
at its threshold.
"""

from __future__ import annotations

import math
from statistics import mean

from rlhf_tutorial.doctor_log import FEW_STEPS, Finding, Log, mean_and_error

SOON = 12  # steps within which a value head has learnt what it can


def moving_reference(log: Log) -> Finding | None:
    """KL stays near 0 although the policy moves in every step.

    Healthy runs end over a quarter as far from the reference as their steps are long together.
    """
    kl = [abs(value) for value in log.column("objective/kl")]
    moved, lengths = log.column("policy/approxkl_avg"), log.column("val/reply_length")
    if len(kl) < FEW_STEPS or len(moved) != len(kl) or len(lengths) != len(kl):
        return None
    walked = sum(step * length for step, length in zip(moved, lengths, strict=True))
    late = mean(kl[len(kl) // 2 :])
    if walked < 0.5 or late > 0.12 * walked:
        return None
    return Finding(
        "moving reference",
        f"objective/kl is {late:.3f} nats a reply in the later half, although the policy moved "
        f"{walked:.1f} nats in all its steps",
        "give the reference weights of its own (copy.deepcopy), and never update them",
    )


def no_kl(log: Log) -> Finding | None:
    """The coefficient is logged."""
    betas = log.column("objective/kl_coef")
    if not betas or max(betas) > 0:
        return None
    if min(betas) < 0:
        return Finding(
            "KL sign",
            f"objective/kl_coef is {min(betas):g}",
            "give a kl_coefficient above 0",
        )
    return Finding(
        "no KL",
        f"objective/kl_coef is 0 in all {len(betas)} rows",
        "give a kl_coefficient above 0, unless the reward is to be had at any price",
    )


def not_whitened(log: Log) -> Finding | None:
    """With advantages of mean 0 and variance 1 the loss is bounded by how far the ratio moved.

    |E[A·ratio]| = |E[A·(ratio - 1)]| ≤ √E[(ratio - 1)²], nearly √(2·approxkl); Cauchy and Schwarz.
    Minibatches of unequal numbers of tokens add noise, about one over the root of all tokens.
    """
    beyond = []
    for row in log.rows:
        loss, moved = row.get("loss/policy_avg"), row.get("policy/approxkl_avg")
        if loss is not None and moved is not None and math.isfinite(loss + moved):
            step, length = row.get("step", 0.0), row.get("val/reply_length", 16.0)
            batch = row["episode"] / step if step and "episode" in row else 64.0
            noise = 1 / math.sqrt(max(1.0, batch * length))
            beyond.append(abs(loss) - math.sqrt(2 * max(0.0, moved)) - noise)
    if not beyond or sum(value > 0 for value in beyond) * 3 < len(beyond):
        return None
    worst = max(range(len(beyond)), key=beyond.__getitem__)
    return Finding(
        "advantages not whitened",
        f"loss/policy_avg is up to {max(beyond):.2f} further from 0 than advantages of mean 0 and "
        f"variance 1 allow (row {worst + 1})",
        "set whiten_advantages, or a learning rate that fits the reward's scale",
    )


def value_head_unfit(log: Log) -> Finding | None:
    """The value loss falls far within a dozen steps: the head starts with values of no meaning.

    Healthy runs are then at 0.3 to 1.1 of the loss they start with. Later it may well fall to a
    tenth: once replies are alike in worth, returns are easy to foresee. A head that starts at 0 is
    off by the scores themselves, and by no more.
    """
    start, losses = log.start("loss/value_avg"), log.column("loss/value_avg")[:SOON]
    if start is None or len(losses) < FEW_STEPS:
        return None
    end = mean(losses[-max(1, len(losses) // 3) :])
    score, spread = log.start("objective/scores") or 0.0, log.spread_of_scores or 0.0
    if not end or start < 3 * end or start < 0.5 * (score**2 + spread**2):
        return None
    return Finding(
        "value head",
        f"loss/value_avg falls from {start:.2f} to {end:.2f}: the first advantages were noise",
        "start the value head at 0, train it alone first (value_warmup_steps), and weigh its loss "
        "less (value_coefficient): it shares the policy's trunk",
    )


def steps_too_large(log: Log) -> Finding | None:
    """Many tokens reach the clip. Healthy runs start with 7 to 16 % and get to 1 %."""
    clipped, moved = log.column("policy/clipfrac_avg"), log.column("policy/approxkl_avg")
    first = clipped[: max(2, len(clipped) // 3)]
    if not first or mean(first) < 0.17:
        return None
    far = f", policy/approxkl_avg up to {max(moved):.2f}" if moved else ""
    return Finding(
        "learning rate",
        f"policy/clipfrac_avg is {mean(first):.2f} over the first {len(first)} steps{far}",
        "lower learning_rate (a tenth, then look again), or take fewer epochs",
    )


def paid_for_kl(log: Log) -> Finding | None:
    """KL rises ever faster, and what is maximised, score less beta times KL, falls."""
    kl, reward = log.column("objective/kl"), log.column("objective/rlhf_reward")
    third = len(kl) // 3
    if third < 3 or len(reward) != len(kl):
        return None
    middle, late = mean(kl[third:-third]), mean(kl[-third:])
    fell = mean(reward[third:-third]) - mean(reward[-third:])
    if late < max(1.5, 1.8 * middle) or fell <= 0:
        return None
    return Finding(
        "KL sign",
        f"objective/kl goes from {middle:.1f} to {late:.1f} in the last third, while "
        f"objective/rlhf_reward falls by {fell:.2f}",
        "look at the sign of the KL in the reward of a token: -beta * KL",
    )


def negative_kl(log: Log) -> Finding | None:
    """A mean KL below 0 cannot be: either the tokens are not the policy's, or the sign is wrong."""
    value, error = mean_and_error(log.column("objective/kl"))
    if value > -0.1 or -value < 3 * error:
        return None
    return Finding(
        "KL sign",
        f"objective/kl is {value:.2f} nats a reply on average, and no KL is negative",
        "look at the order in log p(policy) - log p(reference)",
    )


def _share_that_returns_see(log: Log) -> float | None:
    """Standard deviation of returns over that of scores; None where one is not known."""
    spread, losses = log.spread_of_scores, log.column("loss/value_avg")
    return math.sqrt(2 * mean(losses)) / spread if spread and losses else None


def score_reaches_few_tokens(log: Log) -> Finding | None:
    """Scores vary much and returns hardly: the score is not in the returns of most tokens.

    Twice the value loss is the returns' variance. Healthy runs: 0.5 to 1 of the scores' spread.
    """
    share = _share_that_returns_see(log)
    if share is None or share > 0.45:
        return None
    spread = log.spread_of_scores
    return Finding(
        "reward's place",
        f"scores vary by about {spread:.2f} from reply to reply, returns (root of twice "
        f"loss/value_avg) by {share * spread:.2f}: most tokens do not see the score",
        "print the rewards of one reply token by token: the score belongs to its last token",
    )


def replies_score_alike(log: Log) -> Finding | None:
    """Returns hardly differ from the beginning, in standard deviations of the ranked replies.

    Reward models that tell replies apart show 0.7 to 0.8 while the policy still speaks as SFT does,
    and 0.5 to 0.6 as a second round begins. Later on replies may well be alike: all of them good.
    Where scores differ much more than returns, the score's place is to blame.
    """
    losses = log.column("loss/value_avg")[:FEW_STEPS]
    if len(losses) < FEW_STEPS:
        return None
    spread, share = math.sqrt(2 * max(0.0, mean(losses))), _share_that_returns_see(log)
    if spread > 0.43 or (share is not None and share < 0.33):
        return None
    return Finding(
        "reward model's input",
        f"returns differ by {spread:.2f} only (root of twice loss/value_avg) over the first "
        f"{len(losses)} steps: to the reward, all replies are nearly alike",
        "decode the very tokens that the reward model reads, and compare with one of its training "
        "rows: the same template, end token and padding; if they agree, it has learnt little",
    )


def nothing_moves(log: Log) -> Finding | None:
    """The policy stays where it is."""
    moved = log.column("policy/approxkl_avg")
    if len(moved) < FEW_STEPS or max(moved) > 1e-5:
        return None
    return Finding(
        "nothing moves",
        f"policy/approxkl_avg is at most {max(moved):.1g}",
        "raise learning_rate; look whether weights are frozen and rewards all the same",
    )


def collapsed(log: Log) -> Finding | None:
    """The policy is nearly sure of each token at the end."""
    start, end = log.start("policy/entropy_avg"), log.end("policy/entropy_avg")
    if start is None or end is None or end > 0.1 * start:
        return None
    return Finding(
        "collapse",
        f"policy/entropy_avg falls from {start:.2f} to {end:.3f} nats a token",
        "raise kl_coefficient, lower learning_rate, and look which reply the reward likes",
    )
