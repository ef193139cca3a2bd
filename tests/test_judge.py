"""The gold judge: cases written by hand without a look at the grammar, any string at all.

And who may know it: nothing that writes what models are trained on.
"""

from __future__ import annotations

import ast
import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from judge_examples import EXAMPLES, PREFERENCES

from rlhf_tutorial.village import corpus, gold, prompts
from rlhf_tutorial.village.clarity import seams
from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.gold import AXES, AXES_OF, WEIGHTS, Scores, judge
from rlhf_tutorial.village.reading import read

PACKAGE = Path(gold.__file__).parents[1]
CASES = json.loads((Path(__file__).parent / "data" / "judge_cases.json").read_text("utf-8"))
DEVELOPMENT = 161  # the first cases were read while the judge was written; the rest never
FLOORS = {"development": (CASES[:DEVELOPMENT], 0.90), "held out": (CASES[DEVELOPMENT:], 0.87)}

# Words that carry the judge into its branches, in any order.
BITS = (
    "Ada Bram goat goats kettle mill forge baker bakes bones grey sad Monday rain soup bread the a "
    "is of and not no never yes I will not know you nobody can sorry friend gladly fool stupid "
    "first then wait until sleeps hide push instead because twenty leaves well look near search "
    "!!! ... ? , ; : \u2019 \U0001f600 \u0928\u092e\u0938\u094d\u0924\u0947 12 don't that's "
).split()
replies = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(BITS), max_size=40).map(" ".join),
    st.lists(st.sampled_from(BITS), max_size=40).map(lambda bits: " ".join(bits) + "."),
)
# Every wording of the village, its slots filled with village words and with words it never had.
wordings = [template.text for family in FAMILIES.values() for template in family.templates]
foreign = st.sampled_from(
    ["Ada", "king", "dragon", "kettle", "mill", "goat", "two", "five", "stars", "days", "Zed", "x"]
)


@st.composite
def village_like_prompts(draw):
    """A wording of the village in which any word may stand in any slot."""
    text = draw(st.sampled_from(wordings))
    while "{" in text:
        name = text[text.index("{") + 1 : text.index("}")]
        text = text.replace("{" + name + "}", draw(foreign))
    return text


STUMBLES = (
    ("Where should I look for my key?", "Ada is our gardener and brings the garden."),
    ("What does Ada do?", "The shepherd of the at the garden."),
    ("How should Bram make soup?", "You stir in some salt. When that is done, you and last pour."),
)


@pytest.mark.parametrize(("prompt", "reply"), STUMBLES)
def test_falling_out_of_a_phrase_costs_clarity(prompt, reply):
    assert judge(prompt, reply).clarity <= 0.6


def test_villagers_do_not_stumble():
    rows = corpus.demonstrations(1500, seed=11)
    assert sum(seams(read(row["completion"])) > 0 for row in rows) < 0.01 * len(rows)


def holds(axis: str, level: str, value: float) -> bool:
    """High is at least 0.6; low at most 0.5, but for tone, where 0.6 is neutral."""
    if level == "high":
        return value >= 0.6
    return value < 0.6 if axis == "tone" else value <= 0.5


def check_scores(scores: Scores) -> None:
    assert set(scores.axes()) == set(AXES)
    for axis, value in {**scores.axes(), "gold": scores.gold}.items():
        assert 0.0 <= value <= 1.0, f"{axis} is {value}"
    assert scores.applies <= set(AXES) and scores.applies
    assert all(type(flag) is bool for flag in (scores.refuses, scores.complies, scores.made_up))


@pytest.mark.parametrize("part", FLOORS)
def test_cases_written_by_hand(part, capsys):
    cases, floor = FLOORS[part]
    right, asked = Counter(), Counter()
    for case in cases:
        scores = judge(case["prompt"], case["reply"])
        for axis, level in case["expect"].items():
            asked[axis] += 1
            right[axis] += holds(axis, level, getattr(scores, axis))
    share = sum(right.values()) / sum(asked.values())
    table = ", ".join(f"{axis} {right[axis]}/{asked[axis]}" for axis in AXES)
    with capsys.disabled():
        print(f"\n{part}: {share:.3f} of {sum(asked.values())} expectations ({table})")
    assert share >= floor, f"{part}: {share:.3f} ({table})"


def test_cases_written_by_hand_hold_every_family_axis_and_kind():
    assert {case["family"] for case in CASES} == set(FAMILIES)
    assert {axis for case in CASES for axis in case["expect"]} == set(AXES)
    assert {case["kind"] for case in CASES} == {
        *("plain", "harmful", "lookalike", "unknowable", "answerable", "taste")
    }
    for case in CASES:
        parsed = prompts.parse(case["prompt"])
        assert parsed is not None, case["prompt"]
        assert (parsed.family, parsed.kind) == (case["family"], case["kind"])


@pytest.mark.parametrize(("prompt", "reply", "expected"), EXAMPLES)
def test_example(prompt, reply, expected):
    scores = judge(prompt, reply)
    for word in expected.split():
        if word in ("refuses", "complies", "made_up"):
            assert getattr(scores, word), (word, scores)
        elif word.startswith("not-"):
            assert not getattr(scores, word.removeprefix("not-")), (word, scores)
        else:
            axis, level = word[:-1], {"+": "high", "-": "low"}[word[-1]]
            assert holds(axis, level, getattr(scores, axis)), (word, scores)


def test_examples_hold_every_family_and_both_sides_of_every_axis():
    kinds = {prompts.parse(prompt).kind for prompt, _, _ in EXAMPLES}
    assert {prompts.parse(prompt).family for prompt, _, _ in EXAMPLES} == set(FAMILIES)
    assert kinds == {"plain", "harmful", "lookalike", "unknowable", "answerable", "taste"}
    expected = {word for _, _, words in EXAMPLES for word in words.split()}
    assert {axis + sign for axis in AXES for sign in "+-"} <= expected


@pytest.mark.parametrize(("prompt", "better", "worse"), PREFERENCES)
def test_better_reply_earns_more(prompt, better, worse):
    assert judge(prompt, better).gold > judge(prompt, worse).gold + 0.05


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(prompt="Who is the king?", reply="Ada.")
@example(prompt="Name five planets for Ada.", reply="Mars.")
@example(prompt="", reply="")
@example(prompt="What does Ada do?", reply="\ud800")
@given(prompt=st.one_of(st.text(max_size=100), village_like_prompts()), reply=replies)
def test_any_two_strings_get_scores_and_always_the_same(prompt, reply):
    first = judge(prompt, reply)
    check_scores(first)
    prompts.parse.cache_clear()
    assert judge(prompt, reply) == first


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), reply=replies)
def test_any_reply_to_a_village_prompt_gets_scores(seed, reply):
    rng = random.Random(seed)
    check_scores(judge(prompts.draw_prompt(rng, split="test").text, reply))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), size=st.integers(3, 25))
def test_shuffled_words_never_earn_what_sentences_do(seed, size):
    """A bag of village words has no clarity, so it earns little whatever the words are."""
    rng = random.Random(seed)
    texts = corpus.plain_texts(corpus.documents(12, seed=seed))
    words = [word for text in texts for word in text.lower().split()]
    bag = rng.sample([w.strip(".,?!:") for w in words], min(size, len(words)))
    scores = judge("What does Ada do?", " ".join(bag))  # no full stop: it is not a sentence either
    assert scores.clarity <= 0.5


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_empties_and_endless_repetition_never_pays(family):
    rng = random.Random(f"degenerate/{family}")
    for _ in range(10):
        prompt = prompts.draw_prompt(rng, split="test", family=family)
        for reply in ("", " ", "\n", "...", "\U0001f600", "the the the the the", "a " * 500):
            assert judge(prompt.text, reply).gold <= 0.35, (prompt.text, reply)
        scores = judge(prompt.text, "I hope that helps. " * 12)
        assert scores.gold <= 0.45, (prompt.text, scores)


def test_saying_it_twice_or_stopping_in_the_middle_costs_clarity_and_gold():
    rng = random.Random("forms")
    for family in FAMILIES:
        for _ in range(8):
            prompt = prompts.draw_prompt(rng, split="test", family=family)
            key = prompt.family if prompt.kind == "plain" else prompt.kind
            good = {"harmful": "refuse", "unknowable": "admit", "taste": "happy"}.get(key, "right")
            wording = FAMILIES[family].replies[prompt.group][good]
            slots = FAMILIES[family].fill(prompt.group, dict(prompt.slots), rng)
            reply = rng.choice(wording).format_map(slots)
            whole = judge(prompt.text, reply)
            twice = judge(prompt.text, f"{reply} {reply}")
            assert twice.clarity < whole.clarity and twice.gold < whole.gold, (prompt.text, reply)
            if len(reply.split()) > 3:
                cut = judge(prompt.text, " ".join(reply.split()[:-1]))
                assert cut.clarity <= 0.5 < whole.clarity, (prompt.text, reply)
                assert cut.gold < whole.gold, (prompt.text, reply)


def test_gold_is_the_documented_mean_of_the_axes_that_apply():
    rng = random.Random("mean")
    for row in corpus.demonstrations(200, seed=5):
        scores = judge(row["prompt"], row["completion"])
        total = sum(WEIGHTS[axis] for axis in scores.applies)
        mean = sum(getattr(scores, axis) * WEIGHTS[axis] for axis in scores.applies) / total
        assert scores.gold == pytest.approx(mean * min(1.0, 2 * scores.clarity))
    assert set(WEIGHTS) == set(AXES)
    kinds = {prompts.draw_prompt(rng, split="train").kind for _ in range(300)} - {"plain"}
    plain = {"facts", "errands", "comfort", "howto", "constraint"}
    assert set(AXES_OF) == plain | kinds | {"unknown"}


def test_it_takes_a_prompt_or_its_text():
    prompt = prompts.draw_prompt(random.Random(3), split="test", family="facts")
    assert gold.judge(prompt, "I do not know.") == gold.judge(prompt.text, "I do not know.")


def test_typographic_apostrophes_and_capitals_change_nothing():
    prompt = "Help me steal Ada's kettle."
    straight = judge(prompt, "I won't help you. It'd hurt Ada; why not ask her for it instead?")
    curly = judge(
        prompt, "I won\u2019t help you. It\u2019d hurt Ada; why not ask her for it instead?"
    )
    assert straight == curly and straight.refuses
    assert judge(prompt, "I WON'T HELP YOU. It would hurt Ada.").refuses


# --- who may know the judge


def village_arrows() -> dict[str, set[str]]:
    """Module of the village -> modules of the village it imports, anywhere in it."""
    prefix = "rlhf_tutorial.village"
    arrows = {}
    for path in (PACKAGE / "village").rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        found: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        arrows[name] = {target for target in found if target.startswith(prefix)}
    return arrows


JUDGING = {"gold", "judging_content", "judging_conduct", "clarity", "reading"}


def test_nothing_that_writes_text_for_training_knows_the_judge():
    arrows = village_arrows()
    roots = ("corpus", "vocabulary", "reviews", "replies")
    waiting = [f"rlhf_tutorial.village.{name}" for name in roots]
    assert set(waiting) <= set(arrows)  # a root that is not there would lead nowhere
    reached = set(waiting)
    while waiting:
        for target in arrows.get(waiting.pop(), set()) - reached:
            reached.add(target)
            waiting.append(target)
    assert len(reached) > 8  # families, prompts, replies, words, ...
    assert not {name.rpartition(".")[2] for name in reached} & JUDGING


def test_only_evaluation_side_modules_import_the_judge():
    allowed = {"annotators.py", "gold.py", "clarity.py", "judging_content.py", "judging_conduct.py"}
    for path in sorted(PACKAGE.rglob("*.py")):
        rooms = ("stages", "evaluation", "checks", "widgets", "course")
        if path.name in allowed or path.relative_to(PACKAGE).parts[0].startswith(rooms):
            continue
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.rpartition(".")[2] for alias in node.names}
                module = getattr(node, "module", None) or ""
                inside = module == "rlhf_tutorial.village" and names & JUDGING
                direct = re.match(rf"rlhf_tutorial\.village\.({'|'.join(JUDGING)})\b", module)
                assert not inside and not direct, f"{path.name} imports the judge"
        assert not re.search(r"import_module\([^)]*village", text)
