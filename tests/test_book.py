"""The book: all lessons with their figures, descriptions, exercises and sounds; links that resolve; pages that read
on a phone, in the dark and by the keyboard, and ask no other computer for anything.

It is built once, where `make book` has installed what it needs. With axe-core in build/axe (`npm install --prefix
build/axe axe-core`), its rules of accessibility are tried, too.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from comparing import contents
from helpers.lessons import PATH

ROOT = Path(__file__).resolve().parent.parent
AXE = ROOT / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page holds: its ids, its links and sources, its pictures, summaries and text."""

    def __init__(self, path: Path):
        super().__init__()
        self.path, self.ids, self.links, self.pictures, self.tags, self.text = path, set(), [], [], [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.ids.add(found.get("id"))
        self.links += [found[name] for name in ("href", "src") if found.get(name)]
        if tag == "img":
            self.pictures.append(found)

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    if lost := [name for name in ("sphinx", "myst_nb", "furo", "latex2mathml") if not importlib.util.find_spec(name)]:
        pytest.skip(f"{', '.join(lost)} not installed; `make book` installs what the book needs")
    site = tmp_path_factory.mktemp("made") / "book"
    done = subprocess.run([sys.executable, ROOT / "tools" / "book.py", site], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def test_a_folder_of_others_is_left_as_it_is(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.html").write_text("mine")
    (tmp_path / "book-pages").mkdir()
    before = contents(tmp_path)
    command = [sys.executable, ROOT / "tools" / "book.py", tmp_path / "book"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and "nothing in it is touched" in done.stderr and done.stderr.count("\n") == 1
    assert contents(tmp_path) == before


def test_nothing_is_left_beside_the_book_and_nothing_of_it_is_unrecorded(book):
    site = book["index.html"].path.parent
    assert list(site.parent.iterdir()) == [site]
    recorded = json.loads((site / "book.json").read_text(encoding="utf-8"))["files"]
    assert set(recorded) == contents(site).keys() - {"book.json"}


def test_every_link_resolves(book):
    broken = []
    for page in book.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("data", "http", "https"):
                continue
            target = page.path.parent / unquote(parts.path) if parts.path else page.path
            if not target.exists():
                broken.append(f"{page.path.name}: {link}")
            elif parts.fragment and target.suffix == ".html":
                other = next(one for one in book.values() if one.path == target.resolve())
                if unquote(parts.fragment) not in other.ids:
                    broken.append(f"{page.path.name}: {link}")
    assert broken == []


def outputs(lesson, kind):
    nb = json.loads((ROOT / "notebooks" / lesson.file).read_text(encoding="utf-8"))
    found = [output.get("data", {}) for cell in nb["cells"] for output in cell.get("outputs", [])]
    return [data for data in found if kind in data]


@pytest.mark.parametrize("lesson", PATH, ids=lambda lesson: lesson.name)
def test_a_page_for_every_lesson(book, lesson):
    page = book[f"lessons/{lesson.name}.html"]
    assert lesson.title in page.text and re.search(r"\d+ min to read and try · the cells run in \d+ s", page.text)
    assert "You need" in page.text
    descriptions = [picture["alt"] for picture in page.pictures]
    figures = ["".join(data["text/plain"]) for data in outputs(lesson, "image/png")]
    assert [alt for alt in descriptions if alt in figures] == figures  # each figure, with its words, in order
    assert all(len(alt) >= 20 for alt in descriptions)
    assert page.tags.count("audio") == sum("<audio" in "".join(data["text/html"])
                                           for data in outputs(lesson, "text/html"))
    notebook = (ROOT / "notebooks" / lesson.file).read_text(encoding="utf-8")
    exercises = set(re.findall(r"exercises\.(\w+)\.check\(", notebook))
    assert exercises and all(f"{name}: our solution" in page.text and f"{name}: hint 1" in page.text
                             for name in exercises)
    i = PATH.index(lesson)
    around = [f"{one.name}.html" for one in PATH[max(i - 1, 0) : i] + PATH[i + 1 : i + 2]]
    assert set(around) <= set(page.links)


def test_the_pages_that_play_are_in_it_and_linked_where_a_designer_stands(book):
    from book import PLAY

    assert {f"play/{name}.html" for name in PLAY.values()} <= set(book["index.html"].links)
    for lesson in PATH:
        links = [link for link in book[f"lessons/{lesson.name}.html"].links if "/play/" in link]
        assert links == ([f"../play/{PLAY[lesson.name]}.html"] if lesson.name in PLAY else [])


def test_mathematics_is_drawn(book):
    page = book["lessons/vae_in_numpy.html"]
    assert page.tags.count("math") > 20 and "\\frac" not in page.text
    assert not [page.path.name for page in book.values() if "merror" in page.tags]


def test_the_glossary_holds_every_term_in_order(book):
    from book import terms

    text = book["glossary.html"].path.read_text(encoding="utf-8")
    found = [re.sub("<.*?>", "", term) for term in re.findall("<dt>(.*?)</dt>", text, re.S)]
    assert len(found) == len(terms()) > 100
    letters = re.findall(r"<h2>(\w)", text)
    assert letters == sorted(letters)
    assert text.count("<dd>") == sum(map(len, terms().values()))


def test_the_board_holds_every_row(book):
    rows = json.loads((ROOT / "data" / "board.json").read_text(encoding="utf-8"))
    assert book["board.html"].tags.count("tr") == 1 + len(rows)
    assert all(row["model"] in book["board.html"].text for row in rows)


# Code has a mark for every word, at each of which axe-core looks long: it does so on these pages alone, which together
# show all that there is.
WHOLE = ("index.html", "board.html", "glossary.html", "search.html", "lessons/losses_and_gradients.html",
         "play/typeface.html", "play/instrument.html", "play/colours.html")
SHAPES = [(1280, "light"), (360, "dark")]


@pytest.mark.parametrize(("width", "scheme"), SHAPES, ids=["laptop", "phone"])
def test_it_reads_in_a_browser(book, browser, width, scheme):
    axe = AXE.read_text(encoding="utf-8") if AXE.exists() else None
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    wrong = []
    page = context.new_page()
    page.on("request", lambda request: wrong.append(request.url) if request.url.startswith("http") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for name, made in book.items():
        page.goto(made.path.as_uri())
        page.evaluate("document.querySelectorAll('article details').forEach(one => one.open = true)")
        if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
            wrong.append(f"{name} is {wide} pixels wide")
        if scheme == "dark":
            red = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0]")
            if int(red) > 60:
                wrong.append(f"{name} is not dark")
        if axe and (name in WHOLE or scheme == "light"):
            page.evaluate(axe)
            where = {"include": [["html"]], "exclude": [] if name in WHOLE else [[".highlight"], ["math"]]}
            done = page.evaluate("where => axe.run(where, {resultTypes: ['violations']})", where)
            wrong += [f"{name}: {one['id']}: {one['nodes'][0]['html'][:200]}" for one in done["violations"]
                      if one["impact"] in ("serious", "critical")]
    context.close()
    assert wrong == []


def test_search_finds(book, browser):
    page = browser.new_page()
    page.goto(book["search.html"].path.as_uri() + "?q=collapse")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert page.locator("#search-results li a", has_text="What the numbers mean").count()
    page.close()


def test_sounds_play(book, browser):
    page = browser.new_page()
    page.goto(book["lessons/audio.html"].path.as_uri())
    lengths = page.evaluate("""Promise.all([...document.querySelectorAll('audio')].map(one => new Promise((done) => {
        one.preload = 'metadata'; one.onloadedmetadata = () => done(one.duration); one.onerror = () => done(0);
        one.load(); })))""")
    page.close()
    assert lengths and all(0.1 < length < 60 for length in lengths)
