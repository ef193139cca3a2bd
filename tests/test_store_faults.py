"""The preference store under kills, full disks, failing fsyncs and interrupts."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from rlhf_tutorial.store import RankingStore, StoreError
from tests.store_cases import HERE, failing, ids, posix_only, ranking


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_failing_fsync_leaves_nothing_and_a_retry_stores_once(tmp_path, monkeypatch, code):
    with RankingStore(tmp_path / "ann.jsonl") as store:
        store.append(ranking("a"))
        before = store.path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing(code))
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
            patch.setattr(os, "fsync", failing(errno.EIO))
            patch.setattr(os, "ftruncate", failing(errno.EIO))
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


def test_no_space_for_the_side_file_leaves_the_half_line_where_it_is(tmp_path, monkeypatch):
    path = tmp_path / "ann.jsonl"
    path.write_bytes(ranking("a").to_json().encode() + b'\n{"schema_ver')
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(errno.ENOSPC))
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
