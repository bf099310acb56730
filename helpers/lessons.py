"""The path: which lessons there are, and in which order. The only place that knows their numbers.

Code and prose name a lesson by its title, files by its name. After a change here, ``python tools/path.py`` renames
files and rewrites titles and links in all notebooks and pages. Numbers may leave gaps, for lessons to come.
"""

from __future__ import annotations

from typing import NamedTuple


class Lesson(NamedTuple):
    """One lesson: its place in the path, the name of its notebook and of its exercises, and its title."""

    number: int
    name: str
    title: str

    @property
    def file(self) -> str:
        """The notebook's file name, such as ``00_start_here.ipynb``."""
        return f"{self.number:02d}_{self.name}.ipynb"

    @property
    def heading(self) -> str:
        """Number and title, as links and headings show them."""
        return f"{self.number:02d} {self.title}"


PATH = (
    Lesson(0, "start_here", "Start here"),
    Lesson(1, "encoder_and_decoder", "Encoder and decoder"),
    Lesson(2, "losses_and_gradients", "Losses and gradients"),
    Lesson(3, "training", "Training"),
    Lesson(4, "vae_in_numpy", "A variational autoencoder in NumPy"),
    Lesson(5, "vae_in_pytorch", "The same VAE in PyTorch"),
    Lesson(6, "what_the_numbers_mean", "What the numbers mean"),
    Lesson(7, "images", "Images: draw a new typeface"),
    Lesson(8, "audio", "Audio: play a new instrument"),
    Lesson(9, "letters", "Text: one letter after another"),
    Lesson(10, "colour_names", "Text: name a colour"),
    Lesson(11, "family_portrait", "A family portrait"),
    Lesson(12, "families_on_the_board", "Families on the board"),
    Lesson(13, "noise_to_data", "From noise to data"),
    Lesson(14, "digits_out_of_noise", "Digits out of noise"),
    Lesson(15, "learned_prior", "A learned prior"),
    Lesson(16, "better_faster", "Better, faster"),
    Lesson(17, "choose_and_complete", "Put it to work: choose and complete"),
    Lesson(18, "warn_teach_measure", "Put it to work: warn, teach, measure"),
    Lesson(19, "clean_data", "Clean data"),
    Lesson(20, "secrets", "Models that keep secrets"),
    Lesson(21, "your_own_model", "Your own model"),
)
LESSONS = {lesson.name: lesson for lesson in PATH}


def place(name: str) -> int:
    """Where a lesson stands in the path, counted from 0; a name that is no lesson's stands after all of them."""
    return next((i for i, lesson in enumerate(PATH) if lesson.name == name), len(PATH))


def title(name: str) -> str:
    """The title of a lesson, or the name itself when no lesson has it."""
    return LESSONS[name].title if name in LESSONS else name
