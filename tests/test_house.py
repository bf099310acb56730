"""setup, device, progress and plotting: what every notebook leans on."""

import random
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import threadpoolctl
import torch

import helpers
from helpers import disk, plotting, senses
from helpers.progress import VARIABLE, Progress


def test_setup_makes_everything_repeatable():
    draws = []
    for _ in range(2):
        rng = helpers.setup(seed=5)
        old_style = np.random.random()  # noqa: NPY002
        draws.append((rng.random(), random.random(), old_style, torch.rand(1).item()))
    assert draws[0] == draws[1]
    assert helpers.setup(seed=6).random() != draws[0][0]
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == 1
    assert {pool["num_threads"] for pool in threadpoolctl.threadpool_info()} == {1}
    assert plt.rcParams["figure.facecolor"] == "white"


def test_setup_can_leave_threads_alone():
    code = ("import torch, helpers; n = torch.get_num_threads(); helpers.setup(threads=None); "
            "assert torch.get_num_threads() == n")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_helpers_is_light():
    """`import helpers` alone must not wait for torch or matplotlib."""
    code = "import sys, helpers; assert not {'torch', 'matplotlib', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_device():
    assert helpers.device("cpu") == torch.device("cpu")
    assert helpers.device().type in ("cpu", "cuda", "mps")


def test_progress_prints_about_five_lines_with_first_and_last(capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, "milestones")
    progress = Progress(100)
    for step in progress:
        progress.say(f"loss {step}")
    out = capsys.readouterr()
    lines = out.out.splitlines()
    assert len(lines) == 5 and out.err == ""
    assert lines[0].split() == ["epoch", "1", "loss", "0"] and lines[-1].split() == ["epoch", "100", "loss", "99"]


@pytest.mark.parametrize("total", [0, 1, 3])
def test_progress_of_few_steps(total, capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, "milestones")
    progress = Progress(total)
    for _ in progress:
        progress.say("x")
    assert len(capsys.readouterr().out.splitlines()) == total


def test_progress_shows_the_same_lines_beside_a_live_bar(capsys, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    progress = Progress(10)
    for _ in progress:
        assert progress.bar is not None
        progress.say("x")
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert progress.bar.disable  # closed


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, **kw: shown.append((data, kw)))
    return shown


def test_show_stores_the_alt_text_and_closes_the_figure(displayed):
    fig, _ = plt.subplots(figsize=(4, 3))
    plotting.show(fig, alt="A white square with two axes and\n  nothing drawn in it.")
    data, kw = displayed[0]
    assert data["text/plain"] == "A white square with two axes and nothing drawn in it."
    assert data["image/png"].startswith(b"\x89PNG")
    assert kw["metadata"]["image/png"]["width"] == 400
    assert not plt.fignum_exists(fig.number)


def test_show_insists_on_alt_text(displayed):
    fig, _ = plt.subplots()
    with pytest.raises(ValueError, match="too short"):
        plotting.show(fig, alt="a plot")
    plt.close(fig)
    assert displayed == []


def test_show_saves_only_while_recording_and_over_nothing_but_its_own(displayed, tmp_path, monkeypatch):
    monkeypatch.setattr(plotting, "IMAGES", tmp_path / "images")
    save = lambda name: plotting.show(plt.figure(), alt="An empty figure, which is enough here.", save=name)
    monkeypatch.delenv(disk.RECORD, raising=False)
    save("x.png")
    assert not (tmp_path / "images").exists()
    monkeypatch.setenv(disk.RECORD, "1")
    save("x.png"), save("x.png")
    assert plt.imread(tmp_path / "images" / "x.png").size
    plt.imsave(tmp_path / "images" / "mine.png", np.zeros((2, 2)))
    before = (tmp_path / "images" / "mine.png").read_bytes()
    with pytest.raises(disk.DiskError, match="is left as it is"):
        save("mine.png")
    assert (tmp_path / "images" / "mine.png").read_bytes() == before


def test_montage_puts_images_in_reading_order():
    images = np.arange(5)[:, None] * np.ones((5, 4))
    sheet = plotting.montage(images, columns=3, shape=(2, 2))
    assert sheet.shape == (5, 8)
    assert [sheet[0, 0], sheet[0, 3], sheet[0, 6], sheet[3, 0], sheet[3, 3]] == [0, 1, 2, 3, 4]
    assert np.isnan(sheet[2]).all() and np.isnan(sheet[3, 6])  # the gap, and the place without an image


def test_drawing_helpers_make_labelled_figures():
    fig = plotting.curves(np.ones((4, 2)))
    assert fig.axes[0].get_xlabel() == "epoch" and len(fig.axes[0].lines) == 2
    rows = plotting.image_rows({"a": np.zeros((6, 64)), "b": np.ones((9, 64))}, columns=6)
    assert [ax.texts[0].get_text() for ax in rows.axes] == ["a", "b"]
    plt.close("all")


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        (np.random.default_rng(0).random((5, 8, 6)), "image"),
        (np.random.default_rng(0).random((5, 3, 8, 6)), "image"),
        (-7 * np.random.default_rng(0).random((5, 20, 9)), "sound"),
        (["a", "a longer name", "b", "c", "d"], "text"),
    ],
)
def test_examples_of_every_kind_have_their_labels(x, kind):
    fig = senses.examples(x, kind, labels=[f"label {i}" for i in range(5)], columns=3)
    axes = [ax for ax in fig.axes if ax.images or ax.texts]
    assert len(axes) == 5
    if kind == "text":
        assert "label 1: a longer name" in axes[1].texts[0].get_text()
    else:
        assert [ax.get_title() for ax in axes] == [f"label {i}" for i in range(5)]
        assert axes[0].images[0].get_array().shape[:2] == x.shape[-2:]
    plt.close(fig)
    bare = senses.examples(x, kind)
    assert not any(ax.get_title() for ax in bare.axes)
    plt.close(bare)
