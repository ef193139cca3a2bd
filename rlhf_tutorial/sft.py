"""Supervised fine-tuning: teaches a language model to answer, by copying demonstrations.

The loss is the ordinary next-token loss, on the tokens of the reply and the end token only. The
prompt is read but not learnt: at work the user writes it (Ouyang et al. 2022, arXiv 2203.02155).

What people remarked on a reply may be learnt too, behind its end token, also where the reply itself
is not worth copying. A model that can say what is wrong with a reply is a better
start for a reward model, which reads replies at that very token (Saunders et al. 2022, arXiv
2206.05802, teach a model to criticise; Ankner et al. 2024, arXiv 2408.11791, do it before scoring).

Simplified: one demonstration a row and no packing; batches of similar length waste little. The
head over the vocabulary, the dearest layer of a small model, runs only where a reply stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from rlhf_tutorial.batching import IGNORE, check_length, length_grouped, pad_right
from rlhf_tutorial.optimizers import muon_and_adamw, set_rates
from rlhf_tutorial.tokenizer import encode_prompts, encode_texts


@dataclass(frozen=True)
class SFTSettings:
    """Hyper-parameters of supervised fine-tuning."""

    epochs: float = 1.0  # passes over the demonstrations; more than two learns them by heart
    batch_size: int = 32  # demonstrations a step
    learning_rate: float = 1e-3  # a third of what a 2 M model takes from scratch, to keep its skill
    muon_lr: float | None = None  # of the hidden matrices; None leaves them to AdamW, as is usual
    verdict_weight: float = 12.0  # of a remark's first token: there is one to a whole reply
    remark_weight: float = 3.0  # of its other tokens: they say what the verdict is about
    warmup_share: float = 0.05  # of all steps; AdamW's second moments are wrong at first
    weight_decay: float = 0.0  # one epoch does not over-fit
    max_gradient_norm: float = 1.0  # of all weights together; stops a rare bad batch
    probe_every: int = 50  # steps between two calls of the callbacks


def sft_loss(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of -log p(label) over the labels that are not IGNORE.

    `logits` is `(..., vocabulary)` and `labels` `(...)`, already shifted: logits at a place are
    compared with the label at the same place. In nats a token. `weights` `(...)` multiply the
    terms of the mean.
    """
    logits, labels = logits.flatten(0, -2).float(), labels.flatten()
    if weights is None:
        return F.cross_entropy(logits, labels, ignore_index=IGNORE)
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    return (losses * weights.flatten()).sum() / (labels != IGNORE).sum()


def encode_replies(tokenizer, replies: Sequence[str]) -> list[list[int]]:
    """Token lists of many replies at once: a space, the text, and the end token."""
    texts = encode_texts(tokenizer, [" " + reply for reply in replies])
    return [[*ids, tokenizer.eos_token_id] for ids in texts]


def encode_demonstrations(
    tokenizer,
    demonstrations: Sequence[dict],
    verdict_weight: float = 1.0,
    remark_weight: float = 1.0,
) -> list[tuple[list[int], list[int], list[float]]]:
    """Inputs, labels and weights of each record, equally long; labels are shifted by one.

    Labels are IGNORE where the next token belongs to the prompt. A record with a "remark" has it
    behind the reply; its first token, the verdict, has `verdict_weight` and the rest, but for the
    end token, `remark_weight`. A record with a true "only_remark" has labels for the remark alone.
    """
    prompts = encode_prompts(tokenizer, [item["prompt"] for item in demonstrations])
    replies = encode_replies(tokenizer, [item["completion"] for item in demonstrations])
    remarks = encode_replies(tokenizer, [item.get("remark", "") for item in demonstrations])
    rows = []
    for item, prompt, reply, remark in zip(demonstrations, prompts, replies, remarks, strict=True):
        remark = remark if "remark" in item else []
        learnt = [IGNORE] * len(reply) if item.get("only_remark") else reply
        inputs = [*prompt, *reply, *remark][:-1]
        labels = [IGNORE] * (len(prompt) - 1) + learnt + remark
        weights = [1.0] * (len(labels) - len(remark))
        if remark:
            weights += [verdict_weight, *[remark_weight] * (len(remark) - 2), 1.0]
        rows.append((inputs, labels, weights))
    return rows


class LogitsWhere(nn.Module):
    """A language model that computes its logits at chosen places only."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Logits `(where.sum(), vocabulary)`; ids and the Boolean where are `(batch, time)`."""
        hidden = self.model.base_model(
            input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False
        ).last_hidden_state
        return self.model.get_output_embeddings()(hidden[where])


def collate(rows: Sequence[tuple[list[int], list[int], list[float]]], pad_id: int):
    """Pad rows on the right: ids, labels and weights, all `(batch, time)`."""
    ids, _ = pad_right([inputs for inputs, *_ in rows], pad_id)
    labels, _ = pad_right([labels for _, labels, _ in rows], IGNORE)
    weights, _ = pad_right([weights for *_, weights in rows], 0.0, torch.float)
    return ids, labels, weights


def train_sft(
    model,
    tokenizer,
    demonstrations: Sequence[dict],
    settings: SFTSettings | None = None,
    *,
    seed: int,
    callbacks: Sequence[Callable] = (),
    accelerator=None,
    progress: Callable | None = None,
) -> list[dict]:
    """Fine-tune `model` in place on {"prompt", "completion"} records; return the history.

    Records may have a "remark" (`encode_demonstrations`). Each row of the history holds step, loss
    (nats a token) and lr; every `probe_every` steps and at the end also what the callbacks
    `(step, model) -> dict` return. `progress(step, total)` is called after each step. Raises
    ValueError on no or too long demonstrations and on a loss that is not a number.
    """
    from accelerate import Accelerator

    settings = settings or SFTSettings()
    accelerator = accelerator or Accelerator()
    if len(demonstrations) == 0:
        raise ValueError("no demonstrations to learn from: give at least one")
    rows = encode_demonstrations(
        tokenizer, demonstrations, settings.verdict_weight, settings.remark_weight
    )
    for index, (inputs, *_) in enumerate(rows):
        check_length(len(inputs), model.config.n_positions, f"demonstration {index}")

    batches = epochs_of_batches([len(inputs) for inputs, *_ in rows], settings, seed, accelerator)
    net, *optimizers = accelerator.prepare(LogitsWhere(model), *make_optimizers(model, settings))
    net.train()
    history = []
    for step, batch in enumerate(batches, start=1):
        share = schedule(step, len(batches), settings.warmup_share)
        set_rates(optimizers, share)

        ids, labels, weights = collate([rows[index] for index in batch], tokenizer.pad_token_id)
        ids, labels = ids.to(accelerator.device), labels.to(accelerator.device)
        where = labels != IGNORE
        loss = sft_loss(net(ids, where), labels[where], weights.to(accelerator.device)[where])
        if not torch.isfinite(loss):
            raise ValueError(f"SFT loss is not a number at step {step}: lower the learning rate")
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(net.parameters(), settings.max_gradient_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

        row = {"step": step, "loss": loss.item(), "lr": settings.learning_rate * share}
        if step % settings.probe_every == 0 or step == len(batches):
            net.eval()
            for callback in callbacks:
                row.update(callback(step, model))
            net.train()
        history.append(row)
        if progress:
            progress(step, len(batches))
    net.eval()
    return history


def make_optimizers(model, settings: SFTSettings) -> list[torch.optim.Optimizer]:
    """AdamW for all weights or, with `muon_lr`, Muon for the hidden matrices."""
    if settings.muon_lr is not None:
        return muon_and_adamw(model, settings.muon_lr, settings.learning_rate, 0.0)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    optimizer.param_groups[0]["peak_lr"] = settings.learning_rate
    return [optimizer]


def epochs_of_batches(
    lengths: Sequence[int], settings: SFTSettings, seed: int, accelerator
) -> list[list[int]]:
    """This process's batches for `settings.epochs` epochs; the last epoch may be a part."""
    batch_size = max(1, settings.batch_size // accelerator.num_processes)
    mine = list(range(len(lengths)))[accelerator.process_index :: accelerator.num_processes]
    an_epoch = -(-(len(lengths) // accelerator.num_processes or 1) // batch_size)
    batches: list[list[int]] = []
    epoch = 0
    while len(batches) < max(1, round(settings.epochs * an_epoch)):
        grouped = length_grouped([lengths[i] for i in mine], batch_size, seed=seed + epoch)
        batches += [[mine[position] for position in group] for group in grouped[:an_epoch]]
        epoch += 1
    return batches[: max(1, round(settings.epochs * an_epoch))]


def schedule(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak learning rate at `step` (from 1): linear warm-up, then linear to 0."""
    warmup = max(1, round(warmup_share * steps))
    return min(1.0, step / warmup) * min(1.0, (steps - step + 1) / max(1, steps - warmup))
