"""Simulated people: choices of Plackett and Luce, and biases of the sign and size declared."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest
from chi_squared import assert_fits

from rlhf_tutorial.village import corpus
from rlhf_tutorial.village.annotators import Annotator, colleagues, rank_all, style
from rlhf_tutorial.village.gold import judge
from rlhf_tutorial.village.prompts import draw_prompts

PROMPT = "What does Ada do?"
SESSIONS = 3000


class Fixed(Annotator):
    """A person who finds each reply as good as its first word says."""

    def utility(self, prompt, reply):
        return float(reply.split()[0])


def unbiased(**changes) -> Fixed:
    options = {"temperature": 0.2, "position_bias": 0.0, "length_bias": 0.0, "fatigue": 0.0}
    return Fixed(name="fixed", **(options | changes))


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def share_first(person: Annotator, replies, item: int = 0) -> float:
    """In which share of sessions the first reply is ranked best."""
    best = [person.rank(PROMPT, replies, seed=str(s), item=item).tiers[0] for s in range(SESSIONS)]
    return sum(tier == [0] for tier in best) / SESSIONS


def close(share: float, expected: float) -> bool:
    """Within four standard errors."""
    return abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / SESSIONS)


def test_orders_have_the_frequencies_of_plackett_and_luce():
    replies, temperature = ["0.5 a", "0.2 b", "0.0 c"], 0.3
    person = unbiased(temperature=temperature)
    weight = [math.exp(person.utility(PROMPT, reply) / temperature) for reply in replies]
    shares = {}
    for order in itertools.permutations(range(3)):
        rest, chance = list(weight), 1.0
        for index in order:
            chance *= weight[index] / sum(rest)
            rest.remove(weight[index])
        shares[order] = chance
    counts = Counter(
        tuple(index for tier in person.rank(PROMPT, replies, seed=str(s)).tiers for index in tier)
        for s in range(6000)
    )
    assert_fits(counts, shares)


def test_two_replies_a_tenth_apart_are_ordered_rightly_as_often_as_the_docstring_says():
    share = share_first(unbiased(temperature=0.08), ["0.6 a", "0.5 b"])
    assert close(share, logistic(0.1 / 0.08)) and round(logistic(0.1 / 0.08), 2) == 0.78


def test_what_is_shown_first_looks_better_by_the_position_bias():
    person = unbiased(position_bias=0.2)
    rankings = [person.rank(PROMPT, ["0.5 a", "0.5 b"], seed=str(s)) for s in range(SESSIONS)]
    share = sum(r.tiers[0] == [r.shown[0]] for r in rankings) / SESSIONS
    assert close(share, logistic(0.2 / 0.2))
    # Replies are shown in random order, so the bias favours no reply.
    assert close(sum(r.tiers[0] == [0] for r in rankings) / SESSIONS, 0.5)


def test_the_place_in_between_gets_half_of_the_position_bias():
    person = unbiased(position_bias=0.3)
    replies = ["0.5 a", "0.5 b", "0.5 c"]
    rankings = [person.rank(PROMPT, replies, seed=str(s)) for s in range(SESSIONS)]
    weight = [math.exp(bias / 0.2) for bias in (0.3, 0.15, 0.0)]
    counts = Counter(r.shown.index(r.tiers[0][0]) for r in rankings)
    assert_fits(counts, {place: w / sum(weight) for place, w in enumerate(weight)})


@pytest.mark.parametrize("bias", [0.15, -0.15])
def test_thirty_words_more_are_worth_the_length_bias(bias):
    long = "0.5 " + "word " * 30
    assert close(share_first(unbiased(length_bias=bias), [long, "0.5"]), logistic(bias / 0.2))


def test_fatigue_grows_noise_along_a_session():
    person = unbiased(fatigue=1.0)  # at item 100 the noise has doubled
    replies = ["0.7 a", "0.4 b"]
    rested, tired = share_first(person, replies), share_first(person, replies, item=100)
    assert close(rested, logistic(0.3 / 0.2)) and close(tired, logistic(0.3 / 0.4))
    assert tired < rested


def test_fatigue_grows_biases_along_a_session():
    """Noise and bias grow alike: against equal replies the bias keeps its odds, ..."""
    even = unbiased(fatigue=1.0, length_bias=0.2)
    long = "0.5 " + "word " * 30
    assert close(share_first(even, [long, "0.5"], item=100), logistic(0.4 / 0.4))
    # ... and against a better reply, whose lead does not grow, it wins more often.
    long = "0.3 " + "word " * 30
    assert close(share_first(even, [long, "0.5"]), logistic(0.0))
    assert close(share_first(even, [long, "0.5"], item=100), logistic((0.4 - 0.2) / 0.4))


def test_the_same_seed_gives_the_same_ranking_and_another_one_does_not():
    person, replies = Annotator(name="pat"), ["Ada is a cook.", "Go away.", "", "I do not know."]
    first = person.rank(PROMPT, replies, seed="1", item=3, model="sft-1")
    assert first == person.rank(PROMPT, replies, seed="1", item=3, model="sft-1")
    others = [
        person.rank(PROMPT, replies, seed="2", item=3),
        person.rank(PROMPT, replies, seed="1", item=4),
        Annotator(name="kim").rank(PROMPT, replies, seed="1", item=3),
    ]
    assert len({first.id, *(other.id for other in others)}) == 4
    assert (
        len(
            {tuple(r.shown) for s in range(20) for r in [person.rank(PROMPT, replies, seed=str(s))]}
        )
        > 5
    )


def test_identical_replies_share_the_tier_of_the_better_one():
    person = unbiased(temperature=0.5)
    for seed in range(200):
        ranking = person.rank(PROMPT, ["0.5 a", "0.4 b", "0.5 a", "0.4 b"], seed=str(seed))
        assert sorted(sorted(tier) for tier in ranking.tiers) == [[0, 2], [1, 3]]
    everyone = person.rank(PROMPT, ["0.1 a"] * 5, seed="x")
    assert [sorted(tier) for tier in everyone.tiers] == [[0, 1, 2, 3, 4]]


def test_without_a_taste_of_their_own_people_value_what_the_judge_does():
    person = Annotator(name="plain")
    for row in corpus.demonstrations(150, seed=2):
        gold = judge(row["prompt"], row["completion"]).gold
        assert person.utility(row["prompt"], row["completion"]) == pytest.approx(gold)


def test_taste_decides_on_matters_of_taste_and_little_elsewhere():
    happy, eerie = "Bram and the goat danced.", "The goat of Bram hums at midnight."
    assert style(happy)["happy"] and not style(happy)["eerie"]
    assert style(eerie)["eerie"] and not style(eerie)["happy"]
    asked = "Tell me a story about Bram and the goat."
    for key, liked, other in (("happy", happy, eerie), ("eerie", eerie, happy)):
        person, neutral = Annotator("a", taste_weights={key: 0.5}), Annotator("b")
        gain = person.utility(asked, liked) - neutral.utility(asked, liked)
        assert gain == pytest.approx(0.5)
        assert person.utility(asked, other) == neutral.utility(asked, other)
        elsewhere = person.utility(PROMPT, liked) - neutral.utility(PROMPT, liked)
        assert elsewhere == pytest.approx(0.3 * 0.5)


def test_weights_of_a_person_change_what_they_prefer():
    right, kind = "Ada is the {job}, you fool.", "Ada is the {wrong}, my dear friend. Good luck."
    from rlhf_tutorial.village import world

    words = {"job": world.JOB_OF["Ada"], "wrong": world.JOB_OF["Bram"]}
    right, kind = right.format_map(words), kind.format_map(words)
    strict = Annotator("strict", axis_weights={"correctness": 1.0})
    gentle = Annotator("gentle", axis_weights={"tone": 1.0})
    assert strict.utility(PROMPT, right) > strict.utility(PROMPT, kind)
    assert gentle.utility(PROMPT, kind) > gentle.utility(PROMPT, right)


def test_a_dislike_lowers_the_worth_on_every_prompt_whatever_else_it_tests():
    """The weights that apply to a prompt may sum to less than 0; that must not turn them round."""
    blunt = Annotator("blunt", axis_weights={"tone": -1.0, "helpfulness": 0.5, "clarity": 0.3})
    # In the village's own phrases, so that both are equally clear.
    rude, kind = "You again. I do not know that.", "I am sorry, my friend. I do not know that."
    dice, tested = random.Random(0), 0
    for asked in draw_prompts(200, split="train", seed=0):
        for first, second in ((rude, kind), tuple(dice.sample((rude, kind), 2))):
            scores = judge(asked.text, first), judge(asked.text, second)
            others = [{a: getattr(x, a) for a in ("helpfulness", "clarity")} for x in scores]
            applies = all("tone" in x.applies for x in scores)
            if not applies or others[0] != others[1] or scores[0].tone == scores[1].tone:
                continue
            tested += 1
            prefers_first = blunt.utility(asked.text, first) > blunt.utility(asked.text, second)
            assert prefers_first == (scores[0].tone < scores[1].tone)
    assert tested >= 20


def test_no_plain_and_no_garbled_reply_gains_by_a_dislike_of_warmth():
    """A rude story is weighed by its tone and a plain one is not; what is garbled is worth 0."""
    blunt = Annotator("blunt", axis_weights={"tone": -1.0, "helpfulness": 0.5, "clarity": 0.3})
    asked = next(p for p in draw_prompts(200, split="train", seed=0) if p.kind == "taste").text
    plain = "Once there was a mill by the river. It was old."
    rude = f"{plain} You fool."
    assert "tone" in judge(asked, rude).applies and "tone" not in judge(asked, plain).applies
    assert blunt.utility(asked, rude) >= blunt.utility(asked, plain)
    kind = "I am so sorry, my dear friend. Good luck to you."
    garbled = " ".join(["friend dear my sorry so am I"] * 4)
    assert judge(PROMPT, garbled).clarity == 0
    assert blunt.utility(PROMPT, kind) > blunt.utility(PROMPT, garbled) >= 0


def test_colleagues_share_items_in_turn_and_write_valid_records():
    people = colleagues(6, seed=1)
    assert people == colleagues(6, seed=1) and people != colleagues(6, seed=2)
    assert len({person.name for person in people}) == 6
    asked = draw_prompts(20, split="train", seed=0)
    items = [(prompt.text, ["Gladly.", "I do not know.", "Go away."]) for prompt in asked]
    rankings = rank_all(items, people, seed=9, model="sft-1")
    assert [r.annotator for r in rankings] == [people[i % 6].name for i in range(20)]
    assert [r.prompt for r in rankings] == [prompt for prompt, _ in items]
    assert len({r.id for r in rankings}) == 20
    for ranking in rankings:
        assert ranking.validate().model == "sft-1" and ranking.seconds > 0
    # Item k of a person is the k-th they see, whatever their colleagues do.
    alone = people[2].rank(*items[8], seed="9", item=1, model="sft-1")
    assert rankings[8] == alone


def test_colleagues_mostly_agree_with_the_judge():
    rng = random.Random("agree")
    agree = total = 0
    rows = corpus.demonstrations(400, seed=8)
    for number, row in enumerate(rows):
        other = rng.choice(rows)["completion"]
        golds = [judge(row["prompt"], text).gold for text in (row["completion"], other)]
        if abs(golds[0] - golds[1]) < 0.05:
            continue
        person = colleagues(6, seed=0)[number % 6]
        ranking = person.rank(row["prompt"], [row["completion"], other], seed="x", item=number // 6)
        agree += ranking.tiers[0][0] == (0 if golds[0] > golds[1] else 1)
        total += 1
    assert total > 100 and 0.80 < agree / total < 0.995
