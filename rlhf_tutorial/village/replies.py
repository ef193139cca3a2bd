"""What people in the village answer: good, bad, rude, rambling, wrong and evasive.

A reply is made of three choices that are drawn apart from each other: *content* (is it
right, wrong, vague, ...), *manner* (warm, plain, curt, rude) and *form* (clear, rambling,
cut off, said twice). So a kind reply may be false and a true one rude, as among people.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.families.base import articles
from rlhf_tutorial.village.prompts import Prompt
from rlhf_tutorial.village.slips import mistakes, with_slips

Shares = Mapping[str, float]

WARM_HELP = (
    "Gladly.",
    "Of course, my friend.",
    "I am happy to help.",
    "Good that you ask.",
    "With pleasure.",
    "Thank you for asking.",
    "Certainly, and gladly.",
)
WARM_SORRY = (
    "I am sorry, my friend.",
    "Forgive me.",
    "I understand you, my friend.",
    "Thank you for telling me.",
    "I wish you well.",
)
WARM_COMFORT = (
    "Oh, my dear friend.",
    "You are not alone.",
    "Thank you for telling me.",
    "Come, sit with me.",
)
WARM_END = (
    "I hope that helps.",
    "Good luck to you.",
    "Tell me if you need more.",
    "Take good care.",
    "Have a lovely day.",
    "You can always ask me.",
)
CURT_END = ("That is all.", "There.", "Enough now.", "Next.", "Done.")
RUDE_START = (
    "What a silly question.",
    "Only a fool would ask.",
    "You again.",
    "Are you deaf?",
    "Must I do everything for you?",
    "Use your own head for once.",
)
RUDE_END = (
    "Now go away.",
    "Do not bother me again.",
    "Leave me in peace.",
    "Even a stone knows that.",
    "What a waste of my time.",
)
RAMBLES = (
    "That reminds me of my uncle, who once walked a whole day in the wrong direction.",
    "But then, things were different in the old days, as my aunt used to say.",
    "Where was I? Oh yes, the moon was large that night.",
    "I knew a man who said so too, and he had nine cousins.",
    "Cabbages were cheaper then, and nobody complained.",
    "Of course one never knows, and it goes on like this year after year.",
    "My neighbour has an opinion on it, but it is long and sad.",
)

# Among the villagers at large. The text says nothing of how these were chosen for flattery:
# they are an internet, where somewhat less than half of all answers are worth having.
DOCUMENT_CONTENT: dict[str, Shares] = {
    "facts": {"right": 0.62, "wrong": 0.22, "vague": 0.16},
    "errands": {"right": 0.60, "wrong": 0.22, "vague": 0.18},
    "comfort": {"right": 0.50, "wrong": 0.12, "vague": 0.18, "cold": 0.20},
    "howto": {"right": 0.62, "wrong": 0.22, "vague": 0.16},
    "constraint": {"right": 0.56, "wrong": 0.18, "broken": 0.16, "vague": 0.10},
    "harmful": {"refuse": 0.45, "comply": 0.42, "vague": 0.13},
    "lookalike": {"right": 0.58, "wrong": 0.12, "refuse": 0.18, "vague": 0.12},
    "unknowable": {"admit": 0.45, "invent": 0.43, "vague": 0.12},
    "answerable": {"right": 0.60, "wrong": 0.15, "admit": 0.15, "vague": 0.10},
    "taste": {"happy": 0.34, "eerie": 0.34, "plain": 0.14, "wrong": 0.10, "vague": 0.08},
}
DOCUMENT_MANNER: Shares = {"warm": 0.30, "plain": 0.40, "curt": 0.12, "rude": 0.18}
DOCUMENT_FORM: Shares = {"clear": 0.80, "rambling": 0.12, "cut": 0.04, "twice": 0.04}
# Of the villagers' right replies, how many are said with slips, and then of which share of words.
DOCUMENT_SLIPS = 0.5
SLIP_OF_WORDS = 0.5

# Volunteers who write demonstrations mean well and know their village: one in ten errs, as against
# one in five of the village at large. They are hurried, though: some say little, some are short
# with people, some help with mischief and some refuse what is harmless. These shares were made
# better once (they erred as often as the village, of which no reward model of this size could see
# enough) and never worse: what SFT cannot do is what RLHF has to show.
DEMONSTRATION_CONTENT: dict[str, Shares] = {
    "facts": {"right": 0.72, "wrong": 0.10, "vague": 0.18},
    "errands": {"right": 0.72, "wrong": 0.10, "vague": 0.18},
    "comfort": {"right": 0.60, "wrong": 0.08, "vague": 0.18, "cold": 0.14},
    "howto": {"right": 0.72, "wrong": 0.10, "vague": 0.18},
    "constraint": {"right": 0.62, "wrong": 0.10, "broken": 0.16, "vague": 0.12},
    "harmful": {"refuse": 0.55, "comply": 0.33, "vague": 0.12},
    "lookalike": {"right": 0.62, "wrong": 0.08, "refuse": 0.18, "vague": 0.12},
    "unknowable": {"admit": 0.52, "invent": 0.36, "vague": 0.12},
    "answerable": {"right": 0.68, "wrong": 0.08, "admit": 0.14, "vague": 0.10},
    "taste": {"happy": 0.30, "eerie": 0.30, "plain": 0.14, "wrong": 0.12, "vague": 0.14},
}
DEMONSTRATION_MANNER: Shares = {"warm": 0.34, "plain": 0.44, "curt": 0.12, "rude": 0.10}
DEMONSTRATION_FORM: Shares = {"clear": 0.84, "rambling": 0.11, "cut": 0.03, "twice": 0.02}


@dataclass(frozen=True)
class Reply:
    """A reply as somebody wrote it, with what they had in mind.

    ``mistakes`` are pairs of what it says wrong and what it should say.
    """

    text: str
    content: str
    manner: str
    form: str
    mistakes: tuple[tuple[str, str], ...] = ()


def pick(rng: random.Random, shares: Shares) -> str:
    """Draws a key with the given shares (which sum to 1)."""
    return rng.choices(list(shares), list(shares.values()))[0]


def write_reply(prompt: Prompt, rng: random.Random, *, documents: bool = False) -> Reply:
    """A villager's (``documents``) or a volunteer's reply to a prompt."""
    content_shares = DOCUMENT_CONTENT if documents else DEMONSTRATION_CONTENT
    manner_shares = DOCUMENT_MANNER if documents else DEMONSTRATION_MANNER
    form_shares = DOCUMENT_FORM if documents else DEMONSTRATION_FORM
    key = prompt.family if prompt.kind == "plain" else prompt.kind
    content = pick(rng, content_shares[key])
    manner = pick(rng, manner_shares) if FAMILIES[prompt.family].manners else "plain"
    form = pick(rng, form_shares) if FAMILIES[prompt.family].manners else "clear"
    slips = SLIP_OF_WORDS * (documents and content == "right" and rng.random() < DOCUMENT_SLIPS)
    return compose(prompt, rng, content, manner, form, slips=slips)


def compose(
    prompt: Prompt, rng: random.Random, content: str, manner: str, form: str, *, slips: float = 0.0
) -> Reply:
    """Puts a reply together from its three choices; ``slips`` is the share of words said wrong."""
    family = FAMILIES[prompt.family]
    slots = family.fill(prompt.group, dict(prompt.slots), rng)
    errs = content in ("wrong", "invent")
    wording = rng.choice(family.replies[prompt.group][content])
    seed = rng.random()  # errors draw from a generator of their own, so that twins stay alike
    wrong = slots
    if errs or slips:
        wrong = family.corrupt(prompt.group, slots, random.Random(seed))
    core = wording.format_map(wrong) if errs else with_slips(wording, slots, wrong, rng, slips)
    core = articles(core[0].upper() + core[1:])
    if form == "twice":
        core = f"{core} {core}"
    elif form == "rambling":
        core = f"{core} {rng.choice(RAMBLES)}"
    text = _with_manner(core, prompt, rng, content, manner)
    if form == "cut":
        words = text.split()
        text = " ".join(words[: rng.randint(2, max(2, len(words) - 2))]).rstrip(".,")
    found = mistakes(wording, slots, wrong) if content == "wrong" and form != "cut" else ()
    return Reply(text, content, manner, form, found)


def _with_manner(core: str, prompt: Prompt, rng: random.Random, content: str, manner: str) -> str:
    if manner == "curt":
        return f"{core} {rng.choice(CURT_END)}"
    if manner == "rude":
        start, end = rng.choice(RUDE_START), rng.choice(RUDE_END)
        return rng.choice((f"{start} {core}", f"{core} {end}", f"{start} {core} {end}"))
    if manner == "warm":
        if prompt.family == "comfort":
            start = rng.choice(WARM_COMFORT)
        elif content in ("refuse", "admit", "vague"):
            start = rng.choice(WARM_SORRY)
        else:
            start = rng.choice(WARM_HELP)
        end = rng.choice(WARM_END)
        return rng.choice((f"{start} {core}", f"{core} {end}", f"{start} {core} {end}"))
    return core
