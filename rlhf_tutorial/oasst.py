"""Reads OpenAssistant message trees: sibling replies that people have put in order.

A tree branches wherever several people answered the same message, and the siblings carry a human
`rank` (0 = best) merged from several people's orders. Each set of ranked siblings is one `Ranking`
whose prompt is the talk that led to it.

Source: Köpf and others, "OpenAssistant Conversations" (2023, arXiv 2304.07327).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rlhf_tutorial.json_records import DatasetFileError, check_ranking, read_records, text_field
from rlhf_tutorial.preferences import MAXIMUM_REPLIES, Ranking

OASST_ROLES = {"prompter": "user", "assistant": "assistant"}


def read_oasst(path: str | Path, *, oversized: str = "thin") -> list[Ranking]:
    """Sibling replies of OpenAssistant trees with human ranks as rankings, in file order.

    The prompt is the talk from the root down to the replies' parent; equal ranks are ties; replies
    without a rank, deleted ones, and sets with fewer than two are left out. Sets of more than five
    do not fit a `Ranking`: `"thin"` keeps five spread evenly from best to worst, `"split"` keeps
    every pair, as one ranking a block of five and rankings of two between blocks.
    """
    if oversized not in ("thin", "split"):
        raise ValueError(f"oversized: expected thin or split, found {oversized!r}")
    rankings = []
    for line, tree in read_records(path):
        if not isinstance(tree.get("prompt"), dict):
            raise DatasetFileError(path, line, "expected a message tree with a field 'prompt'")
        for parent, talk, replies in _ranked_sets(path, line, tree["prompt"], []):
            groups = _groups(replies, oversized)
            for number, group in enumerate(groups):
                name = parent if len(groups) == 1 else f"{parent}-{number}"
                tiers: dict[int, list[int]] = {}
                for index, (rank, _) in enumerate(group):
                    tiers.setdefault(rank, []).append(index)
                ranking = Ranking(
                    id=name,
                    prompt=talk[0]["content"] if len(talk) == 1 else talk,
                    replies=[text for _, text in group],
                    tiers=[tiers[rank] for rank in sorted(tiers)],
                    annotator="oasst",
                )
                rankings.append(check_ranking(path, line, ranking))
    return rankings


def _ranked_sets(path, line: int, message: dict, talk: list) -> Iterator[tuple]:
    """(parent id, talk, [(rank, text)] best first) below one message, depth first."""
    text = text_field(path, line, message, "text")
    role = OASST_ROLES.get(text_field(path, line, message, "role"))
    children = message.get("replies", [])
    if (
        role is None
        or not isinstance(children, list)
        or not all(isinstance(child, dict) for child in children)
    ):
        expected = "a message with role prompter or assistant and a list of replies"
        raise DatasetFileError(path, line, f"expected {expected}")
    talk = [*talk, {"role": role, "content": text}]
    ranked = []
    for child in children:
        rank = child.get("rank")
        if rank is None or child.get("deleted") or child.get("role") != "assistant":
            continue
        if type(rank) is not int:
            raise DatasetFileError(path, line, f"rank: expected a whole number, found {rank!r}")
        ranked.append((rank, text_field(path, line, child, "text")))
    if role == "user" and len(ranked) >= 2:
        ranked.sort(key=lambda reply: reply[0])
        yield text_field(path, line, message, "message_id"), talk, ranked
    for child in children:
        yield from _ranked_sets(path, line, child, talk)


def _groups(replies: list, oversized: str) -> list[list]:
    if len(replies) <= MAXIMUM_REPLIES:
        return [replies]
    if oversized == "thin":
        step = (len(replies) - 1) / (MAXIMUM_REPLIES - 1)
        return [[replies[round(step * i)] for i in range(MAXIMUM_REPLIES)]]
    starts = range(0, len(replies), MAXIMUM_REPLIES)
    blocks = [replies[start : start + MAXIMUM_REPLIES] for start in starts]
    between = [
        [better, worse]
        for number, block in enumerate(blocks)
        for later in blocks[number + 1 :]
        for better in block
        for worse in later
    ]
    return [block for block in blocks if len(block) > 1] + between
