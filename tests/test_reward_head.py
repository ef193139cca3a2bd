"""The first guess of a reward model's score head."""

from __future__ import annotations

import math

import pytest
import torch
from tiny import tiny_model, tiny_tokenizer

from rlhf_tutorial.models import build_reward_model
from rlhf_tutorial.preferences import Ranking
from rlhf_tutorial.reward import RewardSettings, encode_pairs, mean_loss, train_reward_model
from rlhf_tutorial.reward_head import (
    end_states,
    first_tokens,
    fit_head,
    kind_chances,
    straight_line,
)
from rlhf_tutorial.village import reviews, stories

WORDS = {"the": ("thing",), "cat": ("thing", "dear"), "day": ("time",), "please": ("dear",)}


@pytest.fixture
def setting():
    """A tokenizer, a reward model, rankings that follow the chance of a kind, and their rows."""
    tokenizer = tiny_tokenizer()
    language_model = tiny_model(tokenizer)
    model = build_reward_model(language_model, tokenizer, seed=0)
    replies = ["yes thank you", "no", "the cat is here", "good day to your dog"]
    asked = [f"where is {name}" for name in ("the cat", "your dog", "the day", "you", "yes")]
    rows = [encode_pairs(tokenizer, [prompt] * 4, replies) for prompt in asked]
    rankings = []
    for number, (prompt, group) in enumerate(zip(asked, rows, strict=True)):
        states = end_states(model, group, tokenizer.pad_token_id)
        names, chances = kind_chances(model, tokenizer, states, WORDS)
        order = chances[:, names.index("dear")].argsort(descending=True).tolist()
        rankings.append(
            Ranking(
                id=str(number),
                prompt=prompt,
                replies=replies,
                shown=[0, 1, 2, 3],
                tiers=[[index] for index in order],
            )
        )
    return tokenizer, model, rankings, rows


def fitted(setting, penalty: float) -> dict[str, float]:
    tokenizer, model, rankings, rows = setting
    return fit_head(
        model, tokenizer, rows, lambda s: mean_loss(s, rankings), WORDS, penalty=penalty
    )


def scores_of(model, rows, tokenizer) -> list[torch.Tensor]:
    flat = [row for group in rows for row in group]
    states = end_states(model, flat, tokenizer.pad_token_id)
    return list((states @ model.score.weight.detach()[0]).split([len(group) for group in rows]))


def test_the_states_are_those_at_the_last_token_whatever_the_padding(setting):
    tokenizer, model, _, rows = setting
    flat = rows[0]
    together = end_states(model, flat, tokenizer.pad_token_id)
    alone = torch.cat([end_states(model, [row], tokenizer.pad_token_id) for row in flat])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_word_adds_its_chance_to_each_of_its_kinds(setting):
    tokenizer, model, _, rows = setting
    states = end_states(model, rows[0], tokenizer.pad_token_id)
    names, chances = kind_chances(model, tokenizer, states, WORDS)
    assert names == ["thing", "dear", "time"]
    tokens = list(first_tokens(tokenizer, WORDS).values())
    the, cat, day, please = (states @ model.transformer.wte.weight[tokens].T).softmax(1).T
    torch.testing.assert_close(chances, torch.stack([the + cat, cat + please, day], 1))


def test_the_line_is_found_where_there_is_one_and_scores_may_have_any_mean():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(400, 8, generator=generator) + 3
    line = torch.arange(8.0)
    torch.testing.assert_close(straight_line(states, states @ line + 5), line, rtol=0.01, atol=0.02)


def test_the_head_is_the_line_through_what_the_kinds_are_worth(setting):
    tokenizer, model, _, rows = setting
    worth = fitted(setting, penalty=1e-3)
    flat = [row for group in rows for row in group]
    states = end_states(model, flat, tokenizer.pad_token_id)
    names, chances = kind_chances(model, tokenizer, states, WORDS)
    assert list(worth) == names
    wanted = chances @ torch.tensor(list(worth.values()))
    torch.testing.assert_close(model.score.weight.detach()[0], straight_line(states, wanted))


def test_it_explains_the_rankings_better_than_a_coin_and_a_penalty_holds_it_back(setting):
    tokenizer, model, rankings, rows = setting
    fitted(setting, penalty=1e-8)  # a new model's chances hardly differ: worths must be large
    bold = mean_loss(scores_of(model, rows, tokenizer), rankings)
    fitted(setting, penalty=1.0)
    shy = mean_loss(scores_of(model, rows, tokenizer), rankings)
    assert bold < 0.4 < shy < math.log(2) + 1e-3


def test_words_that_begin_with_one_token_count_once():
    tokenizer = tiny_tokenizer()
    assert list(first_tokens(tokenizer, ("cat", "cat", "day"))) == ["cat", "day"]


def test_training_starts_from_the_first_guess(setting):
    tokenizer, model, rankings, _ = setting
    frozen = RewardSettings(epochs=1, learning_rate=1e-9, head_penalty=1e-8)
    history = train_reward_model(
        model, tokenizer, rankings, frozen, validation=rankings, seed=0, kinds=WORDS
    )
    assert history[-1]["best_validation_loss"] < 0.4
    plain = build_reward_model(tiny_model(tokenizer), tokenizer, seed=0)
    history = train_reward_model(plain, tokenizer, rankings, frozen, validation=rankings, seed=0)
    assert history[-1]["best_validation_loss"] == pytest.approx(math.log(2), abs=0.05)


def test_unranked_replies_teach_all_weights_before_the_rankings_do(setting):
    tokenizer, model, rankings, _ = setting
    unranked = [(r.prompt, reply) for r in rankings for reply in r.replies] * 8
    before = model.transformer.wte.weight.clone()
    history = train_reward_model(
        model,
        tokenizer,
        rankings,
        RewardSettings(epochs=1, learning_rate=1e-9, head_penalty=1e-8),
        validation=rankings,
        seed=0,
        kinds=WORDS,
        unranked=unranked,
    )
    assert history[-1]["best_validation_loss"] < 0.4
    assert (model.transformer.wte.weight - before).abs().max() > 1e-4


def test_every_kind_of_remark_has_its_first_word():
    kinds = reviews.kinds_of_words()
    assert reviews.first_words() == list(kinds)
    for kind, said in stories.REMARKS.items():
        for remark in said:
            tells = kinds[remark.split()[0].strip(".,")]
            # "Wrong" and "But" begin remarks of two kinds.
            assert tells == tuple(kind.split(", ")) or kind in ("slip", "told")
