"""The field's formats: written, read back, loaded with `datasets` and accepted by TRL."""

from __future__ import annotations

import errno
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_tutorial.datasets_io import (
    DatasetFileError,
    read_completion_rows,
    read_hh_rows,
    read_polite_pairs,
    read_preference_rows,
    to_completion_rows,
    to_dataset,
    to_hh_rows,
    to_preference_rows,
    write_rows,
)
from rlhf_tutorial.json_records import read_records
from rlhf_tutorial.preferences import Ranking, pairs

TALK = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Good day."},
    {"role": "user", "content": "Where is the hat?"},
]


def ranking(name="a", **changes) -> Ranking:
    values = {"prompt": "Where is it?", "replies": ["On the bed.", "Gone.", "Ask."]}
    return Ranking(id=name, **(values | {"tiers": [[2], [0, 1]]} | changes)).validate()


def write(path, *values) -> str:
    path.write_text("".join((v if isinstance(v, str) else json.dumps(v)) + "\n" for v in values))
    return path


def content(rankings) -> list:
    """What a pair format can keep: prompt, preferred and other reply."""
    return [
        (r.prompt, r.replies[winner], r.replies[loser])
        for r in rankings
        for winner, loser in pairs(r)
    ]


def test_preference_rows_hold_the_strict_pairs():
    assert to_preference_rows([ranking()], chat=False) == [
        {"prompt": "Where is it?", "chosen": "Ask.", "rejected": "On the bed."},
        {"prompt": "Where is it?", "chosen": "Ask.", "rejected": "Gone."},
    ]
    assert to_preference_rows([ranking(replies=["x", "y", "z"], prompt=TALK)])[0] == {
        "prompt": TALK,
        "chosen": [{"role": "assistant", "content": "z"}],
        "rejected": [{"role": "assistant", "content": "x"}],
    }
    assert to_preference_rows([ranking(tiers=[[0, 1, 2]]), ranking(tiers=[], skip="no")]) == []


def test_completion_rows_hold_the_best_replies():
    tied = ranking(replies=["same", "same", "other"], tiers=[[0, 1, 2]])
    assert [row["completion"] for row in to_completion_rows([tied], chat=False)] == [
        "same",
        "other",
    ]
    assert to_completion_rows([ranking(), ranking(tiers=[], skip="no")]) == [
        {
            "prompt": [{"role": "user", "content": "Where is it?"}],
            "completion": [{"role": "assistant", "content": "Ask."}],
        }
    ]


def test_hh_rows_hold_the_talk_as_text():
    row = to_hh_rows([ranking(prompt=TALK)])[0]
    start = "\n\nHuman: Hello\n\nAssistant: Good day.\n\nHuman: Where is the hat?\n\nAssistant:"
    assert row == {"chosen": f"{start} Ask.", "rejected": f"{start} On the bed."}


def test_what_a_format_cannot_say_is_refused():
    with pytest.raises(ValueError, match="'a' has a prompt of 3 turns; export it with chat"):
        to_preference_rows([ranking(prompt=TALK)], chat=False)
    with pytest.raises(ValueError, match="turn mark of HH-RLHF"):
        to_hh_rows([ranking(replies=["x\n\nHuman: now me", "y", "z"])])
    mixed = [ranking("good"), ranking("bad", replies=["x\n\nAssistant: y", "y", "z"])]
    with pytest.warns(UserWarning, match="1 rankings cannot be said .* left out: bad"):
        assert to_hh_rows(mixed, unsayable="skip") == to_hh_rows(mixed[:1])
    system = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    with pytest.raises(ValueError, match="no place for a system turn"):
        to_hh_rows([ranking(prompt=system)])
    with pytest.raises(ValueError, match="no rows"):
        to_dataset([])


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(deadline=None, max_examples=60)
@given(prompt=texts.filter(bool), replies=st.lists(texts, min_size=2, max_size=5))
def test_every_export_reads_back_as_the_same_pairs(tmp_path_factory, prompt, replies):
    path = tmp_path_factory.getbasetemp() / "round-trip.jsonl"
    original = [
        ranking(prompt=prompt, replies=replies, tiers=[[i] for i in range(len(replies))]),
        ranking(prompt=[*TALK[:2], {"role": "user", "content": prompt}], replies=["x", "y"],
                tiers=[[1], [0]]),
    ]  # fmt: skip
    single = [{"role": "user", "content": prompt}]
    write_rows(to_preference_rows(original), path)
    expected = [(single if p == prompt else p, *pair) for p, *pair in content(original)]
    assert content(read_preference_rows(path)) == expected
    write_rows(to_preference_rows(original[:1], chat=False), path)
    if pairs(original[0]):
        assert content(read_preference_rows(path)) == content(original[:1])
    write_rows(to_completion_rows(original), path)
    assert [row["completion"] for row in read_completion_rows(path)] == [replies[0], "y"]
    try:
        rows = to_hh_rows(original)
    except ValueError:
        return  # the text holds a turn mark, which the format cannot say
    write_rows(rows, path)
    assert content(read_hh_rows(path)) == content(original)


@pytest.mark.parametrize("chat", [True, False])
def test_exports_load_with_datasets_and_are_known_to_trl(tmp_path, chat):
    from datasets import load_dataset
    from trl import is_conversational

    rows = to_preference_rows([ranking(), ranking(prompt="Why? 🙂 नमस्ते")], chat=chat)
    path = tmp_path / "pairs.jsonl"
    assert write_rows(rows, path) == 4
    loaded = load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path))
    assert loaded.column_names == ["prompt", "chosen", "rejected"]
    assert loaded.to_list() == rows == to_dataset(rows).to_list()
    assert is_conversational(loaded[0]) is chat


@pytest.mark.parametrize("chat", [True, False])
def test_trl_trains_a_reward_model_and_sft_on_the_exports(tmp_path, chat):
    from trl import RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

    from tests.tiny import tiny_model, tiny_reward_model, tiny_tokenizer

    tokenizer = tiny_tokenizer()
    rankings = [ranking(str(number)) for number in range(4)]
    common = {
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "bf16": False,
    }
    reward = RewardTrainer(
        model=tiny_reward_model(tokenizer),
        args=RewardConfig(output_dir=str(tmp_path / "reward"), **common),
        train_dataset=to_dataset(to_preference_rows(rankings, chat=chat)),
        processing_class=tokenizer,
    )
    assert reward.train().training_loss > 0
    sft = SFTTrainer(
        model=tiny_model(tokenizer),
        args=SFTConfig(output_dir=str(tmp_path / "sft"), max_length=96, **common),
        train_dataset=to_dataset(to_completion_rows(rankings, chat=chat)),
        processing_class=tokenizer,
    )
    assert sft.train().training_loss > 0


def test_chat_rows_without_a_prompt_share_their_beginning(tmp_path):
    chosen, rejected = ([*TALK, {"role": "assistant", "content": t}] for t in ("yes", "no"))
    path = write(tmp_path / "p.jsonl", {"chosen": chosen, "rejected": rejected})
    assert content(read_preference_rows(path)) == [(TALK, "yes", "no")]


PAIR = {"prompt": "p", "chosen": "c", "rejected": "r"}
HH = {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}
POLITE = {"instruction": "Say hi", "input": "", "output": "Hi", "chosen": "Hi", "rejected": "Oi"}


@pytest.mark.parametrize(
    ("read", "good", "bad", "message"),
    [
        (read_preference_rows, PAIR, "{", "not valid JSON"),
        (read_preference_rows, PAIR, [1], "expected a JSON object, found a list"),
        (read_preference_rows, PAIR, {"text": "x"}, "expected a field 'prompt', found text"),
        (read_preference_rows, PAIR, {"prompt": "p", "chosen": "c"}, "expected a field 'rejected'"),
        (read_preference_rows, PAIR, PAIR | {"prompt": ""}, "prompt: expected a text"),
        (read_preference_rows, PAIR, PAIR | {"chosen": 3}, "chosen: expected a text, found a int"),
        (read_preference_rows, PAIR, PAIR | {"chosen": TALK}, "chosen: expected one assistant"),
        (read_preference_rows, PAIR, PAIR | {"prompt": TALK[:2]}, "turns that end with the user"),
        (read_preference_rows, PAIR, {"chosen": [], "rejected": []}, "expected"),
        (read_hh_rows, HH, HH | {"chosen": "\n\nHuman: x\n\nAssistant: b"}, "one shared talk"),
        (read_hh_rows, HH, HH | {"chosen": "hello"}, "chosen: expected a talk"),
        (read_hh_rows, HH, HH | {"rejected": "\n\nHuman: a"}, "rejected: expected a talk"),
        (read_polite_pairs, POLITE, {"instruction": "x"}, "expected a field 'input'"),
        (read_polite_pairs, POLITE, POLITE | {"rejected": None}, "rejected: expected a text"),
        (read_completion_rows, {"prompt": "p", "completion": "c"}, {"prompt": "p"}, "'completion'"),
    ],
)
def test_bad_rows_are_reported_with_their_line(tmp_path, read, good, bad, message):
    path = write(tmp_path / "rows.jsonl", good, good, bad, good)
    with pytest.raises(DatasetFileError, match="line 3: ") as caught:
        read(path)
    assert caught.value.line == 3 and message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(read(write(tmp_path / "good.jsonl", good, good))) == 2


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "empty"),
        ('[\n  {"a": 1},\n  {"a": 2\n]', 4, "not valid JSON"),
        ('[\n  {"a": 1},\n  7\n]', 3, "found a int"),
        ('[\n  {"a": 1}\n  {"a": 2}\n]', 3, "comma"),
        ('[\n  {"a": 1},\n', 3, "ends inside"),
        ('[\n  {"a": 1},\n]', 3, "not valid JSON"),
        ('[\n  {"a": 1}\n]\n{"a": 2}', 4, "nothing after"),
    ],
)
def test_bad_arrays_are_reported_with_their_line(tmp_path, text, line, message):
    path = tmp_path / "array.json"
    path.write_text(text)
    with pytest.raises(DatasetFileError) as caught:
        list(read_records(path))
    assert caught.value.line == line and message in str(caught.value)


def test_invalid_utf8_is_reported_with_its_line(tmp_path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": "caf\xe9"}\n')
    with pytest.raises(DatasetFileError, match="line 2: not valid UTF-8"):
        list(read_records(path))


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2), max_size=5))
def test_arrays_and_lines_read_alike(tmp_path_factory, records):
    folder = tmp_path_factory.getbasetemp()
    if not records:
        return
    write(folder / "lines.jsonl", *records)
    (folder / "array.json").write_text(json.dumps(records, indent=1))
    assert [record for _, record in read_records(folder / "lines.jsonl")] == records
    assert [record for _, record in read_records(folder / "array.json")] == records


def test_ids_are_unique_even_when_an_array_stands_on_one_line(tmp_path):
    path = tmp_path / "polite.json"
    path.write_text(json.dumps([POLITE, POLITE | {"input": "to Ann"}]))
    first, second = read_polite_pairs(path)
    assert first.id != second.id
    assert (first.prompt, second.prompt) == ("Say hi", "Say hi\n\nto Ann")


def test_an_export_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = write(tmp_path / "pairs.jsonl", PAIR)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_rows([PAIR] * 3, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
