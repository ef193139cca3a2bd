"""Reads and writes the field's formats: TRL, HH-RLHF, OpenAssistant trees, alpaca-style pairs.

Rows are plain dictionaries, so they can be written as JSON Lines (`write_rows`), handed to
`datasets.Dataset.from_list` (`to_dataset`) and read by TRL 1.16 (its "preference" and
"prompt-completion" types, with and without chat turns).

Simplified: pair formats hold no ties, times or annotators, so an export keeps the strict pairs
only, and a file of pairs is read back as rankings of two replies each. The store's own file is
the one that keeps everything.

Sources: Bai and others (2022, arXiv 2204.05862) for HH-RLHF; Taori and others (2023) for the
alpaca fields; OpenAssistant trees are read in `oasst.py`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from pathlib import Path

from rlhf_tutorial.json_records import (
    DatasetFileError,
    check_ranking,
    read_records,
    text_field,
    write_rows,
)
from rlhf_tutorial.oasst import read_oasst
from rlhf_tutorial.preferences import Ranking, pairs
from rlhf_tutorial.prompt_turns import as_turns

__all__ = [
    "DatasetFileError",
    "read_completion_rows",
    "read_hh_rows",
    "read_oasst",
    "read_polite_pairs",
    "read_preference_rows",
    "to_completion_rows",
    "to_dataset",
    "to_hh_rows",
    "to_preference_rows",
    "write_rows",
]

PAIR = ("chosen", "rejected")
HUMAN, HH_ASSISTANT = "\n\nHuman:", "\n\nAssistant:"


def to_preference_rows(rankings: Iterable[Ranking], *, chat: bool = True) -> list[dict]:
    """One TRL preference row (`prompt`, `chosen`, `rejected`) for each strict pair.

    `chat=True` gives lists of turns, `chat=False` texts. Raises `ValueError` for a prompt of
    several turns without chat, since joining turns would invent a format.
    """
    rows = []
    for ranking in rankings:
        prompt = as_turns(ranking.prompt) if chat else _plain_prompt(ranking)
        for winner, loser in pairs(ranking):
            chosen, rejected = ranking.replies[winner], ranking.replies[loser]
            if chat:
                chosen, rejected = _assistant(chosen), _assistant(rejected)
            rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    return rows


def to_completion_rows(rankings: Iterable[Ranking], *, chat: bool = True) -> list[dict]:
    """One TRL prompt-completion row for each different reply of the top tier: "best of" for SFT."""
    rows = []
    for ranking in rankings:
        best = ranking.tiers[0] if ranking.tiers else []
        prompt = as_turns(ranking.prompt) if chat else _plain_prompt(ranking)
        for reply in dict.fromkeys(ranking.replies[index] for index in best):
            rows.append({"prompt": prompt, "completion": _assistant(reply) if chat else reply})
    return rows


def to_hh_rows(rankings: Iterable[Ranking], *, unsayable: str = "raise") -> list[dict]:
    """HH-RLHF rows: `chosen` and `rejected` hold the whole talk as text.

    The format cannot say a system turn, nor a text that contains its own turn mark
    "\\n\\nHuman:" or "\\n\\nAssistant:", which would be read back as another turn (people do write
    about language models). `"raise"` gives a `ValueError` naming the ranking; `"skip"` leaves
    such rankings out and warns with their ids.
    """
    if unsayable not in ("raise", "skip"):
        raise ValueError(f"unsayable: expected raise or skip, found {unsayable!r}")
    rows, left_out = [], []
    for ranking in rankings:
        try:
            rows += _hh_rows(ranking)
        except ValueError:
            if unsayable == "raise":
                raise
            left_out.append(ranking.id)
    if left_out:
        names = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
        warnings.warn(
            f"{len(left_out)} rankings cannot be said in HH-RLHF text and were left out: {names}",
            stacklevel=2,
        )
    return rows


def to_dataset(rows: list[dict]):
    """Rows as a `datasets.Dataset`; raises `ValueError` when there are none."""
    if not rows:
        raise ValueError("there are no rows: the rankings hold no strict pair or no ranked reply")
    from datasets import Dataset

    return Dataset.from_list(rows)


def read_preference_rows(path: str | Path, *, annotator: str = "imported") -> list[Ranking]:
    """TRL preference rows as rankings of two, the chosen reply first.

    Reads texts and chat turns, and chat rows without `prompt`, whose `chosen` and `rejected`
    begin alike. Raises `DatasetFileError` with the line for anything else.
    """
    rankings = []
    for number, (line, row) in enumerate(read_records(path), start=1):
        prompt, chosen, rejected = (row.get(n) for n in ("prompt", "chosen", "rejected"))
        if prompt is None and isinstance(chosen, list) and isinstance(rejected, list):
            shared = _common_length(chosen, rejected)
            prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
        elif not isinstance(prompt, list):
            prompt = text_field(path, line, row, "prompt")
        replies = [_reply(path, line, row, n, v) for n, v in _pair(chosen, rejected)]
        rankings.append(_imported(path, number, line, prompt, replies, annotator))
    return rankings


def read_completion_rows(path: str | Path) -> list[dict]:
    """Prompt-completion rows as `{"prompt": text or turns, "completion": text}`, for SFT."""
    rows = []
    for line, row in read_records(path):
        prompt = row.get("prompt")
        if not isinstance(prompt, list):
            prompt = text_field(path, line, row, "prompt")
        completion = _reply(path, line, row, "completion", row.get("completion"))
        probe = Ranking(id="row", prompt=prompt, replies=["a", "b"], tiers=[[0], [1]])
        check_ranking(path, line, probe)
        rows.append({"prompt": prompt, "completion": completion})
    return rows


def read_hh_rows(path: str | Path, *, annotator: str = "imported") -> list[Ranking]:
    """HH-RLHF rows as rankings of two; the talk before the last reply must be the same."""
    rankings = []
    for number, (line, row) in enumerate(read_records(path), start=1):
        talks = {n: _hh_turns(path, line, n, text_field(path, line, row, n)) for n in PAIR}
        if talks["chosen"][:-1] != talks["rejected"][:-1]:
            message = "chosen and rejected differ before the last reply; expected one shared talk"
            raise DatasetFileError(path, line, message)
        turns = talks["chosen"][:-1]
        prompt = turns[0]["content"] if len(turns) == 1 else turns
        replies = [talks[name][-1]["content"] for name in PAIR]
        rankings.append(_imported(path, number, line, prompt, replies, annotator))
    return rankings


def read_polite_pairs(path: str | Path, *, annotator: str = "imported") -> list[Ranking]:
    """Alpaca-style records (`instruction`, `input`, `chosen`, `rejected`) as rankings of two."""
    rankings = []
    for number, (line, row) in enumerate(read_records(path), start=1):
        names = ("instruction", "input", "chosen", "rejected")
        instruction, more, chosen, rejected = (text_field(path, line, row, n) for n in names)
        prompt = f"{instruction}\n\n{more}" if more else instruction
        rankings.append(_imported(path, number, line, prompt, [chosen, rejected], annotator))
    return rankings


def _pair(chosen: object, rejected: object) -> list[tuple[str, object]]:
    return [("chosen", chosen), ("rejected", rejected)]


def _assistant(reply: str) -> list[dict]:
    return [{"role": "assistant", "content": reply}]


def _plain_prompt(ranking: Ranking) -> str:
    turns = as_turns(ranking.prompt)
    if len(turns) != 1:
        raise ValueError(
            f"ranking {ranking.id!r} has a prompt of {len(turns)} turns; export it with chat turns"
        )
    return turns[0]["content"]


def _common_length(first: list, second: list) -> int:
    shared = 0
    while shared < min(len(first), len(second)) and first[shared] == second[shared]:
        shared += 1
    # The last turn is the reply even when both replies are the same.
    return min(shared, len(first) - 1, len(second) - 1)


def _reply(path, line: int, row: dict, name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return text_field(path, line, row, name)
    turn = value[0] if len(value) == 1 and isinstance(value[0], dict) else {}
    if turn.get("role") != "assistant" or not isinstance(turn.get("content"), str):
        raise DatasetFileError(path, line, f"{name}: expected one assistant turn with a text")
    return turn["content"]


def _imported(path, number: int, line: int, prompt, replies: list[str], annotator: str) -> Ranking:
    name = f"{Path(path).stem}-{number}"  # the line would not do: an array may stand on one
    ranking = Ranking(
        id=name, prompt=prompt, replies=replies, tiers=[[0], [1]], annotator=annotator
    )
    return check_ranking(path, line, ranking)


def _hh_rows(ranking: Ranking) -> list[dict]:
    talk = "".join(_hh_turn(ranking.id, **turn) for turn in as_turns(ranking.prompt))
    texts = [talk + _hh_turn(ranking.id, "assistant", reply) for reply in ranking.replies]
    return [{"chosen": texts[winner], "rejected": texts[loser]} for winner, loser in pairs(ranking)]


def _hh_turn(ranking_id: str, role: str, content: str) -> str:
    if role not in ("user", "assistant"):
        raise ValueError(f"ranking {ranking_id!r}: HH-RLHF text has no place for a {role} turn")
    if HUMAN in content or HH_ASSISTANT in content:
        raise ValueError(
            f"ranking {ranking_id!r}: a text contains the turn mark of HH-RLHF and could not be "
            "read back; export it with chat turns"
        )
    return f"{HUMAN if role == 'user' else HH_ASSISTANT} {content}"


def _hh_turns(path, line: int, name: str, text: str) -> list[dict]:
    parts = re.split(f"({HUMAN}|{HH_ASSISTANT})", text)
    roles = {HUMAN: "user", HH_ASSISTANT: "assistant"}
    turns = [
        {"role": roles[mark], "content": content.removeprefix(" ")}
        for mark, content in zip(parts[1::2], parts[2::2], strict=True)
    ]
    if parts[0].strip() or len(turns) < 2 or turns[-1]["role"] != "assistant":
        expected = "a talk of Human and Assistant turns that ends with the Assistant's"
        raise DatasetFileError(path, line, f"{name}: expected {expected}")
    return turns
