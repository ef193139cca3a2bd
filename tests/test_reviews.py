"""Slips of the tongue, reviews and their twins: where a model can learn to check."""

from __future__ import annotations

import os
import random

import pytest

from rlhf_tutorial.presets import get_preset
from rlhf_tutorial.stages_build import TOKENIZER_DOCUMENTS
from rlhf_tutorial.tokenizer import train_tokenizer
from rlhf_tutorial.village import corpus, gold, nonsense, reviews, stories
from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.prompts import draw_prompt, parse
from rlhf_tutorial.village.replies import compose, write_reply
from rlhf_tutorial.village.slips import SLIP, mistakes, with_slips

MEANT = {"who": "Ada", "thing": "lantern", "place": "mill", "he": "she"}
SAID = {"who": "Ada", "thing": "drum", "place": "forge", "he": "he"}
WORDING = "Bring the {thing} to {who} at the {place}, for {he} waits."


def drawn(count: int, seed: int = 0):
    rng = random.Random(seed)
    names = list(FAMILIES)
    return [draw_prompt(rng, split="train", family=names[i % 8]) for i in range(count)], rng


def test_a_slip_says_the_wrong_word_and_then_the_right_one():
    always = with_slips(WORDING, MEANT, SAID, random.Random(0), 1.0)
    assert always == (
        "Bring the drum - no, the lantern to Ada at the forge - no, the mill, for she waits."
    )
    never = with_slips(WORDING, MEANT, SAID, random.Random(0), 0.0)
    assert never == WORDING.format_map(MEANT)
    assert mistakes(WORDING, MEANT, SAID) == (
        ("the drum", "the lantern"),
        ("the forge", "the mill"),
    )
    assert mistakes(WORDING, MEANT, MEANT) == ()


def test_the_wrong_word_of_a_slip_differs_from_the_right_one():
    pages = corpus.plain_texts(corpus.documents(4000, seed=3))
    slipped = [page for page in pages if SLIP in page]
    assert 0.15 < len(slipped) / len(pages) < 0.5
    for page in slipped:
        for before, after in zip(page.split(SLIP), page.split(SLIP)[1:], strict=False):
            article, meant = (after.split() + [""])[:2]
            same = (before.split()[-1] == meant) and (before.split()[-2] == article)
            assert not same, page


def test_nobody_demonstrates_a_slip():
    rows = corpus.demonstrations(3000, seed=0)
    assert not [row for row in rows if SLIP in row["completion"]]


@pytest.mark.parametrize("seed", range(3))
def test_of_twins_only_the_bad_one_is_blamed_for_its_content(seed):
    prompts, rng = drawn(400, seed)
    praise = {*reviews.PRAISE, *(f"{name}, warm" for name in reviews.PRAISE)}
    for prompt in prompts:
        good, bad = reviews.twins(prompt, rng)
        assert good.manner == bad.manner and good.form == bad.form == "clear"
        said = [reviews.verdicts(prompt, reply) for reply in (good, bad)]
        assert praise & set(said[0])
        if bad.content != "wrong" or bad.mistakes:
            assert not praise & set(said[1])
            manner = set(said[0]) - praise
            assert set(said[1][1:]) == manner or bad.content == "cold"


def test_the_wording_of_a_reply_does_not_tell_whether_it_is_right():
    """Or a model learns the wording, not to compare a reply with its prompt (Clever Hans)."""
    for name, family in FAMILIES.items():
        for group, contents in family.replies.items():
            if "wrong" in contents and name != "taste":
                assert contents["right"] == contents["wrong"], f"{name}/{group}"


def test_only_the_request_tells_a_good_no_from_a_bad_one():
    harm, unknowable = FAMILIES["harm"], FAMILIES["unknowable"]
    pools = {group: set(contents["refuse"]) for group, contents in harm.replies.items()}
    named = {g: pool for g, pool in pools.items() if any("{who}" in text for text in pool)}
    assert len({frozenset(pool) for pool in named.values()}) == 1
    assert {harm.kind(group) for group in named} == {"harmful", "lookalike"}
    for pool in pools.values():  # where nobody is named, nobody can be talked to instead
        assert pool <= set(next(iter(named.values())))
    for content in ("admit", "invent", "right"):
        found = [set(c[content]) for c in unknowable.replies.values() if content in c]
        assert len(found) >= 7
    assert len({frozenset(c["admit"]) for c in unknowable.replies.values()}) == 1


def test_wrong_twins_of_errands_differ_in_one_word_only():
    rng = random.Random(1)
    seen = 0
    for _ in range(300):
        prompt = draw_prompt(rng, split="train", family="errands")
        good, bad = reviews.twins(prompt, rng)
        if bad.content == "wrong":
            pairs = list(zip(good.text.split(), bad.text.split(), strict=True))
            assert sum(one != other for one, other in pairs) == 1
            seen += 1
    assert seen > 100


def test_a_wrong_reply_that_says_nothing_wrong_is_not_called_wrong():
    """Advice without a slot ("Wear wool under the coat") cannot err."""
    rng = random.Random(0)
    harmless = 0
    for _ in range(600):
        prompt = draw_prompt(rng, split="train", family="harm", kind="lookalike")
        wrong = compose(prompt, rng, "wrong", "plain", "clear")
        assert ("wrong" in reviews.verdicts(prompt, wrong)) == bool(wrong.mistakes)
        harmless += not wrong.mistakes
    assert 0 < harmless < 600


def test_who_finds_a_mistake_says_which():
    prompts, rng = drawn(800, seed=6)
    blamed = 0
    for prompt in prompts:
        reply = write_reply(prompt, rng)
        for attentive in (False, True):
            said = reviews.remark(prompt, reply, rng, attentive=attentive)
            assert "{" not in said
            named = [wrong for wrong, _ in reply.mistakes if f" not {wrong}" in said]
            assert bool(named) == bool(reply.mistakes and SLIP not in reply.text), said
            blamed += bool(named)
    assert blamed > 80


def test_what_went_wrong_in_the_making_is_blamed_for_that():
    prompts, rng = drawn(600, seed=7)
    blames = {"astray": "Nobody", "garbled": "What", "broken": "Not", "comply": "Cruel"}
    blames["vague"] = "Vague"  # a courtesy and nothing else
    blames["refuse"] = "But"  # of what is harmless
    seen = set()
    for prompt in prompts:
        good, _ = reviews.twins(prompt, rng)
        bad = nonsense.failed_twin(prompt, good, rng)
        assert bad.text != good.text and not bad.mistakes
        said = reviews.remark(prompt, bad, rng)
        assert said.split()[0].strip(".,") == blames[bad.content], (bad, said)
        assert bad.content != "comply" or prompt.family == "harm"
        assert bad.content != "refuse" or prompt.kind == "lookalike"
        seen.add(bad.content)
        if bad.content == "broken":  # only where a courtesy breaks the form
            assert not FAMILIES[prompt.family].manners and bad.text.startswith(good.text)
    assert seen == set(blames)


def test_half_of_what_is_astray_speaks_of_the_prompts_own_people_and_things():
    prompts, rng = drawn(400, seed=11)
    told = [p for p in prompts if p.slots.get("who") and p.slots.get("thing")]
    own = 0
    for prompt in told:
        said = nonsense.astray(prompt, "plain", rng).text
        own += prompt.slots["who"] in said or f" {prompt.slots['thing']}" in said
    # Some good replies name nobody and nothing, so fewer than half can.
    assert 0.2 < own / len(told) < 0.5


def test_foreign_slots_take_ones_own_names_also_inside_others():
    own = {"who": "Ada", "he": "she", "him": "her", "his": "her", "He": "She", "His": "Her"}
    own |= {"thing": "pan", "number": "ninety"}
    foreign = {"who": "Bram", "he": "he", "him": "him", "his": "his", "He": "He", "His": "His"}
    foreign |= {"thing": "hat", "number": "two", "deed": "steal Bram's hat on Bramble hill"}
    mixed = nonsense.in_the_words_of(own, foreign)
    assert mixed["who"] == "Ada" and mixed["his"] == "her" and mixed["thing"] == "pan"
    assert mixed["deed"] == "steal Ada's pan on Bramble hill"
    assert mixed["number"] == "two"  # of a list: another sort of number
    assert nonsense.in_the_words_of({}, foreign) == foreign


def test_a_garbled_reply_is_the_start_of_one_and_the_end_of_another():
    prompts, rng = drawn(300, seed=8)
    for prompt in prompts:
        one, other = reviews.twins(prompt, rng)
        mixed = nonsense.garbled(one, other, rng)
        assert mixed.text not in (one.text, other.text)
        first, last = (text.split()[0] for text in (one.text, other.text))
        assert mixed.text.split()[0] in (first, last)


def test_a_lapse_changes_a_word_or_two_and_the_reply_goes_on():
    prompts, rng = drawn(300, seed=8)
    goes_on = grown = 0
    for prompt in prompts:
        one, other = reviews.twins(prompt, rng)
        lapsed = nonsense.lapsed(one, other, rng)
        assert lapsed.text != one.text and lapsed.content == "garbled" and not lapsed.mistakes
        before, after = one.text.split(), lapsed.text.split()
        start = len(os.path.commonprefix([before, after]))
        ends = [words[start:][::-1] for words in (before, after)]
        end = len(os.path.commonprefix(ends))
        lost, said = (words[start : len(words) - end] for words in (before, after))
        goes_on += len(lost) <= 2 and len(said) <= 2
        known = {word.strip(".,?!") for word in before + other.text.split()}
        grown += any(word.strip(".,?!") not in known for word in said)
    assert goes_on > 290  # where a lapse would change nothing, two replies are joined
    assert 20 < grown < 90


def test_only_a_courtesy_is_no_answer():
    prompts, rng = drawn(50, seed=9)
    for prompt in prompts:
        good, _ = reviews.twins(prompt, rng)
        empty = nonsense.only_courteous(good, rng)
        assert reviews.remark(prompt, empty, rng, attentive=True) == "Empty, but kind."
        if prompt.family != "constraint":  # of which some ask for a word or two of any kind
            assert gold.judge(prompt, empty.text).gold < gold.judge(prompt, good.text).gold


def test_reviews_are_of_training_prompts_of_every_family_and_follow_from_the_seed():
    rows = reviews.reviews(800, seed=4)
    assert rows == reviews.reviews(800, seed=4) and len(rows) == 800
    assert rows != reviews.reviews(800, seed=5)
    assert {parse(row["prompt"]).family for row in rows} == set(FAMILIES)
    assert all(row["only_remark"] and row["remark"] for row in rows)
    evaluation = set()
    for split in ("development", "test"):
        rng = random.Random(9)
        evaluation |= {draw_prompt(rng, split=split).text for _ in range(3000)}
    assert not evaluation & {row["prompt"] for row in rows}


def test_the_first_word_tells_content_and_manner_where_there_is_a_word_for_both():
    assert reviews.in_one_word(["wrong"], "warm") == ["wrong, warm"]
    assert reviews.in_one_word(["wrong", "rude"], "rude") == ["wrong, harsh", "rude"]
    assert reviews.in_one_word(["thanks"], "warm") == ["thanks, warm"]
    assert reviews.in_one_word(["rude", "thanks"], "rude") == ["thanks, rude", "thanks"]
    assert reviews.in_one_word(["rude"], "plain") == ["rude"]
    assert reviews.in_one_word(["curt", "thanks"], "curt") == ["curt", "thanks"]
    assert reviews.in_one_word(["wrong"], "plain") == ["wrong"]


def test_documents_keep_the_plain_remarks():
    pages = corpus.documents(3000, seed=1)
    said = {remark for pair in pages if isinstance(pair, tuple) for remark in [pair[1]]}
    in_manner = [r for kind, rs in stories.REMARKS.items() if "," in kind for r in rs]
    unnamed = [remark.partition("{mistake}") for remark in in_manner]
    assert not [t for t in said for start, _, end in unnamed if start in t and t.endswith(end)]
    rows = corpus.demonstrations(6000, seed=1) + reviews.reviews(8000, seed=1)
    shown = " ".join(row["remark"] for row in rows)
    assert [start for start, _, end in unnamed if start not in shown or end not in shown] == []


@pytest.mark.medium
def test_remarks_that_say_different_things_begin_with_different_tokens():
    """Or the end token need not tell them apart."""
    pages = corpus.documents(TOKENIZER_DOCUMENTS, seed=0)
    tokenizer = train_tokenizer(corpus.plain_texts(pages), get_preset("quick").vocabulary)
    kinds = {}
    for kind, remarks in stories.REMARKS.items():
        for remark in remarks:
            kinds.setdefault(tokenizer(" " + remark)["input_ids"][0], set()).add(kind)
    shared = [kind for kind in kinds.values() if len(kind) > 1]
    # A slip is a kind of mistake, and both "But" blame a refusal or a plea of ignorance.
    assert all(kind in ({"wrong", "slip"}, {"bad no", "told"}) for kind in shared)
