"""The command line: what it writes and prints, and one clear line for everything that is wrong."""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlhf_tutorial import (
    cli,
    cli_rank,
    presets,
    reported_artefacts,
    reporting,
    stages,
    stages_build,
    stages_chat,
    stages_run,
)
from tests.commands import fails_in_one_line
from tests.store_cases import posix_only, ranking

TINY = presets.PRESETS["tiny"]
ROOT = Path(__file__).resolve().parent.parent
AXES = ("clarity", "helpfulness", "correctness", "tone", "harmlessness", "honesty")


@pytest.fixture
def no_run(monkeypatch):
    """The report of a run that never happens: what is wrong must be found before it."""

    def refuse(*arguments, **options):
        pytest.fail("a stage is built although the input is wrong")

    for stage in stages.STAGES:
        monkeypatch.setitem(stages_build.BUILDERS, stage, refuse)


def in_new_process(*arguments: object, cwd: Path, **options) -> subprocess.CompletedProcess:
    """The command as a user types it, in any folder."""
    command = [sys.executable, "-m", "rlhf_tutorial", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=environment(), capture_output=True, text=True, **options
    )


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}


# Help and options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["run", "chat", "rank"]),
        (
            ["run", "--help"],
            ["--preset", "--seed", "--out", "--rounds", "--my-rankings", "--split"],
        ),
        (["chat", "--help"], ["folder", "--seed", "--temperature"]),
        (["rank", "--help"], ["items", "--out", "--annotator", "--repeat", "--seed"]),
    ],
)
def test_help_is_everywhere(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(word in text for word in words)


def test_help_works_from_any_folder_and_loads_nothing_heavy(tmp_path):
    code = "import sys; from rlhf_tutorial import cli; cli.build_parser(); print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"torch", "transformers"} & set(found.stdout.split())
    assert "run" in in_new_process("--help", cwd=tmp_path, check=True).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: command"),
        (["walk"], "invalid choice: 'walk'"),
        (["run", "--preset", "quik"], "unknown preset 'quik': choose one of tiny, quick, full"),
        (["run", "--seed", "three"], "'three' is not a whole number from 0"),
        (["run", "--seed", "-1"], "'-1' is not a whole number from 0"),
        (["run", "--seed", str(2**32)], f"from 0 to {2**32 - 1}"),
        (["run", "--split", "train"], "invalid choice: 'train'"),
        (["run", "--rounds", "0"], "--rounds is 0: it must be at least 1"),
        (["run", "--rounds", "two"], "invalid int value: 'two'"),
        (["run", "--colour"], "unrecognized arguments: --colour"),
        (["chat"], "required: folder"),
    ],
)
def test_wrong_options_are_told_in_one_line(arguments, message, no_run, capsys, tmp_path):
    if "run" in arguments:
        arguments = [*arguments, "--out", tmp_path / "new"]
    assert message in fails_in_one_line(capsys, *arguments)
    assert not (tmp_path / "new").exists()


def test_the_folder_is_named_after_preset_and_seed_unless_given(monkeypatch, tmp_path):
    asked = []

    def run(preset, seed, out, **options):
        asked.append(out)
        raise ValueError("enough")

    monkeypatch.setattr(stages_run, "run", run)
    assert cli.main(["run", "--preset", "tiny", "--seed", "3"]) == 2
    assert cli.main(["run", "--out", str(tmp_path / "three")]) == 2
    assert asked == [Path("runs") / "tiny-3", tmp_path / "three"]


# Folders and files


def test_out_that_is_a_file_is_told(no_run, capsys, tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear all")
    assert f"{path} is a file" in fails_in_one_line(
        capsys, "run", "--preset", "tiny", "--out", path
    )
    assert path.read_text() == "Dear all"


def test_out_with_other_things_in_it_is_left_alone(no_run, capsys, tmp_path):
    (tmp_path / "thesis.txt").write_text("Chapter 1")
    line = fails_in_one_line(capsys, "run", "--preset", "tiny", "--out", tmp_path)
    assert "is not empty and not a run of this tutorial" in line
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_out_that_cannot_be_made_is_told(no_run, capsys, tmp_path, monkeypatch):
    def refuse(path, *arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    line = fails_in_one_line(capsys, "run", "--preset", "tiny", "--out", tmp_path / "new")
    assert f"{tmp_path / 'new'}: no permission to write or read there" in line


@posix_only
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_out_without_permission_is_told(no_run, capsys, tmp_path):
    tmp_path.chmod(0o500)
    try:
        line = fails_in_one_line(capsys, "run", "--preset", "tiny", "--out", tmp_path / "new")
        assert "no permission" in line
    finally:
        tmp_path.chmod(0o700)


def test_a_damaged_file_of_rankings_is_told_with_its_line(no_run, capsys, tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(ranking("a").to_json() + "\n{half a rec\n" + ranking("b").to_json() + "\n")
    arguments = ("run", "--preset", "tiny", "--out", tmp_path / "new", "--my-rankings")
    assert f"{path}, line 2: " in fails_in_one_line(capsys, *arguments, path)
    assert "no file of rankings" in fails_in_one_line(capsys, *arguments, tmp_path / "none.jsonl")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_told_in_one_line(capsys, tmp_path, monkeypatch):
    def fill(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "report.json"))

    monkeypatch.setattr(stages_run, "run", fill)
    line = fails_in_one_line(capsys, "run", "--preset", "tiny", "--out", tmp_path)
    assert "report.json: the disk is full; free some space and start again" in line


def test_a_full_disk_while_a_stage_is_saved_keeps_what_was_finished(capsys, tmp_path, monkeypatch):
    def base(request, round, folder, ancestors, progress):
        (folder / "model.safetensors").write_bytes(b"whole")
        return []

    def sft(request, round, folder, ancestors, progress):
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setitem(stages_build.BUILDERS, "base", base)
    monkeypatch.setitem(stages_build.BUILDERS, "sft", sft)
    line = fails_in_one_line(capsys, "run", "--preset", "tiny", "--out", tmp_path / "run")
    assert "the disk is full: the stage SFT was not kept" in line
    assert [path.name.split("-")[0] for path in (tmp_path / "run/artefacts").iterdir()] == ["base"]


@pytest.mark.medium
def test_a_full_disk_leaves_the_report_before_it_whole(tiny_run, tmp_path, monkeypatch):
    text = (tiny_run.folder / "report.json").read_text(encoding="utf-8")
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    real_open = os.fdopen

    def half_a_disk(*arguments, **options):
        stream = real_open(*arguments, **options)
        real_write = stream.write

        def write(content):
            real_write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        stream.write = write
        return stream

    monkeypatch.setattr(os, "fdopen", half_a_disk)
    with pytest.raises(OSError):
        reporting.write_report({**json.loads(text), "seed": 99}, tmp_path)
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == text
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


# A real run


@pytest.mark.medium
def test_the_report_has_all_that_is_promised(tiny_run):
    report = json.loads((tiny_run.folder / "report.json").read_text(encoding="utf-8"))
    assert report["preset"] == "tiny" and report["seed"] == 0
    assert set(report["machine"]) == {"cores", "threads"}
    assert {"python", "torch", "transformers"} <= set(report["versions"])
    stages_timed = ("pretraining", "sft", "preferences", "reward_model", "ppo", "evaluation")
    assert {*stages_timed, "total"} <= set(report["seconds"])
    assert report["seconds"]["total"] == pytest.approx(
        sum(value for name, value in report["seconds"].items() if name != "total"), abs=0.1
    )
    assert report["peak_rss_mb"] > 100
    rates = ("harmful_compliance", "over_refusal", "made_up")
    for name in ("base", "sft", "best_ranked_sft", "rlhf"):
        row = report["models"][name]
        assert set(row) == {"gold", *AXES, *rates, "distinct", "length"}
        assert all(0 <= row[key] <= 1 for key in ("gold", *rates, "distinct"))
    for name in ("rlhf_vs_sft", "sft_vs_base", "best_ranked_sft_vs_sft"):
        rate = report["win_rate"][name]
        assert 0 <= rate["low"] <= rate["mean"] <= rate["high"] <= 1
        assert rate["n"] == TINY.test_prompts
    assert {"rankings", "pairs", "accuracy_vs_gold", "accuracy_held_out", "ece"} <= set(
        report["reward_model"]
    )
    assert set(report["ppo"]) == {"steps", "kl", "samples_per_second"}
    assert report["ppo"]["steps"] == TINY.ppo.steps
    assert len(report["samples"]) == 6
    for sample in report["samples"]:
        assert set(sample) == {"prompt", "base", "sft", "rlhf"}


@pytest.mark.medium
def test_the_report_shows_both_rounds(tiny_run):
    report = json.loads((tiny_run.folder / "report.json").read_text(encoding="utf-8"))
    first, second = report["rounds"]
    assert (first["round"], second["round"]) == (1, 2)
    assert (first["rankings"], second["rankings"]) == (TINY.rankings, 2 * TINY.rankings)
    for row in (first, second):
        assert row["win_rate_vs_sft"]["n"] == TINY.test_prompts
    # What the report calls RLHF is the last policy.
    assert report["models"]["rlhf"]["gold"] == second["gold"]
    assert report["reward_model"]["rankings"] == 2 * TINY.rankings
    replies = 2 * TINY.ppo.steps * TINY.ppo.batch_size  # in the seconds of both rounds
    speed = report["ppo"]["samples_per_second"]
    assert speed == pytest.approx(replies / report["seconds"]["ppo"], rel=0.02)
    assert report["artefacts"]["rlhf"].startswith("rlhf-round2-")
    assert all((tiny_run.folder / "artefacts" / n).is_dir() for n in report["artefacts"].values())
    page = (tiny_run.folder / "report.md").read_text(encoding="utf-8")
    assert reporting.rounds_table(report) in page
    assert "| 2     | 48 " in reporting.rounds_table(report)


@pytest.mark.medium
def test_what_is_printed_says_what_came_out_and_what_to_do_next(tiny_run):
    printed = tiny_run.printed
    for word in ("gold reward", "SFT on top-ranked", "harmful compliance", "over refusal"):
        assert word in printed
    assert "RLHF over SFT" in printed
    assert printed.count("- RLHF: ") == 6
    assert str(tiny_run.folder / "report.md") in printed
    assert f"chat {tiny_run.folder}" in printed and "make lab" in printed


@pytest.mark.medium
def test_the_table_can_be_shown_again(tiny_run, capsys):
    assert cli.main(["report", str(tiny_run.folder)]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() and printed.strip() in tiny_run.printed


def test_a_report_that_is_not_there_or_damaged_is_told(capsys, tmp_path):
    assert "there is no report.json" in fails_in_one_line(capsys, "report", tmp_path)
    (tmp_path / "report.json").write_text("{")
    assert "is damaged" in fails_in_one_line(capsys, "report", tmp_path)


@pytest.mark.medium
def test_report_and_figures_lie_in_the_folder(tiny_run):
    names = {path.name for path in tiny_run.folder.iterdir()}
    assert names == {"artefacts", "figures", "report.json", "report.md", stages_run.MARKER}
    page = (tiny_run.folder / "report.md").read_text(encoding="utf-8")
    figures = list((tiny_run.folder / "figures").glob("*.png"))
    assert len(figures) >= 4
    assert all(f"figures/{path.name}" in page for path in figures)


@pytest.mark.medium
def test_a_second_run_from_another_folder_builds_nothing_again(tiny_run, tmp_path):
    home = tmp_path / "runs" / "again"
    shutil.copytree(tiny_run.folder, home)
    (home / "report.json").unlink()
    before = {path.name for path in (home / "artefacts").iterdir()}
    arguments = ("run", "--preset", "tiny", "--out", Path("runs") / "again")
    ended = in_new_process(*arguments, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in (home / "artefacts").iterdir()} == before
    again = json.loads((home / "report.json").read_text(encoding="utf-8"))
    assert [row["round"] for row in again["rounds"]] == [1]
    first = json.loads((tiny_run.folder / "report.json").read_text(encoding="utf-8"))
    assert again["models"]["sft"] == pytest.approx(first["models"]["sft"], abs=0.05)


@posix_only
@pytest.mark.medium
def test_ctrl_c_and_kill_leave_finished_stages_and_nothing_else(tmp_path, monkeypatch):
    home = tmp_path / "artefacts"

    killed = start_run(tmp_path)
    wait_for(killed, lambda: list(home.glob(".base-*")))
    killed.kill()
    killed.wait()
    assert list(home.glob(".base-*"))

    stopped = start_run(tmp_path)
    wait_for(stopped, lambda: list(home.glob("base-*/stage.json")))
    stopped.send_signal(signal.SIGINT)
    _, errors = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, errors
    assert "Stopped. Finished stages are kept" in errors and "Traceback" not in errors
    assert not list(home.glob(".*"))
    assert not (tmp_path / "report.json").exists()

    monkeypatch.delitem(stages_build.BUILDERS, "base")  # must not be needed any more
    sft = stages.load_or_build("sft", preset="tiny", folder=home, progress=False)
    assert sft.model().config.n_layer == 4


def start_run(folder: Path) -> subprocess.Popen:
    """A run in a process of its own, in which SIGINT works as in a terminal."""
    # A shell that starts pytest in the background lets it ignore SIGINT, and its children too.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from rlhf_tutorial.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, "run", "--preset", "tiny", "--out", str(folder)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: subprocess.Popen, happened, seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, "nothing happened for minutes"
        time.sleep(0.02)


# Chat


def test_chat_without_a_finished_run_is_told(capsys, tmp_path):
    line = fails_in_one_line(capsys, "chat", tmp_path / "none")
    assert "has no finished stage base, sft, rlhf: make it with" in line


def test_chat_with_a_temperature_of_zero_is_told(capsys, tmp_path):
    line = fails_in_one_line(capsys, "chat", tmp_path, "--temperature", "0")
    assert "--temperature is 0.0: it must be above 0" in line


@pytest.mark.medium
def test_chat_answers_with_three_models_and_survives_odd_prompts(tiny_run, capsys, monkeypatch):
    lines = ["Where does Pablo live?", "Who is the zeppelin 🙂?", "bread " * 200, ""]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    assert cli.main(["chat", str(tiny_run.folder), "--seed", "5"]) == 0
    printed = capsys.readouterr().out
    for name in ("base: ", "SFT:  ", "RLHF: "):
        assert printed.count(f"\n{name}") + printed.count(f"  {name}") >= 2, printed
    assert "the village does not know: zeppelin" in printed
    assert "does not fit the model's context of 160: shorten it" in printed


@pytest.mark.medium
@pytest.mark.parametrize("end", [EOFError, KeyboardInterrupt])
def test_chat_ends_with_the_input_and_with_ctrl_c(end, tiny_run, monkeypatch):
    def stop(prompt):
        raise end

    monkeypatch.setattr(builtins, "input", stop)
    assert cli.main(["chat", str(tiny_run.folder)]) == 0


@pytest.mark.medium
def test_chat_notices_a_checkpoint_of_another_vocabulary(tiny_run, tmp_path, capsys):
    from tests.tiny import tiny_tokenizer

    folder = tmp_path / "run"
    shutil.copytree(tiny_run.folder, folder)
    sft = stages_chat.find_models(folder)["sft"].path
    tiny_tokenizer().save_pretrained(sft)
    line = fails_in_one_line(capsys, "chat", folder)
    assert "vocabulary of" in line and str(sft) in line


def finished_stage(folder: Path, stage: str, seed: int, age: float, round: int = 1) -> None:
    path = folder / "artefacts" / f"{stage}-{seed}-{round}" / "stage.json"
    path.parent.mkdir(parents=True)
    about = {"stage": stage, "round": round, "preset": "tiny", "seed": seed, "seconds": 1.0}
    path.write_text(json.dumps(about))
    os.utime(path, (time.time() - age, time.time() - age))


def test_chat_takes_models_of_one_run_and_its_last_round(tmp_path):
    for stage in ("base", "sft", "rlhf"):
        finished_stage(tmp_path, stage, seed=0, age=300)
    finished_stage(tmp_path, "rlhf", seed=0, age=200, round=2)
    for stage in ("base", "sft"):  # a later run, interrupted before its RLHF model
        finished_stage(tmp_path, stage, seed=1, age=100)
    found = stages_chat.find_models(tmp_path)
    assert [path.path.name for path in found.values()] == ["base-0-1", "sft-0-1", "rlhf-0-2"]


def test_chat_and_rank_take_what_the_report_is_about_whatever_lies_beside_it(tmp_path, monkeypatch):
    about = {"preset": "tiny", "seed": 0}
    names = {stage: f"{stage}-0-1" for stage in ("base", "sft", "rankings", "rlhf")}
    for stage in names:
        finished_stage(tmp_path, stage, seed=0, age=300)
    finished_stage(tmp_path, "rlhf", seed=0, age=200, round=2)  # a notebook's
    finished_stage(tmp_path, "rankings", seed=0, age=200, round=2)
    finished_stage(tmp_path, "rlhf", seed=1, age=50)
    (tmp_path / "report.json").write_text("{}")
    for report, last in ((about | {"artefacts": names}, "rlhf-0-1"), (about, "rlhf-0-2")):
        for module in (reported_artefacts, stages_chat):
            monkeypatch.setattr(module, "read_report", lambda folder, report=report: report)
        found = stages_chat.find_models(tmp_path)
        assert [path.path.name for path in found.values()] == ["base-0-1", "sft-0-1", last]
    monkeypatch.setattr(reported_artefacts, "read_report", lambda folder: {"artefacts": names})
    assert cli_rank.find_items_file(tmp_path).parent.name == "rankings-0-1"


@pytest.mark.parametrize("text", ["[]", "{", '{"preset": "tiny"}', '"report"'])
def test_a_foreign_or_damaged_report_is_told_in_one_line(tmp_path, capsys, text):
    for stage in ("base", "sft", "rlhf"):
        finished_stage(tmp_path, stage, seed=0, age=300)
    (tmp_path / "report.json").write_text(text)
    for command in ("report", "chat", "rank"):
        line = fails_in_one_line(capsys, command, tmp_path)
        assert "report.json" in line and (
            "damaged" in line or "lacks" in line or "expected" in line
        )


def test_a_damaged_stage_is_told_with_what_to_do(tmp_path, capsys):
    for stage in ("base", "sft", "rlhf"):
        finished_stage(tmp_path, stage, seed=0, age=300)
    (tmp_path / "artefacts" / "sft-0-1" / "stage.json").write_text("")
    line = fails_in_one_line(capsys, "chat", tmp_path)
    assert "stage.json is damaged: remove" in line and "it is built again" in line
