"""The pages that play, each opened from the disk in a real browser: PyTorch's numbers, and what a reader does there."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from fontTools.pens.areaPen import AreaPen
from fontTools.ttLib import TTFont

import chromium
from helpers import disk
from helpers.build import restore
from helpers.data import glyphs, strokes
from helpers.pages import document
from helpers.pages import shipped as pages

HALF = 1e-2  # half precision has eleven bits


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as found:
        yield found


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
        assert "slant" in typeface.page.locator("#said").inner_text()
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
    controls = opened.js("document.querySelectorAll('input, select, button, textarea').length")
    seen = set()
    for _ in range(controls + 2):
        opened.page.keyboard.press("Tab")
        seen.add(opened.js("document.activeElement.id || document.activeElement.textContent"))
    assert len(seen) >= controls
    opened.context.close()
