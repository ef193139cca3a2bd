"""SFT and reward-model training against TRL's SFTTrainer and RewardTrainer.

Both sides start from copies of the same model and learn from the same tokens, in batches of the
same size, for one epoch, with fused AdamW, in float32. TRL gets its data encoded, batches of
similar length (`train_sampling_strategy`), and no gradient checkpointing, logging, saving or
evaluation; the rest is left as TRL sets it. Training steps alone are timed, all but the first and
the last, so encoding, which TRL does beforehand, counts on neither side.

A reward model is measured twice. Pairs: each row of our batch is a pair, as in TRL. Rankings of
several replies: we read a reply once for all of its pairs, TRL once for each.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence

from rlhf_tutorial.bench_timing import Comparison, StepClock, in_turns
from rlhf_tutorial.models import build_reward_model
from rlhf_tutorial.preferences import Ranking, pairs
from rlhf_tutorial.reward import RewardSettings, encode_pairs, train_reward_model
from rlhf_tutorial.sft import SFTSettings, encode_demonstrations, train_sft

BATCH = 32  # demonstrations or pairs a step
RANKINGS = 16  # rankings a step
REACH = 1.5
ALIKE = {  # what differs from TRL's own settings
    "num_train_epochs": 1,
    "activation_checkpointing": False,  # the newer name of gradient checkpointing
    "bf16": False,
    "use_cpu": True,
    "optim": "adamw_torch_fused",
    "train_sampling_strategy": "group_by_length",
    "remove_unused_columns": False,  # it would take the lengths away before they are looked at
    "logging_strategy": "no",
    "save_strategy": "no",
    "eval_strategy": "no",
    "report_to": "none",
    "disable_tqdm": True,
    "dataloader_pin_memory": False,
}


def measure(
    model,
    tokenizer,
    demonstrations: Sequence[dict],
    rankings: Sequence[Ranking],
    *,
    turns: int,
    batch: int = BATCH,
    rankings_per_step: int = RANKINGS,
) -> list[Comparison]:
    """Three comparisons: SFT, a reward model on pairs, and one on rankings.

    Args:
        model: a `GPT2LMHeadModel`, copied for each run.
        demonstrations: `prompt` and `completion`; remarks are left out, TRL has no such thing.
        rankings: of several replies each.

    Raises:
        ValueError: too few demonstrations or rankings for three steps, or no turn.
    """
    plain = [{"prompt": d["prompt"], "completion": d["completion"]} for d in demonstrations]
    ranked = [ranking for ranking in rankings if pairs(ranking)]
    twos = [two for ranking in ranked for two in as_pairs(ranking)]
    # Full batches only, so that each step has as many rows.
    plain = plain[: len(plain) // batch * batch]
    twos = twos[: len(twos) // batch * batch]
    ranked = ranked[: len(ranked) // rankings_per_step * rankings_per_step]
    for what, steps in (
        ("demonstrations", len(plain) // batch),
        ("pairs", len(twos) // batch),
        ("rankings", len(ranked) // rankings_per_step),
    ):
        if steps < 3:
            raise ValueError(f"too few {what} for three steps: give more")
    reward_model = build_reward_model(model, tokenizer, seed=0)
    pairs_a_ranking = sum(len(pairs(ranking)) for ranking in ranked) / len(ranked)
    alike = round(pairs_a_ranking * rankings_per_step)  # pairs a step as many as ours
    alike = min(alike, sum(len(pairs(ranking)) for ranking in ranked) // 3)

    def reward_ours(data, rows, worth):
        return lambda turn: worth * our_reward(reward_model, tokenizer, data, rows, turn)

    def reward_theirs(data, rows):
        return lambda turn: trl_reward(reward_model, tokenizer, data, rows, turn)

    def compare(what, against, unit, ours, theirs) -> Comparison:
        return Comparison(
            what, against, unit, *in_turns(ours, theirs, turns=turns, warm_ups=0), REACH
        )

    return [
        compare(
            f"SFT, batch {batch}",
            "SFTTrainer",
            "sequences/s",
            lambda turn: our_sft(model, tokenizer, plain, batch, turn),
            lambda turn: trl_sft(model, tokenizer, plain, batch, turn),
        ),
        compare(
            f"reward model, batch of {batch} pairs",
            "RewardTrainer",
            "pairs/s",
            reward_ours(twos, batch, 1.0),
            reward_theirs(twos, batch),
        ),
        compare(
            f"reward model, batch of {rankings_per_step} rankings",
            f"RewardTrainer, their pairs, {alike} a step",
            "pairs/s",
            reward_ours(ranked, rankings_per_step, pairs_a_ranking),
            reward_theirs([two for ranking in ranked for two in as_pairs(ranking)], alike),
        ),
    ]


def as_pairs(ranking: Ranking) -> list[Ranking]:
    """A ranking of two replies, the better first, for each pair of a ranking."""
    return [
        Ranking(
            id=f"{ranking.id}/{winner}-{loser}",
            prompt=ranking.prompt,
            replies=[ranking.replies[winner], ranking.replies[loser]],
            tiers=[[0], [1]],
        )
        for winner, loser in pairs(ranking)
    ]


def our_sft(model, tokenizer, demonstrations, batch: int, seed: int) -> float:
    """Demonstrations a second of `train_sft`."""
    clock = StepClock()
    settings = SFTSettings(epochs=1.0, batch_size=batch)
    train_sft(copy.deepcopy(model), tokenizer, demonstrations, settings, seed=seed, progress=clock)
    return clock.steps * batch / clock.seconds


def our_reward(
    model, tokenizer, rankings, rankings_per_step: int, seed: int, clock: StepClock | None = None
) -> float:
    """Rankings a second of `train_reward_model`."""
    clock = clock or StepClock()
    settings = RewardSettings(
        epochs=1, rankings_per_step=rankings_per_step, evaluate_every=len(rankings)
    )
    train_reward_model(
        copy.deepcopy(model),
        tokenizer,
        rankings,
        settings,
        validation=list(rankings[:1]),  # looked at before training and after it only
        seed=seed,
        progress=clock,
    )
    return clock.steps * rankings_per_step / clock.seconds


def trl_sft(model, tokenizer, demonstrations, batch: int, seed: int) -> float:
    """Demonstrations a second of TRL's SFTTrainer."""
    from trl import SFTConfig, SFTTrainer

    rows = encode_demonstrations(tokenizer, demonstrations)
    data = []
    for inputs, labels, _ in rows:  # labels shifted back: TRL's model shifts them itself
        data.append({"input_ids": [*inputs, labels[-1]], "labels": [-100, *labels]})
    return batch * _trl_steps_a_second(
        SFTTrainer, SFTConfig, model, tokenizer, data, batch, seed, SFTSettings().learning_rate
    )


def trl_reward(model, tokenizer, twos: Sequence[Ranking], batch: int, seed: int) -> float:
    """Pairs a second of TRL's RewardTrainer; `twos` are rankings as `as_pairs` makes them."""
    from trl import RewardConfig, RewardTrainer

    prompts = [two.prompt for two in twos]
    chosen = encode_pairs(tokenizer, prompts, [two.replies[0] for two in twos])
    rejected = encode_pairs(tokenizer, prompts, [two.replies[1] for two in twos])
    data = [
        {"chosen_ids": better, "rejected_ids": worse, "length": max(len(better), len(worse))}
        for better, worse in zip(chosen, rejected, strict=True)
    ]
    rate = RewardSettings().learning_rate
    return batch * _trl_steps_a_second(
        RewardTrainer, RewardConfig, model, tokenizer, data, batch, seed, rate
    )


def _trl_steps_a_second(
    trainer_class: Callable,
    config_class: Callable,
    model,
    tokenizer,
    rows: list[dict],
    batch: int,
    seed: int,
    learning_rate: float,
) -> float:
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback

    clock = StepClock()

    class Marks(TrainerCallback):
        def on_step_end(self, args, state, control, **others):
            clock(state.global_step, state.max_steps)

    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_class(
            model=copy.deepcopy(model),
            args=config_class(
                output_dir=folder,
                per_device_train_batch_size=batch,
                learning_rate=learning_rate,
                dataloader_drop_last=True,
                seed=seed,
                **ALIKE,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[Marks()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return clock.steps / clock.seconds
