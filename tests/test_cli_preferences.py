"""The command `preferences`: what it says of files, how it pools them, what it writes."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_tutorial import cli, course
from rlhf_tutorial.datasets_io import read_hh_rows, read_preference_rows
from rlhf_tutorial.json_records import DatasetFileError
from rlhf_tutorial.labelling_formats import (
    LABEL_STUDIO_CONFIG,
    array_text,
    read_argilla,
    read_label_studio,
    to_argilla,
    to_label_studio,
)
from rlhf_tutorial.merging import UNCHOSEN_NAMES, pool
from rlhf_tutorial.preference_check import check, read_source, sound_repeats
from rlhf_tutorial.preference_summary import summary_lines
from rlhf_tutorial.preferences import Ranking, apply_retractions, load_rankings, pairs, scan
from rlhf_tutorial.store import RankingStore
from tests.commands import fails_in_one_line
from tests.store_cases import posix_only, ranking

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = "\x1b[31mred\u202e\u200b\r\nrankings 9"


def save(path: Path, *records: Ranking) -> Path:
    path.write_bytes(lines(*records))
    return path


def lines(*records: Ranking) -> bytes:
    return "".join(record.to_json() + "\n" for record in records).encode()


def sources(*files: list[Ranking]):
    return [read_source(f"{n}.jsonl", lines(*records)) for n, records in enumerate(files)]


def retraction(name: str, of: str, annotator: str = "anonymous") -> Ranking:
    return Ranking(id=name, kind="retraction", retracts=of, annotator=annotator)


def run(capsys, *arguments: object, code: int = 0) -> str:
    assert cli.main(["preferences", *map(str, arguments)]) == code
    return capsys.readouterr().out


def sitting(annotator: str, prefix: str, **changes) -> list[Ranking]:
    """Four rankings: a tie, a skip, one taken back, and a repeat."""
    of = {"annotator": annotator, "time": "2026-01-31T12:00:00+00:00", "model": "sft-1"} | changes
    three = {"replies": ["One.", "Two.", "Three."]}
    return [
        ranking(f"{prefix}1", seconds=4.0, **of),
        ranking(f"{prefix}2", prompt="Who?", tiers=[[1], [0, 2]], seconds=8.0, **three, **of),
        ranking(f"{prefix}3", prompt="Why?", tiers=[], skip="makes no sense", **of),
        ranking(f"{prefix}4", prompt="When?", flags=["harmful"], note="odd", seconds=6.0, **of),
        retraction(f"{prefix}5", f"{prefix}4", annotator),
        ranking(f"{prefix}6", tiers=[[0], [1]], repeat_of=f"{prefix}1", seconds=2.0, **of),
    ]


# Summary


def test_a_summary_counts_what_stands(tmp_path, capsys):
    path = save(tmp_path / "ann.jsonl", *sitting("ann", "a"), ranking("b1", annotator="bea"))
    told = dict(line for line in summary_lines(load_source(path).records) if line[0])
    assert told["rankings"] == "4, 1 of them of an item shown once more"
    assert told["skipped"] == "1: makes no sense 1" and told["taken back"] == "1"
    assert told["ties"] == "1 of 4 rankings tie replies of different words"
    assert told["flags"] == "0" and told["seconds an item"] == "median 4.0"
    assert told["self-agreement"].startswith("ann: 0% of 1 pairs alike in 1 item")
    assert told["agreement"].startswith("100% of 1 pairs alike")
    printed = run(capsys, "summary", path)
    assert "7 records" in printed
    assert "ann: 3 rankings, 1 skipped, seconds an item median 4.0" in printed
    assert "ann and bea: 100% of 1 pairs alike in 1 item, tau 1.00" in printed


def load_source(path: Path):
    return read_source(str(path), path.read_bytes())


def test_an_empty_file_has_a_summary_and_no_fault(tmp_path, capsys):
    path = save(tmp_path / "empty.jsonl")
    printed = run(capsys, "summary", path)
    assert "nobody" in printed and "no item was ranked twice" in printed and "nan" not in printed
    assert "0 records, no fault" in run(capsys, "validate", path)


def test_damaged_lines_are_told_and_the_rest_is_counted(tmp_path, capsys):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(lines(ranking("a")) + b"oops\n" + lines(ranking("b")) + b'{"schema_version": ')
    before = path.read_bytes()
    printed = run(capsys, "summary", path)
    assert "2 records" in printed and f"{path}, line 2: not valid JSON" in printed
    assert f"{path}, line 4: the last line is half-written" in printed
    assert path.read_bytes() == before


def test_nothing_in_a_file_can_steer_the_terminal(tmp_path, capsys):
    one = ranking("a", annotator=HOSTILE, flags=[HOSTILE], model=HOSTILE)
    two = ranking("b", prompt=HOSTILE, tiers=[], skip=HOSTILE, guideline_version=HOSTILE)
    path = save(tmp_path / "hostile.jsonl", one, two)
    path.write_bytes(path.read_bytes() + HOSTILE.encode() + b"\n")
    for command in ("summary", "validate"):
        printed = run(capsys, command, path, code=2 if command == "validate" else 0)
        assert all(line.isprintable() for line in printed.split("\n"))


def test_a_class_of_thirty_does_not_fill_the_screen():
    records = [ranking(f"r{n}", annotator=f"p{n}") for n in range(30)]
    told = [text for heading, text in summary_lines(records) if text.startswith("and ")]
    assert told == ["and 425 more pairs of people"]


# Validate


@pytest.mark.parametrize(
    ("records", "line", "message"),
    [
        ([ranking("a"), ranking("b", repeat_of="c")], 2, "expected the id of an earlier ranking"),
        ([ranking("a"), ranking("b", prompt="Who?", repeat_of="a")], 2, "of the same item"),
        ([ranking("a"), ranking("b", annotator="x", repeat_of="a")], 2, "by the same annotator"),
        ([ranking("b", repeat_of="a"), ranking("a")], 1, "expected the id of an earlier ranking"),
    ],
)
def test_repeats_of_something_else_are_faults(tmp_path, capsys, records, line, message):
    path = save(tmp_path / "file.jsonl", *records)
    printed = run(capsys, "validate", path, code=2)
    assert f"{path}, line {line}: repeat_of: " in printed and message in printed
    assert len(printed.splitlines()) == 1
    run(capsys, "summary", path)  # and agreement with oneself does not stumble over it


def test_every_fault_has_its_line_and_what_was_expected(tmp_path, capsys):
    path = tmp_path / "file.jsonl"
    bad = ranking("b").to_json().replace('"tiers": [[1], [0]]', '"tiers": [[1]]')
    path.write_text(f"{ranking('a').to_json()}\n\n{bad}\n{ranking('a').to_json()}\n7\n")
    printed = run(capsys, "validate", path, code=2).splitlines()
    assert [line.split(": ")[0] for line in printed] == [f"{path}, line {n}" for n in (3, 4, 5)]
    assert "each of the numbers 0 to 1 in one tier" in printed[0]
    assert "already stands on line 1" in printed[1]


def test_a_sound_file_and_the_sample_have_no_fault(tmp_path, capsys):
    path = save(tmp_path / "ann.jsonl", *sitting("ann", "a"))
    printed = run(capsys, "validate", path, ROOT / "data" / "rankings_sample.jsonl")
    assert printed.count("no fault") == 2
    path.write_bytes(path.read_bytes() + b"x\n")
    assert run(capsys, "validate", path, path, code=2).count("line 7") == 2


# Merge


def test_one_person_on_two_machines_stays_one(tmp_path, capsys):
    one = save(tmp_path / "desk.jsonl", *sitting("ann", "a"))
    two = save(tmp_path / "sofa.jsonl", *sitting("ann", "b", guideline_version="v2"))
    out = tmp_path / "class.jsonl"
    printed = run(capsys, "merge", one, two, "--out", out)
    assert "ann ranked in" in printed and "taken as one person" in printed
    assert "ann ranked 2 items more than once" in printed
    assert "guideline versions differ: none (4), v2 (4)" in printed
    found = scan(out.read_bytes())
    assert not found.problems and len(found.records) == 12
    assert check(load_source(out)) == []
    assert {r.id for r in load_rankings(out)} == {f"{p}{n}" for p in "ab" for n in (1, 2, 3, 6)}


def test_a_copy_that_grew_counts_once(tmp_path, capsys):
    older = sitting("reader", "a")
    newer = [*older, ranking("new", prompt="How?", annotator="reader"), retraction("t", "a2")]
    one, two = save(tmp_path / "a.jsonl", *older), save(tmp_path / "b.jsonl", *newer)
    out = tmp_path / "out.jsonl"
    for files in ([one, two], [two, one], [one, one, two]):
        printed = run(capsys, "merge", *files, "--out", out)
        assert "kept once" in printed and "annotators: 1" in printed
        assert sorted(r.id for r in scan(out.read_bytes()).records) == sorted(r.id for r in newer)
        assert [r.id for r in load_rankings(out)] == ["a1", "a3", "a6", "new"]
        out.unlink()


def test_names_that_nobody_chose_are_other_people_in_other_files():
    assert {course.READER, course.STAND_IN} <= UNCHOSEN_NAMES
    pooled = pool(sources([ranking("a", annotator="reader")], [ranking("b", annotator="reader")]))
    assert [r.annotator for r in pooled.records] == ["reader-1", "reader-2"]
    assert "a name that nobody chose" in pooled.notes[0]
    named = pool(sources([ranking("a", annotator="ann")], [ranking("b", annotator="ann")]))
    assert {r.annotator for r in named.records} == {"ann"}
    taken = [ranking("c", prompt="Who?", annotator="reader-1")]
    pooled = pool(sources([ranking("a", annotator="reader")], [ranking("b", annotator="reader")],
                          taken))  # fmt: skip
    assert len({r.annotator for r in pooled.records}) == 3
    alike = pool(sources([ranking("a", annotator="Ann")], [ranking("b", annotator=" ann")]))
    assert "differ in capitals or spaces only" in alike.notes[0]


def test_ids_that_clash_are_renamed_with_what_points_at_them():
    def file(annotator: str) -> list[Ranking]:
        return [
            ranking("1", annotator=annotator),
            ranking("2", annotator=annotator, repeat_of="1"),
            ranking("3", prompt="Who?", annotator=annotator),
            retraction("4", "3", annotator),
        ]

    pooled = pool(sources(file("ann"), file("bea"), file("cem"), file("bea")))
    found = scan(lines(*pooled.records))
    assert not found.problems and len(found.records) == 12
    assert check(read_source("pool", lines(*pooled.records))) == []
    standing = apply_retractions(pooled.records)
    assert sorted(r.annotator for r in standing) == ["ann", "ann", "bea", "bea", "cem", "cem"]
    assert sum("of another file with other content" in note for note in pooled.notes) == 2
    assert any("4 records in more than one file: kept once" in note for note in pooled.notes)


def test_a_ranking_taken_back_on_two_machines_is_taken_back_once():
    shared = ranking("a", annotator="ann")
    pooled = pool(sources([shared, retraction("x", "a")], [shared, retraction("y", "a")]))
    assert not scan(lines(*pooled.records)).problems
    assert apply_retractions(pooled.records) == []
    assert any("taken back in two files" in note for note in pooled.notes)


def test_pooling_without_names_and_times_leaves_neither(tmp_path, capsys):
    one = save(tmp_path / "zoe.jsonl", *sitting("Zoe", "zoe-"), ranking("zoe-b", annotator="Bo"))
    two = save(tmp_path / "bo.jsonl", *sitting("Bo", "bo-"), retraction("bo-x", "bo-2"))
    out = tmp_path / "class.jsonl"
    run(capsys, "merge", one, two, "--out", out, "--drop-names", "--drop-times")
    text = out.read_text().lower()
    assert "zoe" not in text and "bo" not in text.replace("above", "")
    assert "2026" not in text
    records = scan(out.read_bytes()).records
    assert {r.annotator for r in records} == {"person-1", "person-2"}
    assert {r.seconds for r in records} == {0.0}
    assert check(load_source(out)) == []
    # Who ranked what stays as it was: five of Bo's and three of Zoe's still stand.
    counts = [
        sum(r.annotator == name for r in load_rankings(out)) for name in ("person-1", "person-2")
    ]
    assert sorted(counts) == [4, 4]
    repeats = [r for r in records if r.repeat_of]
    by_id = {r.id: r for r in records}
    assert len(repeats) == 2
    for again in repeats:
        first = by_id[again.repeat_of]
        assert (first.annotator, first.prompt) == (again.annotator, again.prompt)


def test_pseudonyms_do_not_follow_the_order_of_names_or_files():
    people = [f"p{n}" for n in range(12)]
    files = [[ranking(f"{name}-{random.Random(name).random()}", annotator=name)] for name in people]
    one = pool(sources(*files), drop_names=True)
    other = pool(sources(*files[::-1]), drop_names=True)
    assert one.records == other.records  # nor does it matter in which order files are given
    unordered = pool(sources(*files)).records
    assert [r.annotator for r in unordered] == people
    numbers = [int(r.annotator.removeprefix("person-")) for r in one.records]
    assert numbers == sorted(numbers)


def test_what_was_written_by_hand_is_told_before_a_file_is_given_away():
    records = [ranking("a", annotator="Ann", note="ann was here"), ranking("b", annotator="Bea")]
    (note,) = [n for n in pool(sources(records), drop_names=True).notes if "give" in n]
    assert "1 note, reason or flag" in note and "1 of them with an annotator's name" in note


def test_a_repeat_of_what_is_in_no_file_keeps_no_old_id():
    pooled = pool(sources([ranking("a", annotator="Ann", repeat_of="Ann-7")]), drop_names=True)
    assert "Ann" not in pooled.records[0].to_json()
    assert any("in none of the files" in note for note in pooled.notes)
    assert not scan(lines(*pooled.records)).problems


names = st.sampled_from(["ann", "bea", "reader", "anonymous"])


@st.composite
def files_of_a_class(draw) -> list[list[Ranking]]:
    """Files whose records may share ids, be copies, repeat and take back each other."""
    files = []
    for _ in range(draw(st.integers(1, 4))):
        file: list[Ranking] = []
        if files and draw(st.booleans()):
            file += draw(st.sampled_from(files))
        for _ in range(draw(st.integers(0, 5))):
            taken = {r.id for r in file}
            name = draw(
                st.sampled_from([i for i in "abcdefghijklmnopqrstuvwxyz" if i not in taken])
            )
            standing = [r for r in apply_retractions(file)]
            kind = draw(st.sampled_from(["new", "again", "back"])) if standing else "new"
            other = draw(st.sampled_from(standing)) if standing else None
            if kind == "back":
                file.append(retraction(name, other.id, draw(names)))
            elif kind == "again":
                file.append(replace(other, id=name, repeat_of=other.id))
            else:
                prompt = draw(st.sampled_from(["Where?", "Who?"]))
                file.append(ranking(name, prompt=prompt, annotator=draw(names)))
        files.append(file)
    return files


@settings(deadline=None, max_examples=150)
@given(files=files_of_a_class(), drop=st.booleans())
def test_any_pool_is_a_sound_file_that_loses_and_doubles_nothing(files, drop):
    read = sources(*files)
    assert all(check(source) == [] for source in read)
    pooled = pool(read, drop_names=drop, drop_times=drop)
    assert check(read_source("pool", lines(*pooled.records))) == []
    given_ids = {r.to_json() for file in files for r in file if r.kind == "ranking"}
    rankings = [r for r in pooled.records if r.kind == "ranking"]
    assert len(rankings) == len({r.id for r in rankings}) == len(given_ids)
    # Whoever was one person in a file is one in the pool, and nobody there is two.
    for file in files:
        people = {r.annotator for r in file if r.kind == "ranking"}
        assert len({r.annotator for r in rankings}) >= len(people) - (not rankings)
    assert pool(read, drop_names=drop, drop_times=drop) == pooled
    if not drop:
        again = pool([read_source("p", lines(*pooled.records))])
        assert again.records == pooled.records


def test_damaged_lines_stop_a_merge_unless_one_says_so(tmp_path, capsys):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(lines(ranking("a")) + b"oops\n" + lines(ranking("b")))
    out = tmp_path / "out.jsonl"
    told = fails_in_one_line(capsys, "preferences", "merge", path, "--out", out)
    assert f"{path}, line 2: not valid JSON" in told and "--skip-damaged" in told
    assert not out.exists()
    printed = run(capsys, "merge", path, "--out", out, "--skip-damaged")
    assert "line 2: not valid JSON" in printed and "left out" in printed
    assert len(load_rankings(out)) == 2
    path.write_bytes(lines(ranking("a")) + ranking("b").to_json()[:60].encode())
    cut = tmp_path / "cut.jsonl"  # nothing that was saved is lost here
    assert "half-written" in run(capsys, "merge", path, "--out", cut)
    assert len(load_rankings(cut)) == 1


# What is written


@posix_only
def test_what_is_written_is_the_owners_only(tmp_path, capsys):
    path = save(tmp_path / "a.jsonl", ranking("a"))
    out, export = tmp_path / "out.jsonl", tmp_path / "out.json"
    run(capsys, "merge", path, "--out", out)
    run(capsys, "export", path, "--format", "trl", "--out", export)
    assert [file.stat().st_mode & 0o777 for file in (out, export)] == [0o600, 0o600]
    with RankingStore(out) as store:  # and a pool is a store's file
        assert len(store.rankings()) == 1


def test_an_earlier_pool_is_written_anew_and_anything_else_is_not(tmp_path, capsys):
    one = save(tmp_path / "a.jsonl", ranking("a", annotator="ann"))
    two = save(tmp_path / "b.jsonl", ranking("b", annotator="bea"))
    out = tmp_path / "out.jsonl"
    run(capsys, "merge", one, "--out", out)
    assert "replaced" not in run(capsys, "merge", one, two, "--out", out)
    before = out.read_bytes()
    told = fails_in_one_line(capsys, "preferences", "merge", one, "--out", out)  # would lose bea's
    assert "would be lost" in told and out.read_bytes() == before
    assert "was replaced" in run(capsys, "merge", one, "--out", out, "--replace")
    assert len(load_rankings(out)) == 1
    out.write_text("Dear all\n")
    assert "would be lost" in fails_in_one_line(capsys, "preferences", "merge", one, "--out", out)
    assert "would be lost" in fails_in_one_line(
        capsys, "preferences", "export", one, "--format", "trl", "--out", out
    )
    assert out.read_text() == "Dear all\n"


def test_an_input_is_never_written_over(tmp_path, capsys):
    one = save(tmp_path / "a.jsonl", ranking("a"))
    before = one.read_bytes()
    for extra in ([], ["--replace"]):
        told = fails_in_one_line(capsys, "preferences", "merge", one, "--out", one, *extra)
        assert "one of the files to read" in told
    assert one.read_bytes() == before
    assert "which is no file" in fails_in_one_line(
        capsys, "preferences", "merge", one, "--out", tmp_path
    )


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, capsys, monkeypatch):
    one = save(tmp_path / "a.jsonl", ranking("a"))
    out = tmp_path / "out.jsonl"
    run(capsys, "merge", one, "--out", out)
    before = out.read_bytes()
    save(one, ranking("a"), ranking("b"))

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert "disk is full" in fails_in_one_line(capsys, "preferences", "merge", one, "--out", out)
    assert out.read_bytes() == before and len(list(tmp_path.iterdir())) == 2


# Exports


def class_file(tmp_path: Path) -> tuple[Path, list[Ranking]]:
    records = [
        *sitting("ann", "a"),
        *sitting("bea", "b"),
        ranking("u", prompt="Où? नमस्ते", replies=["🙂", "<img onerror=1>\x1b\u202e"]),
    ]
    return save(tmp_path / "class.jsonl", *records), apply_retractions(records)


def content(rankings) -> list:
    return sorted(
        (r.prompt if isinstance(r.prompt, str) else r.prompt[-1]["content"],
         r.replies[winner], r.replies[loser])
        for r in rankings
        for winner, loser in pairs(r)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("format_name", "read"),
    [
        ("trl", read_preference_rows),
        ("trl-chat", read_preference_rows),
        ("hh-rlhf", read_hh_rows),
        ("label-studio", read_label_studio),
        ("argilla", read_argilla),
    ],
)
def test_every_export_loads_back(tmp_path, capsys, format_name, read):
    path, standing = class_file(tmp_path)
    out = tmp_path / "export.json"
    printed = run(capsys, "export", path, "--format", format_name, "--out", out)
    assert f"rows of {format_name}: " in printed
    assert content(read(out)) == content(standing) != []
    assert run(capsys, "export", path, "--format", format_name, "--out", out) == printed


@pytest.mark.parametrize("format_name", ["trl", "trl-chat"])
def test_exports_are_what_trl_expects(tmp_path, capsys, format_name):
    from datasets import load_dataset
    from transformers import PreTrainedTokenizerFast
    from trl import apply_chat_template, is_conversational

    path, standing = class_file(tmp_path)
    out = tmp_path / "export.jsonl"
    run(capsys, "export", path, "--format", format_name, "--out", out)
    loaded = load_dataset("json", data_files=str(out), split="train", cache_dir=str(tmp_path))
    assert loaded.column_names == ["prompt", "chosen", "rejected"]
    assert len(loaded) == len(content(standing))
    assert is_conversational(loaded[0]) == (format_name == "trl-chat")
    if format_name == "trl-chat":
        from tokenizers import Tokenizer, models

        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()))
        tokenizer.chat_template = (
            "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
            "{% if add_generation_prompt %}[assistant]{% endif %}"
        )
        row = apply_chat_template(loaded[0], tokenizer)
        assert row == {
            "prompt": "[user]Where?[assistant]",
            "chosen": "There.",
            "rejected": "Here.",
        }


def test_labelling_formats_keep_ties_skips_and_people(tmp_path):
    _, standing = class_file(tmp_path)
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"}]  # fmt: skip
    standing.append(ranking("talk", prompt=talk, replies=["\ud800", "y"]))
    for convert, read in ((to_label_studio, read_label_studio), (to_argilla, read_argilla)):
        path = tmp_path / "export.json"
        path.write_text(array_text(convert(standing)), encoding="utf-8")
        found = {r.id: r for r in read(path)}
        assert found.keys() == {r.id for r in standing}
        for told in standing:
            kept = found[told.id]
            for name in ("prompt", "replies", "tiers", "annotator", "model"):
                assert getattr(kept, name) == getattr(told, name), name
            assert (kept.skip is None) == (told.skip is None)


def test_label_studio_tasks_fit_the_labelling_interface(tmp_path):
    import xml.etree.ElementTree as ElementTree

    _, standing = class_file(tmp_path)
    view = ElementTree.fromstring(LABEL_STUDIO_CONFIG)
    ranker, shown = view.find("Ranker"), view.find("List")
    buckets = {bucket.get("name") for bucket in ranker}
    tasks = to_label_studio(standing)
    assert len(tasks) == 4 and len(tasks[0]["annotations"]) == 4  # two people, each twice
    for task in tasks:
        replies = {reply["id"] for reply in task["data"][shown.get("value").removeprefix("$")]}
        for annotation in task["annotations"]:
            assert annotation["was_cancelled"] == (not annotation["result"])
            for result in annotation["result"]:
                assert (result["from_name"], result["type"]) == (ranker.get("name"), "ranker")
                assert result["to_name"] == ranker.get("toName") == shown.get("name")
                given_places = result["value"]["ranker"]
                assert given_places.keys() == buckets
                assert {o for options in given_places.values() for o in options} == replies


def test_argilla_records_rank_every_option_once_and_each_user_once(tmp_path):
    _, standing = class_file(tmp_path)
    for record in to_argilla(standing):
        responses = record["responses"]["ranking"]
        assert len({response["user_id"] for response in responses}) == len(responses)
        for response in responses:
            assert (response["value"] is None) == (response["status"] == "discarded")
            if response["value"]:
                options = [option["value"] for option in response["value"]]
                assert sorted(options) == ["reply-1", "reply-2", "reply-3"]


@pytest.mark.parametrize("read", [read_label_studio, read_argilla])
@pytest.mark.parametrize(
    "row",
    [{}, {"data": 1}, {"data": {}, "annotations": []}, {"fields": {}, "responses": {}},
     {"data": {"replies": [{"id": "x"}], "prompt": []}, "annotations": [{}]}],
)  # fmt: skip
def test_rows_of_another_kind_are_told_with_their_line(tmp_path, read, row):
    path = tmp_path / "rows.json"
    path.write_text("[\n" + json.dumps(row) + "\n]")
    with pytest.raises(DatasetFileError, match="line 2: expected a") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("format_name", "changes", "message", "note"),
    [
        (
            "trl",
            {"prompt": [{"role": "user", "content": "a"}] * 2},
            "export it with chat turns",
            "",
        ),
        ("trl", {"tiers": [[0, 1]]}, "nothing to export", ""),
        ("hh-rlhf", {"replies": ["x\n\nHuman: y", "z"]}, "nothing to export", "left out: a"),
    ],
)
def test_what_a_format_cannot_say_is_told_in_one_line(
    tmp_path, capsys, format_name, changes, message, note
):
    path = save(tmp_path / "a.jsonl", ranking("a", **changes))
    out = tmp_path / "out.jsonl"
    arguments = ("preferences", "export", path, "--format", format_name, "--out", out)
    told = fails_in_one_line(capsys, *arguments, note=note)
    assert message in told and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: action"),
        (["summary"], "required: FILE"),
        (["summary", "missing.jsonl"], "missing.jsonl: No such file"),
        (["export", "x", "--out", "y", "--format", "csv"], "invalid choice: 'csv'"),
        (["merge", "x"], "required: --out"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails_in_one_line(capsys, "preferences", *arguments)


def test_repeats_that_are_none_count_as_rankings():
    records = [ranking("a"), ranking("b", repeat_of="a"), ranking("c", repeat_of="nothing")]
    assert [r.repeat_of for r in sound_repeats(records)] == [None, "a", None]


def test_end_to_end_in_a_process_of_its_own_without_torch(tmp_path):
    path = save(tmp_path / "a.jsonl", *sitting("ann", "a"))
    code = (
        "import sys; from rlhf_tutorial.cli import main; code = main(sys.argv[1:]); "
        "print('torch' in sys.modules); sys.exit(code)"
    )
    out = tmp_path / "out.json"
    command = ["preferences", "export", str(path), "--format", "argilla", "--out", str(out)]
    ended = subprocess.run(
        [sys.executable, "-c", code, *command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr
    assert ended.stdout.endswith("False\n") and len(read_argilla(out)) == 4
