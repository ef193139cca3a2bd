"""Items to rank by hand, prompts with their replies, and how they are read from a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlhf_tutorial.json_records import DatasetFileError, read_records
from rlhf_tutorial.preference_rules import PreferenceError, check_prompt, fail, is_list_of
from rlhf_tutorial.preferences import MAXIMUM_REPLIES, MINIMUM_REPLIES


@dataclass(frozen=True)
class Item:
    """One prompt with 2 to 5 replies in canonical order; raises `PreferenceError` otherwise."""

    prompt: str | list
    replies: Sequence[str]
    model: str = ""  # which model wrote the replies
    repeat_of: str | None = None  # id of the earlier ranking, when the item is shown once more
    id: str = ""  # a name for it, from prompt and replies unless given; answers go by those two

    def __post_init__(self) -> None:
        check_prompt(self.prompt)
        if not isinstance(self.replies, (list, tuple)) or not is_list_of(list(self.replies), str):
            fail("replies", "a list of texts", self.replies)
        if not MINIMUM_REPLIES <= len(self.replies) <= MAXIMUM_REPLIES:
            expected = f"{MINIMUM_REPLIES} to {MAXIMUM_REPLIES} replies"
            raise PreferenceError(f"replies: expected {expected}, found {len(self.replies)}")
        if not isinstance(self.model, str):
            fail("model", "a text", self.model)
        if not isinstance(self.id, str):
            fail("id", "a text", self.id)
        object.__setattr__(self, "replies", tuple(self.replies))
        object.__setattr__(self, "id", self.id or item_id(self.prompt, self.replies))


def item_id(prompt: str | list, replies: Iterable[str]) -> str:
    """The same for the same prompt and replies, on every machine."""
    text = json.dumps([prompt, list(replies)], sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def load_items(path: str | Path) -> list[Item]:
    """Items of a JSON Lines file with `prompt` and `replies`; a file of rankings will do.

    The same prompt with the same replies counts once. Raises `DatasetFileError` (line, what was
    expected) for a bad record, or when there is nothing to rank.
    """
    items: dict[str, Item] = {}
    for line, record in read_records(path):
        if record.get("kind") == "retraction":
            continue  # it takes a ranking back, and has no replies of its own
        missing = [name for name in ("prompt", "replies") if name not in record]
        if missing:
            raise DatasetFileError(
                path, line, f"expected the fields prompt and replies, {missing[0]} is missing"
            )
        try:
            item = Item(record["prompt"], record["replies"], model=record.get("model", ""))
        except PreferenceError as error:
            raise DatasetFileError(path, line, str(error)) from None
        items.setdefault(item.id, item)
    if not items:
        raise DatasetFileError(path, 1, "the file holds no replies; expected at least one item")
    return list(items.values())
