"""What the same path costs with larger models, on paper: operations, seconds, memory, money.

Nothing here is measured. A token costs 2·N operations to read with N weights and 6·N to learn from
(Kaplan et al. 2020, arXiv 2001.08361, section 2.1); attention comes on top and is left out. Whoever
samples reads all weights and the KV cache once a token, so sampling waits for memory, not for
arithmetic, until the batch is large. Sizes of the data are those of InstructGPT (Ouyang et al.
2022, arXiv 2203.02155, table 6 and appendix C), for pretraining 20 tokens a weight (Hoffmann et
al. 2022, arXiv 2203.15556). Bytes while training: 16 a weight (Rajbhandari et al. 2020, arXiv
1910.02054, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from rlhf_tutorial.reporting import markdown_table

PEAK, BANDWIDTH, MEMORY = 989e12, 3.35e12, 80e9  # FLOP/s, bytes/s, bytes: H100 SXM, bfloat16
TRAINING_SHARE, READING_SHARE = 0.4, 0.6  # of the peak and of the bandwidth; assumed
DOLLARS = 2.5  # a GPU hour; assumed
PROMPT, REPLY = 128, 256  # tokens; assumed
TOKENS_A_WEIGHT = 20
DEMONSTRATIONS, SFT_EPOCHS = 13_000, 16
RANKINGS, REPLIES = 33_000, 6  # InstructGPT had 4 to 9 replies a ranking
EPISODES, BATCH, PPO_EPOCHS = 256_000, 512, 2  # two passes, as in this course
READERS = 3  # of each reply before learning: reference, reward model, value head
PETAFLOP_DAY = 1e15 * 86_400
REPORTED = {"SFT": 4.9, "PPO": 60}  # petaflop/s-days, InstructGPT of 175 B, section 5.1
STATE_BYTES, PLAIN_BYTES = 16, 2  # a weight that is trained, one that is only read


@dataclass(frozen=True)
class Setup:
    """A model and the GPUs that train it."""

    name: str
    weights: float
    layers: int
    width: int
    gpus: int


SETUPS = (
    Setup("GPT-2, 124 M, one GPU", 124e6, 12, 768, 1),
    Setup("7 B, eight GPUs", 6.7e9, 32, 4096, 8),
)


def training_seconds(setup: Setup, tokens: float) -> float:
    """Seconds to learn from so many tokens once: 6·N operations each."""
    return 6 * setup.weights * tokens / (setup.gpus * PEAK * TRAINING_SHARE)


def reading_seconds(setup: Setup, tokens: float) -> float:
    """Seconds to read so many tokens with a model: 2·N operations each."""
    return 2 * setup.weights * tokens / (setup.gpus * PEAK * TRAINING_SHARE)


def cache_bytes(setup: Setup, tokens: float) -> float:
    """Keys and values of so many tokens, 2 bytes each."""
    return 2 * 2 * setup.layers * setup.width * tokens


def sampling_seconds(setup: Setup, batch: int) -> float:
    """Seconds to draw `REPLY` tokens a row; each GPU has all weights and its part of the rows.

    A step takes as long as the slower of two: reading the weights and the KV cache, half full on
    average, or the operations.
    """
    rows = batch / setup.gpus
    held = rows * cache_bytes(setup, PROMPT + REPLY / 2)
    reading = (PLAIN_BYTES * setup.weights + held) / (BANDWIDTH * READING_SHARE)
    counting = 2 * setup.weights * rows / (PEAK * TRAINING_SHARE)
    return REPLY * max(reading, counting)


def hours(setup: Setup) -> dict[str, float]:
    """Hours that each stage takes on all GPUs together."""
    row = PROMPT + REPLY
    steps = EPISODES / BATCH
    seconds = {
        "pretraining": training_seconds(setup, TOKENS_A_WEIGHT * setup.weights),
        "SFT": training_seconds(setup, SFT_EPOCHS * DEMONSTRATIONS * row),
        "reward model": training_seconds(setup, RANKINGS * REPLIES * row),
        "PPO: sampling": steps * sampling_seconds(setup, BATCH),
        "PPO: reading": steps * reading_seconds(setup, READERS * BATCH * row),
        "PPO: learning": steps * training_seconds(setup, PPO_EPOCHS * BATCH * row),
    }
    return {stage: value / 3600 for stage, value in seconds.items()}


def petaflop_days(weights: float) -> dict[str, float]:
    """Operations of SFT and of PPO, in days at 10^15 a second."""
    tokens = EPISODES * (PROMPT + REPLY)
    operations = {
        "SFT": 6 * weights * SFT_EPOCHS * DEMONSTRATIONS * (PROMPT + REPLY),
        "PPO": (2 + 2 * READERS + 6 * PPO_EPOCHS) * weights * tokens,  # sample, read, learn
    }
    return {stage: value / PETAFLOP_DAY for stage, value in operations.items()}


def gigabytes(setup: Setup) -> dict[str, float]:
    """What PPO holds on all GPUs together, activations left out."""
    sampled = cache_bytes(setup, PROMPT + REPLY) * BATCH
    copies = setup.gpus - 1  # sampling wants the policy whole on each GPU
    held = {
        "policy and its optimizer": STATE_BYTES * setup.weights,
        "reference model": PLAIN_BYTES * setup.weights,
        "reward model": PLAIN_BYTES * setup.weights,
        "copies of the policy to sample with": copies * PLAIN_BYTES * setup.weights,
        "KV cache of a batch": sampled,
    }
    return {what: value / 1e9 for what, value in held.items()}


def arithmetic(setup: Setup) -> str:
    """How each stage's hours come about, a line each; operations over those of all GPUs."""
    weights, row, steps = f"{setup.weights:.3g}", PROMPT + REPLY, f"{EPISODES / BATCH:.0f}"
    speed = f"({setup.gpus} · {PEAK:.3g} · {TRAINING_SHARE:g} a second)"
    rows = BATCH // setup.gpus
    cache = f"{rows} · {cache_bytes(setup, PROMPT + REPLY / 2):.3g}"
    terms = {
        "pretraining": f"6 · {weights} weights · {TOKENS_A_WEIGHT} · {weights} tokens / {speed}",
        "SFT": f"6 · {weights} · {SFT_EPOCHS} · {DEMONSTRATIONS:,} · {row} tokens / {speed}",
        "reward model": f"6 · {weights} · {RANKINGS:,} · {REPLIES} · {row} tokens / {speed}",
        "PPO: sampling": (
            f"{steps} batches · {REPLY} tokens · ({PLAIN_BYTES} · {weights} bytes of weights + "
            f"{cache} bytes of KV cache) / ({BANDWIDTH:.3g} · {READING_SHARE:g} bytes a second)"
        ),
        "PPO: reading": f"{steps} · 2 · {weights} · {READERS} · {BATCH} · {row} tokens / {speed}",
        "PPO: learning": (
            f"{steps} · 6 · {weights} · {PPO_EPOCHS} · {BATCH} · {row} tokens / {speed}"
        ),
    }
    return "\n".join(
        f"- {stage}: {terms[stage]} = {value:.3g} hours" for stage, value in hours(setup).items()
    )


def tables() -> str:
    """Hours, money and memory of both setups, and the arithmetic of one of them in full."""
    costs, held = [hours(s) for s in SETUPS], [gigabytes(s) for s in SETUPS]
    names = [setup.name for setup in SETUPS]
    rows = [[stage, *(f"{cost[stage]:.3g}" for cost in costs)] for stage in costs[0]]
    totals = [sum(cost.values()) for cost in costs]
    rlhf = [total - cost["pretraining"] for total, cost in zip(totals, costs, strict=True)]
    for what, values in (("all, hours", totals), ("all but pretraining, hours", rlhf)):
        rows.append([what, *(f"{value:.3g}" for value in values)])
    for what, values in (("all, dollars", totals), ("all but pretraining, dollars", rlhf)):
        priced = [v * s.gpus * DOLLARS for v, s in zip(values, SETUPS, strict=True)]
        rows.append([what, *(f"{value:,.0f}" for value in priced)])
    memory = [[what, *(f"{one[what]:.3g}" for one in held)] for what in held[0]]
    memory.append(["all", *(f"{sum(one.values()):.3g}" for one in held)])
    memory.append(["there is", *(f"{s.gpus * MEMORY / 1e9:.3g}" for s in SETUPS)])
    big = SETUPS[1]
    example = (
        f"The arithmetic of {big.name}. Each reply is read {READERS} times before it is learnt "
        f"from: by the reference, the reward model and the value head.\n\n{arithmetic(big)}"
    )
    ours = petaflop_days(175e9)
    check = (
        "Held against what was reported: for 175 B weights the same formulas give "
        f"{ours['SFT']:.1f} petaflop/s-days of SFT and {ours['PPO']:.1f} of PPO. InstructGPT "
        f"reports {REPORTED['SFT']:g} and {REPORTED['PPO']:g} (section 5.1), with longer texts, "
        "and with pretraining text to learn from beside the episodes. So take the hours above as "
        "the least."
    )
    return "\n\n".join(
        [
            markdown_table(["hours of all GPUs", *names], rows),
            markdown_table(["GB while PPO runs, without activations", *names], memory),
            example,
            check,
        ]
    )
