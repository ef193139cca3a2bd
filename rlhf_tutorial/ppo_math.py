"""The formulas of PPO for language models, each a small pure function on `(batch, time)` tensors.

Time runs over the tokens of a reply; `mask` is 1 (or True) on its tokens, the end token included,
and 0 on padding to the right of them. All logarithms are natural: KL and entropy are in nats.
"""

from __future__ import annotations

import torch


def masked_mean(
    values: torch.Tensor, mask: torch.Tensor, count: torch.Tensor | float | None = None
) -> torch.Tensor:
    """Sum of values where mask is set, over their number or over `count`.

    Parts of a minibatch that all divide by the whole minibatch's count add up to its mean: that
    is what makes gradient accumulation exact, however the minibatch is split.
    """
    total = values.masked_fill(~mask.bool(), 0.0).sum()
    return total / (mask.sum() if count is None else count)


def whiten(values: torch.Tensor, mask: torch.Tensor, shift_mean: bool = True) -> torch.Tensor:
    """Scale to variance 1 over the masked tokens, and to mean 0 if `shift_mean`; 0 on padding.

    (Huang et al. 2023, "The N implementation details of RLHF with PPO".)
    """
    mean = masked_mean(values, mask)
    variance = masked_mean((values - mean) ** 2, mask)
    whitened = (values - mean) * torch.rsqrt(variance + 1e-8)
    if not shift_mean:
        whitened = whitened + mean
    return whitened.masked_fill(~mask.bool(), 0.0)


def kl_k1(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """log p/q for tokens drawn from p: unbiased for KL(p, q), may be negative.

    (k1 to k3: Schulman 2020, "Approximating KL divergence".)
    """
    return logprobs - reference_logprobs


def kl_k2(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """(log p/q)² / 2: biased, little variance, never negative."""
    return 0.5 * (logprobs - reference_logprobs) ** 2


def kl_k3(logprobs: torch.Tensor, reference_logprobs: torch.Tensor) -> torch.Tensor:
    """q/p - 1 - log q/p: unbiased, and never negative."""
    log_ratio = reference_logprobs - logprobs
    return torch.expm1(log_ratio) - log_ratio


def per_token_rewards(
    scores: torch.Tensor, kl: torch.Tensor, beta: float, mask: torch.Tensor
) -> torch.Tensor:
    """-beta · KL at every token, plus the reply's score `(batch,)` at its last token.

    (Ziegler et al. 2019, arXiv 1909.08593, equation 2, with the KL spread over the tokens.)
    """
    mask = mask.bool()
    rewards = (-beta * kl).masked_fill(~mask, 0.0)
    last = mask.sum(1, keepdim=True).long() - 1
    return rewards.scatter_add(1, last, scores.to(rewards.dtype).unsqueeze(1))


def gae(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, gamma: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Generalised advantage estimates and returns (Schulman et al. 2015, arXiv 1506.02438, eq. 16).

    A_t = sum over k of (gamma·lam)^k · delta_{t+k}, with delta_t = r_t + gamma·V_{t+1} - V_t. A
    reply ends with its last token, finished or cut off: V is 0 after it. Returns are A + V. Both
    are 0 on padding.
    """
    mask = mask.bool()
    rewards, values = rewards.masked_fill(~mask, 0.0), values.masked_fill(~mask, 0.0)
    advantages = torch.zeros_like(rewards)
    following = torch.zeros_like(rewards[:, 0])
    next_value = torch.zeros_like(rewards[:, 0])
    for time in reversed(range(rewards.shape[1])):
        delta = rewards[:, time] + gamma * next_value - values[:, time]
        following = delta + gamma * lam * following
        advantages[:, time] = following
        next_value = values[:, time]
    return advantages, advantages + values


def clipped_surrogate(
    new: torch.Tensor,
    old: torch.Tensor,
    advantages: torch.Tensor,
    mask: torch.Tensor,
    clip: float,
    count: torch.Tensor | float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's policy loss and the share of tokens clipped (Schulman et al. 2017, 1707.06347, eq. 7).

    -min(ratio·A, clamp(ratio, 1 - clip, 1 + clip)·A), where ratio = exp(new - old) and new and old
    are log-probabilities of the sampled tokens. A token whose ratio has already moved beyond the
    clip in the direction that A asks for gets no gradient at all.
    """
    ratio = torch.exp((new - old).masked_fill(~mask.bool(), 0.0))
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip, 1 + clip)
    loss = masked_mean(torch.maximum(unclipped, clipped), mask, count)
    return loss, masked_mean((clipped > unclipped).float(), mask, count)


def clipped_value_loss(
    new: torch.Tensor,
    old: torch.Tensor,
    returns: torch.Tensor,
    mask: torch.Tensor,
    clip: float,
    count: torch.Tensor | float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Half the squared error of the values, and the share of tokens clipped.

    The larger of the errors of V and of V kept within `clip` of its old value (Huang et al. 2023).
    """
    near = torch.maximum(torch.minimum(new, old + clip), old - clip)
    unclipped, clipped = (new - returns) ** 2, (near - returns) ** 2
    loss = 0.5 * masked_mean(torch.maximum(unclipped, clipped), mask, count)
    return loss, masked_mean((clipped > unclipped).float(), mask, count)


def adapted_kl_coefficient(
    beta: float, kl: float, target: float | None, rate: float = 0.1
) -> float:
    """Raise beta when a reply's KL is above `target`, lower it when below; None leaves it fixed.

    (Ziegler et al. 2019, arXiv 1909.08593, section 2.2: the error is clipped to ±0.2.)
    """
    if target is None:
        return beta
    error = min(0.2, max(-0.2, kl / target - 1))
    return beta * (1 + rate * error)
