"""The current item as plain HTML, for readers of a notebook that does not run (on a web page)."""

from __future__ import annotations

import html

from rlhf_tutorial.prompt_turns import as_turns
from rlhf_tutorial.ranking_session import RankingSession
from rlhf_tutorial.visible_text import pieces


def item_as_html(session: RankingSession | None) -> str:
    """Prompt and replies in the order of the screen, escaped; a sentence when there is no item."""
    if session is None or session.current is None:
        return "<p><em>There is nothing left to rank here.</em></p>"
    turns = as_turns(session.current.prompt)
    lines = [f"<p><em>{html.escape(str(session.progress()))}</em></p>"]
    for turn in turns:
        who = "" if len(turns) == 1 else f"{html.escape(turn['role'])}: "
        lines.append(f"<p><strong>{who}{_escaped(turn['content'])}</strong></p>")
    replies = "".join(f'<li dir="auto">{_escaped(reply)}</li>' for reply in session.replies)
    return "\n".join([*lines, f"<ol>{replies}</ol>"])


def item_as_text(session: RankingSession | None) -> str:
    """The same in a line or two, for viewers that show text only."""
    if session is None or session.current is None:
        return "Ranking widget: there is nothing left to rank."
    return f"Ranking widget: {session.progress()}. Run the cell to rank."


def _escaped(text: str) -> str:
    return "".join(
        f"<code>{html.escape(run)}</code>" if hidden else html.escape(run).replace("\n", "<br>")
        for run, hidden in pieces(text)
    )
