"""Probes of a base model: does it know the village's facts, does it copy from the text?"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from rlhf_tutorial.village import world
from rlhf_tutorial.village.minimal_pairs import minimal_pairs
from rlhf_tutorial.village.words import NAMES, PLACES, THINGS

CLOZES = {"job": "{} is the", "home": "{} lives by the", "pet": "{} has a"}
COPIES = 60  # clozes of each sort of copying


def facts_clozes() -> list[tuple[str, str]]:
    """Beginnings of sentences about the world with the word that must follow."""
    return [
        (frame.format(who), world.value(who, relation))
        for relation, frame in CLOZES.items()
        for who in world.subjects(relation)
    ]


def copy_clozes(kind: str, seed: int = 1) -> list[tuple[str, str]]:
    """Errands whose next word, a thing or a place, stands in the text before it."""
    rng = random.Random(seed)
    clozes = []
    for _ in range(COPIES):
        asker, helper, who = rng.sample(NAMES, 3)
        thing, place = rng.choice(THINGS), rng.choice(PLACES)
        asked = f"{asker}: Please bring the {thing} to {who} at the {place}.\n{helper}: I will"
        if kind == "thing":
            clozes.append((f"{asked} bring the", thing))
        else:
            clozes.append((f"{asked} bring the {thing} to {who} at the", place))
    return clozes


def verdict_clozes() -> list[tuple[str, str]]:
    """Talk with the remark that must follow behind an end token; half right, half wrong."""
    clozes = []
    for pair in minimal_pairs(60, split="development"):
        for reply, verdict in ((pair.right, "Right"), (pair.wrong, "Wrong")):
            clozes.append((f"Ada: {pair.prompt}\nBram: {reply}", verdict))
    return clozes


def share_right(
    model, tokenizer, clozes: Sequence[tuple[str, str]], *, ended: bool = False
) -> float:
    """Share of clozes whose likeliest next token begins the right word.

    ``ended``: the word is the first of a new text, behind an end token.
    """
    import torch

    from rlhf_tutorial.sampling import pad_left
    from rlhf_tutorial.tokenizer import encode_texts

    rows = [
        [tokenizer.eos_token_id, *ids, *([tokenizer.eos_token_id] if ended else [])]
        for ids in encode_texts(tokenizer, [" " + text for text, _ in clozes])
    ]
    wanted = [ids[0] for ids in encode_texts(tokenizer, [" " + word for _, word in clozes])]
    ids, mask = pad_left(rows, tokenizer.pad_token_id)
    positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        device = model.device
        logits = model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            use_cache=False,
            logits_to_keep=1,
        ).logits[:, -1]
    hits = logits.argmax(-1).cpu() == torch.tensor(wanted)
    return float(hits.float().mean())


def village_probes(tokenizer) -> Callable:
    """A callback for pretraining: facts known, things and places copied from the prompt."""
    sets = {
        "probe/facts": facts_clozes(),
        "probe/copied_things": copy_clozes("thing"),
        "probe/copied_places": copy_clozes("place"),
        "probe/verdicts": verdict_clozes(),
    }

    def callback(step: int, model) -> dict[str, float]:
        return {
            name: share_right(model, tokenizer, clozes, ended=name == "probe/verdicts")
            for name, clozes in sets.items()
        }

    return callback
