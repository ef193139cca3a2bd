"""A first guess for a reward model's score head: what the language model would say of a reply.

A language model that has learnt to remark on replies ("Right.", "Rude.") foresees its verdict at
the end token: how likely the first word of each remark is. Each word tells of one kind of content
or more, and of a manner. The first guess asks what each kind is worth, so that the rankings are
explained best. That is a number for each kind, where the head has one for each of the model's
width, and a few hundred rankings say more about few numbers than about many. Then the head becomes
the straight line through these worths.

Source: scores as few interpretable parts with weights learnt from preferences, Wang et al. 2024,
arXiv 2406.12845; critiques before scores, Ankner et al. 2024, arXiv 2408.11791. Simplified: the
parts are chances of single words, and the line misses some of their worth, so that the outcome is a
plain score head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from rlhf_tutorial.batching import by_length, pad_right

RIDGE = 1e-3  # of the line, in mean squares of a state's numbers; steadies it where rows are few


def forward_scores(net, rows: Sequence[Sequence[int]], pad_id: int, device) -> torch.Tensor:
    """Raw scores `(rows,)` of token lists, read at each row's last token."""
    ids, _ = pad_right(rows, pad_id)
    ids = ids.to(device)
    # Padding stands to the right of all that is read, so a full mask is right, and faster.
    return net(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[:, 0]


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


def first_tokens(tokenizer, words: Iterable[str]) -> dict[str, int]:
    """The first token of each word, as it stands after an end token; a shared one once."""
    found: dict[int, str] = {}
    for word in words:
        found.setdefault(tokenizer(" " + word)["input_ids"][0], word)
    return {word: token for token, word in found.items()}


@torch.no_grad()
def word_chances(
    model, tokenizer, states: torch.Tensor, words: Iterable[str]
) -> tuple[list[str], torch.Tensor]:
    """The words, one a first token, and how likely each is next at `states`: `(rows, words)`.

    Chances are among these words only; those that share a first token are one word.
    """
    tokens = first_tokens(tokenizer, words)
    directions = model.transformer.wte.weight[list(tokens.values())]
    return list(tokens), (states @ directions.T).softmax(1)


def kind_chances(
    model, tokenizer, states: torch.Tensor, kinds: Mapping[str, Sequence[str]]
) -> tuple[list[str], torch.Tensor]:
    """The kinds by name, and how likely a remark of each is at end `states`: `(rows, kinds)`.

    `kinds` says of which kinds each first word tells. A word adds its chance among these words to
    each of its kinds.
    """
    words, chances = word_chances(model, tokenizer, states, kinds)
    names = list(dict.fromkeys(kind for word in words for kind in kinds[word]))
    tells = torch.tensor([[float(name in kinds[word]) for name in names] for word in words])
    return names, chances @ tells.to(states.device)


def fit_head(
    model,
    tokenizer,
    rows: Sequence[Sequence[Sequence[int]]],
    loss_of: Callable[[Sequence[torch.Tensor]], torch.Tensor],
    kinds: Mapping[str, Sequence[str]],
    *,
    penalty: float,
) -> dict[str, float]:
    """Set `model.score` by what each kind of remark is worth; returns these worths.

    Args:
        model: a `GPT2ForSequenceClassification` on the trunk of a language model whose head is
            tied to its embeddings.
        rows: for each ranking the token lists of its prompt with each reply.
        loss_of: the loss of scores, one tensor `(replies,)` a ranking; Bradley and Terry's.
        kinds: of which kinds the first word of a remark tells. Worths are in log-odds.
        penalty: nats, on the sum of squared worths.
    """
    states = end_states(model, [row for group in rows for row in group], tokenizer.pad_token_id)
    names, chances = kind_chances(model, tokenizer, states, kinds)
    worth = best_worths(chances, [len(group) for group in rows], loss_of, penalty=penalty)
    with torch.no_grad():
        model.score.weight.copy_(straight_line(states, chances @ worth)[None])
    return dict(zip(names, worth.tolist(), strict=True))


def best_worths(
    parts: torch.Tensor,
    sizes: list[int],
    loss_of: Callable[[Sequence[torch.Tensor]], torch.Tensor],
    *,
    penalty: float,
) -> torch.Tensor:
    """What each of the `parts` `(rows, parts)` is worth `(parts,)` for a sum that loses least.

    `sizes` deals the rows out to rankings; `loss_of` and `penalty` are as in `fit_head`.
    """
    worth = torch.zeros(parts.shape[1], device=parts.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([worth], max_iter=200, line_search_fn="strong_wolfe")

    def loss_and_gradient():
        optimizer.zero_grad()
        loss = loss_of((parts @ worth).split(sizes)) + penalty * worth.square().sum()
        loss.backward()
        return loss

    optimizer.step(loss_and_gradient)
    return worth.detach()


def straight_line(states: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The weights `(width,)` whose products with `states` `(rows, width)` come nearest to `scores`.

    Least squares with a small ridge; up to a constant, which means nothing in a score.
    """
    states, scores = states - states.mean(0), scores - scores.mean()
    squares = states.T @ states
    squares.diagonal().add_(RIDGE * squares.diagonal().mean())
    return torch.linalg.solve(squares, states.T @ scores)
