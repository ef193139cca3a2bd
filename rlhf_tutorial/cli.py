"""The command line, ``python -m rlhf_tutorial``; `--help` lists the commands.

Bad input ends with one line on standard error and exit code 2, never with a traceback.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

SEEDS = 2**32  # more than anyone needs, and small enough for every generator
EXPORT_FORMATS = ("trl", "trl-chat", "hh-rlhf", "label-studio", "argilla")
BENCHES = ("sampling", "pretraining", "finetuning")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= SEEDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {SEEDS - 1}")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return share


def _name(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a name is needed; a pseudonym will do")
    return text


def build_parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    parser = _Parser(
        prog="rlhf_tutorial", description="Reinforcement learning from human feedback, by doing."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    run = commands.add_parser("run", help="all stages, from documents to the report")
    run.add_argument("--preset", default="quick", help="quick (minutes), full, or tiny (a trial)")
    run.add_argument("--seed", type=_seed, default=0, help="of everything random")
    run.add_argument("--out", type=Path, default=None, help="folder; runs/PRESET-SEED if not given")
    run.add_argument("--rounds", type=int, default=1, help="turns of the loop")
    run.add_argument("--my-rankings", type=Path, help="JSON Lines file of your own rankings")
    run.add_argument(
        "--split",
        default="test",
        choices=("development", "test"),
        help="prompts to evaluate on: development while settings are chosen",
    )

    report = commands.add_parser("report", help="the table of a finished run once more")
    report.add_argument("folder", type=Path, help="the folder of a finished run")

    chat = commands.add_parser("chat", help="talk to base, SFT and RLHF side by side")
    chat.add_argument("folder", type=Path, help="the folder of a finished run")
    chat.add_argument("--seed", type=_seed, default=0, help="of the sampled replies")
    chat.add_argument("--temperature", type=float, default=1.0, help="of sampling, above 0")

    rank = commands.add_parser("rank", help="put replies in order yourself")
    rank.add_argument("items", type=Path, help="JSON Lines with prompt and replies, or a run")
    rank.add_argument("--out", type=Path, default=Path("my_rankings.jsonl"), help="file to add to")
    rank.add_argument("--annotator", type=_name, default="anonymous", help="a pseudonym will do")
    rank.add_argument("--repeat", type=_share, default=0.1, help="share shown once more at the end")
    rank.add_argument("--seed", type=_seed, default=0, help="of the order on the screen")

    bench = commands.add_parser("bench", help="how fast the parts are here, as ratios")
    bench.add_argument("--only", nargs="+", choices=BENCHES, help="some parts; all if not given")
    bench.add_argument("--run", type=Path, help="folder of a finished run, whose SFT model to use")
    bench.add_argument("--turns", type=int, default=3, help="times that each side is measured")

    doctor = commands.add_parser("diagnose", help="what went wrong in a run of PPO")
    doctor.add_argument("path", type=Path, help="a run's folder, or JSON Lines of logged rows")

    preferences = commands.add_parser("preferences", help="look at rankings, pool, export them")
    _add_preferences(preferences.add_subparsers(dest="action", required=True))
    return parser


def _add_preferences(commands: argparse._SubParsersAction) -> None:
    """The four commands below `preferences`, with their options."""
    summary = commands.add_parser("summary", help="what the files hold, and how far people agree")
    validate = commands.add_parser("validate", help="every fault with its line; exit code 2 if any")
    merge = commands.add_parser("merge", help="pool the files of a class into one")
    export = commands.add_parser("export", help="write them in a format of the field")
    for command in (summary, validate, merge, export):
        command.add_argument("files", nargs="+", type=Path, metavar="FILE", help="of rankings")
    for command in (merge, export):
        command.add_argument("--out", type=Path, required=True, help="file to write")
        command.add_argument(
            "--replace", action="store_true", help="even if --out holds other data"
        )
        command.add_argument("--skip-damaged", action="store_true", help="leave damaged lines out")
    merge.add_argument("--drop-names", action="store_true", help="person-1, person-2, ... instead")
    merge.add_argument(
        "--drop-times", action="store_true", help="neither when nor how many seconds"
    )
    export.add_argument("--format", choices=EXPORT_FORMATS, required=True, help="whose format")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0, 2 for bad input, 130 for Ctrl-C."""
    options = build_parser().parse_args(arguments)
    try:
        commands = {
            "run": _run,
            "report": _report,
            "chat": _chat,
            "rank": _rank,
            "preferences": _preferences,
            "bench": _bench,
            "diagnose": _diagnose,
        }
        return commands[options.command](options)
    except KeyboardInterrupt:
        print(
            "\nStopped. Finished stages are kept; the same command goes on from there.",
            file=sys.stderr,
        )
        return 130
    except (ValueError, OSError) as error:
        print(f"rlhf_tutorial: {explain(error)}", file=sys.stderr)
        return 2


def explain(error: Exception) -> str:
    """One line for a person: no error numbers, and what to do where that is known."""
    from rlhf_tutorial.stages_disk import is_full_disk

    text = str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
        if is_full_disk(error) and "disk is full" not in text:
            text = "the disk is full; free some space and start again"
        elif isinstance(error, PermissionError):
            text = "no permission to write or read there; give another folder"
        if error.filename is not None:
            text = f"{error.filename}: {text}"
    return " ".join(text.split())


def _quiet() -> None:
    """Keeps the bars of transformers out of ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def _run(options: argparse.Namespace) -> int:
    from rlhf_tutorial import presets

    presets.get_preset(options.preset)
    _quiet()
    from rlhf_tutorial import own_rankings, stages_run

    if options.my_rankings:
        own_rankings.check_rankings_file(options.my_rankings)
    out = options.out or Path("runs") / f"{options.preset}-{options.seed}"
    report = stages_run.run(
        options.preset,
        options.seed,
        out,
        rounds=options.rounds,
        my_rankings=options.my_rankings,
        split=options.split,
    )
    _show(report, out)
    return 0


def _report(options: argparse.Namespace) -> int:
    from rlhf_tutorial import reporting

    _show(reporting.read_report(options.folder), options.folder)
    return 0


def _show(report: dict, out: Path) -> None:
    """The end of a run: the tables, six prompts, where everything lies, what to do next."""
    from rlhf_tutorial import reporting

    parts = [reporting.model_table(report), reporting.win_rate_table(report)]
    if len(report.get("rounds", [])) > 1:
        parts.append(reporting.rounds_table(report))
    parts.append(reporting.sample_text(report))
    print("\n" + "\n\n".join(parts) + "\n")
    print(f"Report:  {Path(out) / 'report.md'}")
    print(f"Figures: {Path(out) / 'figures'}")
    if (Path(out) / "notebooks").is_dir():
        print(f"Notebooks, run: {Path(out) / 'notebooks'}")
    print(f"Talk to the three models: python -m rlhf_tutorial chat {out}")
    usual = {"PRESET": (report["preset"], "quick"), "SEED": (report["seed"], 0)}
    other = [f" {name}={value}" for name, (value, default) in usual.items() if value != default]
    print("Next: make lab" + "".join(other))


def _chat(options: argparse.Namespace) -> int:
    from rlhf_tutorial import stages_chat

    _quiet()
    return stages_chat.converse(options.folder, seed=options.seed, temperature=options.temperature)


def _rank(options: argparse.Namespace) -> int:
    from rlhf_tutorial import cli_rank

    return cli_rank.rank(
        options.items,
        options.out,
        annotator=options.annotator,
        repeat=options.repeat,
        seed=options.seed,
    )


def _preferences(options: argparse.Namespace) -> int:
    from rlhf_tutorial import cli_preferences

    return cli_preferences.main(options)


def _bench(options: argparse.Namespace) -> int:
    if options.turns < 1:
        raise ValueError(f"--turns is {options.turns}: it must be at least 1")
    from rlhf_tutorial import cli_bench

    return cli_bench.main(options)


def _diagnose(options: argparse.Namespace) -> int:
    from rlhf_tutorial import cli_diagnose

    return cli_diagnose.main(options.path)
