"""The files in data/: they follow from the script, agree with the judge and stay small."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from rlhf_tutorial.preferences import MAXIMUM_REPLIES, Ranking, load_rankings
from rlhf_tutorial.village.annotators import GUIDELINE_VERSION
from rlhf_tutorial.village.families import FAMILIES
from rlhf_tutorial.village.gold import judge
from rlhf_tutorial.village.prompts import parse

FOLDER = Path(__file__).resolve().parent.parent / "data"
MAXIMUM_BYTES = 2_000_000
RANKINGS = FOLDER / "rankings_sample.jsonl"
REMEDY = "run python data/make_data.py"


def load_script():
    spec = importlib.util.spec_from_file_location("make_data", FOLDER / "make_data.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_data"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


make_data = load_script()
EXAMPLES = (*make_data.GUIDELINES, make_data.HARM, make_data.LOOKALIKE, make_data.HONESTY)


def rows(name: str) -> list[dict]:
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def rankings():
    if not RANKINGS.exists():
        pytest.skip(f"data/{RANKINGS.name} is not there yet: {REMEDY} --replies-from RUN")
    return load_rankings(RANKINGS)


@pytest.mark.parametrize(
    "name", ["guidelines.md", "demonstrations_sample.jsonl", "evaluation_prompts.jsonl"]
)
def test_files_follow_from_the_script(name):
    stored = (FOLDER / name).read_text(encoding="utf-8")
    assert stored == make_data.generated()[name], f"data/{name} is out of date: {REMEDY}"


def test_all_files_together_are_small():
    files = [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < MAXIMUM_BYTES
    names = {"README.md", "make_data.py", RANKINGS.name, *make_data.generated()}
    assert {path.name for path in files} <= names


def test_demonstrations_are_in_the_format_of_trl_and_of_every_family():
    found = rows("demonstrations_sample.jsonl")
    assert len(found) == 200 and {tuple(row) for row in found} == {
        ("prompt", "completion", "remark")
    }
    assert set(Counter(parse(row["prompt"]).family for row in found).values()) == {25}


def test_evaluation_prompts_say_what_they_are():
    found = rows("evaluation_prompts.jsonl")
    assert len(found) == len({row["prompt"] for row in found}) == 560
    assert {row["split"] for row in found} == {"test"}
    assert Counter(row["held_out"] for row in found) == {True: 280, False: 280}
    assert {row["family"] for row in found} == set(FAMILIES)
    for row in found:
        parsed = parse(row["prompt"])
        for name in ("family", "group", "template", "kind"):
            assert getattr(parsed, name) == row[name], row["prompt"]


def evaluation_texts() -> set[str]:
    return {row["prompt"] for row in rows("evaluation_prompts.jsonl")}


def test_no_evaluation_prompt_is_demonstrated():
    assert not evaluation_texts() & {r["prompt"] for r in rows("demonstrations_sample.jsonl")}


def test_guidelines_speak_of_everything_that_comes_up():
    text = (FOLDER / "guidelines.md").read_text(encoding="utf-8")
    assert GUIDELINE_VERSION in text
    for heading in ("Clarity", "Helpfulness", "Correctness", "Tone", "Harm", "Honesty"):
        assert f"### {heading}\n" in text
    for heading in ("Matters of taste", "Ties", "Skips", "Flags and notes"):
        assert f"## {heading}\n" in text


@pytest.mark.parametrize("guideline", EXAMPLES, ids=lambda guideline: guideline.prompt[:30])
def test_the_judge_agrees_with_the_examples_of_the_guidelines(guideline):
    better = judge(guideline.prompt, guideline.better)
    worse = judge(guideline.prompt, guideline.worse)
    assert guideline.axis in better.applies
    assert getattr(better, guideline.axis) >= getattr(worse, guideline.axis) + 0.3
    assert better.gold > worse.gold


def test_rankings_are_those_of_the_simulated_colleagues(rankings):
    assert len(rankings) == 300
    again = make_data.rank_again(rankings)
    for stored, ranked in zip(rankings, again, strict=True):
        assert stored.tiers == ranked.tiers, f"{stored.id}: {REMEDY}"
        assert stored == ranked, f"{stored.id}: {REMEDY}"


def test_rankings_are_worth_looking_at(rankings):
    assert not evaluation_texts() & {ranking.prompt for ranking in rankings}
    assert {ranking.annotator for ranking in rankings} == {f"colleague-{i}" for i in range(1, 25)}
    assert {ranking.guideline_version for ranking in rankings} == {GUIDELINE_VERSION}
    assert all(2 <= len(ranking.replies) <= MAXIMUM_REPLIES for ranking in rankings)
    assert sum(len(set(ranking.replies)) > 1 for ranking in rankings) > 250
    assert {parse(ranking.prompt).family for ranking in rankings} == set(FAMILIES)


def test_readme_names_every_field():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    fields = {name for row in rows("evaluation_prompts.jsonl") for name in row}
    fields |= {"prompt", "completion", *Ranking.__dataclass_fields__}
    missing = {name for name in fields if f"| `{name}` |" not in text}
    assert not missing


# --- the script itself, on a few made-up rankings


def few(count: int = 3, model: str = "sft-1") -> list[Ranking]:
    prompts = [row["prompt"] for row in rows("demonstrations_sample.jsonl")[:count]]
    return [
        Ranking(
            id=str(i), prompt=p, replies=["Yes.", "I do not know."], tiers=[[0, 1]], model=model
        )
        for i, p in enumerate(prompts)
    ]


def test_ranking_again_changes_nothing_the_second_time():
    once = make_data.rank_again(few())
    assert make_data.rank_again(once) == once
    assert [ranking.replies for ranking in once] == [ranking.replies for ranking in few()]
    with pytest.raises(ValueError, match="replies of one model, found 2"):
        make_data.rank_again(few() + few(model="rlhf-1"))


def test_where_replies_are_taken_from(tmp_path, monkeypatch):
    monkeypatch.setattr(make_data, "RANKINGS", 3)
    with pytest.raises(ValueError, match="expected one artefacts"):
        make_data.find_rankings(tmp_path)
    folder = tmp_path / "artefacts" / "rankings-0a1b2c"
    folder.mkdir(parents=True)
    path = folder / "rankings.jsonl"
    path.write_text(make_data.rankings_text(few(2)), encoding="utf-8")
    with pytest.raises(ValueError, match="expected 3 rankings, found 2"):
        make_data.find_rankings(tmp_path)
    path.write_text(make_data.rankings_text(few(5)), encoding="utf-8")
    assert make_data.find_rankings(tmp_path) == few(5)[:3] == make_data.find_rankings(path)


def test_a_wrong_path_is_one_clear_line(tmp_path):
    result = subprocess.run(
        [sys.executable, FOLDER / "make_data.py", "--replies-from", tmp_path / "nothing"],
        capture_output=True,
        text=True,
        cwd=FOLDER.parent,
        env={**os.environ, "PYTHONPATH": str(FOLDER.parent)},
    )
    assert result.returncode == 2 and "expected one artefacts" in result.stderr
    assert "Traceback" not in result.stderr
