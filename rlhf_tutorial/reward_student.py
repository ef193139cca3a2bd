"""A reward model that learns a first guess by heart, with all its weights.

The first guess (`reward_head.py`) is a sum of chances: how likely each kind of remark is, times
what it is worth. A score head is a straight line, and a line misses part of such a sum. What it
misses is not spread evenly: where a refusal is well put and uncalled for, the chances say "Too
careful" and the line sees the kind words. So the guess becomes a teacher. It says what it thinks of
many replies that nobody has ranked, and the reward model learns to say the same.

Source: a network taught by another's outputs, Hinton et al. 2015, arXiv 1503.02531; unranked
replies labelled by a reward model, Gao et al. 2022, arXiv 2210.10760. Simplified: one pass, squared
error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from rlhf_tutorial.batching import check_length, length_grouped
from rlhf_tutorial.reward_head import end_states, forward_scores, kind_chances, straight_line
from rlhf_tutorial.sft import schedule


@dataclass(frozen=True)
class StudentSettings:
    """Hyper-parameters of learning the guess."""

    batch_size: int = 64  # replies a step
    learning_rate: float = 3e-4  # peak; as in reward.py's own training
    warmup_share: float = 0.1  # of all steps
    weight_decay: float = 0.01
    max_gradient_norm: float = 1.0  # of all weights together


@torch.no_grad()
def teacher_scores(
    model,
    tokenizer,
    states: torch.Tensor,
    worth: Mapping[str, float],
    kinds: Mapping[str, Sequence[str]],
) -> torch.Tensor:
    """What the guess says `(rows,)` at end `states` of the trunk that foresees remarks; mean 0."""
    names, chances = kind_chances(model, tokenizer, states, kinds)
    scores = chances @ torch.tensor([worth[name] for name in names], device=states.device)
    return scores - scores.mean()


def learn_guess(
    model,
    tokenizer,
    rows: Sequence[Sequence[int]],
    worth: Mapping[str, float],
    kinds: Mapping[str, Sequence[str]],
    settings: StudentSettings | None = None,
    *,
    seed: int,
    progress: Callable | None = None,
) -> list[float]:
    """Train all of `model` in place to score as the guess does; return the squared error a step.

    Args:
        model: a reward model whose trunk still foresees remarks. It is teacher first, then student.
        rows: token lists of prompts with replies, which nobody need have ranked.
        worth: of each kind of remark, in log-odds (`reward_head.fit_head`).
        kinds: of which kinds the first word of a remark tells.
        settings, seed, progress: as in `learn_scores`.

    Raises:
        ValueError: a row is longer than the model's context.
    """
    for index, row in enumerate(rows):
        check_length(len(row), model.config.n_positions, f"unranked reply {index}")
    states = end_states(model, rows, tokenizer.pad_token_id)
    wanted = teacher_scores(model, tokenizer, states, worth, kinds)
    return learn_scores(
        model, tokenizer, rows, states, wanted, settings, seed=seed, progress=progress
    )


def learn_scores(
    model,
    tokenizer,
    rows: Sequence[Sequence[int]],
    states: torch.Tensor,
    wanted: torch.Tensor,
    settings: StudentSettings | None = None,
    *,
    seed: int,
    progress: Callable | None = None,
) -> list[float]:
    """Train all of `model` in place to give each row its `wanted` score; return the errors.

    Args:
        model: a reward model. Its head is set to the straight line first.
        rows: token lists of prompts with replies, none longer than the model's context.
        states: the model's end states of these rows `(rows, width)` (`reward_head.end_states`).
        wanted: scores `(rows,)`, of mean 0.
        settings: hyper-parameters; by default `StudentSettings()`.
        seed: of the order of the rows.
        progress: called as `(step, steps)` after each step.
    """
    settings = settings or StudentSettings()
    with torch.no_grad():
        model.score.weight.copy_(straight_line(states, wanted)[None])

    batches = length_grouped([len(row) for row in rows], settings.batch_size, seed=seed)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    model.train()
    errors = []
    for step, batch in enumerate(batches, start=1):
        share = schedule(step, len(batches), settings.warmup_share)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * share
        some = [rows[index] for index in batch]
        scores = forward_scores(model, some, tokenizer.pad_token_id, model.device)
        error = (scores - wanted[batch]).square().mean()
        error.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad()
        errors.append(error.item())
        if progress:
            progress(step, len(batches))
    model.eval()
    return errors
