"""Runs of PPO that go wrong on purpose: one wrong line each, put in from outside.

A fault takes a `Job`, all that `train_ppo` is called with, and spoils it for as long as its
context lasts: it changes a setting, wraps the reward, or puts another function in the place of one
that `ppo` calls. `ppo.py` itself has no switch for it and knows nothing of it.

    with FAULTS["dropout left on"].spoil(job, 0.1):
        history = job.run(seed=0)

What each fault looks like in the logged quantities is `doctor.py`'s to say.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from rlhf_tutorial import ppo_faults_learning as learning
from rlhf_tutorial import ppo_faults_sampling as sampling
from rlhf_tutorial.ppo_faults_job import Job, other_settings

__all__ = ["FAULTS", "Fault", "Job"]


@dataclass(frozen=True)
class Fault:
    """One way to spoil a run. `spoil(job, severity)` is a context in which the job is spoilt."""

    cause: str  # the name under which `doctor.diagnose` should know it
    line: str  # the wrong line, in words or code
    tell: str  # the logged quantity that gives it away; "surprise": `doctor_log.surprise`
    fix: str
    spoil: Callable[[Job, float], AbstractContextManager]


WHOLE = "sample from the whole distribution, at the temperature of training"
NO_MINIMUM = "no minimum length; let the reward say what is too short"
LEFT = "pad prompts on the left, count positions from the first real token"

FAULTS = {
    "top-k": Fault(
        "restricted sampling",
        "`sample(…, top_k=k)`, and training knows nothing of it",
        "val/ratio_first",
        WHOLE,
        lambda job, k: sampling.other_sampling(top_k=int(k)),
    ),
    "top-k, recomputed": Fault(
        "restricted sampling",
        "the same, log-probabilities of the whole distribution from a second pass",
        "surprise",
        WHOLE,
        lambda job, k: sampling.other_sampling(True, top_k=int(k)),
    ),
    "minimum length": Fault(
        "end token",
        "the end token forbidden among the first tokens, and training knows nothing of it",
        "val/ratio_first",
        NO_MINIMUM,
        sampling.shortest(False),
    ),
    "minimum length, recomputed": Fault(
        "end token",
        "the same, log-probabilities from a second pass",
        "surprise",
        NO_MINIMUM,
        sampling.shortest(True),
    ),
    "dropout left on": Fault(
        "dropout",
        "`net.train()` before the update",
        "val/ratio_first",
        "`net.eval()`, or dropout 0 in the model's config",
        learning.dropout,
    ),
    "padding on the right": Fault(
        "padding",
        "prompts padded on the right for sampling",
        "objective/kl",
        LEFT,
        sampling.padding_on_the_right,
    ),
    "positions count padding": Fault(
        "padding",
        "sampling without `position_ids`",
        "objective/kl",
        LEFT,
        sampling.padding_moves_positions,
    ),
    "padding counted": Fault(
        "padding counted",
        "the mask of a reply goes on after its end",
        "policy/approxkl_avg",
        "end the mask at the end token",
        sampling.padding_counted,
    ),
    "end token not counted": Fault(
        "end token",
        "`mask = labels != end`, as where the end token pads as well",
        "surprise",
        "give padding a token of its own, and count the end token",
        sampling.end_not_counted,
    ),
    "end token never sampled": Fault(
        "end token",
        "the end token is forbidden all along",
        "val/num_eos_tokens",
        "allow it; look at its id in tokenizer and model",
        sampling.shortest(True),
    ),
    "another chat template": Fault(
        "reward model's input",
        "the reward model reads another template than it was trained on",
        "loss/value_avg",
        "encode with the functions that encoded its training rows",
        learning.other_template,
    ),
    "reward on the wrong token": Fault(
        "reward's place",
        "the score is added at another token than the last",
        "loss/value_avg",
        "`scatter_add` at the mask's last token",
        learning.wrong_token,
    ),
    "advantages not whitened": Fault(
        "advantages not whitened",
        "`whiten_advantages=False`",
        "loss/policy_avg",
        "whiten, or fit the learning rate to the reward's scale",
        lambda job, _: other_settings(job, whiten_advantages=False),
    ),
    "value head": Fault(
        "value head",
        "a random value head, and `value_coefficient` too high",
        "loss/value_avg",
        "start it at 0, train it alone first, weigh its loss less",
        learning.value_head,
    ),
    "learning rate": Fault(
        "learning rate",
        "`learning_rate` several times too high",
        "policy/clipfrac_avg",
        "a tenth of it",
        learning.rate,
    ),
    "weights hardly move": Fault(
        "nothing moves",
        "`learning_rate` a thousandth",
        "policy/approxkl_avg",
        "a larger learning rate",
        learning.all_rates,
    ),
    "KL coefficient 0": Fault(
        "no KL",
        "`kl_coefficient=0`",
        "objective/kl_coef",
        "a coefficient above 0, or a `kl_target`",
        lambda job, _: other_settings(job, kl_coefficient=0.0),
    ),
    "KL sign": Fault(
        "KL sign",
        "`+ beta * kl` in the reward of a token",
        "objective/rlhf_reward",
        "`- beta * kl`",
        learning.kl_sign,
    ),
    "stale log-probabilities": Fault(
        "stale log-probabilities",
        "the old log-probabilities are of an earlier step's weights",
        "val/ratio_first",
        "take them from the weights that sampled, in each step",
        learning.stale,
    ),
    "moving reference": Fault(
        "moving reference",
        "the reference shares or follows the policy's weights",
        "objective/kl",
        "`copy.deepcopy`, and never an update",
        learning.moving_reference,
    ),
}
