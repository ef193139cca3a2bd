"""The doctor: each rule on histories written by hand, and the command that asks them."""

from __future__ import annotations

import json
import math

import pytest

from rlhf_tutorial import cli
from rlhf_tutorial.doctor import HEALTHY, NO_HISTORY, UNKNOWN, describe, diagnose, in_one_line
from tests.commands import fails_in_one_line

# A healthy run of 12 steps of 64 replies, as measured: KL settles, steps get smaller.
COLUMNS = {
    "objective/kl": [0.0, 0.46, 0.59, 0.6, 0.89, 1.42, 0.98, 1.3, 1.11, 1.44, 1.3, 1.15],
    "objective/scores": [-0.1, 0.1, 0.33, 0.3, 0.3, 0.42, 0.4, 0.26, 0.29, 0.27, 0.4, 0.44],
    "policy/entropy_avg": [0.6, 0.48, 0.49, 0.52, 0.52, 0.5, 0.44, 0.57, 0.45, 0.49, 0.45, 0.44],
    "policy/approxkl_avg": [0.07, 0.01, 0.02, *[0.01] * 5, 0.002, 0.001, 2e-4, 3e-5],
    "policy/clipfrac_avg": [0.075, 0.04, 0.03, 0.03, 0.02, 0.03, 0.02, 0.02, 0.01, 0.01, 0.0, 0.0],
    "loss/policy_avg": [-0.024, *[-0.005] * 11],
    "loss/value_avg": [0.28, 0.24, 0.26, 0.25, 0.27, 0.26, 0.25, 0.28, 0.25, 0.28, 0.24, 0.2],
    "val/ratio_first": [1.0] * 12,
    "val/reply_length": [18.0, 20.0, 17.0, 17.0, 16.0, 16.0, 17.0, 16.0, 16.0, 16.0, 18.0, 19.0],
    "val/num_eos_tokens": [64.0] * 12,
    "objective/kl_coef": [0.1] * 12,
}


def history(steps: int = 12, **changes) -> list[dict]:
    """Rows of the healthy run; `changes` gives columns anew, with _ for the first / of a name."""
    columns = {name: list(values) for name, values in COLUMNS.items()}
    columns |= {name.replace("_", "/", 1): values for name, values in changes.items()}
    rows = []
    for step in range(steps):
        row = {"step": step + 1, "episode": 64 * (step + 1), "lr": 3e-4 * (1 - step / 12)}
        row |= {name: values[step] for name, values in columns.items() if values is not None}
        if {"objective/kl", "objective/scores"} <= set(row):
            row["objective/rlhf_reward"] = row["objective/scores"] - 0.1 * row["objective/kl"]
        spoken = {"policy/entropy_avg", "val/reply_length"} <= set(row)
        if spoken and "objective/entropy" not in row:
            row["objective/entropy"] = row["policy/entropy_avg"] * row["val/reply_length"]
        rows.append(row)
    return rows


def times(name: str, factor: float) -> list[float]:
    return [factor * value for value in COLUMNS[name]]


def spoken(share: float) -> list[float]:
    """What sampled tokens' -log p sums to, if they are this much more surprising than entropy."""
    return [
        (1 + share + 0.01 * (-1) ** step) * entropy * length
        for step, (entropy, length) in enumerate(
            zip(COLUMNS["policy/entropy_avg"], COLUMNS["val/reply_length"], strict=True)
        )
    ]


KL = COLUMNS["objective/kl"]
JUMPY = [0.1, 0.9, -0.3, 0.8, 0.0, 1.0, -0.2, 0.9, 0.1, 0.8, -0.1, 1.0]
CASES = {
    "not a number": {"loss_value_avg": [0.28, 0.3, math.inf, *[0.3] * 9]},
    "dropout": {"val_ratio_first": [0.93] * 12},
    "padding": {
        "val_ratio_first": [0.98] * 12,
        "objective_kl": [8.0 + kl for kl in KL],
        "policy_clipfrac_avg": [0.2] * 12,
        "policy_approxkl_avg": [1.0] * 12,
    },
    "padding counted": {
        "val_ratio_first": [0.5] * 12,
        "objective_kl": [300.0] * 12,
        "policy_approxkl_avg": [90.0] * 12,
    },
    "restricted sampling": {
        "val_ratio_first": [0.988] * 12,
        "objective_kl": [0.23 + kl for kl in KL],
        "objective_entropy": spoken(-0.1),
    },
    "stale log-probabilities": {"val_ratio_first": [1.0, 1.03, 1.01, *[1.005] * 9]},
    "end token": {"val_num_eos_tokens": [0.0] * 12},
    "no KL": {"objective_kl_coef": [0.0] * 12},
    "moving reference": {"objective_kl": [0.0001] * 12},
    "advantages not whitened": {"loss_policy_avg": [-0.2] * 12},
    "value head": {"loss_value_avg": [5.0, 2.5, 1.6, 1.0, *[0.5] * 8]},
    "learning rate": {
        "policy_clipfrac_avg": times("policy/clipfrac_avg", 4),
        "policy_approxkl_avg": times("policy/approxkl_avg", 20),
    },
    "nothing moves": {
        "policy_approxkl_avg": [1e-9] * 12,
        "policy_clipfrac_avg": [0.0] * 12,
        "objective_kl": [0.0] * 12,
    },
    "KL sign": {"objective_kl": [0, 0.4, 0.6, 0.8, 1.9, 3.0, 2.3, 5.2, 5.3, 6.1, 9.6, 12.8]},
    "reward's place": {"objective_scores": JUMPY, "loss_value_avg": [0.03] * 12},
    "reward model's input": {
        "objective_scores": times("objective/scores", 0.1),
        "loss_value_avg": [0.02] * 12,
    },
    "collapse": {
        "policy_entropy_avg": [0.6, 0.3, 0.1, *[0.004] * 9],
        "objective_entropy": [11.0, 6.0, 1.7, *[0.07] * 9],
    },
}


@pytest.mark.parametrize("cause", CASES)
def test_each_rule_names_its_cause_first_with_numbers_and_advice(cause):
    found = diagnose(history(**CASES[cause]))[0]
    assert found.cause == cause, found
    assert found.check
    assert any(letter.isdigit() for letter in found.evidence)


def test_a_healthy_log_that_lacks_quantities_says_which_rules_were_not_asked():
    whole, lacking = diagnose(history())[0], diagnose(history(val_ratio_first=None))[0]
    assert whole.cause == lacking.cause == HEALTHY
    assert "not logged" not in whole.evidence
    assert lacking.evidence.endswith("not logged, so not asked about: val/ratio_first")


def test_a_value_loss_that_falls_late_is_no_fault_of_the_value_head():
    rows = history()
    rows += [
        rows[-1] | {"step": step, "episode": 64 * step, "loss/value_avg": 0.05}
        for step in range(13, 43)
    ]
    assert "value head" not in [finding.cause for finding in diagnose(rows)]
    early = history(**CASES["value head"])
    assert diagnose([*early, *rows[12:]])[0].cause == "value head"


@pytest.mark.parametrize("steps", [1, 2, 3, 6, 12])
def test_a_healthy_run_of_any_length_is_healthy(steps):
    assert [finding.cause for finding in diagnose(history(steps))] == [HEALTHY]


@pytest.mark.parametrize(
    ("share", "cause"),
    [(-0.1, "restricted sampling"), (0.3, "end token"), (0.02, HEALTHY), (-0.02, HEALTHY)],
)
def test_sampled_tokens_are_as_surprising_as_the_entropy_says(share, cause):
    assert diagnose(history(objective_entropy=spoken(share)))[0].cause == cause


def test_surprise_within_its_noise_is_no_finding():
    noisy = [
        value * (1.5 if step % 2 else 0.6) for step, value in enumerate(spoken(0.0))
    ]  # 5 % on average, and as much too little as too much
    assert diagnose(history(objective_entropy=noisy))[0].cause == HEALTHY


def test_a_mean_kl_below_zero_is_found_and_noise_around_zero_is_not():
    assert diagnose(history(objective_kl=[-kl for kl in KL]))[0].cause == "KL sign"
    assert diagnose(history(8, objective_kl=[-0.01, *KL[1:]]))[0].cause == HEALTHY
    assert diagnose(history(objective_kl_coef=[-0.1] * 12))[0].cause == "KL sign"


def test_kl_that_grows_while_the_objective_grows_is_no_wrong_sign():
    rising = [0.05 * 1.5**step for step in range(12)]
    found = diagnose(history(objective_kl=rising, objective_scores=[0.1 * s for s in range(12)]))
    assert [finding.cause for finding in found] == [HEALTHY]
    found = diagnose(history(objective_kl=rising, objective_scores=[0.01 * s for s in range(12)]))
    assert [finding.cause for finding in found] == ["KL sign"]


def test_few_tokens_excuse_a_loss_that_many_do_not():
    losses = [0.07] * 12
    rows = history(loss_policy_avg=losses, policy_approxkl_avg=[1e-4] * 12)
    assert diagnose(rows)[0].cause == "advantages not whitened"
    few = [{**row, "episode": 4 * row["step"]} for row in rows]
    assert "advantages not whitened" not in [finding.cause for finding in diagnose(few)]


def test_where_the_ratio_does_not_start_at_one_nothing_is_read_from_what_follows():
    causes = [f.cause for f in diagnose(history(**CASES["dropout"], loss_policy_avg=[-0.2] * 12))]
    assert causes == ["dropout"]
    causes = [f.cause for f in diagnose(history(**CASES["dropout"], objective_kl_coef=[0.0] * 12))]
    assert causes == ["dropout", "no KL"]  # what is set can be read all the same


def test_a_cause_is_named_once():
    found = diagnose(history(val_num_eos_tokens=[0.0] * 12, objective_entropy=spoken(0.4)))
    assert [finding.cause for finding in found] == ["end token"]


@pytest.mark.parametrize("name", COLUMNS)
def test_a_missing_quantity_alarms_nobody(name):
    rows = history(**{name.replace("/", "_", 1): None})
    assert diagnose(rows)[0].cause == HEALTHY


@pytest.mark.parametrize("cause", CASES)
@pytest.mark.parametrize("name", COLUMNS)
def test_a_spoilt_run_without_a_quantity_is_read_without_an_error(cause, name):
    assert diagnose(history(**{**CASES[cause], name.replace("/", "_", 1): None}))


@pytest.mark.parametrize("name", [*COLUMNS, "objective/entropy"])
def test_a_value_that_is_no_number_is_said_with_its_row(name):
    rows = history()
    rows[4][name] = math.nan
    found = diagnose(rows)[0]
    assert found.cause == "not a number"
    assert name in found.evidence and "row 5" in found.evidence


def test_a_history_of_values_that_are_no_numbers_is_read():
    rows = [dict.fromkeys(row, math.nan) for row in history()]
    assert diagnose(rows)[0].cause == "not a number"
    rows = [{**row, "objective/kl": None, "val/ratio_first": "one"} for row in history()]
    assert diagnose(rows)[0].cause == HEALTHY


def test_no_row_and_rows_of_something_else_are_one_clear_line():
    for rows, cause in (([], NO_HISTORY), ([{"loss": 1.0}], UNKNOWN), ([{}], UNKNOWN)):
        found = diagnose(rows)
        assert [finding.cause for finding in found] == [cause]
        assert in_one_line(rows) == ""


def test_findings_are_told_in_their_order():
    text = describe(diagnose(history(**CASES["dropout"], objective_kl_coef=[0.0] * 12)))
    assert text.index("1. dropout") < text.index("2. no KL")
    assert describe(diagnose(history())).startswith("healthy:")
    assert "\n" not in in_one_line(history(**CASES["no KL"]))
    assert in_one_line(history()) == ""


# ---- the command ----


def test_the_command_reads_lines_arrays_and_runs(tmp_path, capsys):
    rows = history(**CASES["no KL"])
    lines, array = tmp_path / "rows.jsonl", tmp_path / "rows.json"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    array.write_text(json.dumps(rows))
    run = tmp_path / "run"
    for name, made in (("rlhf-1", rows), ("rlhf-round2-2", history())):
        (run / "artefacts" / name).mkdir(parents=True)
        (run / "artefacts" / name / "history.json").write_text(json.dumps(made))
    for path in (lines, array, run / "artefacts" / "rlhf-1"):
        assert cli.main(["diagnose", str(path)]) == 0
        assert capsys.readouterr().out.startswith("no KL: ")
    assert cli.main(["diagnose", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "rlhf-1:\nno KL" in printed and "rlhf-round2-2:\nhealthy" in printed


def test_the_command_says_what_is_wrong_with_its_input(tmp_path, capsys):
    assert "there is no" in fails_in_one_line(capsys, "diagnose", tmp_path / "nothing")
    assert "no PPO history" in fails_in_one_line(capsys, "diagnose", tmp_path)
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text('{"objective/kl": 1.0}\n{"objective/kl": ')
    assert "line 2" in fails_in_one_line(capsys, "diagnose", damaged)
    damaged.write_text("")
    assert "empty" in fails_in_one_line(capsys, "diagnose", damaged)
    damaged.write_text("[]")
    assert "no row" in fails_in_one_line(capsys, "diagnose", damaged)
    damaged.write_text('{"loss": 1.0}\n')
    assert "no row has" in fails_in_one_line(capsys, "diagnose", damaged)


@pytest.mark.medium
def test_the_command_finds_the_history_of_a_run(tiny_run, capsys):
    assert cli.main(["diagnose", str(tiny_run.folder)]) == 0
    assert len(capsys.readouterr().out.splitlines()) >= 4  # two rounds, each with its name
