"""An order of replies as somebody types it, in a terminal or in a text field."""

from __future__ import annotations

from rlhf_tutorial.ranking_session import RankingSessionError
from rlhf_tutorial.visible_text import harmless


def parse_order(text: str, count: int) -> list[list[int]]:
    """Positions from 0, best first, from a line such as `2=1 3 4` or `213 4`.

    Raises:
        RankingSessionError: a sign that has no place there, or not each number once.
    """
    tiers: list[list[int]] = []
    tied = False
    for char in "".join(text.replace(",", " ").split()):
        if char == "=" and tiers and not tied:
            tied = True
        elif char in "123456789" and tied:
            tiers[-1].append(int(char) - 1)
            tied = False
        elif char in "123456789":
            tiers.append([int(char) - 1])
        else:
            raise RankingSessionError(f"{harmless(char)} has no place in an order; ? helps")
    given = sorted(place + 1 for tier in tiers for place in tier)
    if tied or given != [*range(1, count + 1)]:
        example = " ".join(str(number) for number in range(count, 0, -1))
        raise RankingSessionError(f"expected each number from 1 to {count} once, such as {example}")
    return tiers
