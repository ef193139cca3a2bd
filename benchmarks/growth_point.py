"""One point of `growth.py`: prints, as JSON, what one size, batch and length cost.

python benchmarks/growth_point.py '{"size": "2m", "batch": 128, "length": 32}'
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.growth import USUAL  # noqa: E402
from benchmarks.ppo_sides import (  # noqa: E402
    import_what_comes_later,
    megabytes_at_most,
    megabytes_now,
)
from rlhf_tutorial import models, sampling  # noqa: E402
from rlhf_tutorial.bench_materials import DOCUMENTS  # noqa: E402
from rlhf_tutorial.bench_sampling import never_ending, tokens_a_second  # noqa: E402
from rlhf_tutorial.bench_timing import StepClock  # noqa: E402
from rlhf_tutorial.ppo import PPOSettings, train_ppo  # noqa: E402
from rlhf_tutorial.presets import get_preset  # noqa: E402
from rlhf_tutorial.pretraining import PretrainingSettings, pretrain  # noqa: E402
from rlhf_tutorial.reward import score_rollout  # noqa: E402
from rlhf_tutorial.stages_build import ppo_prompts  # noqa: E402
from rlhf_tutorial.tokenizer import train_tokenizer  # noqa: E402
from rlhf_tutorial.village import corpus  # noqa: E402

STEPS = 3  # of PPO, after one of warm-up
PRETRAINING_STEPS = 12


def ppo_speed(policy, reward_model, tokenizer, prompts, point: dict) -> float:
    """Replies learnt a second: the median of `STEPS` steps."""
    ends = []
    settings = PPOSettings(
        steps=STEPS + 1,
        batch_size=point["batch"],
        micro_batch_size=min(32, point["batch"] // 2),
        max_new_tokens=point["length"],
        learning_rate=1e-9,  # the replies of all steps have the same length
        missing_eos_penalty=0.0,
    )
    train_ppo(
        policy,
        copy.deepcopy(policy),
        tokenizer,
        prompts,
        lambda rollout: score_rollout(reward_model, tokenizer, rollout),
        settings,
        seed=0,
        callbacks=[lambda step, model, rollout, row: ends.append(time.perf_counter())],
    )
    seconds = [later - earlier for earlier, later in zip(ends, ends[1:], strict=False)]
    return point["batch"] / statistics.median(seconds)


def main() -> None:
    point = json.loads(sys.argv[1])
    import_what_comes_later()
    documents = corpus.documents(DOCUMENTS, seed=0)
    tokenizer = train_tokenizer(corpus.plain_texts(documents), get_preset("quick").vocabulary)
    held = megabytes_now()
    model = models.build_language_model(point["size"], tokenizer, seed=0)
    reward_model = models.build_reward_model(model, tokenizer, seed=0)
    policy = never_ending(model, tokenizer.eos_token_id)
    prompts = ppo_prompts(max(point["batch"], 128), seed=0, round=1)
    said = {"weights": models.count_weights(model)}
    said["ppo"] = ppo_speed(policy, reward_model, tokenizer, prompts, point)
    said["ppo_mb"] = megabytes_at_most() - held

    def draw(batch, seed):
        length = point["length"]
        return sampling.sample(
            policy, tokenizer, batch, max_new_tokens=length, seed=seed, batch_size=len(batch)
        )

    batch = prompts[: point["batch"]]
    said["sampling"] = statistics.median(tokens_a_second(draw, [batch], turn) for turn in range(3))
    if point == USUAL | {"size": point["size"]}:  # batch and length do not matter to pretraining
        clock = StepClock()
        settings = PretrainingSettings(steps=PRETRAINING_STEPS)
        pretrain(model, tokenizer, documents, settings, seed=0, progress=clock)
        said["pretraining"] = clock.steps * settings.batch * settings.time / clock.seconds
    print(json.dumps(said))


if __name__ == "__main__":
    main()
