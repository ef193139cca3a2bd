"""Solutions of the exercises of notebook 02. Try them yourself first: hints come in steps.

The answers to 02.1 and 02.3 depend on what your run shows, so they are functions of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def learnt_tokens(tokens: Sequence[str]) -> int:
    """The reply and its end token: all that stands behind <|assistant|>."""
    return len(tokens) - (list(tokens).index("<|assistant|>") + 1)


def inputs_and_labels(
    prompt_ids: Sequence[int], reply_ids: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Inputs, and the token that follows each of them, or -100 where it is the prompt's."""
    whole = [*prompt_ids, *reply_ids]
    labels = [-100] * (len(prompt_ids) - 1) + list(reply_ids)
    return whole[:-1], labels


def best_temperature(table: Mapping[float, Mapping[str, float]]) -> tuple[float, str]:
    """The temperature with the greatest gold, and what rose most there."""
    best = max(table, key=lambda temperature: table[temperature]["gold"])
    rise = {name: table[best][name] - table[1.0][name] for name in table[best] if name != "gold"}
    worst = max(rise, key=lambda name: rise[name])
    return best, worst if rise[worst] > 0 else "none"


SOLUTIONS = {"02.1": learnt_tokens, "02.2": inputs_and_labels, "02.3": best_temperature}
