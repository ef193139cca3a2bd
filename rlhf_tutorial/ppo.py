"""Proximal policy optimisation: moves a language model towards replies that a reward likes.

One step: sample replies, score them, take beta times the KL from the reference off each token's
reward, estimate advantages, and climb the clipped surrogate for a few passes (Schulman et al. 2017,
arXiv 1707.06347; for language models Ziegler et al. 2019, arXiv 1909.08593, and Ouyang et al. 2022,
arXiv 2203.02155). The formulas are in `ppo_math.py`; the logged names are TRL's.

No work is done twice: policy and value share a trunk unless told otherwise, the old
log-probabilities are those of sampling, the head over the vocabulary runs only where a reply
stands, and rows are sorted by length within a minibatch, which leaves its gradient as it is. All
randomness follows from (seed, step). Simplified: no entropy bonus and no reward clipping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from rlhf_tutorial.batching import shuffled_epochs
from rlhf_tutorial.policy_with_value import PolicyWithValue
from rlhf_tutorial.ppo_checkpoint import PPOCheckpoint
from rlhf_tutorial.ppo_checks import (
    PPOError,
    check_collapse,
    check_input,
    checked_scores,
    over_budget,
)
from rlhf_tutorial.ppo_math import (
    adapted_kl_coefficient,
    clipped_surrogate,
    clipped_value_loss,
    gae,
    kl_k1,
    kl_k2,
    kl_k3,
    masked_mean,
    per_token_rewards,
    whiten,
)
from rlhf_tutorial.ppo_rates import set_rates, weight_groups
from rlhf_tutorial.replies import Replies, ReplyForward
from rlhf_tutorial.sampling import Rollout, sample

KL_ESTIMATORS = {"k1": kl_k1, "k2": kl_k2, "k3": kl_k3}
MEASURES = [  # of one weight update, means over its tokens
    "loss/policy_avg",
    "loss/value_avg",
    "policy/clipfrac_avg",
    "val/clipfrac_avg",
    "policy/approxkl_avg",
    "val/ratio",
    "policy/entropy_avg",
]
RATIO = MEASURES.index("val/ratio")


@dataclass(frozen=True)
class PPOSettings:
    """Hyper-parameters of PPO, for a GPT-2 of one or two million weights."""

    steps: int = 60  # batches sampled and learnt from; longer runs over-optimise the reward model
    batch_size: int = 128  # replies a step; half as many double the variance of the gradient
    epochs: int = 2  # passes over a batch; more need a smaller learning rate
    minibatches: int = 2  # weight updates a pass
    micro_batch_size: int = 32  # rows through the model at once; changes speed, not the gradient
    max_new_tokens: int = 48  # tokens a reply at most
    temperature: float = 1.0  # of sampling; 1 samples the very policy that is learnt
    learning_rate: float = 3e-4  # at the first step, then linearly to 0; a third of SFT's
    final_norm_learning_rate: float | None = None  # of its gains, which sharpen; None: the same
    gamma: float = 1.0  # discount a token; a reply is short and judged as a whole
    lam: float = 0.95  # of GAE: 1 trusts only the returns, 0 only the value head
    clip: float = 0.2  # how far a token's probability ratio may usefully move in one step
    value_clip: float = 0.2  # how far a value may usefully move in one step, in reward units
    value_coefficient: float = 0.1  # weight of the value loss; the trunk is shared with the policy
    value_warmup_steps: int = 0  # first steps that train nothing but the values
    kl_coefficient: float = 0.05  # beta: reward units a nat of KL from the reference
    kl_target: float | None = None  # nats a reply; if set, beta adapts to hold the KL there
    kl_budget: float | None = None  # nats a reply; if set, training ends where the KL passes it
    kl_window: int = 3  # steps over which the KL is averaged before it meets the budget
    kl_estimator: str = "k1"  # of the per-token KL in the reward: k1 is unbiased
    whiten_rewards: bool = False  # would hide how large the rewards are, and the KL with them
    whiten_advantages: bool = True  # makes the learning rate independent of the reward's scale
    missing_eos_penalty: float = 1.0  # reward units off a reply that was cut off
    max_gradient_norm: float = 1.0  # of all weights together
    adam_epsilon: float = 1e-5  # larger than usual: small gradients are mostly noise
    entropy_floor: float = 0.01  # nats a token; below it the policy has collapsed; 0 never stops
    collapse_patience: int = 3  # steps in a row that must look collapsed before it is an error

    def __post_init__(self):
        whole = ("steps", "batch_size", "epochs", "minibatches", "micro_batch_size")
        for name in (*whole, "max_new_tokens", "temperature", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"PPOSettings.{name} is {getattr(self, name)}: it must be above 0")
        if self.batch_size % self.minibatches:
            raise ValueError(
                f"batch_size {self.batch_size} does not split into {self.minibatches} minibatches"
            )
        if self.kl_estimator not in KL_ESTIMATORS:
            raise ValueError(f"kl_estimator is {self.kl_estimator!r}: choose k1, k2 or k3")


@dataclass(frozen=True)
class Experience:
    """A batch to learn from; all but scores and finished are `(batch, reply_time)`."""

    replies: Replies
    scores: torch.Tensor  # `(batch,)` of the reward, less the penalty for replies that were cut off
    finished: torch.Tensor  # `(batch,)` Boolean: the reply has its end token
    logprobs: torch.Tensor  # of the sampled tokens when they were sampled
    values: torch.Tensor
    kl: torch.Tensor  # estimated from the reference, a token
    advantages: torch.Tensor
    returns: torch.Tensor


def assess(
    net: ReplyForward, reference_net: ReplyForward, replies, rollout, scores, beta, settings
) -> Experience:
    """Turn sampled and scored replies into advantages and returns."""
    mask = replies.mask
    finished = rollout.finished.to(scores.device)
    scores = scores - settings.missing_eos_penalty * ~finished
    logprobs = rollout.logprobs[:, : mask.shape[1]].to(scores.device)
    size = settings.micro_batch_size
    reference_logprobs = reference_net.all_logprobs(replies, settings.temperature, size)
    values = net.all_values(replies, size)
    kl = KL_ESTIMATORS[settings.kl_estimator](logprobs, reference_logprobs)
    kl = kl.masked_fill(~mask, 0.0)
    rewards = per_token_rewards(scores, kl, beta, mask)
    if settings.whiten_rewards:
        rewards = whiten(rewards, mask, shift_mean=False)
    advantages, returns = gae(rewards, values, mask, settings.gamma, settings.lam)
    if settings.whiten_advantages:
        advantages = whiten(advantages, mask)  # over this process's replies
    return Experience(replies, scores, finished, logprobs, values, kl, advantages, returns)


def ppo_loss(net, batch: Experience, index, part: Replies, settings, count, warming=False):
    """Loss and MEASURES of a part, the rows at `index`, of a minibatch of `count` tokens."""
    time = part.mask.shape[1]
    old, old_values = batch.logprobs[index, :time], batch.values[index, :time]
    advantages, returns = batch.advantages[index, :time], batch.returns[index, :time]

    new, values, entropies = net(part, settings.temperature, train_trunk=not warming)
    policy_loss, policy_clipped = clipped_surrogate(
        new, old, advantages, part.mask, settings.clip, count
    )
    value_loss, value_clipped = clipped_value_loss(
        values, old_values, returns, part.mask, settings.value_clip, count
    )
    loss = settings.value_coefficient * value_loss + (0.0 if warming else 1.0) * policy_loss
    with torch.no_grad():
        measured = (0.5 * (new - old) ** 2, torch.exp(new - old), entropies)
        means = [masked_mean(values, part.mask, count) for values in measured]
        return loss, torch.stack([policy_loss, value_loss, policy_clipped, value_clipped, *means])


def update(net, optimizer, batch: Experience, settings, accelerator, seed, warming=False):
    """Climb the surrogate for `epochs` passes; return `(updates, measures)`, as in MEASURES.

    While `warming`, only the value head learns. Raises PPOError before a gradient that is not a
    number could change the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    mask, history = batch.replies.mask, []
    for _ in range(settings.epochs):
        order = torch.randperm(len(mask), generator=generator).to(mask.device)
        for minibatch in order.chunk(settings.minibatches):
            count = accelerator.reduce(mask[minibatch].sum().float(), "mean")
            parts = []
            for index, part in batch.replies.parts(settings.micro_batch_size, minibatch):
                loss, measures = ppo_loss(net, batch, index, part, settings, count, warming)
                accelerator.backward(loss)
                parts.append(measures)
            norm = accelerator.clip_grad_norm_(net.parameters(), settings.max_gradient_norm)
            if not torch.isfinite(norm):
                raise PPOError(
                    "the gradient is not a number: lower the learning rate and look for huge "
                    "rewards; the weights are those before this update"
                )
            optimizer.step()
            optimizer.zero_grad()
            history.append(torch.stack(parts).sum(0))
    return torch.stack(history)


def summary(batch: Experience, measures: torch.Tensor, beta: float, accelerator) -> dict:
    """One step's numbers under TRL's names, means over all processes; KL and entropy in nats."""
    row = {
        "objective/kl": batch.kl.sum(1).mean(),
        "objective/entropy": -batch.logprobs.sum(1).mean(),
        "objective/non_score_reward": -beta * batch.kl.sum(1).mean(),
        "objective/rlhf_reward": batch.scores.mean() - beta * batch.kl.sum(1).mean(),
        "objective/scores": batch.scores.mean(),
        "val/num_eos_tokens": batch.finished.sum() * accelerator.num_processes,
        "val/ratio_first": measures[0, RATIO],
        "val/ratio_var": measures[:, RATIO].var(correction=0),
        "val/reply_length": batch.replies.mask.sum(1).float().mean(),
        **dict(zip(MEASURES, measures.mean(0), strict=True)),
    }
    numbers = accelerator.reduce(
        torch.stack([number.float() for number in row.values()]), "mean"
    ).tolist()
    return dict(zip(row, numbers, strict=True))


def train_ppo(
    policy,
    reference,
    tokenizer,
    prompts: Sequence,
    reward: Callable[[Rollout], torch.Tensor],
    settings: PPOSettings | None = None,
    *,
    seed: int,
    callbacks: Sequence[Callable] = (),
    accelerator=None,
    progress: Callable | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 10,
) -> list[dict]:
    """Train `policy` in place and return one row a step.

    `policy` is a PolicyWithValue or a language model (then a value head is made), `reference` the
    frozen model that the KL is measured from; `reward` gives one score a reply, `(batch,)`.
    `callbacks` get (step, policy model, rollout, row) and may add to the row; `progress` gets
    (step, total). `val/ratio_first` is the ratio at a step's first update, which must be 1. A run
    ended by its KL budget has "stopped" in the last row. In the folder `checkpoint` the run is kept
    every `checkpoint_every` steps; if it holds one, the run goes on from there, bit for bit. Raises
    ValueError for bad input, CheckpointError for a checkpoint that is damaged or of another run,
    and PPOError for a run gone wrong.
    """
    from accelerate import Accelerator

    settings = settings or PPOSettings()
    accelerator = accelerator or Accelerator()
    actor = policy if isinstance(policy, PolicyWithValue) else PolicyWithValue(policy)
    check_input(actor.policy, reference, tokenizer, prompts, settings, accelerator)
    optimizer = torch.optim.AdamW(
        weight_groups(actor, settings.learning_rate, settings.final_norm_learning_rate),
        eps=settings.adam_epsilon,
        weight_decay=0.0,
        fused=True,
    )
    plain_net = ReplyForward(actor.policy, actor.value_head, actor.value_trunk)
    net, optimizer = accelerator.prepare(plain_net, optimizer)
    reference_net = ReplyForward(reference).to(accelerator.device).eval()
    net.eval()  # dropout would make the log-probabilities of sampling wrong

    kept = PPOCheckpoint(checkpoint, checkpoint_every, actor, optimizer, accelerator)
    history, beta = kept.begin(settings, seed, tokenizer, prompts, reference)
    rank, ranks = accelerator.process_index, accelerator.num_processes
    batches = shuffled_epochs(len(prompts), settings.batch_size, seed=seed)
    for _ in history:
        next(batches)  # these were learnt from before the checkpoint
    for step in range(len(history) + 1, settings.steps + 1):
        if history and "stopped" in history[-1]:
            break
        step_seed = (seed * 100_003 + step) * ranks + rank
        rollout = sample(
            actor.policy,
            tokenizer,
            [prompts[index] for index in next(batches)[rank::ranks]],
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            seed=step_seed,
            batch_size=settings.batch_size,
        )
        scores = checked_scores(reward(rollout), rollout, step, history).to(accelerator.device)
        replies = Replies.of(rollout, accelerator.device)
        batch = assess(plain_net, reference_net, replies, rollout, scores, beta, settings)
        left = 1 - (step - 1) / settings.steps
        set_rates(optimizer, left)
        warming = step <= settings.value_warmup_steps
        try:
            measures = update(net, optimizer, batch, settings, accelerator, step_seed, warming)
        except PPOError as error:
            raise PPOError(f"step {step}: {error}", history) from None

        row = {"step": step, "episode": step * settings.batch_size, "objective/kl_coef": beta}
        row |= {"lr": settings.learning_rate * left, **summary(batch, measures, beta, accelerator)}
        beta = adapted_kl_coefficient(beta, row["objective/kl"], settings.kl_target)
        history.append(row)
        check_collapse(history, rollout, settings)
        if words := over_budget(history, settings):
            row["stopped"] = words
        for callback in callbacks:
            callback(step, actor.policy, rollout, row)
        kept.save_if_due(history, beta)
        if progress:
            progress(step, settings.steps)
    return history
