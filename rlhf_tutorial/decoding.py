"""Two ways to run a GPT-2 one token at a time: the plain one and the fast one.

Both remember the keys and values of what was read (the KV cache), so that a step reads one token
and not the whole text again. Both offer the same four methods, and a test holds them equal.

`PlainDecoder` asks the transformers model. `FastDecoder` reads the weights out of the same model
and runs the layers itself. It is faster because its cache is reserved once and written in place,
where transformers copies all of it to append one token, and because nothing else is built at each
step. It knows the usual GPT-2 only; `decoder_for` takes the plain one for anything else.

Rows are padded on the left, so that all grow at the same end. Padding is hidden from attention,
and positions are counted from the first real token, so a row does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional as F

# Prompts that are read at a time: `sample` sorts them by length, so few of them need padding.
READ_TOGETHER = 16


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Positions `(batch, time)` of tokens counted from the first real one; 0 on left padding."""
    return (mask.long().cumsum(-1) - 1).clamp(min=0)


class PlainDecoder:
    """Decodes through the model's own `forward` and a `DynamicCache`."""

    def __init__(self, model):
        self.model = model

    def read(self, ids: torch.Tensor, mask: torch.Tensor, room: int) -> torch.Tensor:
        """Read left-padded prompts `(batch, time)`; return logits of the next token `(batch,
        vocabulary)`. `room` is the number of tokens that may follow."""
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions(mask),
            use_cache=True,
            logits_to_keep=1,
        )
        self.cache, self.mask = output.past_key_values, mask
        return output.logits[:, -1]

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one more token a row `(batch,)`; return the next logits `(batch, vocabulary)`."""
        self.mask = F.pad(self.mask, (0, 1), value=1)
        output = self.model(
            input_ids=tokens[:, None],
            attention_mask=self.mask,
            position_ids=positions(self.mask)[:, -1:],
            past_key_values=self.cache,
            use_cache=True,
        )
        self.cache = output.past_key_values
        return output.logits[:, -1]

    def repeat(self, times: int) -> None:
        """Make each row `times` rows, side by side, so that a prompt is read once."""
        self.cache.batch_repeat_interleave(times)
        self.mask = self.mask.repeat_interleave(times, 0)

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only (their indexes, ascending)."""
        self.cache.batch_select_indices(rows)
        self.mask = self.mask[rows]


class FastDecoder:
    """Decodes with a reserved cache, straight from the weights; methods as `PlainDecoder`."""

    def __init__(self, model):
        trunk = model.transformer
        self.layers = [Layer.of(block) for block in trunk.h]
        self.words, self.places = trunk.wte.weight, trunk.wpe.weight
        self.last_norm, self.head = _norm_of(trunk.ln_f), model.lm_head.weight
        self.heads = model.config.n_head

    def read(self, ids: torch.Tensor, mask: torch.Tensor, room: int) -> torch.Tensor:
        """Read left-padded prompts; see `PlainDecoder.read`."""
        batch, time = ids.shape
        width = self.head.shape[1]
        shape = (2, batch, self.heads, time + room, width // self.heads)  # keys and values
        self.caches = [self.head.new_empty(shape) for _ in self.layers]
        self.length = time
        self.next_position = mask.sum(-1)
        self.unseen = None  # (batch, 1, 1, time + room), or None when nothing is padded
        if not bool(mask.all()):
            visible = F.pad(mask.bool(), (0, room), value=True)
            self.unseen = _minus_infinity_outside(visible[:, None, None], self.head)
        groups = [slice(start, start + READ_TOGETHER) for start in range(0, batch, READ_TOGETHER)]
        return torch.cat([self._read_rows(rows, ids[rows], mask[rows]) for rows in groups])

    def _read_rows(self, rows: slice, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Read some of the prompts, without the padding that stands left of all of them."""
        first = ids.size(1) - int(mask.sum(-1).max())
        caches = [cache[:, rows] for cache in self.caches]
        for cache in caches:
            cache[..., :first, :] = 0.0  # never seen, but what is there must be a number
        ids, mask = ids[:, first:], mask[:, first:]
        unseen = None
        if not bool(mask.all()):
            time = ids.size(1)
            causal = torch.ones(time, time, dtype=torch.bool, device=ids.device).tril()
            # Padding sees itself: attention to nothing at all would be 0 / 0.
            itself = torch.eye(time, dtype=torch.bool, device=ids.device)
            seen = (causal & mask.bool()[:, None, None, :]) | itself
            unseen = _minus_infinity_outside(seen, self.head)
        hidden = F.embedding(ids, self.words) + F.embedding(positions(mask), self.places)
        return self._run(hidden, unseen, caches, first, first)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one more token a row; see `PlainDecoder.step`."""
        hidden = F.embedding(tokens, self.words) + F.embedding(self.next_position, self.places)
        self.next_position = self.next_position + 1
        unseen = None if self.unseen is None else self.unseen.narrow(3, 0, self.length + 1)
        logits = self._run(hidden[:, None], unseen, self.caches, 0, self.length)
        self.length += 1
        return logits

    def repeat(self, times: int) -> None:
        """Make each row `times` rows; see `PlainDecoder.repeat`."""
        self._choose(lambda tensor, rows: tensor.repeat_interleave(times, rows))

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only; see `PlainDecoder.keep`."""
        self._choose(lambda tensor, dimension: tensor.index_select(dimension, rows))

    def _choose(self, choose) -> None:
        """Let `choose(tensor, dimension of its rows)` make the rows anew."""
        self.caches = [choose(cache, 1) for cache in self.caches]
        self.next_position = choose(self.next_position, 0)
        if self.unseen is not None:
            self.unseen = choose(self.unseen, 0)
            if not bool(self.unseen.any()):
                self.unseen = None

    def _run(
        self,
        hidden: torch.Tensor,
        unseen: torch.Tensor | None,
        caches: list[torch.Tensor],
        oldest: int,
        start: int,
    ) -> torch.Tensor:
        """Run new hidden states `(rows, new, width)` through the layers, extending the caches.

        They take the places from `start` in the caches of these rows, and see what is there from
        `oldest`, but for what `unseen` hides. Return the logits after the last of them.
        """
        batch, new, width = hidden.shape
        count = start + new - oldest
        causal = unseen is None and new > 1
        hidden = hidden.reshape(-1, width)
        for layer, cache in zip(self.layers, caches, strict=True):
            mixed = _linear(layer.mix, _norm(layer.norm_1, hidden))
            mixed = mixed.view(batch, new, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            query = mixed[0]
            cache.narrow(3, start, new).copy_(mixed[1:])
            keys, values = cache.narrow(3, oldest, count).unbind(0)
            if layer is self.layers[-1]:  # of the last layer only the last token is asked for
                query, causal = query[:, :, -1:], False
                unseen = None if unseen is None else unseen[:, :, -1:]
                hidden = hidden.view(batch, new, width)[:, -1]
            attended = F.scaled_dot_product_attention(
                query, keys, values, attn_mask=unseen, is_causal=causal
            )
            attended = attended.transpose(1, 2).reshape(-1, width)
            hidden = hidden + _linear(layer.project, attended)
            inner = layer.act(_linear(layer.widen, _norm(layer.norm_2, hidden)))
            hidden = hidden + _linear(layer.narrow, inner)
        return F.linear(_norm(self.last_norm, hidden), self.head)


class Layer(NamedTuple):
    """One block's weights, looked up once: to find one in its modules takes as long as to use it.

    A norm is its shape, gain, bias and epsilon, a linear layer its bias and weight.
    """

    norm_1: tuple
    mix: tuple  # into query, key and value
    project: tuple
    norm_2: tuple
    widen: tuple
    act: Callable
    narrow: tuple

    @classmethod
    def of(cls, block) -> Layer:
        linear = [
            (layer.bias, layer.weight)
            for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)
        ]
        norms = _norm_of(block.ln_1), _norm_of(block.ln_2)
        return cls(norms[0], *linear[:2], norms[1], linear[2], block.mlp.act, linear[3])


def decoder_for(model) -> FastDecoder | PlainDecoder:
    """The fast decoder where it knows the model, else the plain one."""
    config = model.config
    usual = (
        config.model_type == "gpt2"
        and config.scale_attn_weights
        and not config.scale_attn_by_inverse_layer_idx
        and not config.reorder_and_upcast_attn
        and not config.add_cross_attention
    )
    return FastDecoder(model) if usual and _has_plain_layers(model) else PlainDecoder(model)


def _has_plain_layers(model) -> bool:
    """Whether all weights are where GPT-2 has them; adapters (LoRA) put others beside them."""
    from transformers.pytorch_utils import Conv1D

    linear = [
        layer
        for block in model.transformer.h
        for layer in (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)
    ]
    head, trunk = model.lm_head, model.transformer
    is_plain = type(head) is torch.nn.Linear and head.bias is None
    is_plain &= type(trunk.wte) is type(trunk.wpe) is torch.nn.Embedding
    return is_plain and all(type(layer) is Conv1D for layer in linear)


def _minus_infinity_outside(seen: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """What attention adds to its scores: 0 where something is seen, -inf where it is not.

    Attention would make the same of `seen` itself, in every layer and at every step anew.
    """
    return like.new_zeros(seen.shape).masked_fill(~seen, -torch.inf)


def _linear(layer: tuple, hidden: torch.Tensor) -> torch.Tensor:
    """GPT-2's linear layer, whose weight is `(inputs, outputs)`, on `(rows, inputs)`."""
    return torch.addmm(layer[0], hidden, layer[1])


def _norm_of(layer) -> tuple:
    return layer.normalized_shape, layer.weight, layer.bias, layer.eps


def _norm(layer: tuple, hidden: torch.Tensor) -> torch.Tensor:
    return torch.layer_norm(hidden, *layer)
