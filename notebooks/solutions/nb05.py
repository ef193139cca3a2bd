"""Solutions of the exercises in notebook 05. Try first; `checks.hint("05.2")` gives hints in steps.

05.5 is a setting of the knobs, not a value: with the KL coefficient at 0 and a learning rate of
0.001 the policy leaves the replies that the reward model knows. How far, differs from seed to seed.
"""

from __future__ import annotations


def leave_one_out(scores):
    """Each score less the mean of the others in its row."""
    others = scores.sum(1, keepdim=True) - scores
    return scores - others / (scores.shape[1] - 1)


SOLUTIONS = {
    "05.1": "b",
    "05.2": leave_one_out,
    "05.3": [False, True, True, False],
    "05.4": 0.52,
    "05.5": {"kl_coefficient": 0.0, "clip": 0.2, "learning_rate": 1e-3},
}
