"""The preference store: appending, undo, locks, cut writes, foreign files."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_tutorial.preferences import PreferenceError, PreferenceFileError
from rlhf_tutorial.store import RankingStore, StoreError, StoreLockedError, summarise
from tests.store_cases import HERE, failing, ids, posix_only, ranking


def test_what_is_appended_is_read_back_in_order(tmp_path):
    path = tmp_path / "ann.jsonl"
    with RankingStore(path) as store:
        store.append(ranking("a"))
        store.append(ranking("b", note="\u202e🙂 नमस्ते \ud800 </script>\x1b[31m\r\n"))
    with RankingStore(path) as store:
        store.append(ranking("c"))
        assert [record.id for record in store.rankings()] == ["a", "b", "c"]
        assert store.records()[1].note == "\u202e🙂 नमस्ते \ud800 </script>\x1b[31m\r\n"
        assert store.set_aside == b""
    assert ids(path) == ["a", "b", "c"] and path.read_bytes().count(b"\n") == 3


def test_a_record_is_on_disk_in_one_write_and_synced_before_append_returns(tmp_path, monkeypatch):
    calls = []
    with RankingStore(tmp_path / "ann.jsonl") as store:
        real_write, real_sync = os.write, os.fsync
        monkeypatch.setattr(os, "write", lambda f, b: calls.append(b) or real_write(f, b))
        monkeypatch.setattr(os, "fsync", lambda f: calls.append("sync") or real_sync(f))
        store.append(ranking("a"))
    assert calls == [ranking("a").to_json().encode() + b"\n", "sync"]


def test_undo_appends_a_retraction_and_rewrites_nothing(tmp_path):
    path = tmp_path / "ann.jsonl"
    with RankingStore(path) as store:
        store.append(ranking("a"))
        store.append(ranking("b"))
        before = path.read_bytes()
        back = store.retract("b", annotator="ann")
        assert path.read_bytes().startswith(before) and len(path.read_bytes()) > len(before)
        assert [r.id for r in store.rankings()] == ["a"] and store.records()[-1] == back
        for name in ("b", "never-seen", back.id):
            with pytest.raises(StoreError, match="no standing ranking"):
                store.retract(name)
    assert ids(path) == ["a"]


def test_a_retraction_is_signed_by_who_ranked_unless_said_otherwise(tmp_path):
    with RankingStore(tmp_path / "ann.jsonl") as store:
        store.append(ranking("a", annotator="ann"))
        store.append(ranking("b", annotator="ann"))
        assert store.retract("a").annotator == "ann"
        assert store.retract("b", annotator="teacher").annotator == "teacher"


def test_a_retry_never_doubles_and_an_id_is_never_taken_twice(tmp_path):
    path = tmp_path / "ann.jsonl"
    with RankingStore(path) as store:
        store.append(ranking("a"))
        store.append(ranking("a"))
        with pytest.raises(StoreError, match="taken by another record"):
            store.append(ranking("a", note="changed my mind"))
    with RankingStore(path) as store:
        store.append(ranking("a"))
    assert ids(path) == ["a"]


def test_an_invalid_record_is_refused_before_anything_is_written(tmp_path):
    with RankingStore(tmp_path / "ann.jsonl") as store:
        with pytest.raises(PreferenceError, match="2 to 5 replies, found 6"):
            store.append(ranking("a", replies=list("abcdef")))
        assert store.path.read_bytes() == b""


@posix_only
def test_files_are_readable_by_their_owner_only(tmp_path):
    old = os.umask(0)
    try:
        made, found = tmp_path / "made.jsonl", tmp_path / "found.jsonl"
        found.write_text(ranking("a").to_json() + '\n{"schema')
        found.chmod(0o644)
        RankingStore(made).close()
        with pytest.warns(UserWarning, match="half-written"):
            RankingStore(found).close()
    finally:
        os.umask(old)
    for path in (made, found, Path(f"{found}.damaged")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_second_store_is_told_that_the_file_is_open(tmp_path):
    path = tmp_path / "ann.jsonl"
    with RankingStore(path) as store:
        store.append(ranking("a"))
        with pytest.raises(StoreLockedError, match="already open in another notebook"):
            RankingStore(path)
        store.append(ranking("b"))  # the failed attempt did not take the lock away
        code = "import sys; from rlhf_tutorial.store import RankingStore; RankingStore(sys.argv[1])"
        other = subprocess.run([sys.executable, "-c", code, path], cwd=HERE.parent, text=True,
                               capture_output=True)  # fmt: skip
        assert other.returncode != 0 and "already open in another notebook" in other.stderr
        assert ids(path) == ["a", "b"]  # reading needs no lock
    with RankingStore(path) as store:
        assert len(store.rankings()) == 2


def test_threads_do_not_mix_their_lines(tmp_path):
    with RankingStore(tmp_path / "ann.jsonl") as store:

        def work(name):
            for number in range(20):
                store.append(ranking(f"{name}-{number}", note=name * 500))

        threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(set(ids(store.path))) == 80


def test_a_write_cut_at_every_byte_loses_no_earlier_record(tmp_path):
    first = ranking("a").to_json().encode() + b"\n"
    last = ranking("b", note="é🙂").to_json().encode() + b"\n"
    path, side = tmp_path / "ann.jsonl", tmp_path / "ann.jsonl.damaged"
    for cut in range(len(last) + 1):
        path.write_bytes(first + last[:cut])
        side.unlink(missing_ok=True)
        whole = cut >= len(last) - 1  # only the newline is missing, or nothing
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with RankingStore(path) as store:
                assert store.set_aside == (b"" if whole else last[:cut])
                store.append(ranking("c"))
        assert ids(path) == (["a", "b", "c"] if whole else ["a", "c"]), cut
        assert len(caught) == (0 if whole or cut == 0 else 1)
        kept = side.read_bytes() if side.exists() else b""
        assert kept == (b"" if whole or cut == 0 else last[:cut] + b"\n"), cut
        assert summarise(path).problems == []


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_cut_of_any_history_recovers_every_whole_line(data):
    steps = data.draw(st.lists(st.text(max_size=20), min_size=1, max_size=6))
    lines = [ranking(str(i), note=note).to_json().encode() for i, note in enumerate(steps)]
    everything = b"".join(line + b"\n" for line in lines)
    cut = data.draw(st.integers(0, len(everything)))
    expected, end = [], 0
    for number, line in enumerate(lines):
        end += len(line) + 1
        if cut >= end - 1:
            expected.append(str(number))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "p.jsonl")
        path.write_bytes(everything[:cut])
        with RankingStore(path) as store:
            assert [record.id for record in store.rankings()] == expected
            store.append(ranking("new"))
        assert ids(path) == [*expected, "new"]
        side = Path(f"{path}.damaged")
        assert not store.set_aside or side.read_bytes() == store.set_aside + b"\n"


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["append", "retract", "reopen", "again", "fail"]), max_size=25))
def test_any_sequence_of_actions_agrees_with_a_plain_list(actions):
    with tempfile.TemporaryDirectory() as folder:
        path, standing = Path(folder, "p.jsonl"), []
        store, real = RankingStore(path), os.fsync
        for number, action in enumerate(actions):
            if action == "append":
                store.append(ranking(str(number)))
                standing.append(str(number))
            elif action == "retract" and standing:
                store.retract(standing.pop())
            elif action == "again" and standing:
                store.append(ranking(standing[-1]))
            elif action == "fail":
                os.fsync = failing(errno.EIO)
                try:
                    with pytest.raises(StoreError):
                        store.append(ranking(str(number)))
                finally:
                    os.fsync = real
            elif action == "reopen":
                store.close()
                store = RankingStore(path)
            assert [record.id for record in store.rankings()] == standing
            assert ids(path) == standing
        store.close()


def test_damage_of_several_kills_is_kept_side_by_side(tmp_path):
    path = tmp_path / "ann.jsonl"
    for half in (b'{"schema_version": 1, "id": "x', b'{"sch', b"\0\0\0"):
        with open(path, "ab") as file:
            file.write(half)
        with pytest.warns(UserWarning, match="moved to .*damaged"):
            RankingStore(path).close()
    kept = Path(f"{path}.damaged").read_bytes()
    assert kept == b'{"schema_version": 1, "id": "x\n{"sch\n\0\0\0\n'
    assert path.read_bytes() == b""


@pytest.mark.parametrize("foreign", [b"Dear diary\n", b"Dear diary", b'{"a": 1}', b"[1]\n"])
def test_a_foreign_file_is_refused_and_left_as_it_is(tmp_path, foreign):
    path = tmp_path / "diary.txt"
    path.write_bytes(foreign)
    path.chmod(0o644)
    mode = path.stat().st_mode
    with pytest.raises(PreferenceFileError, match="line 1: .*expected"):
        RankingStore(path)
    assert path.stat().st_mode == mode
    assert path.read_bytes() == foreign and not Path(f"{path}.damaged").exists()
    path.unlink()
    RankingStore(path).close()  # the failed attempt gave its lock back


def test_damage_in_the_middle_is_refused_with_its_line_and_summarised(tmp_path):
    path = tmp_path / "ann.jsonl"
    good = [ranking(n, annotator="ann", guideline_version="v1").to_json() for n in "abc"]
    skipped = ranking("s", tiers=[], skip="both fine", annotator="bob").to_json()
    lines = [good[0], "oops", good[1], good[0], good[2][:60], skipped, '{"schema_version": 1, "i']
    path.write_text("\n".join(lines))
    before = path.read_bytes()
    with pytest.raises(PreferenceFileError, match="line 2: not valid JSON"):
        RankingStore(path)
    found = summarise(path)
    assert path.read_bytes() == before
    assert [problem.line for problem in found.problems] == [2, 4, 5, 7]
    assert (found.records, found.rankings, found.skipped, found.retracted) == (3, 2, 1, 0)
    assert found.annotators == {"ann": 2, "bob": 1}
    assert found.guideline_versions == {"v1": 2, "": 1}
    assert "line 4: id 'a' already stands on line 1" in str(found)
    assert "half-written" in str(found)


def test_a_change_by_another_program_is_noticed_before_the_next_write(tmp_path):
    path = tmp_path / "ann.jsonl"
    changes = {
        "appended": lambda: path.open("ab").write(b"{}\n"),
        "replaced": lambda: os.replace(other, path),
        "deleted": lambda: path.unlink(),
    }
    for name, change in changes.items():
        path.unlink(missing_ok=True)
        other = tmp_path / "other.jsonl"
        other.write_text("")
        with RankingStore(path) as store:
            store.append(ranking("a"))
            change()
            with pytest.raises(StoreError, match="by another program"):
                store.append(ranking("b"))
            assert [record.id for record in store.rankings()] == ["a"], name


def test_a_closed_store_and_an_impossible_path_say_so(tmp_path):
    store = RankingStore(tmp_path / "ann.jsonl")
    store.close()
    store.close()
    with pytest.raises(StoreError, match="open the store again"):
        store.append(ranking("a"))
    for path in (tmp_path, tmp_path / "no" / "folder.jsonl"):
        with pytest.raises(StoreError, match="cannot be opened for writing"):
            RankingStore(path)


def test_a_read_only_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "open", failing(errno.EROFS))
    with pytest.raises(StoreError, match="cannot be opened for writing: Read-only"):
        RankingStore(tmp_path / "ann.jsonl")
