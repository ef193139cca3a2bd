"""Answers to the exercises, checked with hints, and "What you should have seen"."""

from rlhf_tutorial.checks.core import Claim, Verdict, hint, what_you_should_have_seen

__all__ = ["Claim", "Verdict", "hint", "what_you_should_have_seen"]
