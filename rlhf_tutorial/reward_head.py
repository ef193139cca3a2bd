"""A first guess for a reward model's score head: what the language model would say of a reply.

A language model that has learnt to remark on replies ("Right.", "Rude.") holds its verdict at the
end token: the logit of each remark's first word. The score begins as the weighted sum of these
logits that explains the rankings best. That is a number for each word, where the head has one for
each of the model's width, and a few hundred rankings say more about few numbers than about many.

Source: scores as few interpretable parts with weights learnt from preferences, Wang et al. 2024,
arXiv 2406.12845; critiques before scores, Ankner et al. 2024, arXiv 2408.11791. Simplified: the
parts are logits of single words, and linear, so that the outcome is a plain score head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rlhf_tutorial.batching import by_length, pad_right


@torch.no_grad()
def end_states(model, rows: Sequence[Sequence[int]], pad_id: int) -> torch.Tensor:
    """The trunk's last states `(rows, width)` at each row's last token, where the score is read."""
    model.eval()
    states = torch.empty(len(rows), model.config.n_embd, device=model.device)
    for batch in by_length([len(row) for row in rows], 256):
        ids, _ = pad_right([rows[index] for index in batch], pad_id)
        ids = ids.to(model.device)
        hidden = model.transformer(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        last = torch.tensor([len(rows[index]) - 1 for index in batch], device=ids.device)
        states[batch] = hidden[torch.arange(len(batch), device=ids.device), last]
    return states


def first_tokens(tokenizer, words: Sequence[str]) -> dict[str, int]:
    """The first token of each word, as it stands after an end token; a shared one once."""
    found: dict[int, str] = {}
    for word in words:
        found.setdefault(tokenizer(" " + word)["input_ids"][0], word)
    return {word: token for token, word in found.items()}


def fit_head(
    model,
    tokenizer,
    rows: Sequence[Sequence[Sequence[int]]],
    loss_of: Callable[[Sequence[torch.Tensor]], torch.Tensor],
    words: Sequence[str],
    *,
    penalty: float,
) -> dict[str, float]:
    """Set `model.score` to the best weighted sum of the words' logits; returns their weights.

    Args:
        model: a `GPT2ForSequenceClassification` on the trunk of a language model whose head is
            tied to its embeddings.
        rows: for each ranking the token lists of its prompt with each reply.
        loss_of: the loss of scores, one tensor `(replies,)` a ranking; Bradley and Terry's.
        words: whose logits may count. Weights are in log-odds a standard deviation of all logits.
        penalty: nats, on the sum of squared weights.
    """
    tokens = first_tokens(tokenizer, words)
    flat = [row for group in rows for row in group]
    states = end_states(model, flat, tokenizer.pad_token_id)
    directions = model.transformer.wte.weight.detach()[list(tokens.values())]
    logits = states @ directions.T
    scale = logits.std()
    logits = (logits - logits.mean(0)) / scale
    sizes = [len(group) for group in rows]
    weights = torch.zeros(len(tokens), device=logits.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss_and_gradient():
        optimizer.zero_grad()
        loss = loss_of((logits @ weights).split(sizes)) + penalty * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(loss_and_gradient)
    with torch.no_grad():
        model.score.weight.copy_((weights / scale @ directions)[None])
    return dict(zip(tokens, weights.tolist(), strict=True))
