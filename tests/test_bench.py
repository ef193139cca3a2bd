"""Speeds: the arithmetic of ratios, that both sides do the same thing, and the command."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import pytest
import torch

from rlhf_tutorial import (
    bench_finetuning,
    bench_pretraining,
    bench_sampling,
    bench_table,
    cli,
    cli_bench,
    sampling,
    stages_code,
)
from rlhf_tutorial.bench_timing import Comparison, StepClock, in_turns
from rlhf_tutorial.preferences import Ranking, pairs
from rlhf_tutorial.pretraining import PretrainingSettings
from tests.commands import fails_in_one_line
from tests.tiny import tiny_model, tiny_tokenizer

PROMPTS = ["where is the cat", "hi", "good day to you and your dog", "please", "thank you", "no"]
TOKENS = 12


def comparison(ours, theirs, reach=1.5) -> Comparison:
    return Comparison("this", "that", "things/s", tuple(ours), tuple(theirs), reach)


# Ratios


def test_the_ratio_is_the_median_of_ratios_and_not_the_ratio_of_medians():
    one = comparison([10.0, 30.0, 40.0], [10.0, 10.0, 8.0])
    assert one.ratios == [1.0, 3.0, 5.0]
    assert one.ratio == 3.0 and one.spread == (1.0, 5.0)
    two = comparison([10.0, 1.0, 6.0], [1.0, 1.0, 2.0])
    assert two.ratio == 3.0  # medians 6 and 1 would give 6


def test_a_goal_is_reached_at_its_number():
    assert comparison([3.0], [2.0], reach=1.5).is_reached
    assert not comparison([2.99], [2.0], reach=1.5).is_reached


@pytest.mark.parametrize("ours, theirs", [([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0])])
def test_speeds_that_make_no_ratio_are_refused(ours, theirs):
    with pytest.raises(ValueError):
        comparison(ours, theirs)


def test_both_sides_take_turns_and_the_warm_up_is_not_kept():
    called = []

    def side(name, speeds):
        def run(turn):
            called.append((name, turn))
            return speeds[turn]

        return run

    ours, theirs = in_turns(side("a", [9.0, 1.0, 2.0]), side("b", [8.0, 3.0, 4.0]), turns=2)
    assert called == [(name, turn) for turn in range(3) for name in "ab"]
    assert ours == (1.0, 2.0) and theirs == (3.0, 4.0)
    with pytest.raises(ValueError, match="at least 1"):
        in_turns(side("a", []), side("b", []), turns=0)


def test_the_clock_leaves_out_the_first_and_the_last_step():
    clock = StepClock()
    clock.times = [5.0, 6.0, 8.0, 100.0]
    assert clock.steps == 2 and clock.seconds == 3.0
    clock.times = [5.0, 6.0]
    with pytest.raises(ValueError, match="at least 3"):
        _ = clock.seconds


def test_the_table_shows_medians_the_spread_and_what_was_missed():
    table = bench_table.table(
        [comparison([30.0, 10.0, 20.0], [10.0, 10.0, 10.0]), comparison([3.0], [4.0])]
    )
    first, second = [[cell.strip() for cell in row.split("|")] for row in table.splitlines()[2:]]
    assert first[3:8] == ["20", "10", "things/s", "2.00 [1.00, 3.00]", "≥ 1.5"]
    assert second[6:8] == ["0.75 [0.75, 0.75]", "≥ 1.5, missed"]


def test_a_page_gets_the_table_between_its_marks(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- speed:start -->\nold\n<!-- speed:end -->\nafter\n")
    bench_table.publish("speed", [comparison([3.0], [2.0])], "A model.", page)
    text = page.read_text()
    assert "1.50 [1.50, 1.50]" in text and "A model." in text and "old" not in text
    assert text.startswith("before\n") and text.endswith("after\n")
    assert f"{torch.get_num_threads()} threads" in text and f"torch {torch.__version__}" in text
    with pytest.raises(ValueError, match="other:start"):
        bench_table.publish("other", [comparison([3.0], [2.0])], "", page)
    capsys.readouterr()


# Sampling


def both_sides(model, tokenizer):
    ours = sampling.sample(model, tokenizer, PROMPTS, max_new_tokens=TOKENS, seed=3)
    theirs = bench_sampling.generate(model, tokenizer, PROMPTS, max_new_tokens=TOKENS, seed=3)
    return {"ours": ours, "theirs": theirs}


def check_log_probabilities(model, rollout):
    fresh = sampling.reply_logprobs(model, rollout)
    assert torch.allclose(rollout.logprobs, fresh, atol=1e-4)
    assert (rollout.logprobs[rollout.reply_mask.bool()] < 0).all()


@pytest.fixture(scope="module")
def ending():
    """A tiny model that ends about a tenth of its replies at each token."""
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    with torch.no_grad():  # a last coordinate of 1, as in `never_ending`, that favours the end
        model = bench_sampling.never_ending(model, tokenizer.eos_token_id)
        model.lm_head.weight[tokenizer.eos_token_id, -1] = math.log(len(tokenizer) / 8)
    return model, tokenizer


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_both_sides_return_the_models_own_log_probabilities(ending, side):
    model, tokenizer = ending
    rollout = both_sides(model, tokenizer)[side]
    assert 0 < int(rollout.finished.sum()) and rollout.reply_mask.min() == 0
    check_log_probabilities(model, rollout)
    for ids, mask, ended in zip(
        rollout.reply_ids, rollout.reply_mask, rollout.finished, strict=True
    ):
        assert (ids[mask.bool()] == tokenizer.eos_token_id).sum() == ended
        assert (ids[mask == 0] == tokenizer.pad_token_id).all()


def test_without_an_end_both_sides_write_full_replies(ending):
    model, tokenizer = ending
    endless = bench_sampling.never_ending(model, tokenizer.eos_token_id)
    for rollout in both_sides(endless, tokenizer).values():
        assert rollout.reply_mask.shape == (len(PROMPTS), TOKENS)
        assert rollout.reply_mask.all() and not rollout.finished.any()
        check_log_probabilities(endless, rollout)


def test_the_model_without_an_end_is_a_copy_and_nearly_the_same():
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    before = copy.deepcopy(model.state_dict())
    endless = bench_sampling.never_ending(model, tokenizer.eos_token_id)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    ids = torch.tensor([[5, 6, 7, 8]])
    logits = endless(input_ids=ids).logits
    assert (logits[..., tokenizer.eos_token_id] == bench_sampling.NEVER).all()
    others = [i for i in range(len(tokenizer)) if i != tokenizer.eos_token_id]
    old, new = model(input_ids=ids).logits[..., others], logits[..., others]
    correlation = torch.corrcoef(torch.stack([old.flatten(), new.flatten()]))[0, 1]
    assert correlation > 0.9  # one coordinate of 32 is lost


def test_tokens_a_second_count_reply_tokens_over_all_batches(monkeypatch):
    ticks = iter([10.0, 14.0])
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr(bench_sampling, "time", clock)
    masks = [torch.tensor([[1, 1, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])]

    def sampler(batch, seed):
        assert batch == ["a", "b"][seed - 7]
        return SimpleNamespace(reply_mask=masks[seed - 7])

    assert bench_sampling.tokens_a_second(sampler, ["a", "b"], 7) == 6 / 4


def test_sampling_is_measured_for_each_batch_ending_and_length(ending):
    model, tokenizer = ending
    found = bench_sampling.measure(
        model, tokenizer, PROMPTS, turns=1, batches={4: 1, 2: 3}, lengths=(3, 5)
    )
    assert len({one.what for one in found}) == 8
    assert {one.reach for one in found} == {1.5, 2.5}
    with pytest.raises(ValueError, match="at least 8"):
        bench_sampling.measure(model, tokenizer, PROMPTS, turns=1, batches={4: 2})


# Training


def test_operations_a_token_are_those_that_torch_counts():
    """By torch's own counter: without attention, which it does not see inside a fused kernel."""
    from torch.utils.flop_counter import FlopCounterMode

    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer, attn_implementation="eager")
    ids = torch.randint(0, len(tokenizer), (3, 16))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=ids, use_cache=False).logits.sum().backward()
    attention_by_torch = 12 * 2 * 16 * 32  # eager attention multiplies what is masked, too
    expected = bench_pretraining.flop_per_token(model.config, 16) + attention_by_torch // 2
    assert counter.get_total_flops() / ids.numel() == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("half", [False, True])
def test_pretraining_is_measured_against_a_matrix_product(half, monkeypatch):
    settings = PretrainingSettings(steps=3, batch=2, time=16)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": half})
    one, *more = bench_pretraining.measure(
        tiny_tokenizer(),
        ["the cat is here"] * 20,
        turns=1,
        size="1m",
        settings=settings,
        peak_seconds=0.01,
    )
    assert 0 < one.ours[0] < one.theirs[0]  # no training multiplies faster than a bare product
    assert one.against == "bare product in float32"
    assert [other.against for other in more] == ["bare product in bfloat16"] * half


def demonstrations(count):
    return [
        {"prompt": PROMPTS[i % len(PROMPTS)], "completion": "yes " * (1 + i % 5), "remark": "good"}
        for i in range(count)
    ]


def rankings(count):
    return [
        Ranking(
            id=str(i),
            prompt=PROMPTS[i % len(PROMPTS)],
            replies=["yes", "no thank you", "the dog"],
            tiers=[[2], [0], [1]] if i % 2 else [[0, 2], [1]],
        )
        for i in range(count)
    ]


def test_a_ranking_as_pairs_says_the_same():
    for ranking in rankings(2):
        twos = bench_finetuning.as_pairs(ranking)
        said = [
            (ranking.replies[winner], ranking.replies[loser]) for winner, loser in pairs(ranking)
        ]
        assert [(two.replies[0], two.replies[1]) for two in twos] == said
        assert all(pairs(two.validate()) == [(0, 1)] for two in twos)


def test_trl_learns_from_the_same_tokens_as_we_do(monkeypatch):
    seen = {}

    def record(trainer, config, model, tokenizer, rows, batch, seed, rate):
        seen[trainer.__name__] = rows
        return 1.0

    monkeypatch.setattr(bench_finetuning, "_trl_steps_a_second", record)
    tokenizer = tiny_tokenizer()
    plain = [{"prompt": d["prompt"], "completion": d["completion"]} for d in demonstrations(3)]
    bench_finetuning.trl_sft(None, tokenizer, plain, 1, 0)
    for item, row in zip(plain, seen["SFTTrainer"], strict=True):
        turns = [
            {"role": "user", "content": item["prompt"]},
            {"role": "assistant", "content": item["completion"]},
        ]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        assert tokenizer.decode(row["input_ids"]) == text
        learnt = [label for label in row["labels"] if label != -100]
        assert learnt == row["input_ids"][-len(learnt) :]
    two = bench_finetuning.as_pairs(rankings(2)[1])[:1]
    bench_finetuning.trl_reward(None, tokenizer, two, 1, 0)
    (row,) = seen["RewardTrainer"]
    assert tokenizer.decode(row["chosen_ids"]) == (
        f"<|user|> {two[0].prompt}<|assistant|> the dog<|end|>"
    )
    assert tokenizer.decode(row["rejected_ids"]).endswith("<|assistant|> yes<|end|>")
    assert row["length"] == max(len(row["chosen_ids"]), len(row["rejected_ids"]))


@pytest.mark.medium
def test_finetuning_is_measured_against_trl_and_leaves_the_model_alone(capsys):
    tokenizer = tiny_tokenizer()
    model = tiny_model(tokenizer)
    before = copy.deepcopy(model.state_dict())
    found = bench_finetuning.measure(
        model,
        tokenizer,
        demonstrations(12),
        rankings(12),
        turns=1,
        batch=4,
        rankings_per_step=3,
    )
    assert [one.against.split(",")[0] for one in found] == ["SFTTrainer", *["RewardTrainer"] * 2]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="too few rankings"):
        bench_finetuning.measure(
            model, tokenizer, demonstrations(12), rankings(6), turns=1, batch=4, rankings_per_step=3
        )


# The command


class TinyMaterials:
    """Stands in for the model that the command would train first."""

    def __init__(self, run=None, *, progress=None):
        self.tokenizer = tiny_tokenizer()
        self.model = tiny_model(self.tokenizer)
        self.prompts = PROMPTS
        self.documents = ["the cat is here"] * 20

    def about(self):
        return "A tiny model."


def test_the_command_prints_a_table_and_the_machine(monkeypatch, capsys):
    monkeypatch.setattr(cli_bench, "Materials", TinyMaterials)
    monkeypatch.setattr(bench_sampling, "BATCHES", {2: 1})
    monkeypatch.setattr(bench_sampling, "LENGTHS", (4,))
    assert cli.main(["bench", "--only", "sampling", "--turns", "1"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert rows[0].split("|")[1].strip() == "what" and len(rows) == 3
    assert all("generate" in row and "≥" in row for row in rows[1:])
    assert "A tiny model." in lines[-2] and "threads" in lines[-2]
    assert lines[-1].startswith("Measured in ") and lines[-1].endswith(" seconds.")


def test_a_change_of_the_benchmarks_leaves_artefacts_alone():
    reached = stages_code.reached_from(stages_code.PACKAGE / "stages_build.py", stages_code.PACKAGE)
    assert len(reached) > 10 and not any("bench" in path.name for path in reached)


def test_the_command_knows_all_measures():
    assert tuple(cli_bench.MEASURES) == cli.BENCHES


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--only", "cooking"], "cooking"),
        (["--turns", "0"], "at least 1"),
        (["--turns", "many"], "many"),
        (["--run", "no/such/run"], "no/such/run"),
    ],
)
def test_bad_input_ends_with_one_line(capsys, arguments, told):
    assert told in fails_in_one_line(capsys, "bench", *arguments)


@pytest.mark.medium
def test_the_materials_of_a_run_are_its_own(tiny_run):
    from rlhf_tutorial.bench_materials import Materials

    materials = Materials(tiny_run.folder)
    assert len(materials.tokenizer) == materials.model.config.vocab_size
    assert len(materials.prompts) >= max(r * c for r, c in bench_sampling.BATCHES.items())
    assert "the SFT model of a run" in materials.about()
    ranking = materials.rankings[0]
    assert ranking.replies == materials.rollout.texts[:4]
