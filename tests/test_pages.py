"""The pages that play, each opened from the disk in a real browser: PyTorch's numbers, and what a reader does there."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fontTools.pens.areaPen import AreaPen
from fontTools.ttLib import TTFont

import chromium
from helpers import disk, synthesis
from helpers.build import restore
from helpers.data import colours, glyphs, strokes
from helpers.evaluation import naming
from helpers.evaluation.filters import rude
from helpers.pages import document
from helpers.pages import shipped as pages

HALF = 1e-2  # half precision has eleven bits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


def pretrained(name):
    return restore(disk.PRETRAINED / name)[0].eval()


def written(folder, name):
    file = folder / f"{name}.html"
    return file if file.exists() else pages.write(folder, [name])[0]


def test_numbers_in_half_precision_and_names_come_back():
    import base64

    x = torch.tensor([[0.1, -2.5], [1e-7, 1e9]])
    packed = document.pack({"x": x, "none": torch.zeros(0)})
    assert packed["tensors"] == [["x", [2, 2]], ["none", [0]]]
    found = np.frombuffer(base64.b64decode(packed["halves"]), "<f2").astype(float)
    assert found == pytest.approx([0.1, -2.5, 1e-7, 65504], rel=1e-3, abs=1e-7)


# --- typefaces -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def typeface(browser, folder):
    return chromium.Opened(browser, written(folder, "typeface"))


def test_the_decoder_is_pytorchs(typeface):
    model, generator = pretrained("glyphs-fonts"), torch.Generator().manual_seed(0)
    for code in torch.randn(2, 16, generator=generator):
        with torch.no_grad():
            ours = model.expect(code[None], torch.arange(62))[0].numpy()
        found = np.array(typeface.js("(code) => Array.from(model.decode(code))", code.tolist())).reshape(62, 784)
        print("typeface, decoder: largest difference", np.abs(found - ours).max())
        assert np.abs(found - ours).max() < HALF
        whole = "(fields) => Array.from(model.mend(Float32Array.from(fields)))"
        mended = np.array(typeface.js(whole, ours.ravel().tolist())).reshape(62, 784)
        assert mended == pytest.approx(strokes.mend(ours), abs=1e-6)
        traits = typeface.js("(fields) => model.measure(Float32Array.from(fields))", ours.ravel().tolist())
        assert traits == pytest.approx(glyphs.measure(ours), rel=1e-5)
        one = np.array(typeface.js("(f) => Array.from(model.enlarge(Float32Array.from(f), 3))", ours[6].tolist()))
        assert np.clip(0.9 * 3 * one + 0.5, 0, 1) == pytest.approx(glyphs.enlarge(ours[6], 3).ravel(), abs=1e-4)


@pytest.mark.parametrize("order", [[None] * 5, [1.0, None, None, -2.0, None]])
def test_the_flow_is_pytorchs(typeface, order):
    same_flow(typeface, pretrained("glyphs-prior"), order)


def same_flow(opened, prior, order):
    """A page's prior has PyTorch's velocities, and carries noise to the same code."""
    noise = torch.randn(1, prior.K, generator=torch.Generator().manual_seed(3))
    c = torch.tensor([[float("nan") if value is None else value for value in order]])
    told = """(given) => { const c = given.order.map((v) => (v === null ? NaN : v));
                           const x = Float32Array.from(given.noise);"""
    for t in (0.0, 0.4):
        ours = prior.flow.velocity(noise, t, c, 0.5)[0].detach().numpy()
        found = opened.js(f"{told} return Array.from(model.prior.velocity(x, {t}, c, 0.5)); }}",
                          {"order": order, "noise": noise[0].tolist()})
        assert np.abs(np.array(found) - ours).max() < HALF
    x = noise
    with torch.no_grad():
        for i in range(30):
            middle = x + prior.flow.velocity(x, i / 30, c, 0.5) / 60
            x = x + prior.flow.velocity(middle, (i + 0.5) / 30, c, 0.5) / 30
    code = (prior.mean + prior.deviation * x)[0].numpy()
    found = opened.js(f"{told} return Array.from(model.prior.draw(c, null, {{ guidance: 0.5, noise: x }})); }}",
                      {"order": order, "noise": noise[0].tolist()})
    print("prior: largest difference of a code", np.abs(np.array(found) - code).max())
    assert np.abs(np.array(found) - code).max() < 2 * HALF  # sixty passes


def picture(opened, canvas):
    opened.page.wait_for_timeout(150)
    return opened.js(f"document.getElementById('{canvas}').toDataURL()")


def test_a_slider_moves_the_typeface(typeface):
    before, text = picture(typeface, "sheet"), picture(typeface, "line")
    weight = typeface.js("model.measure(model.alphabet).weight")
    typeface.page.get_by_label("weight").first.fill("1.5")
    assert picture(typeface, "sheet") != before and picture(typeface, "line") != text
    assert typeface.js("model.measure(model.alphabet).weight") > 1.1 * weight
    typeface.page.get_by_label("weight").first.press("ArrowLeft")
    assert typeface.page.locator("output").first.inner_text() == "+1.4"
    typeface.page.get_by_role("button", name="Back to the middle").click()
    assert picture(typeface, "sheet") == before
    typeface.page.locator("#text").fill("Another line")
    assert picture(typeface, "line") != text and picture(typeface, "sheet") == before


def test_surprises_differ_and_an_order_comes(typeface):
    seen = set()
    for _ in range(3):
        typeface.page.get_by_role("button", name="Surprise me").click()
        seen.add(picture(typeface, "sheet"))
    assert len(seen) == 3
    typeface.page.locator("#order-1").select_option(label="+2, much more")
    slants = []
    for _ in range(4):
        typeface.page.get_by_role("button", name="Draw to order").click()
        picture(typeface, "sheet")
        said = typeface.page.locator("#told").inner_text()
        assert "slant" in said and ("missed" in said) == ("move guidance" in said)
        slants.append(typeface.js("model.measure(model.alphabet).slant"))
    prior = pretrained("glyphs-prior")
    wish = float(prior.c_mean[1] + 2 * prior.c_deviation[1])
    assert np.abs(np.median(slants) - wish) < float(prior.c_deviation[1]) / 2


def test_the_font_installs(typeface):
    typeface.page.get_by_role("button", name="Back to the middle").click()
    picture(typeface, "sheet")
    typeface.page.get_by_label("Name of the typeface").fill("Nobody drew it")
    with typeface.page.expect_download() as waiting:
        typeface.page.get_by_role("button", name="Download the font").click()
    assert waiting.value.suggested_filename == "Nobody-drew-it.ttf"
    data = Path(waiting.value.path()).read_bytes()
    font = TTFont(io.BytesIO(data), checkChecksums=2)
    for table in font.keys():
        assert font[table] is not None
    characters, shapes = font.getBestCmap(), font.getGlyphSet()
    assert set(map(ord, glyphs.CHARACTERS + " .,:;!-'\"")) == set(characters)
    assert [font["name"].getDebugName(i) for i in (1, 2, 4, 6)] == ["Nobody drew it", "Regular", "Nobody drew it",
                                                                "Nobodydrewit-Regular"]
    alphabet = np.array(typeface.js("Array.from(model.alphabet)")).reshape(62, 28, 28)
    for k, field in zip(glyphs.CHARACTERS, alphabet):
        pen = AreaPen(shapes)
        shapes[characters[ord(k)]].draw(pen)
        inked = (glyphs.ink(field)).sum() * (700 / 17) ** 2
        assert abs(pen.value) == pytest.approx(inked, rel=0.08), k  # as much ink as in the field; holes are holes
        assert pen.value < 0  # clockwise
    height = {k: font["glyf"][characters[ord(k)]] for k in "Hxz"}
    assert abs(height["H"].yMin) < 15 and height["H"].yMax == pytest.approx(700, abs=25)
    assert height["z"].yMax == pytest.approx(font["OS/2"].sxHeight, abs=25)
    widths = font["hmtx"].metrics
    assert all(100 < width < 1400 for width, _ in widths.values())
    assert widths[characters[ord("W")]][0] > widths[characters[ord("i")]][0] > 0
    assert font["hhea"].ascent > 700 > 0 > font["hhea"].descent and font["OS/2"].fsType == 0
    assert font["OS/2"].usWinAscent >= font["head"].yMax


@pytest.mark.parametrize(("name", "said"), [("", "begin with a letter"), ("1 font", "begin with a letter"),
                                            ("<b>", "begin with a letter"), ("Ä", "begin with a letter")])
def test_names_that_no_font_can_have(typeface, name, said):
    typeface.page.get_by_label("Name of the typeface").fill(name)
    typeface.page.get_by_role("button", name="Download the font").click()
    assert said in typeface.page.locator("#saved").inner_text()


# --- instruments -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def instrument(browser, folder):
    return chromium.Opened(browser, written(folder, "instrument"))


def test_the_notes_are_pytorchs(instrument):
    model = pretrained("notes-instruments")
    for seed, pitch in ((0, 48), (1, 69), (2, 83)):
        code = torch.randn(1, 8, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            ours = model.expect(code, torch.tensor([pitch - 48]))[0, 0].numpy()
        found = instrument.js("(given) => Array.from(model.decode(given.code, given.pitch).data)",
                              {"code": code[0].tolist(), "pitch": pitch})
        print("instrument, log-magnitudes: largest difference", np.abs(np.reshape(found, (513, 51)) - ours).max())
        assert np.abs(np.reshape(found, (513, 51)) - ours).max() < HALF
        note = {"data": np.float32(ours).ravel().tolist(), "hz": synthesis.hertz(pitch)}
        spectrogram = "(n) => { const s = { data: Float32Array.from(n.data), F: 513, T: 51 };"
        for sharpen in (0, 20):
            read = instrument.js(f"{spectrogram} return model.readHarmonics(s, n.hz, {sharpen}).map((a) => [...a]) }}",
                                 note)
            assert np.array(read) == pytest.approx(synthesis.read_harmonics(ours, note["hz"], sharpen), abs=1e-5)
        measured = instrument.js(f"{spectrogram} return model.measure(s, n.hz) }}", note)
        assert measured == pytest.approx(synthesis.measure(ours, note["hz"]), abs=1e-4)


@pytest.mark.parametrize("order", [[None] * 3, [2.0, None, -1.0]])
def test_the_flow_of_instruments_is_pytorchs(instrument, order):
    same_flow(instrument, pretrained("notes-prior"), order)


def test_what_is_played_is_what_our_synthesiser_plays(instrument):
    """The same amplitudes, the same sines; a longer note, with vibrato, too."""
    for pitch, seconds, vibrato in ((60, 1, 0), (72, 2, 30)):
        instrument.page.get_by_label("vibrato, cents").fill(str(vibrato))
        wave = np.array(instrument.js(f"Array.from(model.wave({pitch}, {seconds}))"))
        decoded = instrument.js(f"Array.from(model.decode(model.designer.code, {pitch}).data)")
        samples, hz = 16_000 * seconds, synthesis.hertz(pitch)
        bends = synthesis.curve(hz, samples, vibrato)
        ours = synthesis.add_harmonics(np.reshape(decoded, (1, 513, 51)), hz, samples, bends)[0]
        assert wave.shape == ours.shape and np.abs(wave - ours).max() < 2e-3 * np.abs(ours).max()
    instrument.page.get_by_label("vibrato, cents").fill("0")


def pitch_of(wave):
    """The pitch in Hz: the first peak of the autocorrelation."""
    part = wave[1600:9600] - wave[1600:9600].mean()
    alike = np.fft.irfft(np.abs(np.fft.rfft(part, 2 * len(part))) ** 2)[: len(part)]
    shifts = np.arange(12, 200)
    first = shifts[np.flatnonzero(alike[shifts] > 0.9 * alike[shifts].max())[0]]
    best = first + np.argmax(alike[first : first + 8])
    a, b, c = alike[best - 1 : best + 2]
    return 16_000 / (best + 0.5 * (a - c) / (a - 2 * b + c))


@pytest.mark.parametrize(("key", "pitch"), [("KeyZ", 48), ("KeyQ", 60), ("Digit2", 61), ("KeyY", 69)])
def test_a_key_of_the_computer_plays(instrument, key, pitch):
    instrument.page.locator("h1").click()
    instrument.page.keyboard.down(key)
    assert instrument.js(f"document.getElementById('key-{pitch}').classList.contains('down')")
    heard = instrument.js("({ pitch: model.last.pitch, samples: Array.from(model.last.samples), state: model.state })")
    instrument.page.keyboard.up(key)
    assert not instrument.js("document.querySelector('.key.down')")
    wave = np.array(heard["samples"])
    assert heard["pitch"] == pitch and heard["state"] == "running" and np.abs(wave).max() > 0.05
    assert pitch_of(wave) == pytest.approx(440 * 2 ** ((pitch - 69) / 12), rel=0.005)


def test_a_key_of_the_screen_plays_by_pointer_and_by_keyboard(instrument):
    instrument.page.locator("#key-64").click(position={"x": 10, "y": 120})
    assert instrument.js("model.last.pitch") == 64
    instrument.page.locator("#key-60").focus()
    instrument.page.keyboard.press("ArrowRight")
    assert instrument.js("document.activeElement.id") == "key-61"
    instrument.page.keyboard.press("Enter")
    assert instrument.js("model.last.pitch") == 61
    instrument.page.wait_for_selector(".key.down", state="detached")


def test_a_slider_moves_the_instrument_and_letters_in_lists_play_nothing(instrument):
    before, measured = picture(instrument, "sheet"), instrument.js("model.designer.measured()")
    instrument.page.get_by_label("brighter").fill("2")
    assert picture(instrument, "sheet") != before
    assert instrument.js("model.designer.measured()")["brightness"] > measured["brightness"]
    instrument.page.get_by_role("button", name="Surprise me").click()
    assert "brightness" in (picture(instrument, "sheet") and instrument.page.locator("#told").inner_text())
    assert "+2, much slower" in instrument.page.locator("#order-1 option").all_inner_texts()
    assert "−1, shorter" in instrument.page.locator("#order-2 option").all_inner_texts()
    instrument.js("model.last = null")
    instrument.page.locator("#order-0").focus()
    instrument.page.keyboard.press("z")
    assert instrument.js("model.last") is None
    instrument.page.get_by_role("button", name="Back to the middle").click()
    assert picture(instrument, "sheet") == before


def test_the_tune_is_a_sound_file(instrument):
    with instrument.page.expect_download() as waiting:
        instrument.page.get_by_role("button", name="Download the tune").click()
    wave, rate = soundfile.read(waiting.value.path())
    assert rate == 16_000 and len(wave) > 4 * rate and 0.5 < np.abs(wave).max() < 1
    instrument.page.get_by_role("button", name="Play a tune").click()
    instrument.page.get_by_role("button", name="Stop the tune").click()
    instrument.page.get_by_role("button", name="Play a tune").click(timeout=2000)  # the tune lasts four seconds
    instrument.page.get_by_role("button", name="Stop the tune").click()
    instrument.page.get_by_role("button", name="Play a tune").wait_for(timeout=2000)
    assert not instrument.wrong


# --- colours ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def namer(browser, folder):
    return chromium.Opened(browser, written(folder, "colours"))


@pytest.fixture(scope="module")
def survey():
    data = colours.load()
    return data, data.vocabulary.decode(data.train.x)


def test_the_judges_are_pytorchs(namer, survey):
    data, known = survey
    lexicon, c = colours.Words(known), colours.rgb_to_oklab([0.2, 0.5, 0.7])
    assert namer.js("model.oklab('#3380b3')") == pytest.approx(colours.rgb_to_oklab(np.array([51, 128, 179]) / 255))
    texts = ["dusty blue", "sea", "very bright rose"]
    told = [("words", "names-words-colour", 0), ("words", "names-words-colour", 1), ("words", "names-words-colour", 2),
            ("letters", "names-gru-colour", 0), ("letters", "names-gru-colour", 1)]
    largest = 0.0
    for place, (kind, name, copy) in enumerate(told):
        x = torch.as_tensor(lexicon.encode(texts) if kind == "words" else data.vocabulary.encode(texts))
        with torch.no_grad():
            ours = pretrained(name)[copy].log_prob(x, torch.tensor(c).float().expand(3, -1)).numpy()
        found = [namer.js("(g) => model.logProb(g.place, g.text, g.c)", {"place": place, "text": text, "c": list(c)})
                 for text in texts]
        largest = max(largest, np.abs(np.array(found) - ours).max())
    print("colours, log p of a name: largest difference", largest)
    assert largest < 2 * HALF  # of a sum over up to seventeen letters
    ours = naming.Meaning(known, np.asarray(data.train.c)).log_density(texts, np.tile(c, (3, 1)))
    assert [namer.js("(g) => model.meant(g[0], g[1])", [t, list(c)]) for t in texts] == pytest.approx(ours, abs=HALF)


def test_names_fit_and_are_new_and_fit_to_be_shown(namer, survey):
    _, known = survey
    names = naming.Namer(None, None, [], known)
    shown = {hex_: namer.js(f"model.namesFor('{hex_}', 1, 0)") for hex_ in ("#1f3fd0", "#c81e1e", "#2e8b3a", "#f5f0a0")}
    assert all(len(found) == 5 and all(names.may(name) for name in found) for found in shown.values())
    for hex_, word in (("#1f3fd0", "blue"), ("#c81e1e", "red"), ("#2e8b3a", "green"), ("#f5f0a0", "yellow")):
        assert any(word in name for name in shown[hex_]), shown
    again, others = (namer.js(f"model.namesFor('#1f3fd0', 1, {draw})") for draw in (0, 1))
    assert again == shown["#1f3fd0"] != others


def test_no_crude_word_is_in_the_page(folder):
    page = written(folder, "colours").read_text(encoding="utf-8")
    facts = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    words = {*facts["words"], *facts["first"], *facts["last"], *facts["meaning"]["words"]}
    assert len(words) > 300 and not [word for word in words if rude(word)]


def test_picking_a_colour_names_it(namer):
    namer.page.get_by_label("Colour", exact=True).fill("#112266")
    namer.page.get_by_text("For the colour #112266.").wait_for()
    names = namer.page.locator("#names li").all_inner_texts()
    ink = namer.js("getComputedStyle(document.getElementById('patch')).color")
    assert len(names) == 5 and ink == "rgb(255, 255, 255)"
    namer.page.get_by_role("button", name="Other names").click()
    assert namer.page.locator("#names li").all_inner_texts() != names
    namer.page.get_by_label("temperature").fill("0.4")
    namer.page.wait_for_timeout(1000)
    assert 0 < len(namer.page.locator("#names li").all_inner_texts()) <= 5
    namer.page.get_by_label("Colour", exact=True).fill("#000000")
    namer.page.get_by_text(re.compile("#000000")).wait_for()
    if not namer.page.locator("#names li").count():
        assert "raise the temperature" in namer.page.locator("#said").inner_text()
    assert "679 names" in namer.page.locator("main").inner_text() and "black" in namer.js("facts.known")


# --- all of them -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
@pytest.mark.parametrize("name", pages.PAGES)
def test_every_page_opens_from_the_disk_at_once_and_asks_for_nothing(browser, folder, name, width, scheme):
    file = written(folder, name)
    assert file.stat().st_size < 6_000_000
    opened = chromium.Opened(browser, file, width, scheme)
    print(f"{name}: {file.stat().st_size / 1e6:.1f} MB, ready after {opened.milliseconds} ms at {width} pixels")
    opened.check()
    assert opened.js("document.querySelectorAll('[role=status]').length") > 0
    opened.context.close()


@pytest.mark.parametrize("name", pages.PAGES)
def test_without_javascript_a_page_says_so(browser, folder, name):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written(folder, name).as_uri())
    assert "JavaScript is switched off" in page.inner_text("noscript")
    context.close()


@pytest.mark.parametrize("name", pages.PAGES)
def test_all_of_a_page_can_be_reached_by_keyboard(browser, folder, name):
    opened = chromium.Opened(browser, written(folder, name))
    every = "input, select, button:not([tabindex='-1']), textarea"
    controls = opened.js(f'document.querySelectorAll("{every}").length')
    seen = set()
    for _ in range(controls + 2):
        opened.page.keyboard.press("Tab")
        seen.add(opened.js("document.activeElement.id || document.activeElement.textContent"))
    assert len(seen) >= controls
    opened.context.close()
