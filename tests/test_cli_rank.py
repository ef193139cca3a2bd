"""The command `rank`: what is typed, what is shown, what is stored, and one line for mistakes."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlhf_tutorial import cli, cli_rank
from rlhf_tutorial.preferences import load_rankings
from rlhf_tutorial.ranking_session import RankingSessionError
from rlhf_tutorial.store import RankingStore
from tests.commands import fails_in_one_line
from tests.store_cases import failing, ranking

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = "\x1b[31mred\u202e\u200b\r\n  3  Take me.\0\u3164"


@pytest.fixture
def items(tmp_path) -> Path:
    path = tmp_path / "items.jsonl"
    rows = [{"prompt": f"Question {n}?", "replies": ["one", "two", "three"]} for n in range(3)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def typed(monkeypatch, *lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def rank(items: Path, *options: object, code: int = 0) -> Path:
    """Runs the command and returns the file of rankings beside the items."""
    out = items.parent / "mine.jsonl"
    assert cli.main(["rank", str(items), "--out", str(out), *map(str, options)]) == code
    return out


# What is typed


@pytest.mark.parametrize(
    ("text", "tiers"),
    [
        ("2 1 3 4", [[1], [0], [2], [3]]),
        ("213 4", [[1], [0], [2], [3]]),
        ("2=1 3 4", [[1, 0], [2], [3]]),
        ("4, 3 = 2 = 1", [[3], [2, 1, 0]]),
        ("43=21", [[3], [2, 1], [0]]),
    ],
)
def test_orders_are_read_best_first(text, tiers):
    assert cli_rank.parse_order(text, 4) == tiers


@pytest.mark.parametrize("text", ["2 1 3", "1 1 2 3", "12345", "=1234", "1==234", "1234=", "²134"])
def test_orders_that_are_none_are_refused(text):
    with pytest.raises(RankingSessionError):
        cli_rank.parse_order(text, 4)


@given(st.text(max_size=12))
def test_whatever_is_typed_is_an_order_or_told_in_one_line(text):
    try:
        tiers = cli_rank.parse_order(text, 3)
    except RankingSessionError as error:
        assert str(error).isprintable()
    else:
        assert sorted(place for tier in tiers for place in tier) == [0, 1, 2]


# What is shown


@given(st.text(st.characters(exclude_categories=()), max_size=30))
def test_nothing_shown_can_steer_a_terminal(text):
    assert cli_rank.harmless(text).isprintable()


def test_escapes_are_visible_and_ordinary_text_is_left_alone(monkeypatch):
    assert cli_rank.harmless("\x1b[2J\u202e\u200b\ud800\n") == "\\x1b[2J\\u202e\\u200b\\ud800\\n"
    assert cli_rank.harmless("Où? नमस्ते 🙂 語") == "Où? नमस्ते 🙂 語"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert cli_rank.harmless("Où?") == "O\\xf9?"


def test_hostile_replies_are_shown_harmlessly_and_stored_exactly(tmp_path, monkeypatch, capsys):
    path = tmp_path / "items.jsonl"
    turns = [{"role": "user", "content": HOSTILE}]
    path.write_text(json.dumps({"prompt": turns, "replies": [HOSTILE, "plain"]}), encoding="utf-8")
    typed(monkeypatch, f"n {HOSTILE[:-6]}", "f", "1 2")
    out = rank(path, "--repeat", "0")
    printed = capsys.readouterr().out
    assert all(line.isprintable() for line in printed.split("\n"))
    assert "\\x1b[31mred\\u202e\\u200b\\r\\n  3  Take me.\\x00\\u3164" in printed
    assert printed.count("\n  3  ") == 0  # the reply cannot pretend to be another one
    (record,) = load_rankings(out)
    assert record.prompt == turns and record.replies == [HOSTILE, "plain"]
    assert record.flags == ["harmful"]


# A sitting


def test_a_whole_sitting_with_every_command(items, monkeypatch, capsys):
    typed(
        monkeypatch, "?", "2=1 3", "9", "n odd", "f", "3 2 1", "u", "1 2 3", "s", "s makes no sense"
    )
    out = rank(items, "--annotator", "ann", "--repeat", "0", "--seed", "4")
    printed = capsys.readouterr().out
    assert "2 of 3" in printed and "Ranked 2 and skipped 1 of 3 items" in printed
    assert "9 has no place" not in printed and "expected each number from 1 to 3 once" in printed
    assert "say why" in printed and "note: odd" in printed
    assert f"File: {out}" in printed
    assert f"python -m rlhf_tutorial run --my-rankings {out}" in printed
    first, second, third = load_rankings(out)
    assert first.tiers == [[first.shown[1], first.shown[0]], [first.shown[2]]]
    assert second.tiers == [[index] for index in second.shown]
    assert (second.note, second.flags) == ("odd", ["harmful"])
    assert third.skip == "makes no sense"
    assert {record.annotator for record in (first, second, third)} == {"ann"}
    assert first.guideline_version


def test_what_stands_beside_a_number_is_the_reply_it_means(items, monkeypatch, capsys):
    typed(monkeypatch, *["3 1 2"] * 3)
    records = load_rankings(rank(items, "--repeat", "0"))
    printed = capsys.readouterr().out
    for number, record in enumerate(records):
        rows = printed.split(f"prompt: Question {number}?\n")[1].splitlines()[:3]
        on_screen = [row.split()[1] for row in rows]
        best_first = [record.replies[tier[0]] for tier in record.tiers]
        assert best_first == [on_screen[2], on_screen[0], on_screen[1]]
    assert len({tuple(record.shown) for record in records}) > 1  # or nothing was tested


@pytest.mark.parametrize("last", [["q"], []], ids=["quit", "end of input"])
def test_stopping_keeps_what_is_done_and_the_same_command_goes_on(items, monkeypatch, capsys, last):
    typed(monkeypatch, "1 2 3", *last)
    out = rank(items)
    assert "Ranked 1 and skipped 0 of 3 items" in capsys.readouterr().out
    typed(monkeypatch, "1 2 3", "1 2 3")
    rank(items, "--repeat", "0")
    printed = capsys.readouterr().out
    assert "Question 0?" not in printed and "Ranked 3" in printed
    assert [r.prompt for r in load_rankings(out)] == [f"Question {n}?" for n in range(3)]
    rank(items, "--repeat", "0")  # nothing left: nothing is asked
    assert "best first>" not in capsys.readouterr().out


def test_going_on_says_what_is_left_and_what_was_skipped(items, monkeypatch, capsys):
    typed(monkeypatch, f"s dull {HOSTILE[:-6]}", "q")
    out = rank(items, "--repeat", "0.5")
    assert "Going on" not in capsys.readouterr().out
    typed(monkeypatch, "1 2 3", "1 2 3")
    rank(items, "--repeat", "0.5")
    printed = capsys.readouterr().out
    told = printed.splitlines()[:2]
    assert told[0] == f"Going on with {out}: 3 left to rank."  # two, and one that comes back
    assert told[1].startswith("Skipped, and not asked again: 1 (dull \\x1b[31m")
    typed(monkeypatch)
    rank(items, "--repeat", "0.5")  # what is left comes back, and that is not announced
    assert f"Going on with {out}: 1 left to rank." in capsys.readouterr().out


def test_many_reasons_stay_one_line(tmp_path, monkeypatch, capsys):
    path = tmp_path / "items.jsonl"
    rows = [{"prompt": f"Question {n}?", "replies": ["one", "two"]} for n in range(6)]
    path.write_text("\n".join(map(json.dumps, rows)))
    typed(monkeypatch, *(f"s reason {n}" for n in range(5)))
    rank(path)
    typed(monkeypatch)
    rank(path)
    assert "again: 5 (reason 0; reason 1; reason 2; ...)." in capsys.readouterr().out


def test_who_ranked_under_another_name_is_told(items, monkeypatch, capsys):
    typed(monkeypatch, "1 2 3")
    rank(items, "--annotator", "reader")
    capsys.readouterr()
    typed(monkeypatch)
    rank(items)
    printed = capsys.readouterr().out
    assert "holds rankings by reader and none of these items by anonymous; --annotator" in printed


def test_ctrl_c_ends_like_quit(items, monkeypatch, capsys):
    answers = iter(["1 2 3"])

    def answer(prompt):
        for line in answers:
            return line
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", answer)
    assert len(load_rankings(rank(items))) == 1
    assert "Ranked 1" in capsys.readouterr().out


def test_bytes_that_are_no_text_are_told_and_cost_no_answer(items, monkeypatch, capsys):
    lines = iter(["1 2 3"])

    def answer(prompt):
        for line in lines:
            return line
        return b"\xff".decode("utf-8")

    monkeypatch.setattr("builtins.input", answer)
    assert len(load_rankings(rank(items, code=2))) == 1
    assert "what was ranked before is saved" in capsys.readouterr().err


def test_repeats_come_at_the_end_and_tell_how_far_one_agrees(items, monkeypatch, capsys):
    typed(monkeypatch, *["1 2 3"] * 4)
    out = rank(items, "--repeat", "0.3")
    printed = capsys.readouterr().out
    assert "once more" not in printed.split("\nRanked 3 and")[0]  # which would bias the answer
    headings = [line for line in printed.splitlines() if line.startswith("3 of 4")]
    assert headings == ["3 of 4, less than a minute left"]
    assert "You agreed with yourself on" in printed and "of 3 pairs" in printed
    records = load_rankings(out)
    assert len(records) == 4 and records[3].repeat_of in {record.id for record in records[:3]}


def test_a_full_disk_keeps_the_answer_until_enter_saves_it(items, monkeypatch, capsys):
    real = os.fsync
    full = []

    def sync(file):
        return failing(errno.ENOSPC)(file) if full else real(file)

    def answers():
        full.append(True)
        yield "2 1 3"
        yield ""  # still full
        full.clear()
        yield ""
        yield "q"

    lines = answers()
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    monkeypatch.setattr(os, "fsync", sync)
    out = rank(items)
    (record,) = load_rankings(out)
    assert record.tiers[0] == [record.shown[1]]
    assert capsys.readouterr().out.count("No space left") == 2


def test_an_answer_that_could_not_be_saved_ends_with_an_error(items, monkeypatch, capsys):
    def refuse(store, line):
        raise cli_rank.PreferenceError("no room")

    monkeypatch.setattr(RankingStore, "_write_line", refuse)
    typed(monkeypatch, "1 2 3", "q")
    rank(items, code=2)
    streams = capsys.readouterr()
    assert "no room" in streams.out and "the last answer was not saved" in streams.err


def test_a_half_written_line_is_told_and_set_aside(items, monkeypatch, capsys):
    out = items.parent / "mine.jsonl"
    out.write_text(ranking("a").to_json() + "\n" + ranking("b").to_json()[:50])
    typed(monkeypatch)
    rank(items)
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "half-written" in lines[0]


# Where items come from, and what is wrong


def test_a_finished_run_gives_its_newest_rankings(tmp_path, monkeypatch, capsys):
    for number, name in enumerate(("rankings-old", "rankings-round2-new")):
        folder = tmp_path / "run" / "artefacts" / name
        folder.mkdir(parents=True)
        path = folder / "rankings.jsonl"
        path.write_text(ranking("a", prompt=f"{name}?").to_json() + "\n")
        (folder / "stage.json").write_text(json.dumps({"preset": "tiny", "seed": 3}))
        os.utime(path, (time.time() - 100 + number,) * 2)
    typed(monkeypatch, "1 2")
    out = tmp_path / "mine.jsonl"
    run = tmp_path / "run"
    assert cli.main(["rank", str(run), "--out", str(out), "--repeat", "0"]) == 0
    assert load_rankings(out)[0].prompt == "rankings-round2-new?"
    options = f"--my-rankings {out} --preset tiny --seed 3 --out {run}"
    assert options in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, [], "there is no file or folder"),
        ("", [], "line 1: the file is empty"),
        ('{"prompt": "x", "replies": ["a"]}\n', [], "line 1: replies: expected 2 to 5 replies"),
        ('{"prompt": "x", "replies": ["a", "b"]}\n{', [], "line 2: not valid JSON"),
        ('{"prompt": "x", "replies": ["a", "b"]}', ["--repeat", "2"], "not a share from 0 to 1"),
        ('{"prompt": "x", "replies": ["a", "b"]}', ["--repeat", "nan"], "not a share from 0 to 1"),
        ('{"prompt": "x", "replies": ["a", "b"]}', ["--annotator", " "], "a name is needed"),
        ('{"prompt": "x", "replies": ["a", "b"]}', ["--seed", "x"], "is not a whole number"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, capsys, content, options, message):
    items, out = tmp_path / "items.jsonl", tmp_path / "mine.jsonl"
    if content is not None:
        items.write_text(content)
    assert message in fails_in_one_line(capsys, "rank", items, "--out", out, *options)
    assert not out.exists()


def test_folders_and_files_that_will_not_do_are_told(items, capsys):
    folder = items.parent
    assert "holds no finished run" in fails_in_one_line(capsys, "rank", folder)
    assert "where the items are" in fails_in_one_line(capsys, "rank", items, "--out", items)
    missing = folder / "none" / "mine.jsonl"
    assert "cannot be opened for writing" in fails_in_one_line(
        capsys, "rank", items, "--out", missing
    )
    out = folder / "mine.jsonl"
    with RankingStore(out):
        assert "already open in another" in fails_in_one_line(capsys, "rank", items, "--out", out)
    out.write_text("Dear all\n")
    assert f"{out}, line 1: " in fails_in_one_line(capsys, "rank", items, "--out", out)
    assert out.read_text() == "Dear all\n"


def test_end_to_end_in_a_process_of_its_own_without_torch(items):
    out = items.parent / "mine.jsonl"
    code = (
        "import sys; from rlhf_tutorial.cli import main; code = main(sys.argv[1:]); "
        "print('torch' in sys.modules); sys.exit(code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "rank", str(items), "--out", str(out)],
        input="2=3 1\ns dull\n",
        capture_output=True,
        text=True,
        cwd=items.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    assert ended.stdout.endswith("False\n")
    first, second = load_rankings(out)
    assert first.tiers == [[first.shown[1], first.shown[2]], [first.shown[0]]]
    assert second.skip == "dull"
