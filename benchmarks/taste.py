"""Do fifty rankings by one person move the model towards what that person wants?

    python benchmarks/taste.py --seeds 10 11 12 13 14

Three simulated people who want different things rank the same 50 items of 4 replies. A reward
model is made in two ways: `naive` learns from the 50 rankings alone; `after colleagues` starts from
the reward model of the simulated colleagues and learns the 50 on top, so that what all people
share is known and only what is this person's own must be learnt. Then a short PPO run, judged by
each person's own noiseless utility against SFT on test prompts. Uses the runs of
`benchmarks/five_seeds.py` and builds what is missing there.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from transformers.utils import logging  # noqa: E402

from rlhf_tutorial import reward, sampling, stages, stages_run  # noqa: E402
from rlhf_tutorial.models import build_reward_model  # noqa: E402
from rlhf_tutorial.ppo import train_ppo  # noqa: E402
from rlhf_tutorial.reporting import markdown_table, replace_section  # noqa: E402
from rlhf_tutorial.stages_build import different  # noqa: E402
from rlhf_tutorial.village import prompts  # noqa: E402
from rlhf_tutorial.village.annotators import Annotator  # noqa: E402

ITEMS, REPLIES, STEPS = 50, 4, 20
TEST_PROMPTS = 280
METHODS = ("naive", "after colleagues")
PEOPLE = (
    Annotator(
        "kind and long",
        {"tone": 1.0, "helpfulness": 0.5, "clarity": 0.3},
        {"long": 0.8},
        temperature=0.06,
    ),
    Annotator(
        "blunt and short",
        {"tone": -0.6, "helpfulness": 1.2, "clarity": 0.4},
        {"long": -0.8},
        temperature=0.06,
    ),
    Annotator(
        "correct above all",
        {"correctness": 1.0, "honesty": 1.0, "helpfulness": 0.3, "clarity": 0.1},
        temperature=0.06,
    ),
)


def rank_items(sft: stages.Artefact, person: Annotator, seed: int):
    """What a person thinks of replies of the SFT model to training prompts."""
    asked = prompts.draw_prompts(
        ITEMS, split="train", seed=7000 + seed, families=prompts.BY_KIND, held_out=False
    )
    rollout = sampling.sample(
        sft.model(),
        sft.tokenizer(),
        [prompt.text for prompt in asked],
        replies_per_prompt=2 * REPLIES,
        max_new_tokens=56,
        seed=7000 + seed,
    )
    texts = rollout.texts
    return [
        person.rank(
            prompt.text,
            different(texts[2 * REPLIES * i : 2 * REPLIES * (i + 1)], REPLIES),
            seed=str(seed),
            item=i,
        )
        for i, prompt in enumerate(asked)
    ]


def reward_model_of(method: str, artefacts, rankings, settings, seed: int):
    """The person's reward model, and its agreement with held-out rankings of theirs."""
    sft = artefacts["sft"]
    tokenizer = sft.tokenizer()
    if method == "naive":
        model = build_reward_model(sft.model(), tokenizer, seed=seed)
    else:
        model = artefacts["reward_model"].model()
        settings = dataclasses.replace(settings, learning_rate=settings.learning_rate / 2)
    history = reward.train_reward_model(
        model, tokenizer, rankings, settings, validation=0.2, seed=seed
    )
    kept = [row["validation_accuracy"] for row in history if "validation_accuracy" in row]
    return model, max(kept)


def utilities(people, asked, replies) -> dict[str, list[float]]:
    """What each person thinks of each reply, without noise."""
    return {
        person.name: [person.utility(p.text, r) for p, r in zip(asked, replies, strict=True)]
        for person in people
    }


def win_rate(ours: list[float], theirs: list[float]) -> float:
    """Share of prompts on which the first is worth more; ties count a half."""
    return sum((a > b) + 0.5 * (a == b) for a, b in zip(ours, theirs, strict=True)) / len(ours)


def one_seed(seed: int) -> list[list[str]]:
    """All people and methods for one seed, as rows of the table."""
    folder = ROOT / "runs" / "seeds" / f"quick-{seed}"
    preset = stages.get_preset("quick")
    artefacts = {
        name: stages.load_or_build(name, preset="quick", seed=seed, folder=folder / "artefacts")
        for name in ("sft", "reward_model")
    }
    sft, tokenizer = artefacts["sft"], artefacts["sft"].tokenizer()
    asked = stages_run.test_prompts(TEST_PROMPTS)
    before = utilities(PEOPLE, asked, stages_run.answer(sft, asked, preset, seed))
    training = prompts.draw_prompts(
        1500, split="train", seed=9000 + seed, families=prompts.BY_KIND, held_out=False
    )
    settings = dataclasses.replace(preset.ppo, steps=STEPS)
    rows = []
    for person in PEOPLE:
        rankings = rank_items(sft, person, seed)
        for method in METHODS:
            model, kept = reward_model_of(method, artefacts, rankings, preset.reward, seed)
            policy = sft.model()
            train_ppo(
                policy,
                sft.model(),
                tokenizer,
                [prompt.text for prompt in training],
                lambda rollout, model=model: reward.score_rollout(model, tokenizer, rollout),
                settings,
                seed=seed,
            )
            texts = sampling.sample(
                policy,
                tokenizer,
                [prompt.text for prompt in asked],
                max_new_tokens=preset.max_new_tokens,
                seed=seed,
            ).texts
            after = utilities(PEOPLE, asked, texts)
            rates = {p.name: win_rate(after[p.name], before[p.name]) for p in PEOPLE}
            others = ", ".join(f"{rates[p.name]:.2f}" for p in PEOPLE if p is not person)
            row = [str(seed), person.name, method, f"{kept:.2f}", f"{rates[person.name]:.2f}"]
            rows.append([*row, others])
            print(*rows[-1], sep=" | ", flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    options = parser.parse_args()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    rows = [row for seed in options.seeds for row in one_seed(seed)]
    header = ["seed", "person", "reward model", "held-out", "own utility", "the others'"]
    page = ROOT / "docs" / "benchmarks.md"
    text = replace_section(page.read_text(encoding="utf-8"), "taste", markdown_table(header, rows))
    page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
