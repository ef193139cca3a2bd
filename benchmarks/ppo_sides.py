"""One side of the comparison with TRL 1.12: a process that runs PPO on a task, ours or TRL's.

    python benchmarks/ppo_sides.py ours TASK.json
    python benchmarks/ppo_sides.py trl TASK.json       in the environment that has trl 1.12.0

`benchmarks/ppo_vs_trl.py` starts both and writes the task: folders of models, prompts, settings.
A process says what it measured in lines that begin with MARK. With "turns" in the task it waits
for a line before each step, so that two processes can take turns on one machine.

The side of TRL imports nothing of this project: it reads plain folders and token ids.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

MARK = "@@ "
MATCH = 1e-3  # reward units: the same ids must get the same score on both sides


def megabytes_now() -> float:
    """Memory that this process holds now, in MB (10^6 bytes)."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def megabytes_at_most() -> float:
    """The most memory that this process has held so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def import_what_comes_later() -> None:
    """What ours imports only where it is used belongs to the imports all the same."""
    import accelerate  # noqa: F401
    import safetensors.torch  # noqa: F401
    from transformers import GPT2ForSequenceClassification, GPT2LMHeadModel  # noqa: F401


def say(**row) -> None:
    """Tell the parent."""
    print(MARK + json.dumps(row), flush=True)


class Turns:
    """Times the steps of one side; with `wait`, a step begins when the parent says so."""

    def __init__(self, wait: bool):
        self.wait, self.imports = wait, megabytes_now()
        self.begin()

    def begin(self) -> None:
        """A step begins now, or when it is our turn."""
        if self.wait and not sys.stdin.readline():
            raise SystemExit("the parent has gone")
        self.started, self.worked = time.perf_counter(), time.process_time()

    def step(self, last: bool, **row) -> None:
        """A step has ended."""
        row["seconds"] = time.perf_counter() - self.started
        row["processor"] = time.process_time() - self.worked  # of all threads; others do not add
        row["run_mb"] = megabytes_at_most() - self.imports
        say(step=row)
        if not last:
            self.begin()


def ours(task: dict) -> None:
    """`rlhf_tutorial.ppo.train_ppo` on the task."""
    import_what_comes_later()
    from rlhf_tutorial import models
    from rlhf_tutorial.policy_with_value import PolicyWithValue
    from rlhf_tutorial.ppo import PPOSettings, train_ppo
    from rlhf_tutorial.reward import score_ids, score_rollout
    from rlhf_tutorial.tokenizer import load_tokenizer

    turns = Turns(task["turns"])
    tokenizer = load_tokenizer(Path(task["sft"]))
    policy = models.load_language_model(Path(task["sft"]), tokenizer)
    reference = models.load_language_model(Path(task["sft"]), tokenizer)
    reward_model = models.load_reward_model(Path(task["reward_model"]), tokenizer)
    tokenizer.eos_token = task["end_token"]
    rows = [p + r for p, r in zip(task["probe"]["prompts"], task["probe"]["replies"], strict=True)]
    scores = score_ids(reward_model, rows, tokenizer.pad_token_id, standardise=True)
    check_scores(scores.tolist(), task)
    settings = PPOSettings(**task["settings"])
    started = time.perf_counter()
    train_ppo(
        PolicyWithValue(policy, reward_model if task["value_network"] else None),
        reference,
        tokenizer,
        task["prompts"],
        lambda rollout: score_rollout(reward_model, tokenizer, rollout, standardise=True),
        settings,
        seed=task["seed"],
        callbacks=[
            lambda step, model, rollout, row: turns.step(
                step == settings.steps,
                kl=row["objective/kl"],
                score=row["objective/scores"],
                ratio=row["val/ratio"],
                length=row["val/reply_length"],
            )
        ],
    )
    finish(policy, tokenizer, task, started)


def trl(task: dict) -> None:
    """`trl.experimental.ppo.PPOTrainer` on the task."""
    import torch
    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        TrainerCallback,
    )
    from transformers.models.gpt2 import modeling_gpt2  # noqa: F401
    from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer
    from trl.experimental.utils import get_reward

    turns = Turns(task["turns"])
    settings = task["settings"]
    tokenizer = AutoTokenizer.from_pretrained(task["sft"], padding_side="left")
    policy = AutoModelForCausalLM.from_pretrained(task["sft"], dtype=torch.float32)
    reference = AutoModelForCausalLM.from_pretrained(task["sft"], dtype=torch.float32)
    # The value model starts as the reward model, as in TRL's own script.
    reward_model, value_model = (
        AutoModelForSequenceClassification.from_pretrained(
            task["reward_model"], num_labels=1, dtype=torch.float32
        )
        for _ in range(2)
    )
    for model in (reward_model, value_model):
        with_bias = torch.nn.Linear(model.config.n_embd, 1)  # ours reads standardised scores
        with torch.no_grad():
            with_bias.weight.copy_(model.score.weight / task["reward_std"])
            with_bias.bias.fill_(-task["reward_mean"] / task["reward_std"])
        model.score = with_bias
    tokenizer.eos_token = task["end_token"]

    prompts = tokenizer.pad({"input_ids": task["probe"]["prompts"]}, return_tensors="pt")
    width = max(map(len, task["probe"]["replies"]))
    pad = tokenizer.pad_token_id
    replies = torch.tensor([r + [pad] * (width - len(r)) for r in task["probe"]["replies"]])
    ids = torch.cat([prompts["input_ids"], replies], 1)
    with torch.no_grad():
        _, scores, _ = get_reward(reward_model, ids, pad, prompts["input_ids"].shape[1])
    check_scores(scores.tolist(), task)

    config = PPOConfig(
        output_dir=str(Path(task["folder"]) / "trainer"),
        seed=task["seed"],
        # One part a minibatch: with more, TRL 1.12 updates once an epoch and not once a minibatch.
        per_device_train_batch_size=settings["batch_size"],
        gradient_accumulation_steps=1,
        num_mini_batches=settings["minibatches"],
        num_ppo_epochs=settings["epochs"],
        total_episodes=settings["steps"] * settings["batch_size"],
        local_rollout_forward_batch_size=task["trl_rollout_batch"],
        response_length=settings["max_new_tokens"],
        stop_token="eos",
        temperature=settings["temperature"],
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="linear",
        adam_epsilon=settings["adam_epsilon"],
        weight_decay=0.0,
        missing_eos_penalty=settings["missing_eos_penalty"],
        whiten_rewards=settings["whiten_rewards"],
        kl_coef=settings["kl_coefficient"],
        kl_estimator=settings["kl_estimator"],
        cliprange=settings["clip"],
        cliprange_value=settings["value_clip"],
        vf_coef=settings["value_coefficient"],
        gamma=settings["gamma"],
        lam=settings["lam"],
        num_sample_generations=0,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        logging_steps=1,
    )
    lengths = []
    generate = ppo_trainer.batch_generation

    def watched(model, queries, *more):
        made, logits = generate(model, queries, *more)
        replies = made[:, queries.shape[1] :]
        lengths.append((replies != pad).sum(1).float().mean().item())
        return made, logits

    ppo_trainer.batch_generation = watched

    class TakeTurns(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            row = state.log_history[-1]
            turns.step(
                state.global_step == settings["steps"],
                kl=row["objective/kl"],
                score=row["objective/scores"],
                ratio=row["val/ratio"],
                length=lengths[-1],
            )

    trainer = PPOTrainer(
        args=config,
        processing_class=tokenizer,
        model=policy,
        ref_model=reference,
        reward_model=reward_model,
        value_model=value_model,
        train_dataset=Dataset.from_dict({"input_ids": task["prompt_ids"]}),
        callbacks=[TakeTurns()],
    )
    started = time.perf_counter()
    trainer.train()
    finish(policy, tokenizer, task, started)


def check_scores(scores: list[float], task: dict) -> None:
    """End here if this side's reward model does not see what the parent's sees."""
    wanted = task["probe"]["scores"]
    worst = max(abs(a - b) for a, b in zip(scores, wanted, strict=True))
    if worst > MATCH:
        raise SystemExit(f"the same ids are scored differently, by up to {worst:.4f}")
    say(score_difference=worst)


def finish(policy, tokenizer, task: dict, started: float) -> None:
    """Save the trained policy where it is wanted."""
    seconds = time.perf_counter() - started
    if task["save"]:
        policy.save_pretrained(task["save"])
    import torch

    say(done={"seconds": seconds, "threads": torch.get_num_threads()})


if __name__ == "__main__":
    with open(sys.argv[2], encoding="utf-8") as file:
        {"ours": ours, "trl": trl}[sys.argv[1]](json.load(file))
