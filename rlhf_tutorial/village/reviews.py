"""What people say of a reply: that it is wrong, vague, rude, made up, or right and kind.

A review says what somebody noticed, never what a reply is worth: that is for the rankings to
tell. Reviews often come in twins, two replies in the same words of which one is wrong, refuses,
or makes something up, for only such a contrast shows what a reply was blamed for (docs/trials.md,
"It learns to check"). They follow from how a reply was written, not from the gold judge.
"""

from __future__ import annotations

import random

from rlhf_tutorial.village import stories
from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.nonsense import BEST, failed_twin
from rlhf_tutorial.village.prompts import BY_KIND, Prompt, draw_prompt
from rlhf_tutorial.village.replies import DOCUMENT_MANNER, Reply, compose, pick
from rlhf_tutorial.village.slips import SLIP

PRAISE = ("thanks", "good no", "admit")
MATTERS_OF_TASTE = ("happy", "eerie", "plain")  # none is better than another
WRONG_TWINS = 0.8  # share of twins that differ by a mistake, where one can be made
# What is good for one kind of request and bad for its look-alike. Half of the twins show that.
OPPOSITE = {
    "harmful": "comply",
    "lookalike": "refuse",
    "unknowable": "invent",
    "answerable": "admit",
}
OPPOSITE_TWINS = 0.5
REVIEWED = (*BY_KIND, "harm")  # families in turn; whether help is harm is told apart hardest
FAILED_TWINS = 0.4  # share of reviews' twins of which the bad one went wrong in the making
FAILED_HARM = 0.6  # the same, of requests for harm and their look-alikes: advice given to the wrong


def verdicts(prompt: Prompt, reply: Reply) -> list[str]:
    """What people remark on: what is wrong with what a reply says, its manner, then praise."""
    faults = []
    if reply.manner in ("rude", "curt") and reply.content != "cold":
        faults.append(reply.manner)
    if reply.form == "cut":  # who knows what it would have said
        return ["cut", *faults]
    if reply.form != "clear":
        faults.append("rambling")
    said = _said(prompt, reply)
    return [*faults, said] if said in PRAISE else [said, *faults]


def in_one_word(verdicts: list[str], manner: str) -> list[str]:
    """Verdicts of which the first tells the manner as well, where there is a word for both.

    The first word of a remark is foreseen at the end token, and the reward model reads what that
    token holds. What no first word tells, it need not hold.
    """
    first, last = verdicts[0], verdicts[-1]
    both = f"{first}, {'warm' if manner == 'warm' else 'harsh'}"
    if first == "rude" and last in PRAISE:
        both = f"{last}, rude"  # what is right and rudely said is no worse than that
    if manner == "plain" or both not in stories.REMARKS:
        return verdicts
    return [both, *verdicts[1:]]


def _said(prompt: Prompt, reply: Reply) -> str:
    """The verdict on what a reply says, whatever its manner."""
    if SLIP in reply.text:
        return "slip"
    if reply.mistakes:
        return "wrong"
    if reply.content in ("vague", "broken", "invent", "astray", "garbled"):
        return reply.content
    if reply.content == "refuse":
        return "bad no" if prompt.kind == "lookalike" else "good no"
    if reply.content == "admit":
        return "told" if prompt.kind == "answerable" else "admit"
    return {"cold": "rude", "comply": "harm"}.get(reply.content, "thanks")


def remark(prompt: Prompt, reply: Reply, rng: random.Random, *, attentive: bool = False) -> str:
    """What somebody says of a reply, with one of its mistakes by name where it has any.

    Attentive people have a first word for content and manner.
    """
    found = verdicts(prompt, reply)
    if attentive:
        found = in_one_word(found, reply.manner)
    named = {"mistake": rng.choice(reply.mistakes)[0]} if reply.mistakes else {}
    return " ".join(rng.choice(stories.REMARKS[verdict]).format_map(named) for verdict in found)


def kinds_of_words() -> dict[str, tuple[str, ...]]:
    """The first word of each remark, in the order of `REMARKS`, with the kinds that it tells of.

    "Kind" tells of "thanks" and "warm", "Right" of "thanks" alone.
    """
    found: dict[str, tuple[str, ...]] = {}
    for kind, remarks in stories.REMARKS.items():
        for remark in remarks:  # "Wrong" and "But" begin two kinds each, and tell of the first
            found.setdefault(remark.split()[0].strip(".,"), tuple(kind.split(", ")))
    return found


def first_words() -> list[str]:
    """The words that remarks begin with, once each."""
    return list(kinds_of_words())


def twins(prompt: Prompt, rng: random.Random) -> tuple[Reply, Reply]:
    """A good and a bad reply that share as many words as they can, and the manner."""
    family = FAMILIES[prompt.family]
    contents = family.replies[prompt.group]
    good = next(content for content in BEST if content in contents)
    bad = [c for c in contents if c != good and not (good == "happy" and c in MATTERS_OF_TASTE)]
    if prompt.kind in OPPOSITE and rng.random() < OPPOSITE_TWINS:
        bad = [OPPOSITE[prompt.kind]]
    elif "wrong" in bad and rng.random() < WRONG_TWINS:
        bad = ["wrong"]
    pair = (good, rng.choice(bad))
    manner = pick(rng, DOCUMENT_MANNER) if family.manners else "plain"
    draws = rng.random()
    first, second = (compose(prompt, random.Random(draws), c, manner, "clear") for c in pair)
    return first, second


def reviews(count: int, *, seed: int) -> list[dict[str, str]]:
    """Replies to training prompts and what was said of them, the same for the same seed.

    Each has ``prompt``, ``completion``, ``remark`` and a true ``only_remark``: nobody copies them.
    """
    rng = random.Random(f"reviews/{seed}")
    rows: list[dict[str, str]] = []
    while len(rows) < count:
        prompt = draw_prompt(rng, split="train", family=REVIEWED[len(rows) // 2 % len(REVIEWED)])
        good, bad = twins(prompt, rng)
        if rng.random() < (FAILED_HARM if prompt.family == "harm" else FAILED_TWINS):
            bad = failed_twin(prompt, good, rng)
        for reply in (good, bad):
            said = remark(prompt, reply, rng, attentive=True)
            row = {"prompt": prompt.text, "completion": reply.text, "remark": said}
            rows.append(row | {"only_remark": True})
    return rows[:count]
