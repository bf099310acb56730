"""A page of the reader's own run: PyTorch's numbers, hostile names, what is in the file, and what it may replace."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch

import chromium
import samples as made
from helpers import disk, pages, runs, senses, sound
from helpers.__main__ import main
from helpers.data.dataset import DataError, Dataset
from helpers.data.text import make as make_texts
from helpers.pages import own
from helpers.runs import playable, report

HALF = 1e-2
HOSTILE = ("</script><script>window.hit = 1</script>", "\"'><img src=x onerror='window.hit = 1'>", "😀 \u202egnp",
           "عربي")


def fitted(folder, path, **options):
    data = senses.read(path, **options.pop("read", {}))
    return runs.fit(data, folder / "run", epochs=1, quiet=True, **options)


@pytest.fixture(scope="module")
def leaves(tmp_path_factory):
    read = {"size": 20, "labels": True}
    return fitted(tmp_path_factory.mktemp("leaves"), made.SAMPLES / "leaves", read=read, prior="flow")


@pytest.fixture(scope="module")
def villages(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("villages"), made.SAMPLES / "villages.txt")


@pytest.fixture(scope="module")
def strokes(tmp_path_factory):
    return fitted(tmp_path_factory.mktemp("strokes"), made.SAMPLES / "strokes", prior="mixture")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Grey images of 9 × 12, of labels whose names are no mere names; without convolutions, one Gaussian a label."""
    rng = np.random.default_rng(0)
    c = np.repeat(np.arange(4), 20)
    x = rng.integers(0, 256, (80, 9, 12)).astype(np.uint8)
    data = Dataset.make(HOSTILE[0], x, c, names=HOSTILE, kind="image")
    return runs.fit(data, tmp_path_factory.mktemp("hostile") / "run", epochs=1, quiet=True, prior="gaussian",
                    convolutional=False)


@pytest.fixture(scope="module")
def hostile_texts(tmp_path_factory):
    rng = np.random.default_rng(0)
    texts = [f"{HOSTILE[k % 4]}{''.join(rng.choice(list('ab猫ع'), 4))}" for k in range(80)]
    data = make_texts("texts", texts, np.arange(80) % 4)
    data = dataclasses.replace(data, names=HOSTILE)
    return runs.fit(data, tmp_path_factory.mktemp("texts") / "run", epochs=1, quiet=True)


def opened(browser, run, width=1200, scheme="light"):
    file = pages.of_run(run, run.path.parent / "mine.html")
    found = chromium.Opened(browser, file, width, scheme)
    print(f"{file.parent.name}: {file.stat().st_size / 1e6:.1f} MB, ready after {found.milliseconds} ms")
    assert file.stat().st_size < 6_000_000
    return found


def facts(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page)[1])


@pytest.mark.parametrize("name", ["leaves", "hostile"])
def test_images_are_pytorchs(name, request, browser):
    run = request.getfixturevalue(name)
    found, largest = opened(browser, run, 360, "dark"), 0.0
    for label in range(len(run.names)):
        z = torch.randn(1, run.model.code, generator=torch.Generator().manual_seed(label))
        with torch.no_grad():
            ours = run.model.expect(z, torch.tensor([label])).numpy().ravel()
        pixels = found.js("(g) => Array.from(model.decode(g.code, g.label))", {"code": z[0].tolist(), "label": label})
        largest = max(largest, np.abs(np.array(pixels) - ours).max())
    print(f"{name}, pixels: largest difference", largest)
    assert largest < HALF
    found.check()
    top = "(id) => document.getElementById(id).getBoundingClientRect().top"
    assert found.js(top, "sheet") < found.js(top, "surprise") < found.js(top, "large")
    before = found.js("[...document.querySelectorAll('#sheet canvas')].map((c) => c.toDataURL())")
    assert len(before) == 12
    found.page.get_by_label("label", exact=True).select_option(index=2)
    after = found.js("[...document.querySelectorAll('#sheet canvas')].map((c) => c.toDataURL())")
    assert after != before and found.js("model.drawn.every((one) => one.label === 1)")
    large = found.js("document.getElementById('large').toDataURL()")
    assert large == after[0]
    found.page.locator("#sheet button").nth(4).click()
    assert found.js("document.getElementById('large').toDataURL()") == after[4]
    many = "paintImage(document.createElement('canvas'), new Float32Array(3 * 512 * 512), [3, 512, 512])"
    found.js(many)  # kills: all pixels as arguments of one call, of which a browser allows some 100,000
    found.page.get_by_role("slider", name="on the way").fill("0.5")
    found.page.wait_for_timeout(100)
    assert found.js("document.getElementById('large').toDataURL()") not in (after[0], after[4])
    found.check()
    found.context.close()


def test_the_priors_of_runs_are_pytorchs(browser, leaves, hostile):
    found, prior = opened(browser, leaves), leaves.model.prior
    noise = torch.randn(1, prior.K, generator=torch.Generator().manual_seed(0))
    for label in (0, 2):
        ours = prior.flow.velocity(noise, 0.3, torch.tensor([label]))[0].detach().numpy()
        velocity = found.js("(g) => Array.from(model.prior.velocity(Float32Array.from(g.x), 0.3, g.label))",
                            {"x": noise[0].tolist(), "label": label})
        assert np.abs(np.array(velocity) - ours).max() < HALF
    found.context.close()
    found, prior = opened(browser, hostile), hostile.model.prior
    noise = torch.randn(prior.K, generator=torch.Generator().manual_seed(0))
    ours = (prior.mean[0, 0] + prior.root[0, 0] @ noise).numpy()
    code = found.js("(x) => Array.from(model.prior.place(0, 0, x))", noise.tolist())
    assert np.abs(np.array(code) - ours).max() < HALF
    found.context.close()


def test_texts_are_pytorchs(browser, villages):
    found, vocabulary = opened(browser, villages, 360), villages.data.vocabulary
    lines = [*villages.data.vocabulary.decode(villages.data.test.x[:3]), "Neverseen", "a"]
    with torch.no_grad():
        ours = villages.model.log_prob(torch.as_tensor(vocabulary.encode(lines, quiet=True))).numpy()
    nats = [found.js("(text) => model.logProb(text)", line) for line in lines]
    print("villages, log p of a text: largest difference", np.abs(nats - ours).max())
    assert np.abs(nats - ours).max() < 2 * HALF  # a sum over some ten letters
    written = found.js("Array.from({ length: 200 }, () => model.write(0.8))")
    assert len(set(written)) > 100 and np.mean([len(text) for text in written]) == pytest.approx(
        np.mean([len(text) for text in villages.sample(200).x]), rel=0.3)
    found.page.get_by_label("How it shall begin").fill("Ober☃")
    found.page.get_by_role("button", name="Write others").click()
    texts = found.page.locator("#sheet li").all_inner_texts()
    assert len(texts) == 12 and all(text.startswith("Ober☃") for text in texts)
    assert "never seen ☃" in found.page.locator("#said").inner_text()
    longest = villages.model.longest
    found.page.get_by_label("How it shall begin").fill("a" * (longest + 3))
    found.page.get_by_role("button", name="Write others").click()
    said = found.page.locator("#said").inner_text()
    assert f"up to {longest} characters, and this beginning has {longest + 3}: nothing is added" in said
    assert set(found.page.locator("#sheet li").all_inner_texts()) == {"a" * (longest + 3)}
    found.page.get_by_label("How it shall begin").fill("q" * (longest - 1))
    found.page.get_by_role("slider", name="temperature").fill("1.5")
    found.page.get_by_role("button", name="Write others").click()
    texts = found.page.locator("#sheet li").all_inner_texts()
    assert all((len(text) == longest + 1 and text.endswith("…")) or len(text) == longest - 1 for text in texts)
    assert any(text.endswith("…") for text in texts)
    found.check()
    found.context.close()


def test_sounds_are_pytorchs_and_are_heard(browser, strokes):
    found = opened(browser, strokes, 360, "dark")
    decoder = getattr(strokes.model.decoder, "network", strokes.model.decoder)
    z, largest = torch.randn(1, strokes.model.code, generator=torch.Generator().manual_seed(0)), 0.0
    for label in (0, 5):
        with torch.no_grad():
            ours = decoder(z, torch.tensor([label])).mean[0].numpy()
        data = found.js("(g) => Array.from(model.decode(g.code, g.label).data)",
                        {"code": z[0].tolist(), "label": label})
        largest = max(largest, np.abs(np.reshape(data, ours.shape) - ours).max())
    print("strokes, log-magnitudes: largest difference", largest)
    assert largest < HALF
    found.page.get_by_role("button", name=re.compile("^Play sound 3")).click()
    wave = np.array(found.js("Array.from(model.last)"), np.float32)
    assert np.abs(wave).max() == pytest.approx(0.9, abs=1e-3)
    spectrogram = {"data": ours.ravel().tolist(), "F": ours.shape[0], "T": ours.shape[1]}
    wave = found.js("(s) => Array.from(model.guessWave({ ...s, data: Float32Array.from(s.data) }))", spectrogram)
    magnitude = sound.magnitudes(ours[None])
    theirs = sound.griffin_lim(magnitude, len(wave), generator=torch.Generator().manual_seed(0))
    rebuilt = sound.stft(np.float32(wave)).abs()
    best = (rebuilt * magnitude).sum() / rebuilt.square().sum()  # its peak was set to 0.9
    far = float((best * rebuilt - magnitude).norm() / magnitude.norm())
    assert far < float(sound.spectral_convergence(theirs, magnitude)) + 0.05
    found.check()
    found.context.close()


def test_hostile_names_are_only_names(browser, hostile, hostile_texts):
    for run in (hostile, hostile_texts):
        found = opened(browser, run, 360)
        assert found.js("window.hit") is None and found.js("document.images.length") == 0
        assert len(found.js("[...document.scripts].map((s) => s.type)")) == 2
        found.check()
        options = found.js("[...document.querySelectorAll('#label option')].slice(1).map((o) => o.textContent)")
        assert tuple(options) == run.names == HOSTILE
        assert set(found.js("[...document.querySelectorAll('#sheet bdi')].map((b) => b.textContent)")) == {*HOSTILE}
        page = (run.path.parent / "mine.html").read_text(encoding="utf-8")
        assert page.count("</script>") == 2 and page.count("<script") == 2 and "<img" not in page
        found.context.close()
    assert f"A model of {HOSTILE[0]}" in opened(browser, hostile).js("document.title")


def test_nothing_in_it_but_the_model_and_what_it_needs(leaves, villages):
    page = own.page(leaves)
    kept = [name for name, _ in facts(page)["packed"]["tensors"]]
    decoder = [name for name in leaves.model.state_dict() if name.startswith("decoder.")]
    assert {f"decoder.{name}" for name in kept if not name.startswith("prior.")} == set(decoder)
    assert not any("encoder" in name or "flow.network" in name for name in kept)
    assert str(leaves.path) not in page and str(made.SAMPLES) not in page and "images/" not in page
    page = own.page(villages)
    assert not {"keys", "counts", "total", "types"} & {name for name, _ in facts(page)["packed"]["tensors"]}
    assert "pieces of the texts it learned from" in page
    longest = max(villages.data.vocabulary.decode(villages.data.train.x), key=len)
    assert len(longest) > 10 and longest not in page


def with_copies(run, **figures):
    """The same run, whose report found something else."""
    report = run.report | {"copies": run.report["copies"] | figures}
    return runs.Run(run.path, run.model, run.card, report, run.history, run.data)


def test_the_page_says_what_the_report_says_of_copies(villages, leaves):
    lead = lambda run: re.search(r'<p class="lead">(.*?)</p>', own.page(run), re.DOTALL)[1]
    learned = villages.data_card["splits"]["train"]
    found = {"samples": 100, "compared with": learned, "alarm": True, "copies": True, "verdict": "It copies."}
    copier = with_copies(villages, exact=42, **found)
    assert "42 of 100 of its texts are word for word in what it learned from." in lead(copier)
    assert "At least 1 of 100 of its texts is word for word" in lead(
        with_copies(villages, **found | {"exact": 1, "compared with": learned - 1}))
    assert "none was word for word" in lead(with_copies(villages, samples=100, exact=0, alarm=False))
    assert "A check for copies says: It copies." in lead(with_copies(leaves, exact=0, **found))
    assert "found no sign of copying" in lead(with_copies(leaves, exact=0, alarm=False))
    for page in map(own.page, (copier, villages, leaves)):
        assert "nobody" not in page and "new texts" not in page and "new images" not in page and "new ones" not in page


def test_whole_numbers_in_few_bytes():
    numbers = np.array([0, 1, 127, 128, 300, 2**40 + 5])
    data, found, value, by = own.short(numbers), [], 0, 1
    for byte in data:
        value, by = value + (byte & 127) * by, by * 128
        if byte < 128:
            found.append(value)
            value, by = 0, 1
    assert found == numbers.tolist() and len(data) == 1 + 1 + 1 + 2 + 2 + 6 and own.short(np.array([], int)) == b""


def test_the_command_replaces_only_its_own(leaves, tmp_path, capsys):
    call = lambda out: main(["page", str(leaves.path), "--out", str(out)])
    assert call(tmp_path / "new" / "mine.html") == 0
    assert "MB; open it by a double click" in capsys.readouterr().out
    assert call(tmp_path / "new" / "mine.html") == 0 and call(tmp_path / "bare") == 0
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["bare.html", "mine.html"]
    (tmp_path / "new" / "mine.html").write_text("the reader's own")
    assert call(tmp_path / "new" / "mine.html") == 5
    assert "is left as it is" in capsys.readouterr().err
    assert (tmp_path / "new" / "mine.html").read_text() == "the reader's own"
    (tmp_path / "folder.html").mkdir()
    assert call(tmp_path / "folder.html") == 5 and "is a folder" in capsys.readouterr().err
    for out in ("", ".", ".."):
        assert call(out) == 5 and "no name of a file" in capsys.readouterr().err
    assert main(["page", str(tmp_path), "--out", str(tmp_path / "x.html")]) == 5
    assert not list(tmp_path.rglob("*.part"))


def test_a_link_of_the_readers_stays_a_link(leaves, tmp_path, monkeypatch):
    """Kills: a link that leads to a page of the run is taken for that page, and replaced by a file."""
    file = pages.of_run(leaves, tmp_path / "mine.html")
    (tmp_path / "latest.html").symlink_to(file)
    (tmp_path / "nowhere.html").symlink_to(tmp_path / "gone.html")
    monkeypatch.setattr(own, "page", lambda run: "another page")
    for name in ("latest.html", "nowhere.html"):
        with pytest.raises(disk.DiskError, match="is left as it is"):
            pages.of_run(leaves, tmp_path / name)
        assert (tmp_path / name).is_symlink()
    pages.of_run(leaves, file)
    assert (tmp_path / "latest.html").read_text() == "another page" and not (tmp_path / "gone.html").exists()


def test_a_write_that_fails_leaves_the_old_page(leaves, tmp_path, monkeypatch):
    file = pages.of_run(leaves, tmp_path / "mine.html")
    before = file.read_bytes()
    monkeypatch.setattr(own, "page", lambda run: "another page")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        pages.of_run(leaves, file)
    assert file.read_bytes() == before and [one.name for one in tmp_path.iterdir()] == ["mine.html"]


def test_a_family_that_no_page_can_play_says_so(tmp_path, capsys):
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8)).astype(np.uint8)
    run = runs.fit(Dataset.make("noise", x, kind="image"), tmp_path / "run", epochs=1, quiet=True, model="masked")
    assert playable.what(run.model) == "" and "helpers page" not in report.page(run)
    with pytest.raises(DataError, match="a page can play a VAE of images or of sounds, and a language model"):
        pages.of_run(run, tmp_path / "mine.html")
    assert main(["page", str(run.path), "--out", str(tmp_path / "mine.html")]) == 3
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "mine.html").exists()
