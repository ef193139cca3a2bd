"""A picture that is drawn anew while a model trains, and that stays as one picture in the end.

Jupyter lets an output be replaced later. What is saved with the notebook is the last picture, so
the notebook also reads well where nothing runs.
"""

from __future__ import annotations

from rlhf_tutorial.course import is_headless, show_caption
from rlhf_tutorial.plotting_parts import png_bytes


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
        self._put(figure, caption)
        show_caption(caption)

    def _put(self, figure, caption: str) -> None:
        from IPython.display import Image, display

        picture = Image(png_bytes(figure, dpi=110), alt=caption)
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)
