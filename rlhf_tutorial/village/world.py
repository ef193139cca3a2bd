"""What is true in the village: who does what, who lives where, who keeps which animal.

The world is fixed. A fact is ``(subject, relation)`` with one true value; relations are
``job``, ``home``, ``pet`` (of villagers) and ``diet`` (of animals).
"""

from __future__ import annotations

from rlhf_tutorial.village.words import ANIMALS, COLOURS, DIETS, JOBS, NAMES, PLACES

# Steps that share no factor with a list's length visit all its members, so that
# neighbours in one list are not neighbours in the next and nothing can be guessed.
JOB_OF = {name: list(JOBS)[(7 * i + 3) % len(JOBS)] for i, name in enumerate(NAMES)}
HOME_OF = {name: PLACES[(11 * i + 5) % len(PLACES)] for i, name in enumerate(NAMES)}
PET_OF = {name: ANIMALS[(5 * i + 2) % len(ANIMALS)] for i, name in enumerate(NAMES)}
COAT_OF = {name: COLOURS[(3 * i + i // 10) % len(COLOURS)] for i, name in enumerate(NAMES)}

_VALUES = {"job": JOB_OF, "home": HOME_OF, "pet": PET_OF, "diet": DIETS}


def subjects(relation: str) -> list[str]:
    """All subjects of a relation, in a fixed order."""
    return list(_VALUES[relation])


def value(subject: str, relation: str) -> str:
    """The true value of a fact, for example ``value("Ada", "job")``.

    Raises:
        KeyError: when the village has no such fact.
    """
    return _VALUES[relation][subject]


def values(relation: str) -> list[str]:
    """All values that a relation can take (what a wrong answer is drawn from)."""
    return sorted(set(_VALUES[relation].values()))
