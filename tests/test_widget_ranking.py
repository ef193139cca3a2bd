"""The ranking widget without a browser: messages in, states out, what is on the disk, fallbacks."""

from __future__ import annotations

import errno
import json
import os

import pytest

from rlhf_tutorial import widgets
from rlhf_tutorial.preferences import load_rankings
from rlhf_tutorial.ranking_items import Item
from rlhf_tutorial.ranking_session import RankingSession
from rlhf_tutorial.store import RankingStore
from rlhf_tutorial.village.annotators import GUIDELINE_VERSION
from rlhf_tutorial.visible_text import pieces
from rlhf_tutorial.widgets.desk import Desk, rest_hint
from rlhf_tutorial.widgets.guidelines import GUIDELINES
from rlhf_tutorial.widgets.static_html import item_as_html
from tests.store_cases import failing

HOSTILE = "<img src=x onerror=alert(1)></script>\x1b[31m\u202e\u200b\ud800\r\nनमस्ते 👩\u200d🌾"


def make_items(count: int, replies: int = 3) -> list[Item]:
    return [
        Item(f"Question {n}?", [f"Reply {n}.{r}" for r in range(replies)]) for n in range(count)
    ]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine.jsonl"


@pytest.fixture
def desk(file):
    with RankingStore(file) as store:
        session = RankingSession(make_items(3), "ann", store)
        yield Desk(lambda: session)


def send(desk: Desk, kind: str, **about) -> dict:
    desk.handle({"kind": kind, "turn": desk.turn, **about})
    return desk.state()


# Messages and states


def test_a_submitted_order_is_on_the_disk_before_the_next_item_shows(desk, file):
    shown = list(desk.session.shown)
    state = send(desk, "submit", tiers=[[2], [0, 1]], note="close")
    (record,) = load_rankings(file)
    assert record.tiers == [[shown[2]], [shown[0], shown[1]]]
    assert (record.note, record.guideline_version) == ("close", "")
    assert state["prompt"][0]["pieces"] == [("Question 1?", False)]
    assert (state["done"], state["total"], state["turn"], state["error"]) == (1, 3, 2, "")


def test_a_state_is_plain_json(desk):
    for _ in range(3):
        json.dumps(desk.state(), allow_nan=False).encode("utf-8")
        send(desk, "submit", tiers=[[0], [1], [2]])
    assert "3 items ranked" in " ".join(json.loads(json.dumps(desk.state()))["summary"])


@pytest.mark.parametrize("turn", [0, 2, None, "1"])
def test_a_message_for_another_turn_is_not_obeyed(desk, file, turn):
    before = desk.state()
    desk.handle({"kind": "submit", "turn": turn, "tiers": [[0], [1], [2]]})
    assert load_rankings(file) == [] and desk.state()["turn"] == before["turn"]
    assert desk.state()["handled"] == before["handled"] + 1  # the view must not wait for ever


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"kind": "submit", "tiers": [[0]]}, "each of the 3 replies"),
        ({"kind": "submit"}, "each of the 3 replies"),
        ({"kind": "submit", "tiers": 7}, "each of the 3 replies"),
        ({"kind": "skip", "reason": "  "}, "needs a reason"),
        ({"kind": "flag", "name": "<b>"}, "no flag"),
        ({"kind": "flag", "name": ["tone+"]}, "no flag"),
        ({"kind": "undo"}, "no answer to take back"),
        ({"kind": "dance"}, "no message of the kind"),
        ({}, "no message of the kind"),
    ],
)
def test_a_message_that_cannot_be_obeyed_is_told_and_changes_nothing(desk, file, message, says):
    before = desk.turn
    desk.handle({"turn": before, **message})
    state = desk.state()
    assert says in state["error"] and not state["canRetry"]
    assert load_rankings(file) == [] and state["turn"] == before
    assert send(desk, "submit", tiers=[[0], [1], [2]])["error"] == ""


def test_skip_undo_flags_and_note(desk, file):
    send(desk, "flag", name="harmful")
    send(desk, "flag", name="tone+")
    assert send(desk, "flag", name="tone-")["flags"] == ["harmful", "tone-"]
    send(desk, "note", text="ignored", note="odd")
    send(desk, "skip", reason="cannot tell")
    assert load_rankings(file)[0].skip == "cannot tell"
    state = send(desk, "undo")
    assert state["note"] == "odd" and state["flags"] == ["harmful", "tone-"]
    assert state["turn"] == 3 and state["done"] == 0 and not state["canUndo"]
    assert load_rankings(file) == []


def test_what_was_begun_waits_while_an_earlier_item_is_answered_anew(desk):
    send(desk, "submit", tiers=[[0], [1], [2]])
    send(desk, "flag", name="harmful")
    state = send(desk, "undo", note="half a thought")
    assert state["note"] == "" and state["flags"] == []
    state = send(desk, "submit", tiers=[[0], [1], [2]], note="")
    assert state["note"] == "half a thought" and state["flags"] == ["harmful"]
    state = send(desk, "submit", tiers=[[0], [1], [2]])
    assert state["note"] == "" and state["flags"] == []


def test_what_was_begun_stays_with_its_item_where_two_have_one_name(file):
    items = [Item(f"Question {n}?", ["a", "b"], id="x1") for n in range(2)]
    with RankingStore(file) as store:
        session = RankingSession(items, "ann", store)
        desk = Desk(lambda: session)
        send(desk, "flag", name="harmful")
        send(desk, "submit", tiers=[[0], [1]])
        state = send(desk, "undo", note="of the second")
        assert state["note"] == "" and state["flags"] == ["harmful"]
        state = send(desk, "submit", tiers=[[0], [1]])
        assert state["note"] == "of the second" and state["flags"] == []
    assert load_rankings(file)[-1].flags == ["harmful"]


def test_what_was_begun_outlives_an_undo_that_the_disk_refused(desk, file, monkeypatch):
    send(desk, "submit", tiers=[[0], [1], [2]])
    send(desk, "flag", name="harmful")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        assert "No space left" in send(desk, "undo", note="half a thought")["error"]
    state = send(desk, "retry")
    assert state["error"] == "" and state["flags"] == ["harmful"]
    assert state["note"] == "half a thought"


def test_a_repeated_item_looks_like_any_other(file):
    """Who knows that an item comes again may recall the old order instead of judging."""
    with RankingStore(file) as store:
        session = RankingSession(make_items(1), "ann", store, repeat=1.0)
        desk = Desk(lambda: session)
        first = desk.state()
        again = send(desk, "submit", tiers=[[0], [1], [2]])
        assert session.current.repeat_of is not None
        assert again.keys() == first.keys() and again["prompt"] == first["prompt"]
        assert {name for name in first if first[name] != again[name]} <= {
            *("turn", "handled", "done", "progress", "usual", "canUndo", "replies", "elapsed")
        }


def test_each_guideline_has_thumbs(desk):
    for guideline in GUIDELINES:
        for sign in "+-":
            name = guideline.axis + sign
            assert name in send(desk, "flag", name=name)["flags"]


# A store that refuses


def test_a_full_disk_is_told_the_answer_kept_and_saved_once(desk, file, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        state = send(desk, "submit", tiers=[[2], [1], [0]])
        assert "No space left" in state["error"] and state["canRetry"] and state["kept"]
        assert state["turn"] == 1
        assert send(desk, "retry")["kept"]
    state = send(desk, "retry")
    assert state["error"] == "" and not state["canRetry"] and state["turn"] == 2
    assert len(load_rankings(file)) == 1


def test_an_undo_that_fails_can_be_tried_again(desk, file, monkeypatch):
    send(desk, "submit", tiers=[[2], [1], [0]])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO))
        state = send(desk, "undo")
        assert state["canRetry"] and not state["kept"] and state["done"] == 1
    assert send(desk, "retry")["error"] == ""
    assert send(desk, "undo")["done"] == 0


def test_a_file_that_another_program_holds_is_told_in_the_widget(file):
    with RankingStore(file):
        widget = widgets.rank_items(make_items(2), file)
        assert "already open in another notebook" in widget.state["error"]
        assert widget.state["canRetry"] and widget.session is None
        assert "nothing left" in item_as_html(widget.session)
    widget._on_message(widget, {"kind": "retry", "turn": widget.state["turn"]}, [])
    assert widget.state["error"] == "" and len(widget.state["replies"]) == 3
    widget.session.store.close()


def test_a_repaired_file_is_told_once(file):
    with RankingStore(file) as store:
        RankingSession(make_items(2), "ann", store).submit([0, 1, 2])
    with file.open("ab") as end:
        end.write(b'{"schema_version": 1, "id"')
    widget = widgets.rank_items(make_items(2), file, "ann")
    assert "half-written" in widget.state["error"] and not widget.state["canRetry"]
    assert widget.state["done"] == 1
    widget.session.store.close()


def test_running_the_cell_again_goes_on_in_the_new_widget(file):
    first = widgets.rank_items(make_items(3), file, "ann", repeat=0.0)
    first._on_message(first, {"kind": "submit", "turn": 1, "tiers": [[0], [1], [2]]}, [])
    second = widgets.rank_items(make_items(3), file, "ann", repeat=0.0)
    assert second.state["done"] == 1 and second.state["error"] == ""
    # The old one on the screen says so instead of writing beside the new one.
    first._on_message(first, {"kind": "submit", "turn": 2, "tiers": [[0], [1], [2]]}, [])
    assert "is closed" in first.state["error"] and first.state["kept"]
    assert len(load_rankings(file)) == 1
    assert load_rankings(file)[0].guideline_version == GUIDELINE_VERSION
    second.session.store.close()


# Rest


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds", "hints"),
    [
        ([10] * 8, False),
        ([10] * 8 + [40] * 4, True),
        ([10] * 4 + [14] * 4, False),
        ([40] * 4, False),
    ],
)
def test_a_rest_is_suggested_to_whoever_slows_down(file, seconds, hints):
    clock = Clock()
    with RankingStore(file) as store:
        session = RankingSession(make_items(20), "ann", store, clock=clock)
        for wait in seconds:
            clock.now += wait
            session.submit([0, 1, 2])
        assert bool(rest_hint(session)) == hints


@pytest.mark.parametrize("turned", [True, False])
def test_a_rest_is_suggested_to_whoever_contradicts_themselves(file, turned):
    with RankingStore(file) as store:
        session = RankingSession(make_items(6), "ann", store, repeat=1.0)
        for _ in range(9):
            again = session.current.repeat_of is not None
            places = sorted(range(3), key=lambda place: session.shown[place])
            session.submit(places[::-1] if turned and again else places)
        assert ("pairs shown twice" in rest_hint(session)) == turned


# Texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [("plain", False)]),
        ("", []),
        ("a\x1bb", [("a", False), ("\\x1b", True), ("b", False)]),
        ("\u202e\u200b", [("\\u202e", True), ("\\u200b", True)]),
        ("\ud800", [("\\ud800", True)]),
        ("a\r\nb\tc\u00a0d", [("a\nb\tc\u00a0d", False)]),
        ("👩\u200d🌾", [("👩\u200d🌾", False)]),
        ("क्\u200dष", [("क्\u200dष", False)]),
        ("a\u200db", [("a", False), ("\\u200d", True), ("b", False)]),
        ("\u200d", [("\\u200d", True)]),
        ("\u3164", [("\\u3164", True)]),
    ],
)
def test_what_hides_or_steers_is_shown_as_an_escape(text, expected):
    assert pieces(text) == expected


def test_a_hostile_reply_is_escaped_in_the_static_picture_and_stored_as_it_was(file):
    items = [Item(HOSTILE, [HOSTILE, "fine"])]
    widget = widgets.rank_items(items, file, "ann")
    data, _ = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "<img" not in data["text/html"] and "</script" not in data["text/html"]
    assert "&lt;img src=x" in data["text/html"] and "<code>\\x1b</code>" in data["text/html"]
    assert "\u202e" not in data["text/html"] and "0x" not in data["text/plain"]
    json.dumps(widget.state, ensure_ascii=False).encode("utf-8")  # what goes to the browser
    widget._on_message(widget, {"kind": "submit", "turn": 1, "tiers": [[0], [1]]}, [])
    widget.session.store.close()
    assert load_rankings(file)[0].replies == [HOSTILE, "fine"]


# The fallback


def test_plain_widgets_rank_skip_and_go_back(file):
    plain = widgets.rank_items(make_items(3), file, "ann", repeat=0.0, plain=True)
    shown = list(plain.session.shown)
    plain.order.value = "2=1 3"
    plain.words.value = "hm"
    plain.buttons["submit"].click()
    plain.order.value = "2 2 1"
    plain.buttons["submit"].click()
    assert "expected each number" in plain.told.value
    plain.words.value = "<b>no</b>"
    plain.buttons["skip"].click()
    plain.buttons["undo"].click()
    first, *others = load_rankings(file)
    assert first.tiers == [[shown[1], shown[0]], [shown[2]]] and first.note == "hm"
    assert others == [] and "Question 1?" in plain.item.value
    plain.session.store.close()


def test_plain_widgets_try_again(file, monkeypatch):
    plain = widgets.rank_items(make_items(1), file, "ann", repeat=0.0, plain=True)
    assert plain.buttons["retry"].layout.display == "none"
    plain.order.value = "3 2 1"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.ENOSPC))
        plain.buttons["submit"].click()
        assert "No space left" in plain.told.value and plain.buttons["submit"].disabled
    plain.buttons["retry"].click()
    assert len(load_rankings(file)) == 1 and "1 items ranked" in plain.told.value
    plain.session.store.close()


def test_rank_takes_a_function_that_opens_and_tells_of_a_file_that_is_held(file):
    def open_session():
        return RankingSession(make_items(1), "ann", RankingStore(file))

    with RankingStore(file):
        widget = widgets.rank(open_session)
        assert widget.session is None and "open" in widget.state["error"]
    widget.desk.handle({"kind": "retry"})
    assert widget.session is not None and widget.desk.state()["error"] == ""
    widget.session.store.close()


def test_rank_takes_a_session_that_is_there(file):
    with RankingStore(file) as store:
        session = RankingSession(make_items(1), "ann", store)
        widget = widgets.rank(session, guidelines=False)
        assert widget.session is session and widget.guidelines["open"] is False
        assert [axis["axis"] for axis in widget.guidelines["axes"]] == [
            "clarity",
            "helpfulness",
            "correctness",
            "tone",
        ]
