"""A picture that is drawn anew while a model trains, and that stays as one picture in the end.

Jupyter lets an output be replaced later. What is saved with the notebook is the last picture, so
the notebook also reads well where nothing runs.
"""

from __future__ import annotations

from rlhf_tutorial.course import is_headless


class LivePicture:
    """One place on the page for a figure that changes.

    `draw` shows the figure there. Headless only `finish` does, since nobody watches.
    """

    def __init__(self) -> None:
        self._handle = None

    def draw(self, figure) -> None:
        """Replace the picture."""
        if not is_headless():
            self._put(figure, "")

    def finish(self, figure, caption: str) -> None:
        """Replace the picture for the last time, with a sentence that says what to see."""
        from IPython.display import HTML, display

        self._put(figure, caption)
        display(HTML(f"<p><em>{caption}</em></p>"))

    def _put(self, figure, caption: str) -> None:
        import io

        from IPython.display import Image, display

        from rlhf_tutorial.plotting import PAPER

        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110, facecolor=PAPER)
        picture = Image(file.getvalue(), alt=caption)
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)
