"""A file of one's own rankings, looked at before minutes are spent on the first stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlhf_tutorial.batching import check_length
from rlhf_tutorial.preferences import Ranking, load_rankings
from rlhf_tutorial.prompt_turns import as_turns
from rlhf_tutorial.tokenizer import encode_prompts, encode_reply


def check_rankings_file(path: Path | str) -> None:
    """What can be seen without a tokenizer.

    Raises:
        ValueError: there is no such file, a line is no record (says which), it holds nothing, or a
            prompt has turns that the course's chat template does not know.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no file of rankings {path}: look at the path")
    rankings = load_rankings(path)
    if not rankings:
        raise ValueError(f"{path} holds no ranking: rank some replies first, or leave it out")
    for ranking in rankings:  # skipped ones too: a file is looked at as it is
        roles = {turn["role"] for turn in as_turns(ranking.prompt)} - {"user", "assistant"}
        if roles:
            raise ValueError(
                f"{path}: the ranking {ranking.id!r} has a {', '.join(sorted(roles))} turn, and "
                "the models of this course know user and assistant only: leave it out"
            )


def check_lengths(rankings: Sequence[Ranking], tokenizer, context: int) -> None:
    """Whether each ranked prompt fits into a model's context with each of its replies.

    Raises:
        ValueError: names the ranking whose prompt and reply do not.
    """
    for ranking in rankings:
        if ranking.skip is not None:  # never trained on
            continue
        (prompt,) = encode_prompts(tokenizer, [ranking.prompt])
        for number, reply in enumerate(ranking.replies, start=1):
            length = len(prompt) + len(encode_reply(tokenizer, reply))
            check_length(length, context, f"the ranking {ranking.id!r}: prompt with reply {number}")
