"""The words that the village knows."""

from __future__ import annotations

import functools
import re

from rlhf_tutorial.village import corpus

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


@functools.cache
def known_words() -> frozenset[str]:
    """Lower-case words that occur at least twice in a sample of documents."""
    seen: set[str] = set()
    twice: set[str] = set()
    for document in corpus.plain_texts(corpus.documents(20_000, seed=0)):
        for word in WORD.findall(document.lower()):
            word = word.removesuffix("'s")
            (twice if word in seen else seen).add(word)
    return frozenset(twice)


def unknown_words(text: str) -> list[str]:
    """Words of a text that the village does not know, each once, in order."""
    found = dict.fromkeys(word.removesuffix("'s") for word in WORD.findall(text.lower()))
    return [word for word in found if word not in known_words()]
