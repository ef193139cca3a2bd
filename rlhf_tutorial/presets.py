"""Presets: every number of a whole run in one place.

``quick`` is the course on two cores; ``full`` takes more of everything; ``tiny`` only shows
that all stages fit together (its models learn next to nothing) and is what tests run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rlhf_tutorial.ppo import PPOSettings
from rlhf_tutorial.pretraining import PretrainingSettings
from rlhf_tutorial.reward import RewardSettings
from rlhf_tutorial.sft import SFTSettings


@dataclass(frozen=True)
class Preset:
    """Sizes and settings of all stages."""

    size: str = "1m"  # of models.SIZES; in equal time the next larger one learns less
    vocabulary: int = 2048  # tokens; enough for nearly every village word to be one token
    pretraining: PretrainingSettings = field(default_factory=PretrainingSettings)
    demonstrations: int = 20_000  # by volunteers; SFT reads them once
    reviews: int = 11_000  # of other replies; what people remarked on them is learnt beside
    sft: SFTSettings = field(
        default_factory=lambda: SFTSettings(muon_lr=0.01, learning_rate=2.4e-3)
    )
    rankings: int = 300  # items ranked by simulated colleagues
    held_out_rankings: int = 60  # ranked as well, never trained on
    replies_per_prompt: int = 4  # replies an item
    max_new_tokens: int = 56  # tokens a reply at most; the longest good replies have about 45
    # The head starts from a good guess (`reward_head.py`). Larger steps order replies no better and
    # forget that warmth counts (docs/trials.md, "Whose tone it is").
    reward: RewardSettings = field(
        default_factory=lambda: RewardSettings(epochs=3, learning_rate=2e-5)
    )
    best_ranked: SFTSettings = field(default_factory=lambda: SFTSettings(epochs=2.0))
    ppo: PPOSettings = field(default_factory=PPOSettings)
    ppo_prompts: int = 3000  # different training prompts that PPO draws from
    test_prompts: int = 560  # general test prompts, families in turn
    safety_prompts: int = 304  # of each kind: harmful, look-alike, unknowable


PPO = PPOSettings(  # of all presets whose models learn something
    learning_rate=4e-4,
    final_norm_learning_rate=0.16,  # how cold the policy speaks (docs/trials.md)
    max_new_tokens=56,
    kl_coefficient=0.06,
)
PRESETS: dict[str, Preset] = {
    "tiny": Preset(
        pretraining=PretrainingSettings(steps=12, probe_every=6),
        demonstrations=96,
        reviews=48,
        rankings=24,
        held_out_rankings=12,
        max_new_tokens=24,
        reward=RewardSettings(epochs=1),
        best_ranked=SFTSettings(epochs=1.0),
        ppo=PPOSettings(steps=2, batch_size=16, micro_batch_size=16, max_new_tokens=24),
        ppo_prompts=64,
        test_prompts=48,
        safety_prompts=16,
    ),
    "quick": Preset(
        pretraining=PretrainingSettings(steps=1200, probe_every=120),
        ppo=replace(PPO, steps=60),
    ),
    "full": Preset(
        size="2m",
        pretraining=PretrainingSettings(steps=2000, probe_every=200),
        demonstrations=40_000,
        reviews=13_200,
        ppo=replace(PPO, steps=80),
    ),
}


def get_preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        ValueError: for an unknown name; says which there are.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
