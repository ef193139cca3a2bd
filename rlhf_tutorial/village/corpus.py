"""Documents for pretraining and demonstrations for SFT.

Documents are the village's internet: stories, statements and overheard talk in which
people answer well, badly, rudely and at length. Only prompts of the training split are
overheard, so that no evaluation prompt has ever been seen.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterable

from rlhf_tutorial.village import stories, world
from rlhf_tutorial.village.families import FAMILIES, constraint, facts, howto, unknowable
from rlhf_tutorial.village.families.base import Slots, articles
from rlhf_tutorial.village.prompts import Prompt, draw_prompt
from rlhf_tutorial.village.replies import Reply, pick, write_reply
from rlhf_tutorial.village.reviews import remark, twins
from rlhf_tutorial.village.slips import with_slips
from rlhf_tutorial.village.words import (
    ANIMALS,
    COLOURS,
    DAYS,
    FEELINGS,
    FOODS,
    KINDS,
    NAMES,
    PLACES,
    THINGS,
    WEATHER,
    pronouns,
)

# Shares of documents in the first part and in the rest. Rhymes come early: as long as nothing
# is copied, the rest cannot be learnt. Overheard talk is the largest part of the rest.
NURSERY_PART = 0.15
NURSERY_SHARES = {"rhyme": 0.80, "statement": 0.05, "overheard": 0.15}
SHARES = {"rhyme": 0.03, "story": 0.06, "statement": 0.28, "overheard": 0.63}
# Subjects of rhymes, the long lists more often: there is more to tell apart in them.
RHYME_SUBJECTS = tuple(
    "thing thing thing place place place who who who animal animal food feeling colour weather "
    "number".split()
)
# Of the words that could be said wrongly, how many are, and then corrected: in rhymes behind their
# first line and in stories behind their opening, for before nothing tells which word is meant.
SLIPS = {"rhyme": 0.25, "story": 0.12, "statement": 0.15}
TWINS = 0.3  # of overheard talk: the same question twice, with two answers that differ in one thing
PROMPTS_KEPT = 12_000  # overheard prompts drawn once and reused with new replies


def documents(count: int, *, seed: int) -> list[str | tuple[str, str]]:
    """``count`` documents, each a few sentences; the same for the same seed.

    Overheard talk is a pair: the talk, and a remark on it that stands behind an end token.
    Their order matters: the first ``NURSERY_PART`` of them are mostly rhymes.
    """
    rng = random.Random(f"documents/{seed}")
    prompts = _overheard_prompts(min(PROMPTS_KEPT, count), seed)
    writers = {"rhyme": rhyme, "story": story, "statement": statement}
    made = []
    while len(made) < count:
        kind = pick(rng, NURSERY_SHARES if len(made) < NURSERY_PART * count else SHARES)
        if kind == "overheard":
            prompt = rng.choice(prompts)
            one = (write_reply(prompt, rng, documents=True),)
            for reply in twins(prompt, rng) if rng.random() < TWINS else one:
                made.append(overheard(prompt, reply, rng))
        else:
            made.append(articles(writers[kind](rng)))
    return made[:count]


@functools.lru_cache(maxsize=2)
def _overheard_prompts(count: int, seed: int) -> list[Prompt]:
    rng = random.Random(f"overheard/{seed}")
    names = list(FAMILIES)
    return [draw_prompt(rng, split="train", family=names[i % len(names)]) for i in range(count)]


def _common_slots(rng: random.Random) -> Slots:
    who, who2 = rng.sample(NAMES, 2)
    return {
        "who": who,
        "who2": who2,
        "thing": rng.choice(THINGS),
        "place": rng.choice(PLACES),
        "animal": rng.choice(ANIMALS),
        "colour": rng.choice(COLOURS),
        "feeling": rng.choice(FEELINGS),
        "food": rng.choice(FOODS),
        "day": rng.choice(DAYS),
        "weather": rng.choice(WEATHER),
        "number": rng.choice(unknowable.NUMBERS),
    } | pronouns(who)


def rhyme(rng: random.Random) -> str:
    """Six or seven lines of nursery rhyme about two subjects, said over and over."""
    slots = _common_slots(rng)
    first, second = rng.sample(RHYME_SUBJECTS, 2)
    lines = [*stories.RHYMES[first], *stories.RHYMES[second]]
    chosen = rng.sample(lines, min(len(lines), rng.choice((6, 7))))
    lines = [chosen[0].format_map(slots)]
    for line in chosen[1:]:
        lines.append(with_slips(line, slots, _common_slots(rng), rng, SLIPS["rhyme"]))
    return " ".join(line[0].upper() + line[1:] for line in lines)


def story(rng: random.Random) -> str:
    """An opening, one or two middles and an end with the same people and things."""
    slots = _common_slots(rng)
    middles = rng.sample(stories.MIDDLES, rng.choice((1, 2, 2)))
    opening = rng.choice(stories.OPENINGS).format_map(slots)
    rest = " ".join((*middles, rng.choice(stories.ENDINGS)))
    return f"{opening} {with_slips(rest, slots, _common_slots(rng), rng, SLIPS['story'])}"


def statement(rng: random.Random) -> str:
    """Three facts of one villager, or what animals eat, or how something is done, or a list."""
    point = rng.random()
    if point < 0.62:
        who = rng.choice(NAMES)
        relations = rng.sample(("job", "home", "pet"), 3)
        return " ".join(_fact(who, relation, rng) for relation in relations)
    if point < 0.74:
        animals = rng.sample(ANIMALS, 2)
        return " ".join(_fact(animal, "diet", rng) for animal in animals)
    slots = _common_slots(rng)
    if point < 0.90:
        task = rng.choice(list(howto.TASKS))
        slots |= {"task": task} | howto.steps_of(task)
        return rng.choice(stories.HOW_THINGS_ARE_DONE).format_map(slots)
    number, category = rng.choice(list(constraint.NUMBERS)), rng.choice(list(KINDS))
    slots |= {"number": number, "category": category}
    slots["items"] = constraint.items(constraint.NUMBERS[number], category, rng)
    return rng.choice(stories.LISTS).format_map(slots)


def _fact(subject: str, relation: str, rng: random.Random) -> str:
    slots = {"subject": subject, "value": world.value(subject, relation)}
    slots = facts.complete(relation, slots)
    wrong = facts.corrupt(relation, slots, rng)
    wording = rng.choice(stories.STATEMENTS[relation])
    return with_slips(wording, slots, wrong, rng, SLIPS["statement"])


def overheard(prompt: Prompt, reply: Reply, rng: random.Random) -> tuple[str, str]:
    """A question with an answer of any quality, and as a text of its own what was said of it."""
    asker, answerer = rng.sample(NAMES, 2)
    return f"{asker}: {prompt.text}\n{answerer}: {reply.text}", remark(prompt, reply, rng)


def demonstrations(count: int, *, seed: int) -> list[dict[str, str]]:
    """Volunteers' replies to training prompts, as TRL's ``prompt`` and ``completion``.

    A ``remark`` beside them is what somebody said of the reply.

    Shares of good and bad: ``replies.DEMONSTRATION_*``.
    """
    rng = random.Random(f"demonstrations/{seed}")
    names = list(FAMILIES)
    rows = []
    for i in range(count):
        prompt = draw_prompt(rng, split="train", family=names[i % len(names)])
        reply = write_reply(prompt, rng)
        said = remark(prompt, reply, rng, attentive=True)
        rows.append({"prompt": prompt.text, "completion": reply.text, "remark": said})
    return rows


def plain_texts(pages: Iterable[str | tuple[str, str]]) -> list[str]:
    """Documents as single strings, for whoever counts words or trains a tokenizer."""
    return [page if isinstance(page, str) else "\n".join(page) for page in pages]
