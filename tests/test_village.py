"""The village: splits that do not leak, prompts that can be read back, documents as advertised."""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from chi_squared import assert_fits

from rlhf_tutorial.village import corpus, minimal_pairs, prompts, replies, vocabulary, world
from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.gold import judge
from rlhf_tutorial.village.prompts import SPLITS, draw_prompt, draw_prompts, parse
from rlhf_tutorial.village.words import DIETS, JOBS

PACKAGE = Path(prompts.__file__).parents[1]
TEMPLATES = {
    f"{name}/{template.group}/{number}": template
    for name, family in FAMILIES.items()
    for number, template in enumerate(family.templates)
}


def slots_in(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


def combination(prompt) -> tuple:
    """The words of a prompt that must not come back in another split, named by their slots."""
    family = FAMILIES[prompt.family]
    seen = slots_in(TEMPLATES[prompt.template].text) | set(family.hidden)
    return tuple((key, prompt.slots[key]) for key in family.combination if key in seen)


def split_of_text(text: str) -> str:
    """The split of a prompt from its words alone."""
    parsed = parse(text)
    slots = dict(parsed.slots)
    if parsed.family == "facts":  # its subject and relation stand behind the words
        if parsed.group == "who":
            job = slots.get("value") or next(j for j, does in JOBS.items() if does == slots["does"])
            slots["subject"] = next(n for n, held in world.JOB_OF.items() if held == job)
        slots["relation"] = "job" if parsed.group == "who" else parsed.group
    return prompts.split_of(TEMPLATES[parsed.template], parsed.family, slots)


@pytest.fixture(scope="module")
def drawn():
    """3,000 prompts of each split."""
    rng = random.Random("splits")
    return {split: [draw_prompt(rng, split=split) for _ in range(3000)] for split in SPLITS}


# --- prompts and splits


def test_splits_share_no_combination_in_whatever_wording(drawn):
    found = {
        split: {(p.family, combination(p)) for p in asked if combination(p)}
        for split, asked in drawn.items()
    }
    for one, other in (("train", "development"), ("train", "test"), ("development", "test")):
        assert not found[one] & found[other]
        assert not {p.text for p in drawn[one]} & {p.text for p in drawn[other]}
    assert all(p.split == split for split, asked in drawn.items() for p in asked)


def test_split_follows_from_the_text_alone(drawn):
    for split, asked in drawn.items():
        for prompt in asked[:500]:
            assert split_of_text(prompt.text) == split, prompt.text


def test_splits_have_the_shares_they_declare():
    """Of (who, thing, place) combinations; families with few of them need not be so even."""
    template = next(
        t for t in FAMILIES["errands"].templates if slots_in(t.text) >= {"who", "thing"}
    )
    rng = random.Random("shares")
    draw = FAMILIES["errands"].draw
    counts = Counter(
        prompts.split_of(template, "errands", draw(template.group, rng)) for _ in range(3000)
    )
    assert_fits(counts, {"train": 0.70, "development": 0.15, "test": 0.15})


@pytest.mark.parametrize("split", SPLITS)
def test_every_family_and_kind_is_in_every_split(drawn, split):
    kinds = {
        (family, spec.kind(t.group)) for family, spec in FAMILIES.items() for t in spec.templates
    }
    assert {(p.family, p.kind) for p in drawn[split]} == kinds


def test_held_out_wordings_stay_out_unless_asked_for():
    held_out = {ident for ident, template in TEMPLATES.items() if template.held_out}
    usual = draw_prompts(1000, split="train", seed=1, held_out=False)
    assert not held_out & {p.template for p in usual} and not any(p.held_out for p in usual)
    new = draw_prompts(300, split="test", seed=1, held_out=True)
    assert {p.template for p in new} <= held_out and all(p.held_out for p in new)
    # Every family has both, so that evaluation can ask each in wordings old and new.
    assert {p.family for p in usual} == {p.family for p in new} == set(FAMILIES)


def test_what_is_ranked_and_what_ppo_answers_is_in_usual_wordings_of_the_training_split():
    tree = ast.parse((PACKAGE / "stages_build.py").read_text(encoding="utf-8"))
    calls = [
        {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and "draw_prompt" in ast.unparse(node.func)
    ]
    assert len(calls) >= 2
    for call in calls:
        assert (call["split"], call["held_out"]) == ("'train'", "False")


@pytest.mark.parametrize("family", FAMILIES)
def test_parse_recovers_every_wording(family):
    rng = random.Random(f"parse/{family}")
    for ident, template in TEMPLATES.items():
        if not ident.startswith(family + "/"):
            continue
        for _ in range(8):
            slots = FAMILIES[family].draw(template.group, rng)
            parsed = parse(template.text.format_map(slots))
            assert parsed is not None, template.text
            assert (parsed.family, parsed.group, parsed.template) == (family, template.group, ident)
            assert parsed.kind == FAMILIES[family].kind(template.group)
            assert parsed.slots == {key: slots[key] for key in slots_in(template.text)}


@pytest.mark.parametrize("text", ["", "Hello.", "What does Ada do? Now!", "what does ada do?"])
def test_other_texts_are_no_village_prompts(text):
    assert parse(text) is None


def test_prompts_follow_from_the_seed():
    first = draw_prompts(120, split="test", seed=4)
    assert first == draw_prompts(120, split="test", seed=4)
    assert first != draw_prompts(120, split="test", seed=5)
    assert len({p.text for p in first}) == 120
    # In turn, so each family has its eighth.
    assert set(Counter(p.family for p in first).values()) == {15}


def test_wishes_that_cannot_be_met_are_said_to_be_so():
    with pytest.raises(ValueError, match="unknown split 'exam'"):
        draw_prompts(1, split="exam", seed=0)
    with pytest.raises(ValueError, match="no prompts of family 'facts' and kind 'harmful'"):
        draw_prompt(random.Random(0), split="test", family="facts", kind="harmful")
    with pytest.raises(ValueError, match="ask for fewer"):
        draw_prompts(5000, split="test", seed=0, families=["facts"])


# --- documents and demonstrations


def test_documents_and_demonstrations_follow_from_the_seed():
    for write in (corpus.documents, corpus.demonstrations):
        assert write(300, seed=1) == write(300, seed=1)
        assert write(300, seed=1) != write(300, seed=2)
        assert len(write(300, seed=1)) == 300


def test_documents_have_the_shares_they_advertise(monkeypatch):
    for kind in {**corpus.NURSERY_SHARES, **corpus.SHARES}:
        monkeypatch.setattr(corpus, kind, lambda *given, kind=kind: kind)
    monkeypatch.setattr(corpus, "TWINS", 0.0)  # twins are one draw and two documents
    made = corpus.documents(10_000, seed=0)
    nursery = round(corpus.NURSERY_PART * len(made))
    assert_fits(Counter(made[:nursery]), corpus.NURSERY_SHARES)
    assert_fits(Counter(made[nursery:]), corpus.SHARES)


def test_families_take_turns_in_what_is_overheard_and_demonstrated():
    texts = [row["prompt"] for row in corpus.demonstrations(800, seed=0)]
    assert set(Counter(parse(text).family for text in texts).values()) == {100}


@pytest.mark.parametrize("documents", [True, False])
@pytest.mark.parametrize("key", replies.DOCUMENT_CONTENT)
def test_replies_have_the_shares_they_advertise(key, documents):
    side = "DOCUMENT" if documents else "DEMONSTRATION"
    content, manner, form = (
        getattr(replies, f"{side}_{part}") for part in ("CONTENT", "MANNER", "FORM")
    )
    rng = random.Random(f"replies/{key}/{documents}")
    family = next(n for n, s in FAMILIES.items() if key == n or key in s.kinds.values())
    kind = "plain" if key == family and key not in FAMILIES[family].kinds.values() else key
    asked = [draw_prompt(rng, split="train", family=family, kind=kind) for _ in range(60)]
    written = [
        replies.write_reply(rng.choice(asked), rng, documents=documents) for _ in range(2000)
    ]
    assert_fits(Counter(reply.content for reply in written), content[key])
    if FAMILIES[family].manners:
        assert_fits(Counter(reply.manner for reply in written), manner)
        assert_fits(Counter(reply.form for reply in written), form)
    else:  # courtesies would break the constraint
        assert {(reply.manner, reply.form) for reply in written} == {("plain", "clear")}


def overheard_prompts(pages):
    """The prompts in documents: the first line of talk, without the name of who asks."""
    for page in pages:
        if not isinstance(page, str):
            talk, _ = page
            yield re.sub(r"^\w+: ", "", talk.split("\n")[0])


def test_only_training_prompts_are_overheard_and_demonstrated(drawn):
    asked = list(overheard_prompts(corpus.documents(6000, seed=7)))
    asked += [row["prompt"] for row in corpus.demonstrations(1500, seed=7)]
    assert len(asked) > 1500 + 0.4 * 6000
    assert {split_of_text(text) for text in asked} == {"train"}
    evaluation = {p.text for split in ("development", "test") for p in drawn[split]}
    assert not evaluation & set(asked)


def test_stories_keep_their_words_so_that_copying_can_be_learnt():
    rng = random.Random("stories")
    repeated = [
        max(Counter(re.findall(r"[a-z]{4,}", corpus.rhyme(rng).lower())).values())
        for _ in range(100)
    ]
    assert sum(count >= 3 for count in repeated) >= 90


def test_unknown_words_are_named_once_and_in_order():
    text = "Ada took the zeppelin and the kettle to Uranus. Zeppelin's gone!"
    assert vocabulary.unknown_words(text) == ["zeppelin", "uranus"]
    for prompt in draw_prompts(200, split="test", seed=3):
        assert vocabulary.unknown_words(prompt.text) == []


# --- minimal pairs


def masked(text: str, group: str, family: str) -> str:
    """A text in which the words that carry the asked fact are blanks."""
    kinds = {
        "job": [*JOBS, *JOBS.values()],
        "who": list(world.JOB_OF),
        "home": list(set(world.HOME_OF.values())),
        "pet": list(set(world.PET_OF.values())),
        "diet": list(DIETS.values()),
    }
    words = kinds[group] if family == "facts" else []
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(word)}\b", "_", text, flags=re.IGNORECASE)
    return text


def test_minimal_pairs_differ_in_exactly_the_fact():
    pairs = minimal_pairs.minimal_pairs(200, split="test", seed=0)
    assert len(pairs) >= 180 and pairs == minimal_pairs.minimal_pairs(200, split="test", seed=0)
    for pair in pairs:
        parsed = parse(pair.prompt)
        assert split_of_text(pair.prompt) == "test"
        right, wrong = pair.right.split(), pair.wrong.split()
        if parsed.family == "facts":
            assert pair.right != pair.wrong
            blanks = [masked(t, parsed.group, "facts").lower() for t in (pair.right, pair.wrong)]
            assert blanks[0] == blanks[1] and "_" in blanks[0], pair
        else:
            changed = [(r, w) for r, w in zip(right, wrong, strict=True) if r != w]
            assert len(changed) == 1, pair
            assert changed[0][0].strip(".,:").lower() in {v.lower() for v in parsed.slots.values()}


def test_the_judge_tells_minimal_pairs_apart():
    for pair in minimal_pairs.minimal_pairs(200, split="test", seed=0):
        right, wrong = judge(pair.prompt, pair.right), judge(pair.prompt, pair.wrong)
        assert right.correctness == 1.0 and wrong.correctness < 0.5, pair
        assert right.tone == wrong.tone and right.gold > wrong.gold + 0.05, pair
