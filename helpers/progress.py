"""Progress for a person and for the record: a live bar while somebody watches, about five lines that stay.

The environment variable HELPERS_PROGRESS=milestones leaves the bar out, for automated runs; the lines are
the same in both, so that what a reader sees agrees with what is committed.
"""

import os

VARIABLE = "HELPERS_PROGRESS"


class Progress:
    """Iterate over range(start, total), with a bar; lines given to :meth:`say` stay at about ``lines`` milestones.

    ``show=False`` keeps it silent.

    progress = Progress(300, unit="epoch")
    for epoch in progress:
        ...
        progress.say(f"validation {loss:.2f}")
    """

    def __init__(self, total: int, unit: str = "epoch", lines: int = 5, start: int = 0, show: bool = True):
        self.total, self.unit, self.start, self.show = total, unit, start, show
        # Evenly spaced, always with the first and the last step.
        self.milestones = {round(i * (total - 1) / max(1, lines - 1)) for i in range(lines)}
        self.step = 0
        self.bar = None

    def __iter__(self):
        if self.show and os.environ.get(VARIABLE) != "milestones":
            from tqdm.auto import tqdm

            self.bar = tqdm(total=self.total, initial=self.start, unit=self.unit, leave=False)
        try:
            for step in range(self.start, self.total):
                self.step = step
                yield step
                if self.bar is not None:
                    self.bar.update()
        finally:
            if self.bar is not None:
                self.bar.close()

    def say(self, text: str) -> None:
        """Show ``text`` for the step that is under way: beside the bar, and as a line at a milestone."""
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
        if self.show and self.step in self.milestones:
            width = len(str(self.total))
            print(f"{self.unit} {self.step + 1:{width}d}   {text}")
