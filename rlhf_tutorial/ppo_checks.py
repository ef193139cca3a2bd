"""What can go wrong in a run of PPO, told apart and said in one line each.

Bad input is found before the first step. A reward that is not a number, a policy that has
collapsed and a KL that leaves its budget are found in the step in which they happen.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rlhf_tutorial.batching import check_length
from rlhf_tutorial.doctor import in_one_line
from rlhf_tutorial.tokenizer import encode_prompts

FEW_PROMPTS = 8  # with fewer different prompts, one reply to all of them may be chance, or right


def with_likely_cause(message: str, history: Sequence[dict]) -> str:
    """The message, and what the doctor reads from the rows, if that is anything."""
    likely = in_one_line(history)
    return f"{message}; {likely}" if likely else message


class PPOError(ValueError):
    """Training went wrong; says what to change, and what `doctor` reads from the rows up to then.

    `history` holds these rows.
    """

    def __init__(self, message: str, history: Sequence[dict] = ()):
        super().__init__(with_likely_cause(message, history))
        self.history = list(history)


def check_input(policy, reference, tokenizer, prompts: Sequence, settings, accelerator) -> None:
    """Raise ValueError for what could only fail, or mislead, later."""
    if reference is policy:
        raise ValueError("reference is the policy itself, and would move: pass copy.deepcopy of it")
    if len(prompts) == 0:
        raise ValueError("no prompts to learn from: give at least one")
    check_processes(settings, accelerator.num_processes)
    if accelerator.mixed_precision != "no":
        raise ValueError(
            f"the accelerator's mixed_precision is {accelerator.mixed_precision!r}: PPO learns in "
            'the precision that it samples in, or the ratio would not start at 1; set it to "no"'
        )
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError(
            "PPO accumulates gradients by itself: set PPOSettings.micro_batch_size, and leave the "
            "accelerator's gradient_accumulation_steps at 1"
        )
    for index, ids in enumerate(encode_prompts(tokenizer, prompts)):
        length = len(ids) + settings.max_new_tokens
        check_length(length, policy.config.n_positions, f"prompt {index} with its longest reply")


def check_processes(settings, processes: int) -> None:
    """Raise ValueError for settings with which several processes would wait for each other."""
    if settings.batch_size % (processes * settings.minibatches):
        raise ValueError(
            f"batch_size {settings.batch_size} does not split into {settings.minibatches} "
            f"minibatches on each of {processes} processes: take a multiple of "
            f"{processes * settings.minibatches}"
        )
    if settings.value_warmup_steps and processes > 1:
        raise ValueError(
            "value_warmup_steps leaves the trunk without a gradient, which several processes "
            "cannot share: set it to 0, or train on one process"
        )


def checked_scores(scores, rollout, step: int, history: Sequence[dict]) -> torch.Tensor:
    """Scores `(batch,)` as float32; ValueError for another shape, PPOError if not a number."""
    scores = torch.as_tensor(scores, dtype=torch.float32)
    count = len(rollout.texts)
    if scores.shape != (count,):
        raise ValueError(
            f"the reward gave scores of shape {tuple(scores.shape)}: it must give one number for "
            f"each of the {count} replies"
        )
    if not torch.isfinite(scores).all():
        index = int((~torch.isfinite(scores)).nonzero()[0])
        raise PPOError(
            f"step {step}: the reward of reply {index} ({rollout.texts[index][:60]!r}) is "
            f"{float(scores[index])}: make the reward finite for any text",
            history,
        )
    if not torch.isfinite(rollout.logprobs).all():
        raise PPOError(
            f"step {step}: the policy's log-probabilities are not numbers: start again from its "
            "last good weights with a lower learning rate",
            history,
        )
    return scores


def check_collapse(history: Sequence[dict], rollout, settings) -> None:
    """Mark the last row if the policy looks collapsed; PPOError after too many such in a row."""
    if settings.entropy_floor == 0:
        return
    row = history[-1]
    entropy = row["policy/entropy_avg"]
    one_reply = len(set(rollout.texts)) == 1
    one_reply = one_reply and len({repr(prompt) for prompt in rollout.prompts}) >= FEW_PROMPTS
    row["collapsed"] = float(one_reply or entropy < settings.entropy_floor)
    recent = [row["collapsed"] for row in history[-settings.collapse_patience :]]
    if len(recent) == settings.collapse_patience and all(recent):
        what = (
            f"gives one reply to every prompt ({rollout.texts[0][:60]!r})"
            if one_reply
            else (f"is almost certain of every token (entropy {entropy:.4f} nats)")
        )
        raise PPOError(
            f"step {row['step']}: the policy has collapsed: it {what}; raise kl_coefficient, lower "
            "learning_rate, or look whether the reward likes that reply",
            history,
        )


def over_budget(history: Sequence[dict], settings) -> str:
    """Words, with what the doctor says, if the mean KL of `kl_window` steps passes the budget."""
    recent = [row["objective/kl"] for row in history[-settings.kl_window :]]
    enough = settings.kl_budget is not None and len(recent) == settings.kl_window
    if not enough or sum(recent) / len(recent) <= settings.kl_budget:
        return ""
    return with_likely_cause(f"KL passed its budget of {settings.kl_budget} nats a reply", history)
