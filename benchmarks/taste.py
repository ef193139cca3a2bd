"""Do fifty rankings by one person move the model towards what that person wants?

    python benchmarks/taste.py --seeds 10 11 12 13 14

Three simulated people who want different things rank the same 50 items of 4 replies. A reward
model is made in the two ways of `rlhf_tutorial/own_taste.py`: `naive` learns from the 50 rankings
alone, `from parts` learns only what known parts of a reply are worth to this person, and teaches
their sum to a reward model on the replies that were sampled for the colleagues. Held-out agreement
says beforehand whether the rankings carry a reward model at all. Then a short PPO run with each,
judged by each person's own noiseless utility against SFT on test prompts. Uses the runs of
`benchmarks/five_seeds.py` and builds what is missing there. A seed takes some 12 minutes; rows that
are not asked for stay in the table.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from transformers.utils import logging  # noqa: E402

from benchmarks.time_to_aligned import section  # noqa: E402
from rlhf_tutorial import own_taste, reward, reward_trust, sampling, stages, stages_run  # noqa: E402
from rlhf_tutorial.ppo import train_ppo  # noqa: E402
from rlhf_tutorial.reporting import fill_sections, markdown_table  # noqa: E402
from rlhf_tutorial.sampled_replies import load_sampled  # noqa: E402
from rlhf_tutorial.stages_build import SPARE  # noqa: E402
from rlhf_tutorial.unlike_replies import most_unlike_each  # noqa: E402
from rlhf_tutorial.village import prompts, reviews  # noqa: E402
from rlhf_tutorial.village.annotators import Annotator  # noqa: E402

ITEMS, REPLIES, STEPS = 50, 4, 50
KL_COEFFICIENT = 0.1  # for standardised scores; few rankings are soon over-optimised
PROMPTS = 280
PEOPLE = (
    Annotator(
        "kind and long",
        {"tone": 1.0, "helpfulness": 0.5, "clarity": 0.3},
        {"long": 0.8},
        temperature=0.06,
    ),
    Annotator(
        "blunt and short",
        {"tone": -1.0, "helpfulness": 0.5, "clarity": 0.3},
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
    sampled, model, tokenizer = SPARE * REPLIES, sft.model(), sft.tokenizer()
    rollout = sampling.sample(
        model,
        tokenizer,
        [prompt.text for prompt in asked],
        replies_per_prompt=sampled,
        max_new_tokens=56,
        seed=7000 + seed,
    )
    shown = most_unlike_each(model, tokenizer, rollout, sampled, REPLIES, reviews.first_words())
    return [
        person.rank(prompt.text, replies, seed=str(seed), item=i)
        for i, (prompt, replies) in enumerate(zip(asked, shown, strict=True))
    ]


def utilities(asked, replies) -> dict[str, list[float]]:
    """What each person thinks of each reply, without noise."""
    return {
        person.name: [person.utility(p.text, r) for p, r in zip(asked, replies, strict=True)]
        for person in PEOPLE
    }


def win_rate(ours: list[float], theirs: list[float]) -> float:
    """Share of prompts on which the first is worth more; ties count a half."""
    return sum((a > b) + 0.5 * (a == b) for a, b in zip(ours, theirs, strict=True)) / len(ours)


class Setting:
    """What all people and methods of a seed share: models, prompts, what SFT answers."""

    def __init__(self, seed: int, split: str) -> None:
        folder = ROOT / "runs" / "seeds" / f"quick-{seed}"
        request = stages.Request("quick", seed, folder / "artefacts")
        self.seed, self.preset = seed, request.preset
        self.sft = stages.build(request, "sft")
        self.colleagues = stages.build(request, "reward_model")
        self.sampled = load_sampled(stages.build(request, "rankings").path)
        self.tokenizer, self.kinds = self.sft.tokenizer(), reviews.kinds_of_words()
        self.asked = stages_run.test_prompts(PROMPTS, split=split)
        replies = stages_run.answer(self.sft, self.asked, self.preset, seed)
        self.before = utilities(self.asked, replies)
        self.training = prompts.draw_prompts(
            1500, split="train", seed=9000 + seed, families=prompts.BY_KIND, held_out=False
        )

    def reward_model(self, method: str, rankings):
        """A reward model made from a person's rankings in this way."""
        return own_taste.train(
            method,
            *self._known(),
            rankings,
            kinds=self.kinds,
            unranked=self.sampled,
            seed=self.seed,
        )

    def held_out(self, method: str, rankings) -> dict:
        """How well such a model orders rankings that it has not seen."""
        fit = own_taste.fit_of(method, *self._known(), kinds=self.kinds, seed=self.seed)
        return reward_trust.held_out_agreement(fit, rankings, seed=self.seed)

    def _known(self) -> tuple:
        return self.sft.model(), self.colleagues.model(), self.tokenizer

    def replies_after_ppo(self, model) -> list[str]:
        """Replies to the evaluation prompts by a policy that PPO moved towards a reward model."""
        policy = self.sft.model()
        train_ppo(
            policy,
            self.sft.model(),
            self.tokenizer,
            [prompt.text for prompt in self.training],
            lambda rollout: reward.score_rollout(model, self.tokenizer, rollout, standardise=True),
            dataclasses.replace(self.preset.ppo, steps=STEPS, kl_coefficient=KL_COEFFICIENT),
            seed=self.seed,
        )
        return sampling.sample(
            policy,
            self.tokenizer,
            [prompt.text for prompt in self.asked],
            max_new_tokens=self.preset.max_new_tokens,
            seed=self.seed,
        ).texts


def one_seed(seed: int, methods: Sequence[str], split: str) -> list[list[str]]:
    """All people for one seed, with each of the methods, as rows of the table."""
    setting = Setting(seed, split)
    rows = []
    for person in PEOPLE:
        rankings = rank_items(setting.sft, person, seed)
        for method in methods:
            measured = setting.held_out(method, rankings)
            try:
                reward_trust.expect_carried(measured)
                carried = "yes"
            except reward_trust.RewardNotLearntError:
                carried = "no"
            after = utilities(
                setting.asked, setting.replies_after_ppo(setting.reward_model(method, rankings))
            )
            rates = {name: win_rate(after[name], setting.before[name]) for name in after}
            others = ", ".join(f"{rates[p.name]:.2f}" for p in PEOPLE if p is not person)
            interval = f"{measured['mean']:.2f} [{measured['low']:.2f}, {measured['high']:.2f}]"
            row = [str(seed), person.name, method, interval, carried]
            rows.append([*row, f"{rates[person.name]:.2f}", others])
            print(*rows[-1], sep=" | ", flush=True)
    return rows


def together(before: list[list[str]], rows: list[list[str]]) -> list[list[str]]:
    """Rows that are in the table already, and these in place of those they measure anew."""
    names = [person.name for person in PEOPLE]

    def place(row: list[str]) -> tuple[int, int, int]:
        return int(row[0]), names.index(row[1]), own_taste.METHODS.index(row[2])

    found = {place(row): row for row in [*before, *rows]}
    return [found[key] for key in sorted(found)]


def write_table(rows: list[list[str]]) -> None:
    """Put the rows so far into the benchmarks page."""
    page = ROOT / "docs" / "benchmarks.md"
    header = ["seed", "person", "reward model", "held-out agreement", "carried"]
    header += ["own utility over SFT", "the others'"]
    rows = together(section(page.read_text(encoding="utf-8"), "taste"), rows)
    fill_sections(page, {"taste": markdown_table(header, rows)})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12, 13, 14])
    parser.add_argument(
        "--methods", nargs="+", choices=own_taste.METHODS, default=list(own_taste.METHODS)
    )
    parser.add_argument(
        "--split",
        choices=("test", "development"),
        default="test",
        help="development while settings are chosen: then the table is not written",
    )
    options = parser.parse_args()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    rows: list[list[str]] = []
    for seed in options.seeds:
        rows += one_seed(seed, options.methods, options.split)
        if options.split == "test":  # after each seed: its minutes are worth keeping
            write_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
