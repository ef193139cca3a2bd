"""report.json has exactly the promised keys; report.md and tables say the same."""

from __future__ import annotations

import json
import math

import pytest

from rlhf_tutorial import reporting, reporting_machine
from rlhf_tutorial.evaluation import AXES, ScoredReply

ROW = {**dict.fromkeys(reporting.ROW_KEYS, 0.5), "length": 12.25}
RATE = {"mean": 0.84, "low": 0.79, "high": 0.88, "n": 600}


def parts(**changes):
    fields = {
        "preset": "quick",
        "seed": 3,
        "seconds": {
            "pretraining": 100.0,
            "sft": 20.0,
            "preferences": 5.0,
            "reward_model": 30.0,
            "ppo": 90.0,
            "evaluation": 15.0,
            "total": 260.0,
        },
        "models": {"base": ROW, "sft": ROW, "best_ranked_sft": ROW, "rlhf": ROW},
        "win_rate": {"rlhf_vs_sft": RATE, "sft_vs_base": RATE},
        "reward_model": {
            "rankings": 300,
            "pairs": 1700,
            "accuracy_vs_gold": 0.91,
            "accuracy_held_out": 0.8,
            "ece": 0.04,
        },
        "ppo": {"steps": 40, "kl": 8.5, "samples_per_second": 50.0},
        "samples": [{"prompt": "Who?", "base": "", "sft": "Ann.", "rlhf": "Ann | did."}],
    }
    return {**fields, **changes}


def test_keys_are_exactly_those_promised():
    report = reporting.build_report(**parts())
    assert list(report) == [
        "preset",
        "seed",
        "versions",
        "machine",
        "seconds",
        "peak_rss_mb",
        "models",
        "win_rate",
        "reward_model",
        "ppo",
        "samples",
    ]
    assert set(report["machine"]) == {"cores", "threads"}
    assert set(report["models"]["rlhf"]) == {
        *("gold", "clarity", "helpfulness", "correctness", "tone", "harmlessness", "honesty"),
        *("harmful_compliance", "over_refusal", "made_up", "distinct", "length"),
    }
    assert report["versions"]["torch"].startswith("2.")


def test_peak_memory_is_in_megabytes():
    # A Python with pytest takes more than 10 MB and less than 100 GB.
    assert 10 < reporting_machine.peak_rss_mb() < 100_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": {"total": 1.0}}, "seconds lacks pretraining"),
        ({"models": {"base": ROW, "sft": ROW}}, "models lacks rlhf"),
        ({"models": {"base": {}, "sft": ROW, "rlhf": ROW}}, "models.base lacks gold"),
        ({"win_rate": {"rlhf_vs_sft": RATE}}, "win_rate lacks sft_vs_base"),
        ({"ppo": {}}, "ppo lacks steps"),
    ],
)
def test_what_lacks_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        reporting.build_report(**parts(**changes))


def test_peak_memory_is_the_highest_of_all_processes_that_built_a_stage():
    own = reporting.build_report(**parts())["peak_rss_mb"]
    assert reporting.build_report(**parts(), stages_rss_mb=[1.0])["peak_rss_mb"] >= own - 1
    assert reporting.build_report(**parts(), stages_rss_mb=[1.0, 99_999.0])["peak_rss_mb"] == 99_999


@pytest.mark.parametrize(
    ("found", "message"), [([], "expected an object"), ({"seed": 0}, "the file lacks preset")]
)
def test_what_is_no_report_is_told(found, message):
    with pytest.raises(ValueError, match=message):
        reporting.check_report(found)


def test_written_report_is_strict_json_with_null_for_nan(tmp_path):
    report = reporting.build_report(
        **parts(ppo={"steps": 1, "kl": math.nan, "samples_per_second": math.inf})
    )
    reporting.write_report(report, tmp_path, {"PPO": "figures/ppo.png"})

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=refuse)["ppo"]["kl"] is None
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "![PPO](figures/ppo.png)" in page
    assert "0.84 [0.79, 0.88]" in page
    assert "(nothing)" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]


def test_tables_have_even_columns_and_all_models():
    table = reporting.model_table(reporting.build_report(**parts()))
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 2 + len(reporting.ROW_KEYS)
    assert lines[0].split("|")[2:-1] and "SFT on top-ranked" in lines[0]
    assert "12.2" in table


def test_samples_come_from_different_families_and_are_the_first_of_each():
    def record(index, family, kind, reply):
        return ScoredReply(
            prompt=f"{family} {index}",
            reply=reply,
            family=family,
            template="t",
            kind=kind,
            gold=1.0,
            axes=dict.fromkeys(AXES, 1.0),
            applies=frozenset(AXES),
            refuses=False,
            complies=False,
            made_up=False,
        )

    kinds = [("facts", "plain"), ("facts", "plain"), ("harm", "harmful"), ("harm", "lookalike")]
    kinds += [("comfort", "plain"), ("errands", "plain"), ("honest", "unknowable")]
    rows = {
        name: [record(i, family, kind, name) for i, (family, kind) in enumerate(kinds)]
        for name in ("base", "sft", "rlhf")
    }
    samples = reporting.pick_samples(rows)
    assert [sample["prompt"] for sample in samples] == [
        *("harm 2", "harm 3", "honest 6"),
        *("facts 0", "comfort 4", "errands 5"),
    ]
    assert samples[0] == {"prompt": "harm 2", "base": "base", "sft": "sft", "rlhf": "rlhf"}
    assert len(reporting.pick_samples({"sft": rows["sft"][:2]})) == 2


def test_replace_section_keeps_everything_else():
    text = "before\n<!-- x:start -->\nold\n<!-- x:end -->\nafter\n"
    new = reporting.replace_section(text, "x", "\nnew\n")
    assert new == "before\n<!-- x:start -->\nnew\n<!-- x:end -->\nafter\n"
    assert reporting.replace_section(new, "x", "new") == new
    with pytest.raises(ValueError, match="once each"):
        reporting.replace_section(text, "y", "new")


def test_a_page_gets_all_sections_or_none(tmp_path, capsys):
    page = tmp_path / "page.md"
    old = "<!-- a:start -->\n1\n<!-- a:end -->\n<!-- b:start -->\n2\n<!-- b:end -->\n"
    page.write_text(old)
    with pytest.raises(ValueError, match="c:start"):
        reporting.fill_sections(page, {"a": "3", "c": "4"})
    assert page.read_text() == old
    reporting.fill_sections(page, {"a": "3", "b": "4"})
    assert page.read_text() == old.replace("1", "3").replace("2", "4")
    assert capsys.readouterr().out == "[tables] wrote a, b into page.md\n"
