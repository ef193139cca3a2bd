"""What both sides of the comparison with TRL 1.12 are given: models, prompts and settings."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path

from rlhf_tutorial import reward, stages
from rlhf_tutorial.ppo import PPOSettings
from rlhf_tutorial.sampling import sample
from rlhf_tutorial.stages_build import ppo_prompts
from rlhf_tutorial.tokenizer import encode_prompts

PRESET, SEED = "quick", 0
PROBES = 8  # replies whose scores both sides must agree on
TRL_ROLLOUT_BATCH = 128  # rows that TRL samples at once; the whole batch is the fastest


class Models:
    """SFT and reward model of the preset quick, seed 0, with the prompts that PPO draws from."""

    def __init__(self, folder: Path | None = None):
        request = stages.Request(PRESET, SEED, folder or stages.default_folder())
        self.preset = request.preset
        sft, reward_model = (stages.build(request, name) for name in ("sft", "reward_model"))
        self.sft, self.reward_folder = sft.path.resolve(), reward_model.path.resolve()
        self.tokenizer, self.reference = sft.tokenizer(), sft.model()
        self.reward_model = reward_model.model()
        self.prompts = ppo_prompts(self.preset.ppo_prompts, seed=SEED, round=1)
        self.fingerprint = fingerprint([self.sft, self.reward_folder])

    def task(
        self,
        settings: PPOSettings,
        *,
        seed: int,
        end_token: str,
        turns: bool = False,
        value_network: bool = False,
        save: Path | None = None,
    ) -> dict:
        """A task for `ppo_sides.py`. Only plain values: it goes through a file of JSON."""
        # TRL 1.12 clips no gradient, whatever its max_grad_norm says. So ours does not either.
        # And it has one learning rate for all weights.
        mine = asdict(settings) | {"max_gradient_norm": 1e9, "final_norm_learning_rate": None}
        rollout = sample(self.reference, self.tokenizer, self.prompts[:PROBES], max_new_tokens=32)
        replies = [
            row[mask.bool()].tolist()
            for row, mask in zip(rollout.reply_ids, rollout.reply_mask, strict=True)
        ]
        probe = encode_prompts(self.tokenizer, self.prompts[:PROBES])
        model = self.reward_model
        scores = reward.score_rollout(model, self.tokenizer, rollout, standardise=True)
        return {
            "sft": str(self.sft),
            "reward_model": str(self.reward_folder),
            "reward_mean": model.config.reward_mean,
            "reward_std": model.config.reward_std,
            "prompts": self.prompts,
            "prompt_ids": encode_prompts(self.tokenizer, self.prompts),
            "settings": mine,
            "seed": seed,
            "end_token": end_token,
            "turns": turns,
            "value_network": value_network,  # of our side; TRL has one in any case
            "save": str(save) if save else None,
            "trl_rollout_batch": TRL_ROLLOUT_BATCH,
            "probe": {"prompts": probe, "replies": replies, "scores": scores.tolist()},
        }


def fingerprint(folders: list[Path]) -> str:
    """A hash of the weights in these folders, the same wherever they lie."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.glob("*.safetensors")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
