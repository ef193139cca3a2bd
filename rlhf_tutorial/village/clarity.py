"""Clarity and tone: how a reply is said, whatever it says.

Clarity falls when a reply is cut off, repeats itself, rambles or is not English. What is
English is judged by three rules that need no dictionary: pairs of classes of neighbouring
words must be ones that occur in the village's documents or that grammar allows, there must
be enough little words ("the", "of", "is") among the unknown ones, and whoever speaks in the
village's own phrases must not fall from the midst of one into another (``seams``).
"""

from __future__ import annotations

import functools
import re

from rlhf_tutorial.village import corpus, reading
from rlhf_tutorial.village.reading import Reading
from rlhf_tutorial.village.slips import SLIP

LONG = 60  # words; beyond this a reply to a village question is a speech
DOCUMENTS = 20_000  # enough to have heard all but rare turns of phrase
SPEAKER = re.compile(r"^[A-Z][a-z]+: ")
END = "<end>"  # of a sentence
JOINTS = {",", ";", "and"}  # where anybody may go on as they like
OWN_WAY = 0.4  # share of unheard runs above which a reply goes its own way
SEAM = 0.6  # what one seam leaves of a reply's clarity
TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[,;:]")
KINDS_AS_CLASSES = (
    "name",
    "thing",
    "place",
    "animal",
    "colour",
    "feeling",
    "day",
    "weather",
    "diet",
    "food",
)

# Little words by what may not follow them. An ending after these is a cut-off sentence.
ARTICLES = set("the a an my your his its our their every".split())
PREPOSITIONS = set("of at by with from into to near for under behind".split())
NEVER_AFTER_ARTICLE = (
    ARTICLES
    | PREPOSITIONS
    | set(
        "is are was were be been am has had do does did and or but it he she they i you we "
        "him me us them will would can could must not then that which who".split()
    )
) - {"well"}
LITTLE = (
    ARTICLES
    | PREPOSITIONS
    | set(
        "is are was were be been am has have had do does did and or but if it he she they i you "
        "we him her me us them will would can could should must not no yes then that this there "
        "which who what when where why how so as in on up out off down all some any one two "
        "just very too than more most i'll i'm it's don't can't won't that's you're let's he's "
        "she's i'd you'll isn't doesn't about because until before after".split()
    )
)
NEVER_LAST = ARTICLES | set("of and or but the is are was because than into from".split())


@functools.cache
def _word_classes() -> dict[str, str]:
    """Village word -> its class: a kind such as ``<thing>``, or the word itself."""
    classes: dict[str, str] = {}
    for kind in KINDS_AS_CLASSES:
        for form in reading.members(kind):
            classes.setdefault(form, f"<{kind}>")
    return classes


@functools.cache
def _seen() -> tuple[set[tuple[str, ...]], set[str]]:
    """Pairs and threes of classes that occur in villagers' sentences, and all words that do."""
    runs: set[tuple[str, ...]] = set()
    vocabulary: set[str] = set(_word_classes())
    for document in corpus.plain_texts(corpus.documents(DOCUMENTS, seed=99)):
        if SLIP in document:
            continue  # nobody who answers well breaks off like that
        for line in document.split("\n"):
            for sentence in reading.read(SPEAKER.sub("", line)).sentences:
                tokens = TOKEN.findall(sentence)
                vocabulary.update(tokens)
                tagged = _tagged(tokens)
                runs.update(zip(tagged, tagged[1:], strict=False))
                tagged = [*tagged, END]
                runs.update(zip(tagged, tagged[1:], tagged[2:], strict=False))
    return runs, vocabulary


def _tagged(tokens: list[str]) -> list[str]:
    classes = _word_classes()
    return [classes.get(token.removesuffix("'s"), token) for token in tokens]


def seams(reply: Reading) -> int:
    """How often the village's own phrases are broken off amid a sentence: a model's stumbles.

    Three neighbouring words, all of them known, that no villager has said after each other. Such
    runs do not count in a reply that goes its own way, in words or turns the village does not use:
    other people put things otherwise.
    """
    seen, vocabulary = _seen()
    found, odd, total = 0, 0, 0
    for sentence in reply.sentences:
        tokens = TOKEN.findall(sentence)
        if not tokens:
            continue
        tagged = [*_tagged(tokens), END]
        if sentence is reply.sentences[-1] and not finished(reply):
            tagged.pop()  # that it breaks off counts elsewhere
        known = [tag[0] == "<" or tag in vocabulary for tag in tagged]
        before = False
        for place in range(len(tagged) - 2):
            run = tuple(tagged[place : place + 3])
            foreign = not all(known[place : place + 3])
            total, odd = total + 1, odd + (foreign or run not in seen)
            unheard = not foreign and run not in seen and not JOINTS & set(run)
            found += unheard and not before
            before = unheard
    return found if odd <= OWN_WAY * total else 0


def odd_pairs(reply: Reading) -> tuple[float, int]:
    """``(odd, all)`` neighbouring pairs of words, sentence by sentence."""
    seen, vocabulary = _seen()
    odd, total = 0.0, 0
    for sentence in reply.sentences:
        tokens = TOKEN.findall(sentence)
        tagged = _tagged(tokens)
        for i in range(len(tokens) - 1):
            total += 1
            pair = (tagged[i], tagged[i + 1])
            if pair in seen:
                continue
            first, second = tokens[i], tokens[i + 1]
            if first == second and first.isalpha():
                odd += 2
            elif first in ARTICLES and second in NEVER_AFTER_ARTICLE:
                odd += 1
            elif first in PREPOSITIONS and second in ("is", "are", "was", "and", "or", "but"):
                odd += 1
            elif pair[0] in ("<thing>", "<place>", "<animal>") and pair[1].startswith("<"):
                odd += 1
            elif pair[0] == "<name>" and pair[1].startswith("<") and not first.endswith("'s"):
                odd += 1
            elif (
                first in vocabulary
                and second in vocabulary
                and first not in LITTLE
                and second not in LITTLE
                and first.isalpha()
                and second.isalpha()
            ):
                odd += 0.5
        if tokens and len(tokens) > 1 and tokens[-1] in NEVER_LAST:
            odd += 1
    return odd, total


def fluency(reply: Reading) -> float:
    """1 for English, towards 0 for salad of words; unknown words are allowed among known."""
    odd, total = odd_pairs(reply)
    _, vocabulary = _seen()
    unknown = [word for word in reply.words if word not in vocabulary]
    little = sum(word in LITTLE for word in reply.words)
    if len(unknown) > 0.5 * len(reply.words) and little < 0.2 * len(reply.words):
        return 0.0
    strange = sum(not re.search(r"[aeiouy]", w) or len(w) > 16 for w in unknown if w.isalpha())
    share = (odd + 2 * strange) / max(total, 6)
    # A single unusual pair is style, a third of them is salad.
    return min(1.0, max(0.0, 1.0 - 3.5 * (share - 0.12)))


def repetition(reply: Reading) -> float:
    """1 when nothing is said twice, 0.3 and less when sentences or word runs return."""
    plain = [" ".join(reading.WORD.findall(s)) for s in reply.sentences]
    if len(set(plain)) < len(plain):
        return 0.3
    words = reply.words
    runs = [words[i : i + 4] for i in range(len(words) - 3)]
    repeated = len(runs) - len(set(runs))
    return max(0.0, 1.0 - 0.25 * repeated)


def finished(reply: Reading) -> bool:
    """Whether a reply ends as a sentence does; it is not empty."""
    return reply.text[-1] in ".!?\"')" or reply.text[-1] > "\u2000"


def clarity(reply: Reading, *, may_ramble: bool = False) -> float:
    """How readable a reply is, in [0, 1].

    ``may_ramble`` is for stories, where an uncle is no digression.
    """
    if reply.empty:
        return 0.0
    score = fluency(reply) * repetition(reply) * SEAM ** seams(reply)
    if not finished(reply):
        score *= 0.5
    if not may_ramble and reading.RAMBLE.search(reply.lower):
        score *= 0.5
    if len(reply.words) > LONG:
        score *= LONG / len(reply.words)
    if len(reply.sentences) > 6:
        score *= 0.7
    return score


def tone(reply: Reading) -> float:
    """0 rude, 0.35 curt, 0.6 neutral, 1 warm."""
    if reply.empty:
        return 0.0
    warm = len(reading.WARM.findall(reply.lower))
    rude = len(reading.RUDE.findall(reply.lower))
    if rude:
        return 0.1 if warm else 0.0
    curt = reading.CURT_ENDINGS.search(reply.lower) is not None
    if curt:
        return 0.6 if warm else 0.35
    return 1.0 if warm else 0.6
