"""The reward model against brute force, and that it learns, stops and is calibrated."""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_model, tiny_reward_model, tiny_tokenizer

from rlhf_tutorial import reward as reward_module
from rlhf_tutorial.calibration import calibration
from rlhf_tutorial.models import build_reward_model, load_reward_model
from rlhf_tutorial.preferences import Ranking, pairs
from rlhf_tutorial.reward import (
    RewardSettings,
    accuracy,
    bradley_terry_loss,
    mean_loss,
    score,
    score_rankings,
    score_rollout,
    split_by_prompt,
    train_reward_model,
)
from rlhf_tutorial.tokenizer import encode_prompt, encode_reply


def ranking(number: int, replies: list[str], tiers: list[list[int]], prompt: str = "") -> Ranking:
    prompt = prompt or f"prompt {number}"
    return Ranking(id=str(number), prompt=prompt, replies=replies, tiers=tiers).validate()


def polite_rankings(count: int, seed: int) -> list[Ranking]:
    """Whoever says please, anywhere, wins; ties among the others; all are equally long."""
    random_state = random.Random(seed)
    rankings = []
    for number in range(count):
        words = ["cat", "dog", "day", "good", "here", "yes", "no"]
        winner = random_state.randrange(3)
        replies = []
        for index in range(3):
            chosen = random_state.sample(words, 3) + ["please" if index == winner else "thank"]
            random_state.shuffle(chosen)
            replies.append(" ".join(chosen))
        others = [index for index in range(3) if index != winner]
        rankings.append(ranking(seed * 10_000 + number, replies, [[winner], others]))
    return rankings


def test_loss_of_each_ranking_equals_brute_force():
    scores = torch.tensor([0.3, -1.2, 2.0, 0.7])
    one = ranking(1, ["a", "b", "c", "d"], [[2], [0, 3], [1]])
    expected = []
    for better in range(4):
        for worse in range(4):
            place = {index: tier for tier, members in enumerate(one.tiers) for index in members}
            if place[better] < place[worse]:
                difference = float(scores[better] - scores[worse])
                expected.append(-math.log(1 / (1 + math.exp(-difference))))
    assert len(expected) == 5
    loss = bradley_terry_loss(scores, pairs(one))
    assert float(loss) == pytest.approx(sum(expected) / 5, abs=1e-6)

    two = ranking(2, ["a", "b"], [[1], [0]])
    other = -math.log(1 / (1 + math.exp(-1.5)))
    both = mean_loss([scores, torch.tensor([1.0, 2.5])], [one, two])
    assert float(both) == pytest.approx((sum(expected) / 5 + other) / 2, abs=1e-6)


def test_gradient_pushes_winner_up_and_loser_down():
    scores = torch.zeros(2, requires_grad=True)
    bradley_terry_loss(scores, [(1, 0)]).backward()
    assert scores.grad.tolist() == pytest.approx([0.5, -0.5])


def test_accuracy_counts_equal_scores_half():
    one = ranking(1, ["a", "b", "c"], [[0], [1], [2]])
    assert accuracy([torch.tensor([2.0, 1.0, 0.0])], [one]) == 1.0
    assert accuracy([torch.tensor([0.0, 1.0, 2.0])], [one]) == 0.0
    assert accuracy([torch.tensor([1.0, 1.0, 0.0])], [one]) == pytest.approx(2.5 / 3)
    with pytest.raises(ValueError, match="no pair"):
        accuracy([torch.zeros(2)], [ranking(2, ["a", "b"], [[0, 1]])])


def test_calibration_on_known_cases():
    table, error = calibration([0.25] * 4 + [0.75] * 4, [1, 0, 0, 0, 1, 1, 1, 0])
    assert error == pytest.approx(0.0)
    assert [(row["count"], row["frequency"]) for row in table] == [(4, 0.25), (4, 0.75)]
    _, error = calibration([0.9] * 10, [1] * 5 + [0] * 5)
    assert error == pytest.approx(0.4)
    _, error = calibration([1.0, 0.0, 0.95], [1, 0, 0])  # 1.0 and 0.95 share the last bin
    assert error == pytest.approx((2 * abs(0.975 - 0.5)) / 3)
    table, _ = calibration([0.05, 0.15, 0.951], [0, 0, 1], bins=20)
    assert [row["low"] for row in table] == pytest.approx([0.05, 0.15, 0.95])
    with pytest.raises(ValueError, match="one outcome a probability"):
        calibration([0.5], [1, 0])


def test_learns_held_out_preferences_and_centres_its_scores(tmp_path):
    tokenizer = tiny_tokenizer()
    model = tiny_reward_model(tokenizer)
    settings = RewardSettings(epochs=4, learning_rate=3e-3, evaluate_every=5, probe_every=10)
    training, fresh = polite_rankings(80, seed=1), polite_rankings(40, seed=2)
    before = accuracy(score_rankings(model, tokenizer, fresh), fresh)
    history = train_reward_model(
        model,
        tokenizer,
        training,
        settings,
        validation=0.2,
        seed=0,
        callbacks=[lambda step, model: {"probe": float(step)}],
    )
    after = accuracy(score_rankings(model, tokenizer, fresh), fresh)
    assert after >= 0.95 and before < 0.8
    assert any("validation_loss" in row for row in history) and "probe" in history[-1]
    kept, _ = split_by_prompt(training, 0.2, seed=0)
    scores = torch.cat(score_rankings(model, tokenizer, kept))
    assert float(scores.mean()) == pytest.approx(0.0, abs=1e-4)
    texts = ["cat please day no", "cat thank day no"]
    standard = score(model, tokenizer, ["hi"] * 2, texts, standardise=True)
    plain = score(model, tokenizer, ["hi"] * 2, texts)
    assert torch.allclose(standard * model.config.reward_std, plain, atol=1e-5)
    assert plain[0] > plain[1]
    model.save_pretrained(tmp_path)
    again = score(load_reward_model(tmp_path), tokenizer, ["hi"] * 2, texts)
    assert torch.allclose(again, plain, atol=1e-6)


def test_early_stop_restores_the_best_weights(monkeypatch):
    tokenizer = tiny_tokenizer()
    model = tiny_reward_model(tokenizer)
    looks, weights = iter([0.9, 0.5, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]), []

    def fake_evaluate(model, tokenizer, rankings):
        weights.append({name: value.clone() for name, value in model.state_dict().items()})
        return next(looks), 0.5

    monkeypatch.setattr(reward_module, "evaluate", fake_evaluate)
    settings = RewardSettings(epochs=50, evaluate_every=2, patience=3)
    data = polite_rankings(8, seed=3)
    history = train_reward_model(
        model, tokenizer, data, settings, validation=polite_rankings(4, seed=4), seed=0
    )
    assert history[-1]["step"] == 10 and history[-1]["best_step"] == 4
    assert history[-1]["best_validation_loss"] == 0.3
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[2][name])
    assert any(not torch.equal(value, weights[2][name]) for name, value in weights[-1].items())


def test_padding_and_batch_order_change_no_score():
    tokenizer = tiny_tokenizer()
    model = tiny_reward_model(tokenizer, seed=5)
    prompts = ["hi", "where is your dog", "yes", "good day to you and your cat"]
    replies = ["no", "the dog is here", "thank you and your dog please", "hi"]
    together = score(model, tokenizer, prompts, replies)
    alone = [score(model, tokenizer, [p], [r])[0] for p, r in zip(prompts, replies, strict=True)]
    assert torch.allclose(together, torch.stack(alone), atol=1e-5)
    assert torch.allclose(score(model, tokenizer, prompts, replies, 2), together, atol=1e-5)
    assert together.std() > 1e-3  # or the comparison says nothing


def test_rollout_scores_equal_text_scores():
    tokenizer = tiny_tokenizer()
    model = tiny_reward_model(tokenizer, seed=5)
    prompts, replies = ["hi", "where is your dog"], ["the dog is here", "no"]
    prompt_rows = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    reply_rows = [encode_reply(tokenizer, reply) for reply in replies]
    prompt_time = max(map(len, prompt_rows))
    reply_time = max(map(len, reply_rows))
    rollout = SimpleNamespace(
        prompt_ids=torch.tensor([[5] * (prompt_time - len(r)) + r for r in prompt_rows]),
        prompt_mask=torch.tensor(
            [[0] * (prompt_time - len(r)) + [1] * len(r) for r in prompt_rows]
        ),
        reply_ids=torch.tensor([r + [0] * (reply_time - len(r)) for r in reply_rows]),
        reply_mask=torch.tensor([[1] * len(r) + [0] * (reply_time - len(r)) for r in reply_rows]),
    )
    expected = score(model, tokenizer, prompts, replies)
    assert torch.allclose(score_rollout(model, tokenizer, rollout), expected, atol=1e-5)


def test_starts_from_the_language_model():
    tokenizer = tiny_tokenizer()
    language_model = tiny_model(tokenizer)
    model = build_reward_model(language_model, tokenizer, seed=0)
    trunk = language_model.transformer.state_dict()
    for name, value in model.transformer.state_dict().items():
        assert torch.equal(value, trunk[name])
    assert score(model, tokenizer, ["hi"], ["yes"]).shape == (1,)


def test_split_shares_no_prompt():
    rankings = [ranking(i, ["a", "b"], [[0], [1]], prompt=f"p{i // 3}") for i in range(30)]
    training, held_out = split_by_prompt(rankings, 0.2, seed=0)
    assert len(training) == 24 and len(held_out) == 6
    assert not {r.prompt for r in training} & {r.prompt for r in held_out}
    with pytest.raises(ValueError, match="1 different prompts"):
        split_by_prompt(rankings[:2], 0.2, seed=0)


def test_copies_weigh_in_training_and_count_once_where_they_are_held_out():
    others = [ranking(i, ["a", "b"], [[0], [1]], prompt=f"p{i}") for i in range(30)]
    own = [ranking(100 + i, ["a", "b"], [[1], [0]], prompt=f"mine {i}") for i in range(10)]
    training, held_out = split_by_prompt(own * 4 + others, 0.3, seed=0)
    mine = {r.id for r in own}
    assert len({r.id for r in held_out}) == len(held_out) == 12
    assert 0 < sum(r.id in mine for r in held_out) < 10
    kept = [r.id for r in training if r.id in mine]
    assert len(kept) == 4 * len(set(kept))


def test_bad_input_is_refused():
    tokenizer = tiny_tokenizer()
    model = tiny_reward_model(tokenizer)
    tied = [ranking(i, ["a", "b"], [[0, 1]]) for i in range(4)]
    good = polite_rankings(4, seed=1)
    with pytest.raises(ValueError, match="0 training and 4 validation"):
        train_reward_model(model, tokenizer, tied, validation=good, seed=0)
    with pytest.raises(ValueError, match="4 training and 0 validation"):
        train_reward_model(model, tokenizer, good, validation=tied, seed=0)
    long = [ranking(1, ["cat " * 500, "b"], [[0], [1]])]
    with pytest.raises(ValueError, match="training ranking 0 has .* tokens"):
        train_reward_model(model, tokenizer, long, validation=good, seed=0)
    with pytest.raises(ValueError, match="prompt and reply 1 has .* tokens"):
        score(model, tokenizer, ["a", "a"], ["b", "cat " * 500])
