"""Which runs `doctor.py` makes: faults, severities, sizes and seeds, in four waves."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rlhf_tutorial.doctor import HEALTHY  # noqa: E402
from rlhf_tutorial.ppo_faults import FAULTS  # noqa: E402
from rlhf_tutorial.presets import get_preset  # noqa: E402

SETTINGS = replace(get_preset("quick").ppo, steps=12, batch_size=64)
# For each fault: the severity of wave 0, then two that the rules were not written on.
SEVERITIES = {
    "top-k": (20, 5, 50),
    "top-k, recomputed": (20, 5, 50),
    "minimum length": (12, 8, 20),
    "minimum length, recomputed": (12, 8, 20),
    "dropout left on": (0.1, 0.05, 0.2),
    "padding on the right": (1, 1, 1),
    "positions count padding": (1, 1, 1),
    "padding counted": (100, 4, 1),
    "end token not counted": (1, 1, 1),
    "end token never sampled": (1000, 1000, 1000),
    "another chat template": (0, 1, 2),
    "reward on the wrong token": (0.0, 0.5, 0.25),
    "advantages not whitened": (1, 1, 1),
    "value head": (10, 3, 30),
    "learning rate": (10, 5, 20),
    "weights hardly move": (1e-3, 3e-3, 1e-4),
    "KL coefficient 0": (0, 0, 0),
    "KL sign": (0.1, 0.3, 0.05),
    "stale log-probabilities": (1, 3, 1000),
    "moving reference": (1.0, 0.5, 0.2),
}
# Two healthy sorts of runs: one that starts as its reference, and one that goes on from a policy
# that has been trained already, as the second round of the course does.
FROM_REFERENCE, GOES_ON = 0, 1
WRITING_SEEDS = range(5)  # of the healthy runs that rules are written on
HEALTHY_SEEDS = range(20, 30)  # of later healthy runs, for each size of model
FRESH_SEEDS = range(30, 40)  # of the larger model's, after it had changed the rules
SIZES = ("1m", "2m")  # the course's, and a larger one that was trained much less
MAIN = SIZES[0]


@dataclass(frozen=True)
class Case:
    """One run: what is wrong, how much of it, the size of the model, the seed of PPO."""

    fault: str
    severity: float
    size: str
    seed: int

    @property
    def key(self) -> str:
        """What a finished run must have been run with to be kept."""
        text = json.dumps([asdict(self), asdict(SETTINGS)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def cases(wave: int) -> list[Case]:
    """Waves 0 and 2 are what rules were written on, 1, 3 and 4 are for the frozen ones."""
    if wave == 0:
        made = [Case(HEALTHY, FROM_REFERENCE, MAIN, seed) for seed in WRITING_SEEDS]
        made.append(Case(HEALTHY, GOES_ON, MAIN, WRITING_SEEDS[0]))
        return made + [Case(name, SEVERITIES[name][0], MAIN, 0) for name in FAULTS]
    larger = SIZES[1]
    which, size, seed = {
        1: (1, MAIN, 20),
        2: (0, larger, 22),
        3: (2, MAIN, 21),
        4: (1, larger, 32),
    }[wave]
    made = [Case(name, SEVERITIES[name][which], size, seed) for name in FAULTS]
    if wave == 4:
        made += [Case(HEALTHY, FROM_REFERENCE, size, seed) for seed in FRESH_SEEDS]
    elif wave < 3:
        made += [Case(HEALTHY, FROM_REFERENCE, size, seed) for seed in HEALTHY_SEEDS]
    else:
        made += [Case(HEALTHY, GOES_ON, MAIN, seed) for seed in HEALTHY_SEEDS]
    return made


def frozen_keys() -> set[str]:
    """Keys of the runs that no rule was written on."""
    return {case.key for wave in (1, 3, 4) for case in cases(wave)}
