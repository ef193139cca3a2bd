"""What the ranking widget looks like: hostile replies, contrast, narrow pages, pictures.

With `RLHF_TUTORIAL_PICTURES=1` the pictures of the README are written anew.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from rlhf_tutorial.ranking_items import Item
from rlhf_tutorial.ranking_session import RankingSession
from rlhf_tutorial.store import RankingStore
from tests.browser.test_ranking_keys import FULL_DISK
from tests.browser.test_ranking_lab import make_items

pytestmark = pytest.mark.medium
PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"
LIGHT, DARK = "JupyterLab Light", "JupyterLab Dark"
HOSTILE = [
    '<img src=x onerror="window.hacked = 1"><script>window.hacked = 2</script>',
    "</script></style></div><h1 class='planted'>",
    "\x1b[31mred\x1b[0m \x07 \r over \0",
    "\u202eright to left\u202c \u2066isolated",
    "zero\u200bwidth \ufeff\u00ad\u2060",
    "10,000 characters: " + "abcdefghij" * 998,
    "emoji \U0001f642 \U0001f469\u200d\U0001f33e \U0001f1eb\U0001f1ee and नमस्ते, שלום",
    "a lone half: \ud83d",
    "line\nend\r\n  and two spaces",
    "${1 + 1} {{7 * 7}} &lt;b&gt; %s \\u0041 $x^2$ **bold**",
]
SHOWN = [
    HOSTILE[0],
    HOSTILE[1],
    "\\x1b[31mred\\x1b[0m \\x07 \\r over \\x00",
    "\\u202eright to left\\u202c \\u2066isolated",
    "zero\\u200bwidth \\ufeff\\xad\\u2060",
    HOSTILE[5],
    HOSTILE[6],
    "a lone half: \\ud83d",
    "line\nend\n  and two spaces",
    HOSTILE[9],
]
# Contrast (WCAG 2.2, 1.4.3) of each text on what is painted below it, as "text: ratio" where it is
# under 4.5; what is switched off is exempt.
POOR_CONTRAST = """root => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = colour => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].map((v, i) => i < 3 ? v : v / 255);
    };
    const over = (top, below) => top.slice(0, 3)
        .map((v, i) => v * top[3] + below[i] * (1 - top[3]));
    const ground = element => {
        if (!element) return [255, 255, 255];
        const own = rgba(getComputedStyle(element).backgroundColor);
        return own[3] === 1 ? own : over(own, ground(element.parentElement));
    };
    const light = colour => {
        const [r, g, b] = colour.map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const poor = [];
    let seen = 0;
    const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !element.checkVisibility()) continue;
        if (element.closest(":disabled, .for-readers")) continue;
        const below = ground(element);
        const pair = [light(over(rgba(getComputedStyle(element).color), below)), light(below)];
        const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
        seen += 1;
        if (ratio < 4.5) poor.push(`${walk.currentNode.data}: ${ratio.toFixed(2)}`);
    }
    return { seen, poor };
}"""
# Elements that stand out of the widget to the left or right.
SPILLS = """root => {
    const frame = root.getBoundingClientRect();
    return [...root.querySelectorAll("*")].filter(element => {
        const box = element.getBoundingClientRect();
        return box.width && !element.closest(".for-readers")
            && (box.right > frame.right + 1 || box.left < frame.left - 1);
    }).map(element => element.outerHTML.slice(0, 80));
}"""
VILLAGE = [
    {
        "prompt": "Berta lost the basket near the well. Where should she look?",
        "replies": [
            "Go back to the well and search the ground for the basket. Things seldom walk far.",
            "Look for the basket near the well first. Enough now.",
            "Ask the people at the well if they have seen the candle.",
            "Jonas will be at the well before noon.",
        ],
    },
    {
        "prompt": "My friend Jonas moved away. Now I am sad.",
        "replies": [
            "Others have it much worse than you.",
            "That must hurt. It is no shame to be sad that Jonas is so far away. Shall we write?",
            "It is hard that Jonas is so far away.",
            "Jonas is a friend. A friend is a person. The mill turns all day long.",
        ],
    },
]


def test_hostile_replies_are_shown_harmlessly_and_stored_exactly(lab, open_notebook):
    items = [
        {"prompt": HOSTILE[0], "replies": HOSTILE[:5]},
        {"prompt": HOSTILE[3], "replies": HOSTILE[5:]},
    ]
    page = open_notebook(lab, items)
    page.focus()
    for item, shown in zip(items, (SHOWN[:5], SHOWN[5:]), strict=True):
        words = [words.text_content() for words in page.cards.locator(".words").all()]
        assert sorted(words) == sorted(shown)
        assert page.widget.locator("img, script, .planted").count() == 0
        assert page.page.evaluate("window.hacked") is None
        assert page.widget.evaluate(SPILLS) == []
        # One reply cannot push the others out of sight.
        assert max(card.bounding_box()["height"] for card in page.cards.all()) < 400
        before = page.widget.get_attribute("data-turn")
        page.press("1", "2", "3", "4")
        page.next_turn(lambda: page.press("Enter"))
        assert page.widget.get_attribute("data-turn") != before
        assert page.rankings()[-1].replies == item["replies"]
    assert [record.prompt for record in page.rankings()] == [HOSTILE[0], HOSTILE[3]]


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_texts_stand_out_in_the_theme(lab, open_notebook, theme):
    lab.set_theme(theme)
    name = "test_texts_stand_out_in_the_theme"
    full = lab.folder / f"{name}.full"
    items = make_items(8) + VILLAGE
    # Four quick answers and four slow ones: whoever slows down is told to rest.
    rank_beforehand(lab.folder / f"{name}.jsonl", items, [9.0] * 4 + [60.0] * 4)
    page = open_notebook(lab, items, before=FULL_DISK.format(name=name))
    dark = page.page.evaluate("document.body.dataset.jpThemeLight") == "false"
    assert dark == (theme == DARK)
    page.focus()

    def check() -> None:
        found = page.widget.evaluate(POOR_CONTRAST)
        assert found["poor"] == [] and found["seen"] > 20

    assert page.widget.locator(".rest").is_visible()
    check()
    page.press("g", "1", "=", "3")
    page.answered(lambda: page.press("f"))
    for key in ("?", "s", "n"):
        page.press(key)
        check()
        page.press("Escape")
    page.press("2")
    full.touch()
    page.answered(lambda: page.press("Enter"))
    full.unlink()
    assert page.widget.locator(".error .error button").is_visible()
    check()
    lab.set_theme(LIGHT)


@pytest.mark.parametrize("width", [400, 320])
def test_a_narrow_page_holds_everything(lab, open_notebook, width):
    page = open_notebook(lab, make_items(1) + VILLAGE)
    page.widget.evaluate("(root, width) => root.style.width = `${width}px`", width)
    page.focus()
    for key in ("g", "?", "s", "n", "Escape", "1", "="):
        page.press(key)
        assert page.widget.evaluate(SPILLS) == []
    page.press("2", "3")
    page.next_turn(lambda: page.button("Enter").click())


def test_less_motion_on_wish(lab, open_notebook):
    page = open_notebook(lab, VILLAGE)
    moves = "card => getComputedStyle(card).transitionDuration"
    assert page.cards.first.evaluate(moves) != "0s"
    page.page.emulate_media(reduced_motion="reduce")
    assert page.cards.first.evaluate(moves) == "0s"


def test_changes_are_told_to_screen_readers(lab, open_notebook):
    page = open_notebook(lab, VILLAGE)
    told = page.widget.get_by_role("status")
    page.focus()
    page.press("2", "=", "1")
    assert "The order is reply 2 and 1." in told.inner_text()
    page.press("3")
    page.next_turn(lambda: page.press("Enter"))
    assert told.inner_text() == f"Item 2 of 2: {VILLAGE[1]['prompt']}"
    assert page.page.get_by_role("region", name="Rank replies").count() == 1
    names = [card.locator("button").get_attribute("aria-label") for card in page.cards.all()]
    assert names == [f"Reply {n}: take as the next best" for n in range(1, 5)]


def rank_beforehand(file: Path, items: list[dict], waits: list[float]) -> None:
    """A reader's first answers, in a new file, with the seconds that each took."""
    file.unlink(missing_ok=True)
    # The session asks the clock when it shows an item, and when that is answered.
    seconds = itertools.accumulate((s for wait in waits for s in (wait, 0.0)), initial=0.0)
    with RankingStore(file) as store:
        session = RankingSession(
            [Item(**item) for item in items], "ann", store, clock=lambda: next(seconds)
        )
        for _ in waits:
            session.submit([0, 1, 2, 3])


@pytest.mark.parametrize(("theme", "name"), [(LIGHT, "light"), (DARK, "dark")])
def test_pictures(lab, open_notebook, theme, name, tmp_path):
    lab.set_theme(theme)
    items = make_items(50)
    items[12] = VILLAGE[0]
    rank_beforehand(lab.folder / "test_pictures.jsonl", items, [9.0] * 12)
    page = open_notebook(lab, items)
    assert "12 of 50, about 6 min left" in page.widget.inner_text()
    page.focus()
    page.press("g")
    replies = [words.inner_text() for words in page.cards.locator(".words").all()]
    for reply in VILLAGE[0]["replies"][:3]:
        page.press(str(replies.index(reply) + 1))
    folder = PICTURES if os.environ.get("RLHF_TUTORIAL_PICTURES") else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"ranking-{name}.png"
    page.widget.screenshot(path=picture, animations="disabled")
    assert picture.stat().st_size > 10_000
    lab.set_theme(LIGHT)
