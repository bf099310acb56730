"""What the pages that play say: of orders, of what is far out, and of signs; and what was ordered can be seen."""

import json
import re

import numpy as np
import pytest
import torch

import chromium
from helpers.experiments.pretrained.priors import traits
from helpers.pages import shipped as pages
from test_pages import picture, pretrained, written

VISIBLE = """(id) => { const { top, bottom } = document.getElementById(id).getBoundingClientRect();
                       return top < innerHeight - 20 && bottom > 20; }"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def typeface(browser, folder):
    return chromium.Opened(browser, written(folder, "typeface"))


def test_what_is_far_out_is_said(typeface):
    told = typeface.page.locator("#far")
    typeface.page.get_by_role("button", name="Back to the middle").click()
    picture(typeface, "sheet")
    assert told.inner_text() == ""
    for k in range(6):
        typeface.page.locator(f"#knob-{k}").fill("-3")
    picture(typeface, "sheet")
    assert "far from all that the model learned from" in told.inner_text()
    typeface.page.get_by_role("button", name="Back to the middle").click()
    picture(typeface, "sheet")
    assert told.inner_text() == ""


def test_what_the_page_says_of_guidance():
    """Kills: that more of it always hits more. Of typefaces of weight +2, more than a quarter then miss."""
    prior, vae = pretrained("glyphs-prior"), pretrained("glyphs-fonts")
    order = prior.c_mean + prior.c_deviation * torch.tensor([[2.0, *[float("nan")] * 4]]).repeat(30, 1)
    hits = []
    for guidance in (0.5, 4.0):
        z = prior.sample(30, order, torch.Generator().manual_seed(1), guidance=guidance)
        came = (traits("glyphs-prior", vae, z)[:, 0] - float(prior.c_mean[0])) / float(prior.c_deviation[0])
        hits.append((np.abs(came - 2) <= 0.5).mean())
    print("weight +2, hits at guidance 0.5 and 4:", hits)
    assert hits[0] > 0.85 > hits[1]


@pytest.mark.parametrize("name", ["glyphs-prior", "notes-prior"])
def test_few_draws_to_order_are_called_far(name):
    """Kills: a standard Normal as the measure, by which half of the draws of the prior of instruments are far."""
    prior, found = pretrained(name), pages.reach(pretrained(name))
    order = torch.full((200, prior.condition), float("nan"))
    order[:100, 0], order[100:, -1] = 2.0, -2.0
    told = prior.c_mean + prior.c_deviation * order
    for c, most in ((None, 0.02), (told, 0.3)):
        z = prior.sample(200, c, torch.Generator().manual_seed(5), guidance=0.5).numpy()
        away = np.linalg.norm((z - found["mean"]) @ np.array(found["root"]).T, axis=1)
        print(name, "far:", (away > found["most"]).mean())
        assert (away > found["most"]).mean() < most


def test_upright_is_about_minus_one():
    """What the page says of the slant: its 0 leans, and sliders have another 0."""
    prior, facts = pretrained("glyphs-prior"), pages.typeface()
    assert float(prior.c_mean[1]) > 0.1 and round(float(-prior.c_mean[1] / prior.c_deviation[1])) == -1
    assert json.loads(re.search(r'id="data">(.*?)</script>', facts)[1])["average"].count("upright is about −1.") == 1


@pytest.mark.parametrize("width", [1200, 360])
@pytest.mark.parametrize(("name", "canvas"), [("typeface", "line"), ("instrument", "sheet")])
def test_what_was_ordered_can_be_seen(browser, folder, name, canvas, width):
    opened = chromium.Opened(browser, written(folder, name), width)
    opened.page.emulate_media(reduced_motion="reduce")
    opened.page.get_by_role("button", name="Draw to order").click()
    picture(opened, canvas)
    assert opened.js(VISIBLE, canvas) and opened.js("document.querySelector('#told[role=status]').textContent")
    assert opened.js(VISIBLE, "told" if width > 800 else "came")
    assert opened.page.locator("#came").is_visible() == (width < 800)
    assert opened.js("document.getElementById('came').textContent === document.getElementById('told').textContent")
    opened.check()
    opened.context.close()


@pytest.mark.parametrize("touch", [True, False])
def test_letters_on_keys_are_for_keyboards(browser, folder, touch):
    context = browser.new_context(viewport={"width": 360, "height": 780}, has_touch=touch, is_mobile=touch)
    page = context.new_page()
    page.goto(written(folder, "instrument").as_uri())
    page.wait_for_selector("body[data-ready]")
    assert page.locator("#key-48 span").is_visible() != touch and page.locator(".letters").is_visible() != touch
    heights = page.evaluate("[...document.querySelectorAll('#playing label')].map((l) => l.offsetHeight)")
    assert max(heights) < 30  # each on one line
    context.close()


def test_signs_are_drawn_or_named(typeface):
    line, said = typeface.page.locator("#text"), typeface.page.locator("#said")
    line.fill("ok")
    bare = picture(typeface, "line")
    line.fill("ok.")
    assert picture(typeface, "line") != bare and said.inner_text() == ""
    line.fill("ok .,:;!'\"-")
    assert said.inner_text() == ""
    line.fill("Ünïcödé – 東京 A1, ok? 'x'")
    assert said.inner_text() == "Left out, since the typeface lacks them: Ü ï ö é – 東 京 ?"
    line.fill("nc")
    bare = picture(typeface, "line")
    line.fill("nc東😀")
    assert picture(typeface, "line") == bare and "東 😀" in said.inner_text()
    line.fill("a" * 230)
    assert "the first 200 of 230 characters" in said.inner_text()
    line.fill("From Encoder to Generator")
    assert said.inner_text() == "" and not typeface.wrong
