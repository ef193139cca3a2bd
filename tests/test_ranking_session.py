"""The ranking session: from the screen to the record, undo, repeats, going on, a failing store."""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlhf_tutorial import ranking_session
from rlhf_tutorial.json_records import DatasetFileError
from rlhf_tutorial.preference_rules import PreferenceError
from rlhf_tutorial.preferences import load_rankings
from rlhf_tutorial.ranking_items import Item, load_items
from rlhf_tutorial.ranking_session import Left, Progress, RankingSession, RankingSessionError
from rlhf_tutorial.store import RankingStore, StoreError
from tests.store_cases import failing

HOSTILE = "\x1b[31m\u202e\u200b</script>\ud800\r\n\0 नमस्ते 🙂"


def make_items(count: int, replies: int = 3) -> list[Item]:
    return [
        Item(f"Question {n}?", [f"Reply {n}.{r}" for r in range(replies)], model="sft-1")
        for n in range(count)
    ]


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path):
    with RankingStore(tmp_path / "mine.jsonl") as opened:
        yield opened


def rank_best_last(session: RankingSession) -> None:
    """Give the canonical order turned round, whatever the order on the screen."""
    session.submit(sorted(range(len(session.shown)), key=lambda p: -session.shown[p]))


@st.composite
def weak_orders(draw) -> list[list[int]]:
    """Any order of 2 to 5 replies with ties, in canonical numbers."""
    tiers: list[list[int]] = []
    for index in draw(st.permutations(range(draw(st.integers(2, 5))))):
        if tiers and draw(st.booleans()):
            tiers[-1].append(index)
        else:
            tiers.append([index])
    return tiers


# From the screen to the record


@settings(max_examples=60, deadline=None)
@given(meant=weak_orders(), seed=st.integers(0, 1000))
def test_any_order_on_the_screen_becomes_the_tiers_that_were_meant(meant, seed):
    count = sum(len(tier) for tier in meant)
    item = Item("Which?", [f"reply {index}" for index in range(count)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.jsonl"
        with RankingStore(path) as store:
            session = RankingSession([item], "ann", store, seed=seed)
            # Found by the words on the screen, as a person does, not by what `shown` says.
            place = {text: position for position, text in enumerate(session.replies)}
            session.submit([[place[f"reply {index}"] for index in tier] for tier in meant])
        (record,) = load_rankings(path)
    assert [sorted(tier) for tier in record.tiers] == [sorted(tier) for tier in meant]
    assert record.replies == list(item.replies)
    assert [record.replies[index] for index in record.shown] == sorted(place, key=place.get)


def test_picks_without_ties_are_an_order_too(store):
    session = RankingSession(make_items(1), "ann", store)
    shown = list(session.shown)
    assert session.submit([2, 0, 1]).tiers == [[shown[2]], [shown[0]], [shown[1]]]


@pytest.mark.parametrize("tiers", [[], [0, 1], [0, 1, 1], [0, 1, 3], [0, 1, [2], []], ["0", 1, 2]])
def test_an_order_that_misses_or_repeats_a_reply_changes_nothing(store, tiers):
    session = RankingSession(make_items(1), "ann", store)
    with pytest.raises(RankingSessionError, match="each of the 3 replies in one place"):
        session.submit(tiers)
    assert session.current is not None and session.unsaved is None and store.records() == []


def test_the_order_on_the_screen_hangs_on_annotator_item_and_seed_only(store):
    items = make_items(30, replies=5)

    def orders(annotator: str, seed: int) -> list[tuple[int, ...]]:
        found = []
        for item in items:
            found.append(tuple(RankingSession([item], annotator, store, seed=seed).shown))
        return found

    first = orders("ann", 0)
    assert first == orders("ann", 0)
    assert first != orders("bea", 0) and first != orders("ann", 1)
    assert len(set(first)) > 15  # of 120 orders
    # Every reply comes to stand on top now and then.
    assert {order[0] for order in first} == set(range(5))


def test_a_record_says_who_what_when_and_how_long(store):
    clock = Clock()
    session = RankingSession(make_items(1), "ann", store, guideline_version="g-1", clock=clock)
    session.set_note(HOSTILE)
    assert session.flag() and not session.flag() and session.flag() and session.flag("odd")
    clock.now += 12.34
    record = session.submit([0, 1, 2])
    assert store.rankings() == [record]
    assert (record.annotator, record.model, record.guideline_version) == ("ann", "sft-1", "g-1")
    assert (record.note, record.flags) == (HOSTILE, ["harmful", "odd"])
    assert record.seconds == 12.3 and record.time and record.repeat_of is None


def test_notes_and_flags_do_not_pass_to_the_next_item(store):
    session = RankingSession(make_items(2), "ann", store)
    session.set_note("odd")
    session.flag()
    session.submit([0, 1, 2])
    assert (session.note, session.flags) == ("", [])


def test_hostile_text_is_stored_exactly(tmp_path):
    path = tmp_path / "mine.jsonl"
    with RankingStore(path) as store:
        session = RankingSession([Item(HOSTILE, [HOSTILE, "no"])], HOSTILE, store)
        session.skip(HOSTILE)
    (record,) = load_rankings(path)
    assert (record.prompt, record.replies) == (HOSTILE, [HOSTILE, "no"])
    assert (record.annotator, record.skip) == (HOSTILE, HOSTILE)


def test_an_answer_is_on_the_disk_before_the_next_item_shows(store, monkeypatch):
    session = RankingSession(make_items(2), "ann", store)
    first, synced = session.current, []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(session.current) or real(file))
    session.submit([0, 1, 2])
    assert synced == [first] and session.current != first


# Skip, undo, going on


def test_a_skip_needs_a_reason_and_is_recorded(store):
    session = RankingSession(make_items(1), "ann", store)
    with pytest.raises(RankingSessionError, match="needs a reason"):
        session.skip("  ")
    assert session.skip("makes no sense").tiers == []
    assert session.current is None and store.rankings()[0].skip == "makes no sense"
    for act in (lambda: session.submit([0, 1, 2]), lambda: session.skip("x"), session.flag):
        with pytest.raises(RankingSessionError, match="all items are done"):
            act()


def test_undo_reopens_the_item_as_it_was_and_rewrites_nothing(store):
    session = RankingSession(make_items(3), "ann", store)
    session.submit([0, 1, 2])
    second, shown = session.current, session.shown
    session.set_note("odd")
    session.flag()
    wrong = session.submit([0, 1, 2])
    before = store.path.read_bytes()
    session.undo()
    assert (session.current, session.shown) == (second, shown)
    assert (session.note, session.flags) == ("odd", ["harmful"])
    assert store.path.read_bytes().startswith(before)
    assert store.records()[-1].retracts == wrong.id
    right = session.submit([2, 1, 0])
    assert right.tiers == wrong.tiers[::-1] and right.id != wrong.id
    assert [r.prompt for r in load_rankings(store.path)] == ["Question 0?", "Question 1?"]
    assert session.current.prompt == "Question 2?"


def test_undo_goes_back_as_far_as_there_are_answers(store):
    session = RankingSession(make_items(2), "ann", store)
    session.submit([0, 1, 2])
    session.skip("dull")
    session.undo()
    session.undo()
    assert session.current.prompt == "Question 0?" and store.rankings() == []
    with pytest.raises(RankingSessionError, match="no answer to take back"):
        session.undo()


def test_undo_reopens_the_last_item_even_where_others_before_it_wait(store):
    items = make_items(3)
    RankingSession(items[2:], "ann", store).submit([0, 1, 2])
    session = RankingSession(items, "ann", store)
    session.undo()
    assert session.current == items[2]
    session.submit([0, 1, 2])
    assert session.current == items[0]


def test_undo_leaves_other_people_and_other_lists_alone(store):
    items = make_items(3)
    RankingSession(items[:1], "ann", store).submit([0, 1, 2])
    RankingSession(items[1:2], "bea", store).submit([0, 1, 2])
    session = RankingSession(items[1:], "ann", store)
    assert session.current == items[1]  # that bea ranked it is no matter
    with pytest.raises(RankingSessionError, match="no answer to take back"):
        session.undo()
    assert len(store.rankings()) == 2


def test_a_second_sitting_goes_on_where_the_first_ended(tmp_path):
    path, items = tmp_path / "mine.jsonl", make_items(4)
    with RankingStore(path) as store:
        session = RankingSession(items, "ann", store)
        session.submit([0, 1, 2])
        session.skip("dull")
        session.submit([0, 1, 2])
        session.undo()
    with RankingStore(path) as store:
        session = RankingSession(items, "ann", store)
        assert session.current == items[2] and session.progress().done == 2
        session.undo()
        assert session.current == items[1]
    # The same prompt with other replies is another item.
    other = Item("Question 0?", ["Yes.", "No."])
    with RankingStore(path) as store:
        assert RankingSession([items[0], other], "ann", store).current == other


def test_what_is_left_is_told_when_a_sitting_goes_on(tmp_path):
    path, items = tmp_path / "mine.jsonl", make_items(5)
    with RankingStore(path) as store:
        session = RankingSession(items, "ann", store, repeat=0.5)
        assert session.what_is_left() == Left(items, 3, [])  # 5 / 2, rounded up
        session.submit([0, 1, 2])
        session.skip("dull")
        session.submit([0, 1, 2])
        session.skip("rude")
        session.undo()
        RankingSession(items, "bea", store).skip("not ann's")
    with RankingStore(path) as store:
        session = RankingSession(items, "ann", store, repeat=0.5)
        assert session.what_is_left() == Left(items[3:], 2, [(items[1], "dull")])
        for _ in range(4):
            session.submit([0, 1, 2])
        assert session.current is None
        assert session.what_is_left() == Left([], 0, [(items[1], "dull")])


def test_an_item_with_a_name_of_its_own_is_answered_once_like_any_other(store):
    items = [Item("p", ["a", "b"], id="x1"), Item("q", ["a", "b"], id="x1"), Item("r", ["a", "b"])]
    session = RankingSession(items, "ann", store, repeat=1.0)
    session.submit([0, 1])
    assert session.current == items[1] and session.progress().done == 1
    session.undo()
    assert session.current == items[0]
    answers = 0
    while session.current is not None and answers < 10:
        session.submit([0, 1])
        answers += 1
    assert answers == 6 and [r.prompt for r in store.rankings()[:3]] == ["p", "q", "r"]
    with pytest.raises(PreferenceError, match="id: expected a text, found 5"):
        Item("p", ["a", "b"], id=5)


def test_an_answer_looks_at_each_earlier_one_once(store, monkeypatch):
    session = RankingSession(make_items(30), "ann", store, repeat=0.1)
    for _ in range(20):
        session.submit([0, 1, 2])
    looked_at = []
    real = ranking_session.item_id
    monkeypatch.setattr(
        ranking_session, "item_id", lambda *item: looked_at.append(item) or real(*item)
    )
    session.submit([0, 1, 2])
    session.progress()
    session.counts()
    assert len(looked_at) <= 21 + 3  # 2,000 records took 22 ms while it was more


# Repeats, progress, agreement


def test_a_share_of_ranked_items_is_shown_once_more_at_the_end(store):
    session = RankingSession(make_items(10), "ann", store, repeat=0.5)
    session.skip("dull")
    first = {}
    while session.current.repeat_of is None:
        prompt = session.current.prompt
        rank_best_last(session)
        first[prompt] = store.rankings()[-1].id
    assert len(first) == 9
    repeated = []
    while session.current is not None:
        assert session.current.repeat_of == first[session.current.prompt]
        repeated.append(session.current.prompt)
        rank_best_last(session)
        assert store.rankings()[-1].repeat_of == first[repeated[-1]]
    assert len(repeated) == len(set(repeated)) == 5  # 9 / 2, rounded up
    assert session.agreement()["pairwise"] == 1.0 and session.agreement()["items"] == 5
    assert session.counts() == {"ranked": 9, "skipped": 1, "repeated": 5}


@pytest.mark.parametrize("seed", range(4))
def test_what_was_skipped_is_not_repeated(store, seed):
    session = RankingSession(make_items(4), "ann", store, seed=seed, repeat=1.0)
    rank_best_last(session)
    for _ in range(3):
        session.skip("dull")
    assert session.current.prompt == "Question 0?" and session.progress().total == 5
    session.skip("dull now")
    assert session.current is None and session.agreement() is None


def test_repeats_go_on_after_a_restart_and_can_be_undone(tmp_path):
    path, items = tmp_path / "mine.jsonl", make_items(6)
    with RankingStore(path) as store:
        session = RankingSession(items, "ann", store, repeat=0.5)
        for _ in range(7):
            rank_best_last(session)
        second_repeat = session.current
        rank_best_last(session)
        session.undo()
        assert session.current == second_repeat
    with RankingStore(path) as store:
        session = RankingSession(items, "ann", store, repeat=0.5)
        assert session.current == second_repeat
        rank_best_last(session)
        rank_best_last(session)
        assert session.current is None
    # Who asks for fewer repeats later is not asked again.
    with RankingStore(path) as store:
        session = RankingSession(items, "ann", store, repeat=0.0)
        assert session.current is None and str(session.progress()) == "9 of 9"


def test_agreement_with_oneself_is_counted_in_pairs(store):
    session = RankingSession(make_items(1), "ann", store, repeat=1.0)
    assert session.agreement() is None
    rank_best_last(session)
    places = sorted(range(3), key=lambda p: -session.shown[p])
    session.submit([places[1], places[0], places[2]])  # the best two change places
    assert session.current is None
    assert session.agreement()["pairwise"] == pytest.approx(2 / 3)


def test_progress_takes_the_median_of_seconds(store):
    clock = Clock()
    session = RankingSession(make_items(10), "ann", store, clock=clock, repeat=0.2)
    assert str(session.progress()) == "0 of 12"
    for seconds in (20, 1000, 30):
        clock.now += seconds
        session.submit([0, 1, 2])
    assert session.progress() == Progress(3, 12, 9 * 30)
    assert str(Progress(12, 50, 170)) == "12 of 50, about 3 min left"
    assert str(Progress(49, 50, 20)) == "49 of 50, less than a minute left"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"repeat": 1.5}, "from 0 to 1"),
        ({"repeat": math.nan}, "0 to 1"),
        ({"annotator": " "}, "name"),
    ],
)
def test_wrong_settings_are_told(store, changes, message):
    with pytest.raises(RankingSessionError, match=message):
        RankingSession(make_items(1), **{"annotator": "ann", "store": store, **changes})


# A store that fails


@pytest.mark.parametrize("again", ["retry", "submit"])
def test_an_answer_that_the_disk_refused_is_kept_and_stored_once(store, monkeypatch, again):
    clock = Clock()
    session = RankingSession(make_items(2), "ann", store, clock=clock)
    session.set_note("odd")
    clock.now += 5
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        for _ in range(2):
            with pytest.raises(StoreError, match="was not saved"):
                session.submit([2, [0, 1]])
        with pytest.raises(StoreError, match="was not saved"):
            session.retry()
    kept = session.unsaved
    assert session.current.prompt == "Question 0?" and store.rankings() == []
    clock.now += 60  # while somebody makes room on the disk
    for act in (session.undo, session.flag, lambda: session.set_note("x")):
        with pytest.raises(RankingSessionError, match="not saved yet"):
            act()
    saved = session.retry() if again == "retry" else session.submit([2, [0, 1]])
    assert saved == kept and saved.seconds == 5.0 and saved.note == "odd"
    assert load_rankings(store.path) == [saved]
    assert session.unsaved is None and session.current.prompt == "Question 1?"
    with pytest.raises(RankingSessionError, match="nothing to try again"):
        session.retry()


def test_another_answer_may_be_given_after_a_failure(store, monkeypatch):
    session = RankingSession(make_items(1), "ann", store)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(StoreError):
            session.submit([0, 1, 2])
    session.skip("on second thoughts")
    assert [record.skip for record in load_rankings(store.path)] == ["on second thoughts"]


def test_an_interrupt_while_saving_keeps_the_answer(store, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    session = RankingSession(make_items(1), "ann", store)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.submit([0, 1, 2])
    assert session.unsaved is not None
    session.retry()
    assert len(load_rankings(store.path)) == 1


def test_a_line_that_reached_the_file_in_spite_of_the_error_is_not_doubled(tmp_path, monkeypatch):
    path = tmp_path / "mine.jsonl"
    with RankingStore(path) as store:
        session = RankingSession(make_items(2), "ann", store)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing(errno.EIO))
            patch.setattr(os, "ftruncate", failing(errno.EIO))  # so the line stays
            with pytest.raises(StoreError):
                session.submit([0, 1, 2])
    with RankingStore(path) as store:
        session.reopen(store)
        assert session.unsaved is None and session.current.prompt == "Question 1?"
        session.submit([0, 1, 2])
    assert len(load_rankings(path)) == 2


def test_a_file_that_was_moved_gets_the_answer_when_it_is_opened_again(tmp_path):
    path = tmp_path / "mine.jsonl"
    with RankingStore(path) as store:
        session = RankingSession(make_items(2), "ann", store)
        path.rename(tmp_path / "elsewhere.jsonl")
        with pytest.raises(StoreError, match="open the store again"):
            session.submit([0, 1, 2])
    with RankingStore(path) as store:
        session.reopen(store)
        session.retry()
    assert len(load_rankings(path)) == 1


def test_an_undo_that_the_disk_refused_changes_nothing(store, monkeypatch):
    session = RankingSession(make_items(2), "ann", store)
    session.submit([0, 1, 2])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        with pytest.raises(StoreError):
            session.undo()
    assert session.current.prompt == "Question 1?" and len(load_rankings(store.path)) == 1
    session.undo()
    assert session.current.prompt == "Question 0?" and load_rankings(store.path) == []


# Items


def test_items_are_read_once_each_from_plain_files_and_rankings(tmp_path, store):
    path = tmp_path / "items.jsonl"
    turns = [{"role": "user", "content": "Hello"}]
    rows = [
        {"prompt": "Who?", "replies": ["a", "b"], "model": "m", "more": 1},
        {"prompt": "Who?", "replies": ["a", "b"]},
        {"prompt": "Who?", "replies": ["b", "a"]},
        {"prompt": turns, "replies": ["a", "b", "c", "d", "e"]},
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    items = load_items(path)
    assert [(i.prompt, len(i.replies), i.model) for i in items] == [
        ("Who?", 2, "m"),
        ("Who?", 2, ""),
        (turns, 5, ""),
    ]
    session = RankingSession(items, "ann", store)
    for _ in items:
        rank_best_last(session)
    session.undo()
    assert load_items(store.path) == items  # its retraction is no item


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{half", "not valid JSON"),
        ("[1]x", "not valid JSON"),
        ("7", "expected a JSON object"),
        ('{"prompt": "x"}', "expected the fields prompt and replies, replies is missing"),
        ('{"replies": ["a", "b"]}', "prompt is missing"),
        ('{"prompt": "", "replies": ["a", "b"]}', "prompt: expected a text that is not empty"),
        ('{"prompt": "x", "replies": ["a"]}', "expected 2 to 5 replies, found 1"),
        ('{"prompt": "x", "replies": ["a", 2]}', "replies: expected a list of texts"),
        ('{"prompt": "x", "replies": "ab"}', "replies: expected a list of texts"),
        ('{"prompt": "x", "replies": ["a", "b"], "model": 3}', "model: expected a text"),
    ],
)
def test_a_bad_item_is_told_with_its_line(tmp_path, line, message):
    path = tmp_path / "items.jsonl"
    path.write_text('{"prompt": "x", "replies": ["a", "b"]}\n\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DatasetFileError) as caught:
        load_items(path)
    assert caught.value.line == 3 and message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_item_is_checked_when_it_is_made():
    with pytest.raises(PreferenceError, match="2 to 5 replies, found 6"):
        Item("x", ["a"] * 6)
    assert Item("x", ["a", "b"]) == Item("x", ("a", "b"))
