"""Prompts and replies as HTML that shows any text and runs none of it.

Cards carry their own light paper and dark ink, so that they read the same on a light and on a dark
page. Whatever steers a screen or hides in a text is shown as an escape such as `\\u202e`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from rlhf_tutorial.plotting import INK, PAPER
from rlhf_tutorial.visible_text import pieces

WRAP = "white-space:pre-wrap;overflow-wrap:anywhere;text-align:left;"


def visible(text: str) -> str:
    """A text whose hidden and steering characters are escapes; line ends stay."""
    return "".join(run for run, _ in pieces(text))


def safe(text: str) -> str:
    """The same as HTML, in which nothing of the text is markup."""
    return html.escape(visible(text), quote=True)


def card(title: str, text: str, colour: str = INK) -> str:
    """One reply under its title, with a bar in its colour on top."""
    shown = safe(text.strip()) if text.strip() else "<em>(nothing)</em>"
    return (
        f'<td style="{WRAP}vertical-align:top;width:20em;padding:0.6em 0.8em;background:{PAPER};'
        f'color:{INK};border-top:5px solid {colour};"><strong>{safe(title)}</strong><br>'
        f"{shown}</td>"
    )


def line(text: str) -> str:
    """A sentence above the cards, on the same paper."""
    return (
        f'<div style="{WRAP}background:{PAPER};color:{INK};padding:0.5em 0.8em;line-height:1.4;">'
        f"{text}</div>"
    )


def row(cards: Sequence[str]) -> str:
    """Cards side by side."""
    return f'<table style="border-collapse:separate;"><tr>{"".join(cards)}</tr></table>'
