"""What notebook 03 needs around the ranking itself: items that stay, one open file, and a way on.

Items are kept in the run's folder under the key of the model that wrote them. So a reader who
comes back after a restart goes on with the very same items, and a new model brings new ones.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from rlhf_tutorial import course, course_stand_in, json_records, widgets
from rlhf_tutorial.preferences import Ranking, load_rankings
from rlhf_tutorial.ranking_items import Item, load_items
from rlhf_tutorial.ranking_session import RankingSession
from rlhf_tutorial.stages import Artefact
from rlhf_tutorial.village.annotators import GUIDELINE_VERSION
from rlhf_tutorial.visible_text import harmless


def keep_items(items: Sequence[Item], writer: Artefact) -> list[Item]:
    """The items that were kept for this model on an earlier run, or these, kept from now on."""
    path = course.run_folder() / f"items-{writer.path.name}.jsonl"
    if not path.is_file():
        rows = [
            {"prompt": item.prompt, "replies": list(item.replies), "model": item.model}
            for item in items
        ]
        json_records.write_rows(rows, path)
    return load_items(path)


def open_session(items: Sequence[Item], *, repeat: float) -> RankingSession:
    """A session on the reader's file, or on the stand-in's; what was ranked before still counts.

    `repeat` is the share of items that are shown once more. A cell that is run again goes on.

    Raises:
        StoreLockedError: another notebook has the file open.
    """
    return RankingSession(
        items,
        course.reader_name(),
        widgets.open_store(course.rankings_file()),
        seed=course.seed(),
        repeat=repeat,
        guideline_version=GUIDELINE_VERSION,
        clock=course_stand_in.CLOCK if course.is_headless() else time.monotonic,
    )


def of_one_person(rankings: Sequence[Ranking]) -> list[Ranking]:
    """The reader's own rankings, or where there are none those of whoever ranked most.

    A profile is of one person, and a file may hold several: the terminal ranks as "anonymous"
    unless told otherwise. Whose rankings are left out is printed; of one person, nothing is.
    """
    counts = Counter(ranking.annotator for ranking in rankings)
    if len(counts) < 2:
        return list(rankings)
    reader = course.reader_name()
    kept = reader if reader in counts else counts.most_common(1)[0][0]
    others = ", ".join(f"{counts[name]} by {name}" for name in sorted(counts) if name != kept)
    print(
        f"Your file holds rankings under {len(counts)} names. What follows is about "
        f"{harmless(kept)} alone ({counts[kept]} of {len(rankings)}); left out: {harmless(others)}."
    )
    return [ranking for ranking in rankings if ranking.annotator == kept]


def go_on() -> None:
    """Build reward model and policy with the reader's rankings, and say whose they are."""
    if not course.own_rankings():
        print("Nothing is ranked yet. Rank at least one item above, then press again.")
        return
    rankings = course.artefact("rankings")
    print(course.whose(load_rankings(rankings.path / "rankings.jsonl")))
    for stage in ("reward_model", "rlhf"):
        course.artefact(stage)
    print("A reward model and a policy have learnt from them. Notebooks 04 to 06 load these two.")


def go_on_button(action: Callable[[], None] = go_on):
    """A button that goes on from the rankings so far, with what it prints below it."""
    import ipywidgets

    button = ipywidgets.Button(
        description="Go on with my rankings", layout=ipywidgets.Layout(width="16em")
    )
    output = ipywidgets.Output()

    def pressed(_: object) -> None:
        button.disabled = True
        output.clear_output()
        with output:
            try:
                action()
            except (ValueError, OSError) as error:
                print(error)
            finally:
                button.disabled = False

    button.on_click(pressed)
    return ipywidgets.VBox([button, output])
