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
        self.trunk = model.transformer
        self.head = model.lm_head.weight
        self.heads = model.config.n_head

    def read(self, ids: torch.Tensor, mask: torch.Tensor, room: int) -> torch.Tensor:
        """Read left-padded prompts; see `PlainDecoder.read`."""
        batch, time = ids.shape
        width = self.trunk.embed_dim
        shape = (batch, self.heads, time + room, width // self.heads)
        self.keys = [self.head.new_empty(shape) for _ in self.trunk.h]
        self.values = [self.head.new_empty(shape) for _ in self.trunk.h]
        self.length = time
        self.next_position = mask.sum(-1)
        self.visible = None  # (batch, time + room), or None when nothing is padded
        if not bool(mask.all()):
            self.visible = F.pad(mask.bool(), (0, room), value=True)
        groups = [slice(start, start + READ_TOGETHER) for start in range(0, batch, READ_TOGETHER)]
        return torch.cat([self._read_rows(rows, ids[rows], mask[rows]) for rows in groups])

    def _read_rows(self, rows: slice, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Read some of the prompts, without the padding that stands left of all of them."""
        first = ids.size(1) - int(mask.sum(-1).max())
        for cache in (*self.keys, *self.values):
            cache[rows, :, :first] = 0.0  # never seen, but what is there must be a number
        ids, mask = ids[:, first:], mask[:, first:]
        seen = None
        if not bool(mask.all()):
            time = ids.size(1)
            causal = torch.ones(time, time, dtype=torch.bool, device=ids.device).tril()
            # Padding sees itself: attention to nothing at all would be 0 / 0.
            itself = torch.eye(time, dtype=torch.bool, device=ids.device)
            seen = (causal & mask.bool()[:, None, None, :]) | itself
        hidden = self.trunk.wte(ids) + self.trunk.wpe(positions(mask))
        return self._run(hidden, seen, rows, first, first)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Read one more token a row; see `PlainDecoder.step`."""
        hidden = self.trunk.wte(tokens) + self.trunk.wpe(self.next_position)
        self.next_position = self.next_position + 1
        seen = None
        if self.visible is not None:
            seen = self.visible[:, None, None, : self.length + 1]
        logits = self._run(hidden[:, None], seen, slice(None), 0, self.length)
        self.length += 1
        return logits

    def repeat(self, times: int) -> None:
        """Make each row `times` rows; see `PlainDecoder.repeat`."""
        self._choose(lambda tensor: tensor.repeat_interleave(times, 0))

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only; see `PlainDecoder.keep`."""
        self._choose(lambda tensor: tensor.index_select(0, rows))

    def _choose(self, choose) -> None:
        self.keys = [choose(tensor) for tensor in self.keys]
        self.values = [choose(tensor) for tensor in self.values]
        self.next_position = choose(self.next_position)
        if self.visible is not None:
            self.visible = choose(self.visible)
            if bool(self.visible.all()):
                self.visible = None

    def _run(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor | None,
        rows: slice,
        oldest: int,
        start: int,
    ) -> torch.Tensor:
        """Run new hidden states `(rows, new, width)` through the layers, extending the cache.

        They take the places from `start` in the cache of these rows, and see what is there from
        `oldest`. Return the logits after the last of them.
        """
        batch, new, width = hidden.shape
        stop = start + new
        causal = mask is None and new > 1
        hidden = hidden.reshape(-1, width)
        for block, keys, values in zip(self.trunk.h, self.keys, self.values, strict=True):
            mixed = _linear(block.attn.c_attn, _norm(block.ln_1, hidden))
            mixed = mixed.view(batch, new, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            query = mixed[0]
            keys[rows, :, start:stop] = mixed[1]
            values[rows, :, start:stop] = mixed[2]
            if block is self.trunk.h[-1]:  # of the last layer only the last token is asked for
                query, causal = query[:, :, -1:], False
                mask = None if mask is None else mask[:, :, -1:]
                hidden = hidden.view(batch, new, width)[:, -1]
            attended = F.scaled_dot_product_attention(
                query,
                keys[rows, :, oldest:stop],
                values[rows, :, oldest:stop],
                attn_mask=mask,
                is_causal=causal,
            )
            attended = attended.transpose(1, 2).reshape(-1, width)
            hidden = hidden + _linear(block.attn.c_proj, attended)
            inner = block.mlp.act(_linear(block.mlp.c_fc, _norm(block.ln_2, hidden)))
            hidden = hidden + _linear(block.mlp.c_proj, inner)
        return F.linear(_norm(self.trunk.ln_f, hidden), self.head)


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
    head = model.lm_head
    is_plain = type(head) is torch.nn.Linear and head.bias is None
    return is_plain and all(type(layer) is Conv1D for layer in linear)


def _linear(layer, hidden: torch.Tensor) -> torch.Tensor:
    """GPT-2's linear layer, whose weight is `(inputs, outputs)`, on `(rows, inputs)`."""
    return torch.addmm(layer.bias, hidden, layer.weight)


def _norm(layer, hidden: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(hidden, layer.normalized_shape, layer.weight, layer.bias, layer.eps)
