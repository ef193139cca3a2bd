"""Whether rankings carry a reward model, on people whose taste is known and on coins."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from rlhf_tutorial import reward_trust, stages, stages_build, stages_doubts, stages_run
from rlhf_tutorial.own_taste import FROM_PARTS, METHODS, NAIVE, fit_of, train, worths
from rlhf_tutorial.preferences import Ranking
from rlhf_tutorial.reward import RewardSettings, score_rankings
from rlhf_tutorial.reward_trust import RewardNotLearntError
from tests.tiny import tiny_model, tiny_reward_model, tiny_tokenizer

WORDS = "the cat is here good day to you and your dog where hi yes no thank please".split()
KINDS = {word: (word,) for word in WORDS}  # each remark is of a kind of its own


def ranked(count: int, taste, seed: int = 0) -> list[Ranking]:
    """Rankings of four replies of a few words each, best first by `taste(reply, random)`."""
    dice = random.Random(seed)
    found = []
    for number in range(count):
        replies = [" ".join(dice.choices(WORDS, k=dice.randint(2, 6))) for _ in range(4)]
        marks = [taste(reply, dice) for reply in replies]
        tiers = [[i for i in range(4) if marks[i] == mark] for mark in sorted({*marks})[::-1]]
        found.append(Ranking(id=f"{number}", prompt=f"hi {number}", replies=replies, tiers=tiers))
    return found


def length(reply: str, _dice: random.Random) -> float:
    return len(reply)


def a_coin(_reply: str, dice: random.Random) -> float:
    return dice.random()


def by_length(held_out):
    return [torch.tensor([float(len(reply)) for reply in r.replies]) for r in held_out]


def test_agreement_counts_a_ranking_as_one_and_leaves_out_what_holds_no_pair():
    right, wrong, tied = ranked(3, length)
    wrong = replace(wrong, tiers=wrong.tiers[::-1])
    tied = replace(tied, tiers=[[0, 1, 2, 3]])
    rankings = [right, wrong, tied]
    measured = reward_trust.agreement(by_length(rankings), rankings)
    assert (measured["mean"], measured["n"]) == (pytest.approx(0.5), 2)
    with pytest.raises(ValueError, match="no values"):
        reward_trust.agreement(by_length([tied]), [tied])


def test_repeats_of_a_prompt_do_not_narrow_the_interval():
    once = ranked(20, a_coin)
    twice = once + once
    narrow, wide = (reward_trust.agreement(by_length(r), r) for r in (twice, once))
    assert narrow["high"] - narrow["low"] == pytest.approx(wide["high"] - wide["low"], rel=0.05)


def test_no_prompt_is_scored_by_a_model_that_has_read_it():
    rankings = ranked(23, length)
    rankings += [replace(r, id=f"{r.id}-again") for r in rankings[:5]]
    scored = []

    def fit(training):
        known = {ranking.prompt for ranking in training}

        def score(held_out):
            assert not known & {ranking.prompt for ranking in held_out}
            scored.extend(ranking.id for ranking in held_out)
            return by_length(held_out)

        return score

    measured = reward_trust.held_out_agreement(fit, rankings, seed=3)
    assert measured["mean"] == 1 and sorted(scored) == sorted(r.id for r in rankings)


@pytest.mark.parametrize("folds", [1, 5])
def test_too_few_prompts_are_told(folds):
    with pytest.raises(ValueError, match="4 prompts with a pair cannot be dealt out"):
        reward_trust.held_out_agreement(lambda _: by_length, ranked(4, length), folds=folds, seed=0)


def test_the_doubt_is_said_when_the_interval_holds_chance_and_only_then():
    carried = {"mean": 0.6, "low": 0.51, "high": 0.69, "n": 50}
    reward_trust.expect_carried(carried)
    with pytest.raises(RewardNotLearntError, match=r"ordered 60% .* 50% to 69%.* noise; rank more"):
        reward_trust.expect_carried({**carried, "low": 0.5})


def test_coins_are_seldom_taken_for_a_taste():
    """The lower end of a 95 % interval passes a half for one coin in forty; here for most one in
    ten, since intervals from 30 prompts are not exact."""
    passed = 0
    for seed in range(200):
        rankings = ranked(30, a_coin, seed)
        measured = reward_trust.agreement(by_length(rankings), rankings)
        passed += measured["low"] > 0.5
    assert passed <= 20


def learnt(method: str, rankings, colleagues=None):
    tokenizer = tiny_tokenizer()
    return train(
        method,
        tiny_model(tokenizer),
        colleagues or tiny_reward_model(tokenizer),
        tokenizer,
        rankings,
        RewardSettings(epochs=12, learning_rate=3e-3, evaluate_every=5),
        kinds=KINDS,
        seed=0,
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_plain_taste_is_carried(method):
    tokenizer = tiny_tokenizer()

    def fit(training):
        model = learnt(method, training)
        return lambda held_out: score_rankings(model, tokenizer, held_out)

    measured = reward_trust.held_out_agreement(fit, ranked(60, length), folds=2, seed=0)
    reward_trust.expect_carried(measured)
    assert measured["mean"] > 0.7


@pytest.mark.parametrize("method", METHODS)
def test_what_it_starts_from_stays_as_it_was(method):
    tokenizer = tiny_tokenizer()
    sft, colleagues = tiny_model(tokenizer), tiny_reward_model(tokenizer)
    before = [p.clone() for model in (sft, colleagues) for p in model.parameters()]
    settings = RewardSettings(epochs=2, learning_rate=1e-2)
    own = ranked(20, length)
    train(method, sft, colleagues, tokenizer, own, settings, kinds=KINDS, seed=0)
    after = [p for model in (sft, colleagues) for p in model.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_what_colleagues_taught_is_known_before_the_first_own_ranking():
    tokenizer = tiny_tokenizer()
    colleagues = learnt(NAIVE, ranked(60, length, seed=1))
    few, unseen = ranked(6, length, seed=2), ranked(60, length, seed=3)
    shares = {}
    for method in METHODS:
        model = learnt(method, few, colleagues)
        scores = score_rankings(model, tokenizer, unseen)
        shares[method] = reward_trust.agreement(scores, unseen)["mean"]
    assert shares[FROM_PARTS] > shares[NAIVE]


def test_the_sum_of_parts_knows_a_taste_from_a_coin_beforehand():
    tokenizer = tiny_tokenizer()
    sft, colleagues = tiny_model(tokenizer), tiny_reward_model(tokenizer)
    fit = fit_of(FROM_PARTS, sft, colleagues, tokenizer, kinds=KINDS, seed=0)
    likes = reward_trust.held_out_agreement(fit, ranked(60, length), seed=0)
    coin = reward_trust.held_out_agreement(fit, ranked(60, a_coin), seed=0)
    assert likes["mean"] > 0.6 > coin["mean"]


@pytest.mark.parametrize("sign", [1, -1])
def test_the_worth_of_length_has_the_sign_of_the_taste(sign):
    tokenizer = tiny_tokenizer()
    mine = ranked(60, lambda reply, dice: sign * len(reply) + dice.gauss(0, 4))
    sft, colleagues = tiny_model(tokenizer), tiny_reward_model(tokenizer)
    found = worths(sft, colleagues, tokenizer, mine, kinds=KINDS, seed=0)
    assert found["length"] * sign > 1 and {*found} == {"length", "colleagues", *KINDS}


def test_the_taught_scores_are_standardised_and_more_replies_can_teach_them():
    tokenizer, mine = tiny_tokenizer(), ranked(60, length)
    more = [(r.prompt, reply) for r in ranked(60, length, seed=9) for reply in r.replies]
    model = train(
        FROM_PARTS, tiny_model(tokenizer), tiny_reward_model(tokenizer), tokenizer, mine,
        kinds=KINDS, unranked=more, seed=0,
    )  # fmt: skip
    scores = torch.cat(score_rankings(model, tokenizer, ranked(60, length, seed=4)))
    assert abs(scores.mean()) < 0.5 and 0.5 < scores.std() < 1.5


@pytest.mark.parametrize("method", METHODS)
def test_rankings_without_a_preference_are_told(method):
    tied = [replace(ranking, tiers=[[0, 1, 2, 3]]) for ranking in ranked(6, length)]
    with pytest.raises(ValueError, match="none of 6 rankings prefers one reply to another"):
        learnt(method, tied)


def test_an_unknown_method_is_told():
    with pytest.raises(ValueError, match="unknown method 'clever': choose one of naive, from"):
        learnt("clever", ranked(6, length))


def artefact(model) -> SimpleNamespace:
    return SimpleNamespace(model=lambda: model, tokenizer=tiny_tokenizer)


def test_a_run_doubts_a_reward_model_that_does_no_better_than_a_coin():
    tokenizer, held_out = tiny_tokenizer(), ranked(60, length, seed=5)
    untrained = artefact(tiny_reward_model(tokenizer))
    told = stages_doubts.doubt_about(untrained, ranked(60, a_coin, seed=6))
    assert told.startswith("Before PPO starts: these rankings do not carry a reward model")
    assert "\n" not in told
    learnt_it = artefact(learnt(NAIVE, ranked(60, length, seed=1)))
    assert stages_doubts.doubt_about(learnt_it, held_out) == ""


@pytest.fixture
def remarks(monkeypatch):
    """The village's remarks are no words of the tiny tokenizer: these take their place."""
    monkeypatch.setattr(stages_doubts.reviews, "kinds_of_words", lambda: KINDS)


def test_a_reader_who_throws_coins_is_told_so(remarks):
    sft = artefact(tiny_model(tiny_tokenizer()))
    told = [
        stages_doubts.doubt_about_own(sft, ranked(30, a_coin, seed), seed=0) for seed in range(10)
    ]
    assert sum(said.startswith("Your own rankings, taken alone: these") for said in told) >= 8
    assert not any("\n" in said for said in told)


def test_a_reader_with_a_plain_taste_is_not_doubted(remarks):
    sft = artefact(tiny_model(tiny_tokenizer()))
    assert stages_doubts.doubt_about_own(sft, ranked(60, length), seed=0) == ""


def test_a_reader_of_few_items_is_told_that_nothing_can_be_told(remarks):
    few = ranked(4, length)
    few.append(replace(few[0], id="again"))  # the same prompt once more
    told = stages_doubts.doubt_about_own(artefact(tiny_model(tiny_tokenizer())), few, seed=0)
    assert told.startswith("You have a preference on 4 of your items") and "from 5 on" in told


def write_held_out(folder) -> None:
    """What a run looks at in the folder of its rankings, in every stage's folder."""
    (folder / "held_out.jsonl").write_text(ranked(1, length)[0].to_json() + "\n")


def test_the_doubt_is_said_before_ppo_starts_and_only_where_it_starts(
    tmp_path, monkeypatch, capsys
):
    order = []

    def builder(request, round, folder, ancestors, progress):
        order.append(folder.name.removeprefix(".").split("-")[0])
        write_held_out(folder)
        return []

    def doubt(*_):
        order.append("doubt")
        return "These rankings are noise."

    for stage in stages.STAGES:
        monkeypatch.setitem(stages_build.BUILDERS, stage, builder)
    monkeypatch.setattr(stages_doubts, "doubt_about", doubt)
    request = stages.Request("tiny", 0, tmp_path, show_progress=False)
    stages_run.build(request, "reward_model")
    assert "doubt" not in order
    stages_run.build(request, "rlhf")
    assert order[-2:] == ["doubt", "rlhf"]
    stages_run.build(request, "rlhf")
    assert order.count("doubt") == 1
    assert capsys.readouterr().err.count("These rankings are noise.") == 1


def test_own_rankings_are_doubted_too_where_there_are_any(tmp_path, monkeypatch, capsys):
    def builder(request, round, folder, ancestors, progress):
        write_held_out(folder)
        return []

    for stage in stages.STAGES:
        monkeypatch.setitem(stages_build.BUILDERS, stage, builder)
    monkeypatch.setattr(stages_doubts, "doubt_about", lambda *_: "")
    monkeypatch.setattr(
        stages_doubts, "doubt_about_own", lambda sft, mine, seed: f"{len(mine)} by {sft.stage}."
    )
    own = tmp_path / "mine.jsonl"
    own.write_text("".join(ranking.to_json() + "\n" for ranking in ranked(3, a_coin)))
    for mine in ("", str(own)):
        request = stages.Request("tiny", 0, tmp_path / "run", mine, show_progress=False)
        stages_run.build(request, "rlhf")
    assert capsys.readouterr().err.count("3 by sft.") == 1
