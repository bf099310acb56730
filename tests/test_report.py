"""The page of a run: what it says, that it opens in a real browser, and that names from outside do nothing there."""

import os
import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from PIL import Image

from helpers import runs, senses
from helpers.data.text import make as make_texts
from helpers.runs import curve, report
from helpers.training import History

SCRIPT = "<script>alert(1)<"  # a folder cannot have a slash in its name
LABELS = ["猫", "Ελλάδα", "عربي", SCRIPT]


def pictures(folder):
    rng = np.random.default_rng(0)
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for i in range(15):
            Image.fromarray(rng.integers(0, 256, (12, 12)).astype(np.uint8)).save(folder / label / f"{i}.png")
    (folder / LABELS[0] / "<script>alert(1)<.png").write_bytes(b"no picture")
    return senses.read(folder, size=12)


def sounds(folder):
    rng, t = np.random.default_rng(0), np.arange(4000) / 16_000
    folder.mkdir()
    for i in range(20):
        soundfile.write(folder / f"{i:02d} <b>.wav", 0.5 * np.sin(2 * np.pi * rng.uniform(200, 900) * t), 16_000)
    return senses.read(folder, size=0.25)


def texts(folder):
    rng = np.random.default_rng(0)
    items = [f"{SCRIPT}{''.join(rng.choice(list('ab猫ع'), 5))}" for _ in range(80)]
    return make_texts("names <i>", items)


MAKERS = {"images": pictures, "sounds": sounds, "texts": texts}


@pytest.fixture(scope="module", params=MAKERS)
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    data = MAKERS[request.param](folder / "data")
    found = runs.fit(data, folder / "my run", epochs=2, quiet=True)
    (folder / "page.html").write_text(report.page(found), encoding="utf-8")
    found.page = folder / "page.html"
    return found


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
def test_it_opens_in_a_browser(run, browser, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, asked, said = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(run.page.as_uri(), wait_until="load")
    page.wait_for_function("[...document.querySelectorAll('audio')].every(a => a.readyState >= 1)")
    assert {url.split(":")[0] for url in asked} <= {"file", "data"} and asked[0] == run.page.as_uri()
    assert [url for url in asked if url.startswith("file:")] == asked[:1]
    assert said == []
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt)")
    assert page.evaluate("[...document.querySelectorAll('audio')].every(a => a.duration > 0.1 && a.ariaLabel)")
    assert page.evaluate("document.scripts.length") == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing to scroll sideways for
    shown = page.evaluate("document.body.textContent")
    for name in run.names:
        assert name in shown
    things = len(page.query_selector_all("ul.shown li"))
    samples = re.findall(r"Real, never shown|Made by the model", shown)
    assert things > 10 and len(samples) == 2 * max(1, len(run.names))
    context.close()


def test_what_stands_on_it(run):
    page = run.page.read_text(encoding="utf-8")
    assert page.startswith('<!doctype html>\n<html lang="en">') and '<meta charset="utf-8">' in page
    assert "<script" not in page and "<b>.wav" not in page and "<i>" not in page.replace("<i>From Encoder", "")
    assert re.findall(r"<h2>(.*?)</h2>", page) == list(report.SECTIONS.values())
    score = run.report["score"]
    for name in score["baselines"]:
        assert f"<bdi>{name}</bdi>" in page
    assert f"Measured on {score['examples']} test examples" in page
    for line in [*run.data_card["notes"], *run.card["limits"]]:
        assert report._text(line) in page
    for file, _ in run.data_card["left out"]["first"]:
        assert report._text(file) in page
    assert len(page.encode()) < 3_000_000
    assert "<svg" in page and "Learning curve over 2 epochs" in page


def test_the_commands_can_be_typed(run):
    page = run.page.read_text(encoding="utf-8")
    found = re.findall(r"<pre><code>(.*?)</code></pre>", page)
    typed = [shlex.split(line.replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">")) for line in found]
    assert all(words[:3] == ["python", "-m", "helpers"] for words in typed)
    sample = next(words[3:] for words in typed if words[3] == "sample")
    assert sample[:4] == ["sample", str(run.path), "-n", "9"] and " " in str(run.path)
    assert [word for word in sample if word.startswith("--label")] == [f"--label={name}" for name in run.names[:1]]
    assert ["page", str(run.path), "--out", "model.html"] in [words[3:] for words in typed]
    more = [words[3:] for words in typed if "--more" in words]
    assert bool(more) == bool(run.data.origin)
    assert all(words[:4] == ["fit", run.data.origin["path"], "--out", str(run.path)] for words in more)
    assert any(words[-2:] == ["--from", str(run.path)] for words in typed)


def test_a_command_of_windows_has_its_quotes(monkeypatch):
    monkeypatch.setattr(report, "os", SimpleNamespace(name="nt"))
    assert report.command("info", "C:\\my run", "--label=猫") == 'python -m helpers info "C:\\my run" --label=猫'


def test_without_the_data_no_real_examples(run, monkeypatch):
    again = runs.load(run.path)
    page = report.page(again) if not again.card["settings"]["origin"] else None
    if page is None:  # they can be read again, until they are gone
        assert "Real, never shown to it" in report.page(again)
        again = runs.load(run.path)
        again.card["settings"]["origin"]["path"] += " gone"
        page = report.page(again)
    assert "are not shown" in page and "Real, never shown to it" not in page and "Made by the model" in page
    assert "The most suspicious samples are not shown" in page


def test_the_suspects_stand_beside_their_training_examples(run):
    judged = run.data.train.x[:30]
    found = runs.copies(run.model, run.data, samples=judged)
    copier = runs.Run(run.path, run.model, run.card, run.report | {"copies": found}, run.history, run.data)
    page = report.page(copier, judged)
    part = page[page.index('id="copies"') : page.index('id="data"')]
    shown = re.findall(r'src="(data:image[^"]*)"', part) or re.findall(r'<div class="text[^>]*>(.*?)</div>', part)
    assert len(shown) == 2 * report.PAIRS and shown[0::2] == shown[1::2]
    assert "to the last detail" in part and 'class="warning"' in part


def scored(nats, bits, baseline=4.0, what="exact", unit="bits per character", name="3-gram"):
    """A run with this score, of one baseline."""
    score = {"what": what, "split": "test", "examples": 1000, "nats": nats, "error": 1.0, "unit": unit, "bits": bits,
             "baselines": {"uniform": {"nats": 99.0, "bits": 8.0}, name: {"nats": 10.0, "bits": baseline}}}
    return SimpleNamespace(report={"score": score}, kind="text", model=SimpleNamespace(plan={}))


@pytest.mark.parametrize(
    ("bits", "said"),
    [
        (3.0, "So it saves 25%"),
        (4.5, "So it does worse than the rival"),
        (3.97, "The two are about equal"),
        (4.03, "The two are about equal"),
    ],
)
def test_the_score_in_words(bits, said):
    words = report.in_words(scored(bits * 2.5, bits))
    assert said in words and "1,000 test texts that it was never shown" in words and f"{bits:.2f} bits" in words
    assert "counts what comes after each 2 characters" in words and "4.00" in words and "nats" not in words


def test_the_score_in_words_of_densities_and_of_none():
    run = scored(5.0, -1.0, baseline=1.0, unit="bits per dimension", name="mean")
    run.kind = "sound"  # always densities
    words = report.in_words(run)
    assert "4.0 times as likely for it, in each number" in words and "−1.00" in words
    assert "cannot say how likely one is" in report.in_words(scored(None, None))


def test_ticks_are_round_numbers():
    assert curve.ticks(0.0, 1.0) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    for low, high in [(-77_000, -28_000), (1.234, 1.2399), (0, 1e-6), (843, 1600)]:
        marks = curve.ticks(low, high)
        assert 2 <= len(marks) <= 6 and low <= marks[0] and marks[-1] <= high + 1e-9
        assert np.ptp(np.diff(marks)) < 1e-9 * np.ptp(marks)


@pytest.mark.parametrize("train", [[5.0], [5.0, 5.0], [1e9, 3.0, float("nan"), 2.0], [float("nan")] * 3])
def test_a_curve_of_any_history(train):
    rows = [{"epoch": i + 1, "train": loss, "valid": loss, "seconds": 1.0} for i, loss in enumerate(train)]
    found = curve.drawn(History(rows, "last"))
    assert "nan" not in found and "inf" not in found
    assert ("<svg" in found) == (len(train) > 1 and not np.isnan(train).all())


def test_a_name_that_no_encoding_has_does_no_harm():
    name = os.fsdecode(b"caf\xe9<.png")
    assert report._text(name).encode() == b"<bdi>caf?&lt;.png</bdi>"
