"""Reward model: learns from people's rankings how good a reply is.

A language model whose last token's state is mapped to one number. Bradley and Terry (1952) say
how likely people are to prefer reply w over reply l: sigmoid(r_w - r_l). Training maximises the
likelihood of their choices. All replies of a ranking go through the model together and its pairs
are averaged first, so that a ranking of five does not outweigh a ranking of two (Ouyang et al.
2022, arXiv 2203.02155, equation 1).

Simplified: one model, no ensemble; ties give no pair rather than a term of their own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from rlhf_tutorial.batching import by_length, check_length, length_grouped
from rlhf_tutorial.models import reward_scale
from rlhf_tutorial.preferences import Ranking, pairs
from rlhf_tutorial.reward_head import fit_head, forward_scores
from rlhf_tutorial.reward_student import learn_guess
from rlhf_tutorial.sft import encode_replies, schedule
from rlhf_tutorial.tokenizer import encode_prompts


@dataclass(frozen=True)
class RewardSettings:
    """Hyper-parameters of the reward model."""

    epochs: int = 5  # at most, passes over the rankings; early stopping ends it sooner
    rankings_per_step: int = 16  # 16 rankings of 4 replies are 64 rows and up to 96 pairs
    learning_rate: float = 3e-4  # a third of SFT's: few examples, and the trunk already reads
    warmup_share: float = 0.1  # of all steps; the new score head first sends wild gradients
    weight_decay: float = 0.01  # few examples: hold the weights small
    head_penalty: float = 0.001  # on squared worths of the head's first guess (`reward_head.py`)
    max_gradient_norm: float = 1.0  # of all weights together
    evaluate_every: int = 10  # steps between two looks at the validation rankings
    patience: int = 6  # looks without a better validation loss before training stops
    probe_every: int = 50  # steps between two calls of the callbacks


def bradley_terry_loss(scores: torch.Tensor, pairs: Sequence[tuple[int, int]]) -> torch.Tensor:
    """Mean of -log sigmoid(r_winner - r_loser) over the pairs of one ranking, in nats.

    `scores` is `(replies,)`; pairs are (winner, loser) indexes into it.
    """
    winners, losers = torch.tensor(pairs, device=scores.device).T
    return -F.logsigmoid(scores[winners] - scores[losers]).mean()


def mean_loss(scores: Sequence[torch.Tensor], rankings: Sequence[Ranking]) -> torch.Tensor:
    """Mean of `bradley_terry_loss` over rankings; `scores` holds one tensor a ranking."""
    losses = [bradley_terry_loss(s, pairs(r)) for s, r in zip(scores, rankings, strict=True)]
    return torch.stack(losses).mean()


def accuracy(scores: Sequence[torch.Tensor], rankings: Sequence[Ranking]) -> float:
    """Share of all pairs whose winner scores higher; equal scores count a half.

    `scores` holds one tensor `(replies,)` a ranking.
    """
    right, count = 0.0, 0
    for values, ranking in zip(scores, rankings, strict=True):
        for winner, loser in pairs(ranking):
            difference = float(values[winner] - values[loser])
            right += 1.0 if difference > 0 else 0.5 if difference == 0 else 0.0
            count += 1
    if count == 0:
        raise ValueError("the rankings hold no pair: each is skipped or all its replies are tied")
    return right / count


@torch.no_grad()
def score_ids(
    model,
    rows: Sequence[Sequence[int]],
    pad_id: int,
    *,
    batch_size: int = 256,
    standardise: bool = False,
) -> torch.Tensor:
    """Scores `(rows,)` of prompt-and-reply token lists, on the CPU.

    The mean over the training replies is subtracted, so 0 is an average reply. The unit stays
    the log-odds of Bradley and Terry; `standardise` divides by the standard deviation instead.
    """
    model.eval()
    for index, row in enumerate(rows):
        check_length(len(row), model.config.n_positions, f"prompt and reply {index}")
    scores = torch.empty(len(rows))
    for batch in by_length([len(row) for row in rows], batch_size):
        chosen = forward_scores(model, [rows[index] for index in batch], pad_id, model.device)
        scores[batch] = chosen.float().cpu()
    mean, std = reward_scale(model)
    scores -= mean
    return scores / std if standardise else scores


def encode_pairs(tokenizer, prompts: Sequence, replies: Sequence[str]) -> list[list[int]]:
    """Token lists of prompts with their replies, as the reward model reads them."""
    prompt_ids = encode_prompts(tokenizer, prompts)
    reply_ids = encode_replies(tokenizer, replies)
    return [prompt + reply for prompt, reply in zip(prompt_ids, reply_ids, strict=True)]


def score(
    model, tokenizer, prompts: Sequence, replies: Sequence[str], batch_size: int = 256, **options
) -> torch.Tensor:
    """Scores `(replies,)` of texts; each reply belongs to the prompt at its place."""
    rows = encode_pairs(tokenizer, prompts, replies)
    return score_ids(model, rows, tokenizer.pad_token_id, batch_size=batch_size, **options)


def score_rollout(model, tokenizer, rollout, **options) -> torch.Tensor:
    """Scores `(batch,)` of sampled replies, from their tokens: nothing is encoded again."""
    rows = [
        prompt[prompt_mask.bool()].tolist() + reply[reply_mask.bool()].tolist()
        for prompt, prompt_mask, reply, reply_mask in zip(
            rollout.prompt_ids,
            rollout.prompt_mask,
            rollout.reply_ids,
            rollout.reply_mask,
            strict=True,
        )
    ]
    return score_ids(model, rows, tokenizer.pad_token_id, **options)


def prompts_and_replies(rankings: Sequence[Ranking]) -> tuple[list, list[str]]:
    """All replies of rankings, in order, and for each of them its prompt."""
    prompts = [ranking.prompt for ranking in rankings for _ in ranking.replies]
    return prompts, [reply for ranking in rankings for reply in ranking.replies]


def score_rankings(model, tokenizer, rankings: Sequence[Ranking]) -> list[torch.Tensor]:
    """One tensor of scores `(replies,)` a ranking."""
    scores = score(model, tokenizer, *prompts_and_replies(rankings))
    return list(scores.split([len(ranking.replies) for ranking in rankings]))


def evaluate(model, tokenizer, rankings: Sequence[Ranking]) -> tuple[float, float]:
    """Mean loss a ranking and accuracy a pair; the rankings must all hold a pair."""
    scores = score_rankings(model, tokenizer, rankings)
    return float(mean_loss(scores, rankings)), accuracy(scores, rankings)


def split_by_prompt(
    rankings: Sequence[Ranking], share: float, *, seed: int
) -> tuple[list[Ranking], list[Ranking]]:
    """Training and validation rankings that share no prompt; a copy is not held out once more."""
    prompts = sorted({repr(ranking.prompt) for ranking in rankings})
    if len(prompts) < 2 or not 0 < share < 1:
        raise ValueError(
            f"cannot hold out a share of {share} of {len(prompts)} different prompts: "
            "rank more prompts, take a share between 0 and 1, or pass validation rankings"
        )
    order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(seed)).tolist()
    count = min(len(prompts) - 1, max(1, round(share * len(prompts))))
    held_out = {prompts[index] for index in order[:count]}
    training = [ranking for ranking in rankings if repr(ranking.prompt) not in held_out]
    once = {ranking.id: ranking for ranking in rankings if repr(ranking.prompt) in held_out}
    return training, list(once.values())


def train_reward_model(
    model,
    tokenizer,
    rankings: Sequence[Ranking],
    settings: RewardSettings | None = None,
    *,
    validation: Sequence[Ranking] | float = 0.1,
    seed: int,
    kinds: Mapping[str, Sequence[str]] | None = None,
    unranked: Sequence[tuple[str, str]] = (),
    callbacks: Sequence[Callable] = (),
    accelerator=None,
    progress: Callable | None = None,
) -> list[dict]:
    """Train `model` in place and return the history; the weights end at the best look.

    `validation` is a list of rankings or the share of prompts to hold out. With `kinds` of remarks
    the score head starts from what each is worth (`reward_head.fit_head`). With `unranked` pairs of
    prompt and reply beside, all weights learn that guess before they read the rankings
    (`reward_student.py`). History rows hold step, loss, lr and, where looked at, validation_loss
    and validation_accuracy; the last row also best_step. Afterwards `model.config` holds
    reward_mean and reward_std over the training replies.

    Raises ValueError when no ranking holds a pair, a text is too long, or the loss is no number.
    """
    from accelerate import Accelerator

    settings = settings or RewardSettings()
    accelerator = accelerator or Accelerator()
    training = [ranking for ranking in rankings if pairs(ranking)]
    if isinstance(validation, float):
        training, validation = split_by_prompt(training, validation, seed=seed)
    validation = [ranking for ranking in validation if pairs(ranking)]
    if not training or not validation:
        raise ValueError(
            f"{len(training)} training and {len(validation)} validation rankings hold a pair: "
            "both need at least one that is not skipped and not all tied"
        )
    rows = [encode_pairs(tokenizer, [r.prompt] * len(r.replies), r.replies) for r in training]
    longest = [max(len(row) for row in group) for group in rows]
    for index, length in enumerate(longest):
        check_length(length, model.config.n_positions, f"training ranking {index}")

    share = max(1, settings.rankings_per_step // accelerator.num_processes)
    mine = list(range(len(rows)))[accelerator.process_index :: accelerator.num_processes] or [0]
    an_epoch = -(-max(1, len(rows) // accelerator.num_processes) // share)
    steps = settings.epochs * an_epoch
    lessons = 0  # steps of the student, before it reads the rankings
    if kinds:
        worth = fit_head(
            model,
            tokenizer,
            rows,
            lambda scores: mean_loss(scores, training),
            kinds,
            penalty=settings.head_penalty,
        )
        if unranked:
            more = encode_pairs(tokenizer, *zip(*unranked, strict=True))
            tell = progress and (lambda step, of: progress(step, of + steps))
            errors = learn_guess(model, tokenizer, more, worth, kinds, seed=seed, progress=tell)
            lessons = len(errors)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    net, optimizer = accelerator.prepare(model, optimizer)
    model.config.reward_mean, model.config.reward_std = 0.0, 1.0

    best_loss, _ = evaluate(model, tokenizer, validation)
    best_step, best_weights, looks_since = 0, copy.deepcopy(model.state_dict()), 0
    history: list[dict] = []
    for step in range(1, steps + 1):
        if (step - 1) % an_epoch == 0:
            epoch_seed = seed + (step - 1) // an_epoch
            batches = length_grouped([longest[index] for index in mine], share, seed=epoch_seed)
        batch = [mine[position] for position in batches[(step - 1) % an_epoch]]
        rate = settings.learning_rate * schedule(step, steps, settings.warmup_share)
        for group in optimizer.param_groups:
            group["lr"] = rate

        net.train()
        flat = [row for index in batch for row in rows[index]]
        scores = forward_scores(net, flat, tokenizer.pad_token_id, accelerator.device)
        scores = scores.split([len(rows[index]) for index in batch])
        loss = mean_loss(scores, [training[index] for index in batch])
        if not torch.isfinite(loss):
            raise ValueError(f"reward loss is not a number at step {step}: lower the learning rate")
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(net.parameters(), settings.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad()

        row = {"step": step, "loss": loss.item(), "lr": rate}
        if step % settings.evaluate_every == 0 or step == steps:
            row["validation_loss"], row["validation_accuracy"] = evaluate(
                model, tokenizer, validation
            )
            looks_since += 1
            if row["validation_loss"] < best_loss:
                best_loss, best_step, looks_since = row["validation_loss"], step, 0
                best_weights = copy.deepcopy(model.state_dict())
        stop = step == steps or looks_since >= settings.patience
        if step % settings.probe_every == 0 or stop:
            for callback in callbacks:
                row.update(callback(step, model))
        history.append(row)
        if progress:
            progress(lessons + step, lessons + steps)
        if stop:
            break

    model.load_state_dict(best_weights)
    history[-1].update(best_step=best_step, best_validation_loss=best_loss)
    scores = torch.cat(score_rankings(model, tokenizer, training))
    model.config.reward_mean = float(scores.mean())
    model.config.reward_std = max(float(scores.std()), 1e-6)
    return history
