"""Sampling: log-probabilities, padding, seeds, truncation, stopping and order."""

from __future__ import annotations

import copy

import pytest
import torch
from tiny import tiny_model, tiny_tokenizer

from rlhf_tutorial.decoding import FastDecoder, PlainDecoder, decoder_for
from rlhf_tutorial.policy_with_value import PolicyWithValue
from rlhf_tutorial.sampling import draw, log_distribution, pad_left, reply_logprobs, sample
from rlhf_tutorial.tokenizer import decode_reply, encode_prompt

PROMPTS = [
    "the cat is here",
    "hi",
    "where is your dog and the cat and the dog and the good day",
    "thank you",
    "the dog is here and",
]


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer):
    """A random model that ends a reply after about ten tokens."""
    model = tiny_model(tokenizer, n_positions=160)
    with torch.no_grad():
        end = model.transformer.wte.weight[tokenizer.eos_token_id]
        model.transformer.ln_f.bias += 3.5 * end / end.norm()
    return model


@pytest.fixture(params=[PlainDecoder, FastDecoder])
def decoder(request):
    return request.param


def first_token_distribution(model, ids) -> torch.Tensor:
    """From a forward pass over one prompt alone, with nothing padded."""
    return model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)


def test_model_of_these_tests_ends_some_replies_early_and_some_not(model, tokenizer):
    rollout = sample(model, tokenizer, PROMPTS, replies_per_prompt=8, max_new_tokens=12)
    lengths = rollout.reply_mask.sum(1)
    assert 0.2 < rollout.finished.float().mean() < 0.95
    assert len(lengths.unique()) > 4


def test_logprobs_equal_a_fresh_forward_pass(model, tokenizer, decoder):
    rollout = sample(
        model, tokenizer, PROMPTS, replies_per_prompt=3, max_new_tokens=20, decoder=decoder
    )
    fresh = reply_logprobs(model, rollout)
    assert (fresh - rollout.logprobs).abs().max() < 1e-4
    # And one row at a time, without padding on any side.
    for row in range(len(rollout)):
        length = int(rollout.reply_mask[row].sum())
        prompt = encode_prompt(tokenizer, rollout.prompts[row])
        ids = prompt + rollout.reply_ids[row, :length].tolist()
        logprobs = model(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        alone = logprobs[range(len(ids) - 1), ids[1:]][len(prompt) - 1 :]
        assert (alone - rollout.logprobs[row, :length]).abs().max() < 1e-4
        assert rollout.logprobs[row, length:].abs().sum() == 0


def test_padded_batch_gives_the_distribution_of_single_prompts(model, tokenizer, decoder):
    encoded = [encode_prompt(tokenizer, prompt) for prompt in PROMPTS]
    ids, mask = pad_left(encoded, tokenizer.pad_token_id)
    assert not mask.all()
    decode = decoder(model)
    together = decode.read(ids, mask, room=3).log_softmax(-1)
    tokens = torch.tensor([70, 80, 90, 100, 110])
    after = decode.step(tokens).log_softmax(-1)
    decode.keep(torch.tensor([1, 2, 4]))
    later = decode.step(tokens[:3]).log_softmax(-1)
    for row, prompt in enumerate(encoded):
        alone = first_token_distribution(model, prompt)
        assert torch.allclose(together[row], alone, atol=1e-5)
        one_more = [*prompt, int(tokens[row])]
        assert torch.allclose(after[row], first_token_distribution(model, one_more), atol=1e-5)
    for row, original in enumerate([1, 2, 4]):
        whole = [*encoded[original], int(tokens[original]), int(tokens[row])]
        assert torch.allclose(later[row], first_token_distribution(model, whole), atol=1e-5)


def test_sampled_first_tokens_follow_the_distribution(model, tokenizer):
    """Chi-squared over 4,000 replies to each of two prompts, one of them padded."""
    prompts, count = [PROMPTS[1], PROMPTS[2]], 4_000
    rollout = sample(model, tokenizer, prompts, replies_per_prompt=count, max_new_tokens=1, seed=7)
    for index, prompt in enumerate(prompts):
        tokens = rollout.reply_ids[index * count : (index + 1) * count, 0]
        seen = torch.bincount(tokens, minlength=len(tokenizer)).double()
        expected = first_token_distribution(model, encode_prompt(tokenizer, prompt))
        expected = expected.double().exp() * count
        common = expected >= 5
        seen = torch.cat([seen[common], seen[~common].sum()[None]])
        expected = torch.cat([expected[common], expected[~common].sum()[None]])
        freedom = len(seen) - 1
        statistic = ((seen - expected) ** 2 / expected).sum().item()
        assert abs(statistic - freedom) < 4 * (2 * freedom) ** 0.5  # 4 standard deviations


@pytest.mark.parametrize("replies", [1, 3])
def test_decoders_agree_and_the_batch_size_does_not_matter(model, tokenizer, replies):
    def texts(**options):
        return sample(
            model,
            tokenizer,
            PROMPTS,
            replies_per_prompt=replies,
            max_new_tokens=16,
            seed=3,
            **options,
        ).texts

    expected = texts(decoder=PlainDecoder, batch_size=1)
    assert texts(decoder=FastDecoder) == expected
    assert texts(decoder=PlainDecoder) == expected
    assert texts(decoder=FastDecoder, batch_size=4) == expected


def test_fed_the_same_numbers_the_decoders_draw_the_same_tokens(model, tokenizer):
    """Over 20,000 tokens: rows part at fewer than one token in 10,000, and agree to 1e-4 until."""
    drawn, flips, furthest = 0, 0, 0.0
    for seed in range(6):
        plain, fast = (
            sample(
                model, tokenizer, PROMPTS, replies_per_prompt=80, max_new_tokens=24,
                seed=seed, decoder=decoder,
            )
            for decoder in (PlainDecoder, FastDecoder)
        )  # fmt: skip
        time = min(plain.reply_ids.shape[1], fast.reply_ids.shape[1])
        same = plain.reply_ids[:, :time] == fast.reply_ids[:, :time]
        until = same.long().cumprod(1).bool() & plain.reply_mask[:, :time].bool()
        drawn += int(plain.reply_mask.sum())
        flips += int((~same.all(1)).sum())  # after a flip a row goes its own way
        apart = (plain.logprobs[:, :time] - fast.logprobs[:, :time]).abs()
        furthest = max(furthest, float(apart[until].max()))
    assert drawn > 20_000
    assert flips < drawn / 10_000
    assert furthest < 1e-4


def test_adapters_are_not_passed_over(model, tokenizer):
    """Another kind of layer beside GPT-2's weights would not be read by the fast decoder."""
    assert isinstance(decoder_for(model), FastDecoder)
    adapted = copy.deepcopy(model)
    layer = adapted.transformer.h[0].attn

    class Adapter(torch.nn.Module):
        def __init__(self, base):
            super().__init__()
            self.base_layer, self.weight, self.bias = base, base.weight, base.bias

        def forward(self, hidden):
            return self.base_layer(hidden) + hidden.repeat(1, 1, 3)

    layer.c_attn = Adapter(layer.c_attn)
    assert isinstance(decoder_for(adapted), PlainDecoder)
    rollout = sample(adapted, tokenizer, PROMPTS, max_new_tokens=8)
    assert (reply_logprobs(adapted, rollout) - rollout.logprobs).abs().max() < 1e-4


def test_seed_decides(model, tokenizer):
    first, again, other = (
        sample(model, tokenizer, PROMPTS, max_new_tokens=16, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(first.reply_ids, again.reply_ids)
    assert torch.equal(first.logprobs, again.logprobs)
    assert first.texts != other.texts
    state = torch.random.get_rng_state()
    sample(model, tokenizer, ["hi"], max_new_tokens=4, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())


def test_each_reply_stops_by_itself_and_is_padded_after(model, tokenizer):
    rollout = sample(model, tokenizer, PROMPTS, replies_per_prompt=6, max_new_tokens=12)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    for row in range(len(rollout)):
        length = int(rollout.reply_mask[row].sum())
        ids = rollout.reply_ids[row].tolist()
        assert rollout.reply_mask[row].tolist() == [1] * length + [0] * (len(ids) - length)
        assert end not in ids[: length - 1] and ids[length:] == [pad] * (len(ids) - length)
        assert bool(rollout.finished[row]) == (ids[length - 1] == end)
        assert rollout.finished[row] or length == 12
        assert rollout.texts[row] == decode_reply(tokenizer, ids[:length])


def test_rows_stand_in_the_order_of_the_prompts(model, tokenizer):
    rollout = sample(
        model, tokenizer, PROMPTS, replies_per_prompt=2, max_new_tokens=5, batch_size=4
    )
    assert rollout.prompts == [prompt for prompt in PROMPTS for _ in range(2)]
    assert len(rollout) == 10 and rollout.reply_ids.shape == rollout.logprobs.shape
    for row, prompt in enumerate(rollout.prompts):
        kept = rollout.prompt_ids[row][rollout.prompt_mask[row].bool()].tolist()
        assert kept == encode_prompt(tokenizer, prompt)
        assert rollout.prompt_ids[row, -1] == kept[-1]  # padded on the left
    assert any(rollout.texts[2 * i] != rollout.texts[2 * i + 1] for i in range(5))


def test_top_k_and_top_p_by_hand():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    third = log_distribution(logits, top_k=2).exp()
    assert torch.allclose(third, torch.tensor([[0.625, 0.375, 0.0, 0.0]]))
    nucleus = log_distribution(logits, top_p=0.7).exp()
    assert torch.allclose(nucleus, torch.tensor([[0.625, 0.375, 0.0, 0.0]]))
    nucleus = log_distribution(logits, top_p=0.81).exp()
    assert torch.allclose(nucleus, torch.tensor([[0.5, 0.3, 0.15, 0.0]]) / 0.95)
    assert log_distribution(logits, top_p=1e-6).exp().tolist() == [[1.0, 0.0, 0.0, 0.0]]
    hot = log_distribution(logits, temperature=2.0).exp()
    assert torch.allclose(hot, logits.exp().sqrt() / logits.exp().sqrt().sum())
    assert torch.allclose(log_distribution(logits, top_k=9).exp(), logits.exp())


def test_draw_takes_the_first_token_beyond_the_uniform_number():
    log_probabilities = torch.tensor([0.0, 0.25, 0.5, 0.25, 0.0]).log().expand(5, 5)
    uniform = torch.tensor([0.0, 0.2499, 0.2501, 0.75, 0.99999994])
    assert draw(log_probabilities, uniform).tolist() == [1, 1, 2, 3, 3]


@pytest.mark.parametrize("options", [{"top_k": 3}, {"top_p": 0.5}, {"temperature": 0.6}])
def test_logprobs_are_those_of_the_truncated_distribution(model, tokenizer, options):
    rollout = sample(model, tokenizer, PROMPTS, replies_per_prompt=3, max_new_tokens=10, **options)
    fresh = reply_logprobs(model, rollout, **options)
    assert (fresh - rollout.logprobs).abs().max() < 1e-4
    assert (reply_logprobs(model, rollout) - rollout.logprobs).abs().max() > 1e-2


def test_top_k_of_one_takes_the_likeliest_token(model, tokenizer):
    rollout = sample(model, tokenizer, PROMPTS, max_new_tokens=1, top_k=1)
    for row, prompt in enumerate(PROMPTS):
        best = first_token_distribution(model, encode_prompt(tokenizer, prompt)).argmax()
        assert rollout.reply_ids[row, 0] == best
    assert rollout.logprobs.abs().max() < 1e-6


def test_base_model_goes_on_with_a_text(model, tokenizer):
    rollout = sample(model, tokenizer, ["the cat"], max_new_tokens=3, chat=False)
    assert rollout.prompt_ids[0].tolist() == encode_prompt(tokenizer, "the cat", chat=False)


def test_gradients_flow_through_fresh_logprobs_only(model, tokenizer):
    rollout = sample(model, tokenizer, PROMPTS, max_new_tokens=6)
    assert not rollout.logprobs.requires_grad
    reply_logprobs(model, rollout).sum().backward()
    assert model.transformer.h[0].attn.c_attn.weight.grad.abs().sum() > 0
    model.zero_grad()


def test_policy_with_value_is_sampled_and_keeps_its_mode(model, tokenizer):
    policy = PolicyWithValue(model)
    policy.train()
    rollout = sample(policy, tokenizer, PROMPTS, max_new_tokens=4)
    assert model.training
    model.eval()
    assert rollout.texts == sample(model, tokenizer, PROMPTS, max_new_tokens=4).texts


def test_unusual_models_take_the_plain_decoder(model, tokenizer):
    assert isinstance(decoder_for(model), FastDecoder)
    unusual = tiny_model(tokenizer, scale_attn_by_inverse_layer_idx=True)
    assert isinstance(decoder_for(unusual), PlainDecoder)
    rollout = sample(unusual, tokenizer, PROMPTS, max_new_tokens=5)
    assert (reply_logprobs(unusual, rollout) - rollout.logprobs).abs().max() < 1e-4


def test_bad_input_is_named(model, tokenizer):
    with pytest.raises(ValueError, match="no prompts"):
        sample(model, tokenizer, [])
    with pytest.raises(ValueError, match="prompt 1 has .* context of 160"):
        sample(model, tokenizer, ["hi", "the cat " * 80])
    for name, value in (
        ("temperature", 0.0),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("replies_per_prompt", 0),
        ("max_new_tokens", 0),
        ("batch_size", 0),
    ):
        with pytest.raises(ValueError, match=f"{name} is {value}"):
            sample(model, tokenizer, ["hi"], **{name: value})
