"""A prompt is a text or a list of chat turns: from one form to the other."""

from __future__ import annotations


def as_turns(prompt: str | list[dict]) -> list[dict]:
    """The prompt as turns; a text is what the user says."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def as_prompt(turns: list[dict]) -> str | list[dict]:
    """A single turn of the user is a plain text; all else stays as turns."""
    return turns[0]["content"] if len(turns) == 1 and turns[0]["role"] == "user" else turns
