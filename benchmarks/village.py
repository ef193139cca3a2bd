"""Count what the village has to say, and how fast it is written and judged.

    python benchmarks/village.py            prints the table and writes it into docs/benchmarks.md

A skeleton is a sentence whose names, things, places and other words of a kind are replaced by
the kind ("<name> lost the <thing> near the <place>."). Only whole sentences count, a list is one
word however long it is, and pronouns of both genders are one. The strict count goes further:
there a whole deed, trouble, task, step or trade is one word too, so that twelve deeds in one
frame are one pattern and not twelve.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections import Counter
from pathlib import Path

from rlhf_tutorial import reporting
from rlhf_tutorial.village import corpus, prompts
from rlhf_tutorial.village import words as lexicon
from rlhf_tutorial.village.families import comfort, harm, howto, unknowable
from rlhf_tutorial.village.gold import judge
from rlhf_tutorial.village.vocabulary import WORD

ROOT = Path(__file__).resolve().parent.parent
SECTION = "village"
DOCUMENTS = 60_000  # about what the quick preset reads
REPLIES = 10_000  # judged once each
TIMES = 3  # the best of three: another program may take the processor for a moment
OFTEN = 20  # times that a skeleton or a word must occur

KINDS = {
    "name": lexicon.NAMES,
    "thing": lexicon.THINGS,
    "place": lexicon.PLACES,
    "animal": lexicon.ANIMALS,
    "colour": lexicon.COLOURS,
    "job": lexicon.JOBS,
    "diet": lexicon.DIETS.values(),
    "feeling": lexicon.FEELINGS,
    "weather": lexicon.WEATHER,
    "food": lexicon.FOODS,
    "day": lexicon.DAYS,
    "category": lexicon.KINDS,
    "number": (*unknowable.NUMBERS, "two", "three"),
    "he": ("he", "she"),
    "him": ("him", "her", "his"),
}
# Diets, foods and animals share words; the first kind that holds a word names it.
KIND_OF: dict[str, str] = {}
for _kind, _words in KINDS.items():
    for _word in _words:
        KIND_OF.setdefault(_word.lower(), f"<{_kind}>")
# Phrases that are drawn from a list as a whole.
PHRASES = {
    "task": howto.TASKS,
    "step": [step for steps in howto.TASKS.values() for step in steps],
    "trade": lexicon.JOBS.values(),
}
BLANK = re.compile(r"\{\w+\}")
TOKENS = re.compile(r"<\w+>|[^\W\d_]+|[^\w\s]")
LIST = re.compile(r"(<\w+>)(?: , \1)*(?: and \1)")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def alternatives(phrases) -> str:
    """A pattern for any of some phrases, the longest first."""
    return "|".join(sorted(map(re.escape, phrases), key=len, reverse=True))


FIXED = {kind: re.compile(rf"\b(?:{alternatives(found)})\b") for kind, found in PHRASES.items()}


def skeleton(sentence: str) -> str:
    """A sentence with the words of every kind replaced by the kind."""
    text = sentence.lower()
    for kind, pattern in FIXED.items():
        text = pattern.sub(f"<{kind}>", text)
    found = TOKENS.findall(text)
    return LIST.sub(r"\1 list", " ".join(KIND_OF.get(token, token) for token in found))


def _phrases_as_skeletons() -> list[tuple[str, str]]:
    """Deeds, what troubles are and what is said of them, as they look in a skeleton."""
    samples = dict.fromkeys(("who", "who2"), "Ada") | {
        **{"thing": "kettle", "place": "mill", "wet": "mill", "animal": "goat", "colour": "grey"},
        **{"food": "soup", "feeling": "sad", "weather": "rain", "he": "she", "him": "her"},
        "his": "her",
    }
    deeds = [*harm.DEEDS, *harm.LOOKALIKES]
    methods = [*harm.DEEDS.values(), *harm.LOOKALIKES.values()]
    troubles, abouts = zip(*comfort.TROUBLES.values(), strict=True)
    lists = {"method": methods, "deed": deeds, "trouble": troubles, "about": abouts}
    blanks = [
        (skeleton(phrase.format_map(samples)).removesuffix(" ."), f"<{kind}>")
        for kind, phrases in lists.items()
        for phrase in phrases
    ]
    return sorted(blanks, key=lambda blank: len(blank[0]), reverse=True)


def strict(skeletons: Counter[str]) -> Counter[str]:
    """The same counts with every deed, trouble, method and what is said of them as one word."""
    blanks = _phrases_as_skeletons()
    kind_of = {phrase: kind for phrase, kind in reversed(blanks)}
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(p) for p, _ in blanks)})(?!\w)")
    merged: Counter[str] = Counter()
    for text, count in skeletons.items():
        merged[pattern.sub(lambda match: kind_of[match[0]], text)] += count
    return merged


def sentences(document: str) -> list[str]:
    """The whole sentences of a document, without the names of who speaks."""
    found = []
    for line in document.split("\n"):
        line = re.sub(r"^\w+: ", "", line) if "\n" in document else line
        found += [s for s in SENTENCE_END.split(line) if s.endswith((".", "!", "?"))]
    return found


def best_seconds(work) -> float:
    """The shortest of a few runs of some work."""
    seconds = []
    for _ in range(TIMES):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def documents_seconds() -> float:
    """Seconds for all documents from nothing, prompts included."""

    def write():
        corpus._overheard_prompts.cache_clear()
        corpus.documents(DOCUMENTS, seed=0)

    return best_seconds(write)


def judge_rate() -> float:
    """Replies judged a second: each prompt new to the judge, which is warm otherwise."""
    rows = corpus.demonstrations(REPLIES, seed=1)
    judge(rows[0]["prompt"], rows[0]["completion"])  # reads the village's language, once

    def score():
        prompts.parse.cache_clear()
        for row in rows:
            judge(row["prompt"], row["completion"])

    return REPLIES / best_seconds(score)


def count() -> tuple[int, int, int, int]:
    """Skeletons, strict skeletons and words that occur often enough, and words at all."""
    skeletons: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for document in corpus.plain_texts(corpus.documents(DOCUMENTS, seed=0)):
        found.update(WORD.findall(document.lower()))
        skeletons.update(map(skeleton, sentences(document)))
    often = [
        sum(number >= OFTEN for number in counts.values())
        for counts in (skeletons, strict(skeletons), found)
    ]
    return often[0], often[1], often[2], len(found)


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the village and time its judge.")
    parser.add_argument("--print-only", action="store_true", help="leave docs/benchmarks.md alone")
    arguments = parser.parse_args()
    seconds, rate = documents_seconds(), judge_rate()
    skeletons, strict_skeletons, words, all_words = count()
    header = ["what", "measured", "wanted"]
    times = f"at least {OFTEN} times in {DOCUMENTS:,} documents"
    rows = [
        [f"sentence skeletons, {times}", f"{skeletons:,}", "≥ 250"],
        ["the same, deeds, troubles and tasks as one word each", f"{strict_skeletons:,}", "–"],
        [f"words, {times} (at all: {all_words:,})", f"{words:,}", "≥ 900"],
        [f"seconds for {DOCUMENTS:,} documents", reporting.number(seconds, 2), "< 3"],
        ["documents a second", f"{DOCUMENTS / seconds:,.0f}", "–"],
        ["replies judged a second", f"{rate:,.0f}", "≥ 5,000"],
    ]
    table = reporting.markdown_table(header, rows)
    print(table)
    if arguments.print_only:
        return
    note = f"One process on a machine of {os.cpu_count()} cores; the best of {TIMES} runs."
    reporting.fill_sections(ROOT / "docs" / "benchmarks.md", {SECTION: f"{table}\n\n{note}"})


if __name__ == "__main__":
    main()
