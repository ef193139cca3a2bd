"""What the speed measurements work on: a model that answers, prompts, documents, rankings.

The speed of a step does not depend on what the weights are, but that of sampling does depend on
when replies end. So the model is the SFT model of a finished run, or, where there is none, one of
the same size that was trained for some seconds: long enough to end its replies as the
demonstrations do, not long enough to answer well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from rlhf_tutorial import models, sampling
from rlhf_tutorial.preferences import Ranking
from rlhf_tutorial.presets import get_preset
from rlhf_tutorial.pretraining import PretrainingSettings, pretrain
from rlhf_tutorial.sft import SFTSettings, train_sft
from rlhf_tutorial.tokenizer import train_tokenizer
from rlhf_tutorial.village import annotators, corpus, prompts

SIZE = "1m"  # of the quick preset
BRIEF_STEPS = 60  # of pretraining
BRIEF_DEMONSTRATIONS = 1600
LONGEST = 48  # tokens of a reply
PROMPTS = 128
DOCUMENTS = 15_000  # of which the tokenizer is made
DEMONSTRATIONS = 512  # 16 batches
RANKINGS = 112  # 7 batches
REPLIES = 4  # a ranking


class Materials:
    """All that is measured with; each part is made when it is first asked for.

    Args:
        run: the folder of a finished run, whose SFT model is taken; None trains one briefly.
        progress: called as `progress(step, total)` while a model is trained.

    Raises:
        ValueError: the folder holds no finished run.
    """

    def __init__(
        self, run: Path | None = None, *, progress: Callable[[int, int], None] | None = None
    ) -> None:
        self.progress = progress
        self.sft = None
        if run is not None:
            from rlhf_tutorial.stages_chat import find_models

            self.sft = find_models(run)["sft"]

    @cached_property
    def documents(self) -> list:
        """What the village writes, for pretraining."""
        return corpus.documents(DOCUMENTS, seed=0)

    @cached_property
    def demonstrations(self) -> list[dict]:
        """Prompts with volunteers' replies."""
        return corpus.demonstrations(DEMONSTRATIONS, seed=0)

    @cached_property
    def prompts(self) -> list[str]:
        """Prompts to answer, families in turn."""
        return [p.text for p in prompts.draw_prompts(PROMPTS, split="development", seed=0)]

    @cached_property
    def tokenizer(self):
        """The run's tokenizer, or one trained as the quick preset's is."""
        if self.sft is not None:
            return self.sft.tokenizer()
        return train_tokenizer(corpus.plain_texts(self.documents), get_preset("quick").vocabulary)

    @cached_property
    def model(self):
        """A `GPT2LMHeadModel` that answers and ends its replies."""
        if self.sft is not None:
            return self.sft.model()
        model = models.build_language_model(SIZE, self.tokenizer, seed=0)
        settings = PretrainingSettings(steps=BRIEF_STEPS)
        pretrain(model, self.tokenizer, self.documents, settings, seed=0, progress=self.progress)
        rows = corpus.demonstrations(BRIEF_DEMONSTRATIONS, seed=0)
        plain = [{name: row[name] for name in ("prompt", "completion")} for row in rows]
        train_sft(model, self.tokenizer, plain, SFTSettings(), seed=0, progress=self.progress)
        return model

    @cached_property
    def rollout(self) -> sampling.Rollout:
        """The model's replies to training prompts, several to each."""
        asked = prompts.draw_prompts(
            RANKINGS, split="train", seed=0, families=prompts.BY_KIND, held_out=False
        )
        return sampling.sample(
            self.model,
            self.tokenizer,
            [prompt.text for prompt in asked],
            replies_per_prompt=REPLIES,
            max_new_tokens=LONGEST,
            seed=0,
        )

    @cached_property
    def rankings(self) -> list[Ranking]:
        """Those replies, ranked by simulated people."""
        items = [
            (self.rollout.prompts[start], self.rollout.texts[start : start + REPLIES])
            for start in range(0, len(self.rollout), REPLIES)
        ]
        return annotators.rank_all(items, annotators.colleagues(seed=0), seed=0)

    def about(self) -> str:
        """The model and how long its replies are, in a sentence."""
        weights = models.count_weights(self.model) / 1e6
        origin = "trained for some seconds" if self.sft is None else "the SFT model of a run"
        length = float(self.rollout.reply_mask.sum(1).float().mean())
        ended = float(self.rollout.finished.float().mean())
        return (
            f"A GPT-2 of {weights:.1f} M weights, {origin}; its replies have {length:.0f} tokens "
            f"on average, {ended:.0%} end within {LONGEST}."
        )
