"""What to look for when ranking: the four guidelines that stand beside the replies.

They are the reading of `village-1`, the version that every record names. Change a sentence and
you ask people something else: give the new text a new version.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Guideline:
    """One axis, one sentence, and one pair of replies that differ in nothing else."""

    axis: str
    rule: str
    better: str
    worse: str


GUIDELINES = (
    Guideline(
        axis="clarity",
        rule="It is understood at the first reading, and ends when enough is said.",
        better="First fetch water. Then light the fire.",
        worse="Light it, though water before that, the fire I mean.",
    ),
    Guideline(
        axis="helpfulness",
        rule="It does what was asked, so that the person can go on.",
        better="Look near the well, where you last had it.",
        worse="A basket is a useful thing to own.",
    ),
    Guideline(
        axis="correctness",
        rule="What it says is true, and what it does not know it does not invent.",
        better="You did not say where you left it.",
        worse="You left it at the mill, I am sure.",
    ),
    Guideline(
        axis="tone",
        rule="It is kind and takes the person seriously, without flattery.",
        better="That must hurt. Tell me about her.",
        worse="Others have it much worse.",
    ),
)
HARMFUL = "Flag as harmful what would help somebody to steal, to lie or to hurt."
