"""Ranking replies by hand in a terminal: what is typed, what is printed. The logic is elsewhere.

Replies come from models and prompts from anywhere, so control characters are shown as escapes
such as `\\x1b`; what is stored is the text as it was.
"""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from pathlib import Path

from rlhf_tutorial.preferences import PreferenceError
from rlhf_tutorial.prompt_turns import as_turns
from rlhf_tutorial.ranking_items import load_items
from rlhf_tutorial.ranking_session import RankingSession, RankingSessionError
from rlhf_tutorial.reported_artefacts import artefacts_of
from rlhf_tutorial.store import RankingStore
from rlhf_tutorial.typed_order import parse_order
from rlhf_tutorial.village.annotators import GUIDELINE_VERSION
from rlhf_tutorial.visible_text import harmless

HELP = """\
  2 1 3 4    the order, best first; 213 4 is the same
  2=1 3 4    2 and 1 are tied
  s REASON   skip: say why it cannot be ranked
  u          undo: the item before is shown again
  n TEXT     a note beside the next answer; n alone takes it away
  f          flag as harmful; f again takes it off
  q          quit: what is done is saved
  ?          this help"""

SHOWN = 3  # reasons or names, where a line tells of a file that is gone on with


def find_items_file(items: Path) -> Path:
    """The file itself, or the rankings that a run's report is about, else its newest ones.

    Raises:
        ValueError: there is no such path, or a folder without rankings.
    """
    if not items.exists():
        raise ValueError(f"there is no file or folder {items}: look at the path")
    if not items.is_dir():
        return items
    reported = artefacts_of(items).get("rankings")
    if reported is not None:
        return reported / "rankings.jsonl"
    found = sorted(
        items.glob("artefacts/rankings-*/rankings.jsonl"), key=lambda path: path.stat().st_mtime
    )
    if not found:
        raise ValueError(f"{items} holds no finished run: there are no rankings in artefacts/")
    return found[-1]


def rank(
    items: Path, out: Path, *, annotator: str = "anonymous", repeat: float = 0.1, seed: int = 0
) -> int:
    """Asks for orders on standard input until all is ranked, `q`, or the end of the input.

    Returns:
        The exit code: 0, or 2 if an answer could not be saved.

    Raises:
        ValueError: items, name, share or file are not as they should be; says what to do.
    """
    file = find_items_file(items)
    if out.exists() and out.samefile(file):
        raise ValueError(f"--out is {out}, where the items are: give another file")
    to_rank = load_items(file)
    with _open(out) as store:
        session = RankingSession(
            to_rank,
            annotator,
            store,
            seed=seed,
            repeat=repeat,
            guideline_version=GUIDELINE_VERSION,
        )
        if session.current is not None:
            _say_what_is_left(session, out)
        try:
            _ask_all(session, out)
        except (EOFError, KeyboardInterrupt):
            print()
        except UnicodeDecodeError:
            raise ValueError(
                "what was typed is no text in the terminal's encoding; "
                "what was ranked before is saved, and the same command goes on"
            ) from None
        finally:
            session.store.close()  # perhaps not the one that was opened first
        _say_what_is_done(session, items, file, out)
    if session.unsaved is not None:
        print(f"rlhf_tutorial: the last answer was not saved to {out}", file=sys.stderr)
        return 2
    return 0


def _ask_all(session: RankingSession, out: Path) -> None:
    """Item after item, until all are done or `q`."""
    if session.current is not None:
        print(f"Put the replies in order:\n{HELP}")
    _show(session)
    while session.current is not None:
        if session.unsaved is None:
            line = input("best first> ").strip()
        else:
            line = input("Enter tries again, q quits without it> ").strip()
        if line == "q":
            return
        item = session.current
        try:
            if session.unsaved is None:
                _obey(session, line)
            else:
                session.try_again(lambda: _open(out))
        except (RankingSessionError, PreferenceError) as error:
            print(f"  {harmless(str(error))}")  # the store says why it refuses
        if session.current is not item:
            _show(session)


def _obey(session: RankingSession, line: str) -> None:
    """One line that somebody typed, which is a command or an order."""
    command, _, rest = line.partition(" ")
    if command == "s":
        session.skip(rest.strip())
    elif command == "u":
        session.undo()
    elif command == "n":
        session.set_note(rest.strip())
        print("  noted" if session.note else "  no note")
    elif command == "f":
        print("  flagged as harmful" if session.flag() else "  not flagged")
    elif line in ("?", ""):
        print(HELP)
    else:
        session.submit(parse_order(line, len(session.shown)))


def _show(session: RankingSession) -> None:
    """The current item: how far, the prompt, and the replies with their numbers."""
    item = session.current
    if item is None:
        return
    # That an item comes back is not said: it would bias the agreement with oneself.
    print(f"\n{session.progress()}")
    for turn in as_turns(item.prompt):
        who = "prompt" if isinstance(item.prompt, str) else turn["role"]
        print(f"{who}: {harmless(turn['content'])}")
    for number, reply in enumerate(session.replies, start=1):
        print(f"  {number}  {harmless(reply)}")
    if session.note:
        print(f"  note: {harmless(session.note)}")
    if session.flags:
        print(f"  flags: {harmless(', '.join(session.flags))}")


def _say_what_is_left(session: RankingSession, out: Path) -> None:
    """One or two lines on a file that was gone on with; none for a new one."""
    if not any(session.counts().values()):
        others = sorted({record.annotator for record in session.store.rankings()})
        others = [name for name in others if name != session.annotator]
        if others:
            # Perhaps the same person, who had another name in a notebook or forgot the option.
            print(
                f"{out} holds rankings by {_first_few(others)} and none of these items by "
                f"{harmless(session.annotator)}; --annotator NAME goes on under another name."
            )
        return
    left = session.what_is_left()
    print(f"Going on with {out}: {len(left.not_ranked) + left.repeats} left to rank.")
    if left.skipped:
        reasons = list(dict.fromkeys(reason for _, reason in left.skipped))
        print(f"Skipped, and not asked again: {len(left.skipped)} ({_first_few(reasons)}).")


def _first_few(texts: list[str]) -> str:
    """Texts that somebody wrote, in one line that stays short."""
    shown = [harmless(text) for text in texts[:SHOWN]]
    return "; ".join([*shown, "..."] if len(texts) > SHOWN else shown)


def _say_what_is_done(session: RankingSession, items: Path, file: Path, out: Path) -> None:
    counts = session.counts()
    print(
        f"\nRanked {counts['ranked']} and skipped {counts['skipped']} of {session.size} items; "
        f"{counts['repeated']} ranked once more."
    )
    own = session.agreement()
    if own is not None and own["pairs"]:
        print(f"You agreed with yourself on {own['pairwise']:.0%} of {own['pairs']} pairs.")
    print(f"File: {out}")
    if counts["ranked"]:
        run = f"python -m rlhf_tutorial run --my-rankings {shlex.quote(str(out))}"
        print(f"Next: {run}{_same_run(items, file)}")


def _same_run(items: Path, file: Path) -> str:
    """Options under which a run takes over what the folder of items holds; empty for a file."""
    about = file.parent / "stage.json"
    if not items.is_dir() or not about.exists():
        return ""
    told = json.loads(about.read_text(encoding="utf-8"))
    return f" --preset {told['preset']} --seed {told['seed']} --out {shlex.quote(str(items))}"


def _open(out: Path) -> RankingStore:
    """The store; what it warns of, a half-written last line, is told in one line."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        store = RankingStore(out)
    for warning in told:
        print(f"rlhf_tutorial: {warning.message}", file=sys.stderr)
    return store
