"""Which runs `doctor.py` makes: faults, severities, sizes and seeds, in four waves."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rlhf_tutorial.doctor import HEALTHY  # noqa: E402
from rlhf_tutorial.ppo import PPOSettings  # noqa: E402
from rlhf_tutorial.ppo_faults import FAULTS  # noqa: E402

SETTINGS = PPOSettings(steps=12, batch_size=64, max_new_tokens=56, kl_coefficient=0.1)
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
    "KL coefficient 0": (0, 0, 0),
    "KL sign": (0.1, 0.3, 0.05),
    "stale log-probabilities": (1, 3, 1000),
    "moving reference": (1.0, 0.5, 0.2),
}
HEALTHY_SEEDS = range(10, 20)  # of the frozen rules' healthy runs, for each size of model
SIZES = ("2m", "1m")


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
    """Wave 0 is for writing rules, 1 to 3 for the frozen ones."""
    if wave == 0:
        dealt = [(HEALTHY, 0), *((name, SEVERITIES[name][0]) for name in FAULTS)]
        return [Case(name, severity, "2m", 0) for name, severity in dealt]
    which, size, seed = {1: (1, "2m", 10), 2: (0, "1m", 12), 3: (2, "2m", 11)}[wave]
    healthy = {1: ("2m", HEALTHY_SEEDS[:5]), 2: ("1m", HEALTHY_SEEDS[:5])}.get(wave)
    made = [Case(HEALTHY, 0, healthy[0], s) for s in healthy[1]] if healthy else []
    made += [Case(name, SEVERITIES[name][which], size, seed) for name in FAULTS]
    if wave == 3:
        made += [Case(HEALTHY, 0, size, s) for s in HEALTHY_SEEDS[5:] for size in SIZES]
    return made


def frozen_keys() -> set[str]:
    """Keys of the runs that no rule was written on."""
    return {case.key for wave in (1, 2, 3) for case in cases(wave)}
