"""The preference store under kills, cuts, full disks, failing fsyncs and second writers."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_tutorial.preferences import PreferenceError, PreferenceFileError, Ranking, load_rankings
from rlhf_tutorial.store import RankingStore, StoreError, StoreLockedError, summarise

HERE = Path(__file__).parent
posix_only = pytest.mark.skipif(os.name != "posix", reason="signals and file modes of POSIX")


def ranking(name: str, **changes) -> Ranking:
    values = {"id": name, "prompt": "Where?", "replies": ["Here.", "There."], "tiers": [[1], [0]]}
    return Ranking(**(values | changes))


def ids(path) -> list[str]:
    return [record.id for record in load_rankings(path)]


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
                os.fsync = _failing(errno.EIO)
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


def _failing(code: int):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    return fail


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
    with pytest.raises(PreferenceFileError, match="line 1: .*expected"):
        RankingStore(path)
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


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failing_fsync_leaves_nothing_and_a_retry_stores_once(tmp_path, monkeypatch, code):
    with RankingStore(tmp_path / "ann.jsonl") as store:
        store.append(ranking("a"))
        before = store.path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", _failing(code))
            with pytest.raises(StoreError, match="was not saved .*submit it again"):
                store.append(ranking("b"))
        assert store.path.read_bytes() == before
        assert [record.id for record in store.rankings()] == ["a"]
        store.append(ranking("b"))
    assert ids(store.path) == ["a", "b"]


def test_when_even_the_roll_back_fails_the_next_append_mends_it(tmp_path, monkeypatch):
    with RankingStore(tmp_path / "ann.jsonl") as store:
        store.append(ranking("a"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", _failing(errno.EIO))
            patch.setattr(os, "ftruncate", _failing(errno.EIO))
            for _ in range(2):
                with pytest.raises(StoreError, match="was not saved"):
                    store.append(ranking("b"))
        store.append(ranking("b"))
        store.append(ranking("c"))
    assert ids(store.path) == ["a", "b", "c"]


def test_a_write_that_stops_half_way_is_taken_out(tmp_path, monkeypatch):
    with RankingStore(tmp_path / "ann.jsonl") as store:
        store.append(ranking("a"))
        real = os.write
        for cut in (0, 1, 100):
            with monkeypatch.context() as patch:
                patch.setattr(os, "write", lambda f, b, cut=cut: real(f, b[:cut]))
                with pytest.raises(StoreError, match="No space left"):
                    store.append(ranking("b"))
            assert ids(store.path) == ["a"]
        store.append(ranking("b"))
    assert ids(store.path) == ["a", "b"]


def test_an_interrupt_between_write_and_fsync_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    with RankingStore(tmp_path / "ann.jsonl") as store:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", interrupt)
            with pytest.raises(KeyboardInterrupt):
                store.append(ranking("a"))
        assert store.path.read_bytes() == b""
        store.append(ranking("a"))
    assert ids(store.path) == ["a"]


FULL_DISK = """
import resource, sys
from rlhf_tutorial.preferences import Ranking
from rlhf_tutorial.store import RankingStore, StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
def record(n, note):
    return Ranking(id=str(n), prompt="p", replies=["a", "b"], tiers=[[0], [1]], note=note)
store, saved, refused = RankingStore(sys.argv[1]), 0, None
while refused is None:
    try:
        store.append(record(saved, "x" * 700))
        saved += 1
    except StoreError as error:
        refused = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.append(record(saved, "x" * 700))
print(saved + 1, refused)
"""


@posix_only
def test_a_real_limit_on_the_file_refuses_one_record_and_a_retry_saves_it(tmp_path):
    path = tmp_path / "ann.jsonl"
    result = subprocess.run([sys.executable, "-c", FULL_DISK, path], cwd=HERE.parent, text=True,
                            capture_output=True, check=True)  # fmt: skip
    count, message = result.stdout.split(" ", 1)
    assert "was not saved" in message and int(count) > 5
    assert ids(path) == [str(number) for number in range(int(count))]


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
    monkeypatch.setattr(os, "open", _failing(errno.EROFS))
    with pytest.raises(StoreError, match="cannot be opened for writing: Read-only"):
        RankingStore(tmp_path / "ann.jsonl")


def test_no_space_for_the_side_file_leaves_the_half_line_where_it_is(tmp_path, monkeypatch):
    path = tmp_path / "ann.jsonl"
    path.write_bytes(ranking("a").to_json().encode() + b'\n{"schema_ver')
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", _failing(errno.ENOSPC))
        with pytest.raises(StoreError, match="could not be repaired: No space left"):
            RankingStore(path)
    assert path.read_bytes() == before
    with pytest.warns(UserWarning), RankingStore(path) as store:
        assert [record.id for record in store.rankings()] == ["a"]


def kill_repeatedly(path: Path, kills: int, seed: int) -> tuple[int, int]:
    """Kill a writer `kills` times at random moments; returns (records acknowledged, cut lines).

    What stands in the file must be, for each run and in order, what the writer printed after the
    store had acknowledged it, plus at most the one record that was on its way.
    """
    random_moment = random.Random(seed)
    printed: list[list[str]] = []
    for kill in range(kills):
        writer = subprocess.Popen(
            [sys.executable, HERE / "store_writer.py", path, f"run{kill}"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        )
        assert writer.stdout.readline() == "open\n"
        time.sleep(random_moment.uniform(0, 0.05))  # the moment of the kill is what is tested
        writer.send_signal(signal.SIGKILL)
        printed.append(writer.communicate()[0].split("\n")[:-1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with RankingStore(path) as store:
            records = store.records()
    stored: dict[str, list[str]] = {f"run{kill}": [] for kill in range(kills)}
    for record in records:
        verb = "ranked" if record.kind == "ranking" else "retracted"
        name = record.retracts or record.id
        stored[name.split("-")[0]].append(f"{verb} {name}")
    for kill, acknowledged in enumerate(printed):
        found = stored[f"run{kill}"]
        assert found[: len(acknowledged)] == acknowledged, f"kill {kill}: lost or out of order"
        assert len(found) <= len(acknowledged) + 1, f"kill {kill}: more than was on its way"
    everything = [line for lines in stored.values() for line in lines]
    assert len(everything) == len(set(everything)), "a record was doubled"
    side = Path(f"{path}.damaged")
    cut_lines = side.read_bytes().count(b"\n") if side.exists() else 0
    return sum(map(len, printed)), cut_lines


@posix_only
def test_twenty_kills_at_random_moments_lose_and_double_nothing(tmp_path):
    acknowledged, _ = kill_repeatedly(tmp_path / "ann.jsonl", kills=20, seed=1)
    assert acknowledged > 20  # or the kills came before anything was written


@pytest.mark.medium
@posix_only
def test_two_hundred_kills_at_random_moments_lose_and_double_nothing(tmp_path):
    files = [tmp_path / f"{number}.jsonl" for number in range(10)]
    counts = [kill_repeatedly(path, kills=20, seed=10 + n) for n, path in enumerate(files)]
    acknowledged, cut = (sum(column) for column in zip(*counts, strict=True))
    print(f"200 kills, {acknowledged} records acknowledged, {cut} half-written lines set aside")
    assert acknowledged > 200
