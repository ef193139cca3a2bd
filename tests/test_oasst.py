"""OpenAssistant trees: ranked siblings become rankings, oversized sets fit, bad trees are named."""

from __future__ import annotations

import json

import pytest

from rlhf_tutorial.datasets_io import DatasetFileError, read_oasst
from rlhf_tutorial.preferences import pairs


def write(path, *values) -> str:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def message(name: str, role: str = "assistant", **more) -> dict:
    return {"message_id": name, "role": role, "text": f"text of {name}", "replies": [], **more}


def tree(*replies) -> dict:
    return {"prompt": message("root", "prompter", replies=list(replies))}


def test_oasst_siblings_become_one_ranking(tmp_path):
    deeper = message("q", "prompter", replies=[message("d", rank=1), message("e", rank=0)])
    replies = [
        message("a", rank=1, replies=[deeper]),
        message("b", rank=0),
        message("c", rank=1),
        message("unranked", rank=None),
        message("gone", rank=2, deleted=True),
    ]
    first, second = read_oasst(write(tmp_path / "t.jsonl", tree(*replies)))
    assert first.id == "root" and first.prompt == "text of root"
    assert first.replies == ["text of b", "text of a", "text of c"]
    assert first.tiers == [[0], [1, 2]]
    assert second.prompt == [
        {"role": "user", "content": "text of root"},
        {"role": "assistant", "content": "text of a"},
        {"role": "user", "content": "text of q"},
    ]
    assert second.replies == ["text of e", "text of d"]


@pytest.mark.parametrize("count", range(6, 17))
def test_oversized_oasst_sets_are_thinned_or_split(tmp_path, count):
    replies = [message(f"{index:02}", rank=index) for index in range(count)]
    path = write(tmp_path / "t.jsonl", tree(*replies))
    (thin,) = read_oasst(path)
    assert len(thin.replies) == 5 == len(set(thin.replies))
    assert thin.replies == sorted(thin.replies)
    assert (thin.replies[0], thin.replies[-1]) == ("text of 00", f"text of {count - 1:02}")
    parts = read_oasst(path, oversized="split")
    found = [(p.replies[i], p.replies[j]) for p in parts for i, j in pairs(p)]
    assert len(found) == len(set(found)) == count * (count - 1) // 2
    assert all(better < worse for better, worse in found)
    assert len({part.id for part in parts}) == len(parts)


@pytest.mark.parametrize(
    ("bad", "message_text"),
    [
        ({"tree": 1}, "expected a message tree"),
        ({"prompt": {"text": "x"}}, "expected a field 'role'"),
        ({"prompt": message("r", "moderator")}, "role prompter or assistant"),
        ({"prompt": message("r", "prompter", replies=["x"])}, "role prompter or assistant"),
        (tree(message("a", rank="best"), message("b", rank=1)), "rank: expected a whole number"),
        (tree({"role": "assistant", "rank": 0}), "expected a field 'text'"),
    ],
)
def test_bad_trees_are_reported_with_their_line(tmp_path, bad, message_text):
    path = write(tmp_path / "t.jsonl", tree(), bad)
    with pytest.raises(DatasetFileError, match="line 2: ") as caught:
        read_oasst(path)
    assert message_text in str(caught.value)


def test_an_unknown_way_with_oversized_sets_is_refused(tmp_path):
    with pytest.raises(ValueError, match="thin or split"):
        read_oasst(tmp_path / "t.jsonl", oversized="all")
