"""How exercises are checked: an answer is not attempted yet, right, or wrong with a reason.

A check is a function that takes the reader's answer and raises `Wrong` with a sentence that says
what is wrong. The decorator `exercise` does the rest: it sees what was not attempted, turns an
error in the reader's own code into a verdict, and keeps the hints, which `hint` gives in steps.
No check ever stops a notebook. Only `what_you_should_have_seen` does: it is about the models.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

HINTS: dict[str, tuple[str, ...]] = {}
_given: dict[str, int] = {}


class Wrong(Exception):
    """Raised by a check; its text says what is wrong and where to look."""


class NotAttempted(Exception):
    """Raised by a check where an answer is still the empty one of the notebook."""


@dataclass(frozen=True)
class Verdict:
    """What a check says: `status` is "not attempted yet", "right" or "wrong"."""

    exercise: str
    status: str
    message: str = ""

    def __str__(self) -> str:
        words = f"Exercise {self.exercise}: {self.status}."
        return f"{words} {self.message}".strip()

    __repr__ = __str__


def exercise(name: str, *, hints: Sequence[str] = ()) -> Callable:
    """Turns `check(answer, ...)`, which raises or returns a closing remark, into verdicts.

    `name` is notebook and exercise, as in "05.2". An answer of None is not attempted yet, and so
    is a function that gives None back (use `attempted` on what it returned).
    """
    HINTS[name] = tuple(hints)

    def decorate(check: Callable) -> Callable:
        @functools.wraps(check)
        def checked(answer, *more, **options) -> Verdict:
            if answer is None:
                return Verdict(name, "not attempted yet")
            try:
                remark = check(answer, *more, **options)
            except NotAttempted:
                return Verdict(name, "not attempted yet")
            except Wrong as reason:
                return Verdict(name, "wrong", f"{reason} {_offer(name)}".strip())
            except Exception as error:  # the reader's code may raise anything
                what = f"Your code raised {type(error).__name__}: {error}."
                return Verdict(name, "wrong", f"{what} {_offer(name)}".strip())
            return Verdict(name, "right", remark or "")

        return checked

    return decorate


def attempted(value):
    """The value itself; raises `NotAttempted` for None or `...`, which untouched code gives."""
    if value is None or value is ...:
        raise NotAttempted
    return value


def hint(name: str) -> str:
    """The next hint for an exercise; after the last one, where the solution is.

    Raises:
        ValueError: there is no such exercise; says which there are.
    """
    if name not in HINTS:
        raise ValueError(f"no exercise {name!r}: choose one of {', '.join(sorted(HINTS))}")
    step = _given.get(name, 0)
    _given[name] = step + 1
    if step < len(HINTS[name]):
        return f"Hint {step + 1} of {len(HINTS[name])}: {HINTS[name][step]}"
    return f"No more hints. The solution is in notebooks/solutions/nb{name.split('.')[0]}.py."


def _offer(name: str) -> str:
    return f'For a hint: checks.hint("{name}").' if HINTS.get(name) else ""


@dataclass(frozen=True)
class Claim:
    """Something that a notebook should have shown: a measured value and what it must reach.

    `at_least` and `at_most` are bounds, either or both. `otherwise` says where to look if not.
    """

    text: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    otherwise: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value lies within its bounds; NaN never does."""
        low = self.at_least is None or self.value >= self.at_least
        high = self.at_most is None or self.value <= self.at_most
        return self.value == self.value and low and high

    def __str__(self) -> str:
        bounds = []
        if self.at_least is not None:
            bounds.append(f"at least {self.at_least:g}")
        if self.at_most is not None:
            bounds.append(f"at most {self.at_most:g}")
        verdict = "held" if self.holds else "NOT HELD"
        return f"{verdict:<8}  {self.text}: {self.value:.3g} ({' and '.join(bounds)})"


def what_you_should_have_seen(*claims: Claim) -> None:
    """Prints every claim with its value; raises AssertionError when one does not hold."""
    if not claims:
        raise ValueError("a notebook without a claim shows nothing: give at least one")
    for claim in claims:
        print(claim)
    broken = [claim for claim in claims if not claim.holds]
    if broken:
        lines = [f"{claim.text}. {claim.otherwise}".strip() for claim in broken]
        raise AssertionError("What you should have seen is not there: " + " | ".join(lines))
