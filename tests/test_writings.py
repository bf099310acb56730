"""Texts as people have them: lists and running text, any line ends and encodings, tables, splits; little memory."""

import random
import re
import tracemalloc

import numpy as np
import pytest

from helpers.data import DataError, encodings, folders, layouts, text, writings
from helpers.senses import text as sense

WORDS = "the grey fox ran over a low hill and saw two old men near their fire before night came down on them".split()
NAMES = [f"{a}{b}" for a in ("al", "be", "cor", "dan") for b in ("a", "ina", "us", "ette", "o")]


def sentence(r, n):
    return " ".join(r.choices(WORDS, k=n)).capitalize() + "."


def wrapped(width, paragraphs=12, seed=0):
    """Prose, broken at a margin."""
    r, out = random.Random(seed), []
    for _ in range(paragraphs):
        line = ""
        for word in " ".join(sentence(r, r.randint(5, 14)) for _ in range(6)).split():
            if line and len(line) + 1 + len(word) > width:
                out.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        out += [line, ""]
    return out


def verse():
    r = random.Random(1)
    return [" ".join(r.choices(WORDS, k=r.randint(5, 7))).capitalize() + r.choice([",", ",", ";", ".", ""])
            for _ in range(60)]


def titles(n=60, longest=0):
    r = random.Random(2)
    found = [" ".join(r.choices(WORDS, k=r.randint(2, 8))).capitalize() for _ in range(n)]
    return [*found, " ".join(r.choices(WORDS, k=longest // 4))] if longest else found


def posts():
    r = random.Random(3)
    return [" ".join(sentence(r, r.randint(3, 12)) for _ in range(r.randint(1, 4)))[:280] for _ in range(60)]


def small_letters():
    """Items that begin anyhow and end anyhow: no sentence goes on."""
    r = random.Random(4)
    some = lambda: " ".join(r.choices(WORDS, k=r.randint(3, 12)))
    return [r.choice([str.lower, str.capitalize])(some()) + r.choice(["", ".", "!"]) for _ in range(200)]


CODE = ["def add(a, b):", "    return a + b", "", "for i in range(3):", "    if i:", "        print(i)"] * 5
PLAY = [line for k in range(15) for line in (f"KING {'AB'[k % 2]}:", *(v.rstrip(".;") for v in verse()[k : k + 3]), "")]


@pytest.mark.parametrize("lines", [NAMES, titles(), titles(600, 220), titles(60, 800), posts(), small_letters(),
                                   [line for name in NAMES for line in (name, "")],
                                   ["Ada, Smith", "Bo, Li"] * 10, ["#ff0000"] * 20])
def test_lists_are_lists(lines):
    assert layouts.running(lines) is None


@pytest.mark.parametrize(("lines", "why"), [
    (wrapped(70), "margin of 70"), (wrapped(40), "margin of 40"), (verse(), "go on from line to line"),
    (CODE, "indented"), (PLAY, "from line to line|blank lines"), (["one line alone"], "fewer than 10 lines"),
    ([" ".join(WORDS) * 6] * 20, "more than 300 characters"),
])
def test_running_text_is_running_text(lines, why):
    assert re.search(why, layouts.running(lines))


def put(tmp_path, content, name="a.txt"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_note_says_what_was_taken_and_how_to_change_it(tmp_path):
    book, names = put(tmp_path, "\n".join(wrapped(70))), put(tmp_path, "\n".join(NAMES), "n.txt")
    data = folders.texts(book, length=60)
    assert "running text, since its lines are broken at a margin" in data.notes[0] and "--text lines" in data.notes[0]
    whole = "".join(data.vocabulary.decode(data.x))
    assert data.x.shape[1] == 60
    assert all(a in (b, text.UNKNOWN_CHARACTER) for a, b in zip(whole, "\n".join(wrapped(70))))
    assert "--text running" in folders.texts(names).notes[0]
    assert len(folders.texts(names, by="running", length=5)) < 40 and folders.texts(book, by="lines").x.shape[1] <= 71
    assert any("--size 30 not used" in note for note in folders.texts(names, length=30).notes)


def test_running_text_keeps_breaks_and_indentation_and_has_no_ends(tmp_path):
    data = folders.texts(put(tmp_path, "\r\n".join(CODE)), length=25)
    pieces = data.vocabulary.decode(data.x)
    assert "".join(pieces).startswith("def add(a, b):\n    return a + b\n\nfor") and not (data.x == text.END).any()
    lone = folders.texts(put(tmp_path, "\r".join(NAMES)))
    assert sorted(lone.vocabulary.decode(lone.x)) == sorted(NAMES)


def test_items_keep_their_inner_spaces(tmp_path):
    data = folders.texts(put(tmp_path, "\n".join(f"  {name}   x\t" for name in NAMES)), by="lines")
    assert "ala   x" in data.vocabulary.decode(data.x)


def test_short_texts_are_cut_into_shorter_pieces(tmp_path):
    data = folders.texts(put(tmp_path, "".join(random.Random(0).choices("abcdef ", k=1500))))
    assert data.x.shape == (50, 30)


def test_a_few_endless_lines_are_left_out_of_a_list(tmp_path):
    data = folders.texts(put(tmp_path, "\n".join([*titles(60), "x" * 1500])))
    assert data.x.shape[1] < 100 and any("1 of 61 lines left out: they have more than 1,000" in n for n in data.notes)


def test_memory_grows_with_the_characters_and_not_with_the_longest_line(tmp_path, monkeypatch):
    monkeypatch.setattr(writings, "FREE", 100_000)
    r = random.Random(0)
    lines = ["".join(r.choices("abcdefgh", k=20)) for _ in range(20_000)] + [900 * "y"]
    path = put(tmp_path, "\n".join(lines))
    tracemalloc.start()
    data = folders.texts(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.x.shape == (20_000, 21) and data.x.dtype == np.int16 and peak < 20e6
    assert any("1 of 20,001 lines left out" in note and "room of the longest" in note for note in data.notes)


def test_what_does_not_fit_is_refused_before(tmp_path, monkeypatch):
    monkeypatch.setattr(writings.psutil, "virtual_memory", lambda: type("", (), {"available": 100})())
    with pytest.raises(DataError, match=r"20 texts of up to 7 characters need .* GB of memory, and 1e-07 GB are free"):
        folders.texts(put(tmp_path, "\n".join(NAMES)))


def test_many_characters_take_a_wider_type():
    found = text.make("all", [chr(0x4E00 + k) + chr(0x10000 + k) for k in range(17_000)], small=True)
    assert found.x.dtype == np.int32 and found.x.max() == len(found.vocabulary) - 1
    same = text.make("some", NAMES, small=True)
    assert (same.x == text.make("some", NAMES).x).all() and text.make("some", NAMES).x.dtype == np.int64


# --- encodings -------------------------------------------------------------------------------------------

GERMAN = "Käse und Brot, für “Ängste” – schön\nMüller\nZürich\nöde"
RUSSIAN = "Мой дядя самых честных правил,\nКогда не в шутку занемог,\nОн уважать себя заставил"
JAPANESE = "今日は天気がいいですね。明日も晴れるでしょう。\n私は学生です。ありがとう。"
CHINESE = "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"


@pytest.mark.parametrize(("content", "encoding", "said"), [
    (GERMAN, "cp1252", "Windows-1252"), ("Käse\nBrot", "latin-1", "Windows-1252"), (RUSSIAN, "koi8-r", "KOI8-R"),
    ("Stanisław\nŁódź\nŻaneta\nJaśmina\nWęgry", "cp1250", "Windows-1250"), (RUSSIAN, "cp1251", "Windows-1251"),
    (JAPANESE, "shift_jis", "Shift-JIS"), (CHINESE, "gb18030", "GB18030"), (GERMAN, "utf-16", "UTF-16"),
    (GERMAN, "utf-16-be", None), (GERMAN, "utf-32", "UTF-32"), (GERMAN, "utf-8-sig", None), (GERMAN, "utf-8", None),
])
def test_other_encodings_are_read_and_said(content, encoding, said):
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    found, note = encodings.decoded("a.txt", mark + content.replace("\n", "\r\n").encode(encoding))
    assert found == content
    assert (note is None) == encoding.startswith("utf-8") and (said or "") in (note or "")


def test_a_damaged_utf_8_stays_utf_8():
    found, note = encodings.decoded("a.txt", (GERMAN * 30).encode() + b"\xe9 end")
    assert found == GERMAN * 30 + "� end" and note == "a.txt: 1 place is not UTF-8, and shown as �"


@pytest.mark.parametrize("content", [b"a\0b", b"\xff\xfea\0b", b"\xff\xfe\0\0abc", bytes(range(1, 256)) * 9])
def test_what_is_no_text_is_refused(content):
    with pytest.raises(DataError, match=r"^a\.txt: [^\n]*\.$"):
        encodings.decoded("a.txt", content)


# --- tables, folders, splits ------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", ["\t", ";", ","])
def test_a_table_is_said_and_its_header_left_out(tmp_path, mark):
    rows = [mark.join([name, str(k), "x"]) for k, name in enumerate(NAMES)]
    data = folders.texts(put(tmp_path, "\n".join([mark.join(["name", "number", "sign"]), *rows])))
    assert sorted(data.vocabulary.decode(data.x)) == sorted(rows)
    assert any("table of 3 columns (name, number, sign)" in note and "header left out" in note for note in data.notes)
    assert not any("table" in note for note in folders.texts(put(tmp_path, "\n".join(titles()))).notes)


def test_splits_of_the_readers_own_are_kept(tmp_path):
    parts = {"train": NAMES[::2], "val": NAMES[1::4], "test": [*NAMES[3::4], NAMES[0]]}
    for name, lines in parts.items():
        put(tmp_path, "\n".join(lines), f"{name}.txt")
    data = folders.texts(tmp_path)
    decoded = lambda part: set(data.vocabulary.decode(part.x))
    assert decoded(data.test) == set(parts["test"]) and decoded(data.valid) == set(parts["val"])
    assert decoded(data.train) == set(parts["train"]) - {NAMES[0]} and any("split as" in note for note in data.notes)


def test_subfolders_are_labels_if_asked_for(tmp_path):
    for k, author in enumerate(("ada", "bo")):
        put(tmp_path, "\n".join(f"{name}{k}" for name in NAMES), f"{author}/a.txt")
    put(tmp_path, "All about it.", "README.txt")
    assert folders.texts(tmp_path).c is None
    data = folders.texts(tmp_path, labels=True)
    assert data.names == ("ada", "bo")
    assert all(found.endswith(str(c)) for found, c in zip(data.vocabulary.decode(data.x), data.c))


# --- samples and distances --------------------------------------------------------------------------------


def test_samples_with_line_breaks_are_parted_and_numbered():
    assert sense.lines(["ab", "c"], None) == ["ab", "c"] and sense.lines(["ab"], ["x"]) == ["x\tab"]
    written = sense.files(["a\nb", "c"], None)[".txt"].decode()
    assert written == "——— 1 ———\na\nb\n——— 2 ———\nc\n"
    assert "——— 2 y ———" in sense.lines(["a\nb", "c"], ["x", "y"])[1]


def test_a_copy_is_found_among_many_long_texts(monkeypatch):
    r = np.random.default_rng(0)
    train = r.integers(3, 30, (600, 120)).astype(np.int16)
    a = train[[17, 300]].copy()
    a[1, :5] = 3
    found = sense.distances(a, train)
    assert found[0, 0] == 0 and 1 <= found[1, 0] <= 5 and (found[:, 1] > 50).all()
    assert sense.distances(a, np.concatenate([train, train]), np.tile(np.arange(600), 2))[0, 1] > 50
    assert np.isinf(sense.distances(a, train[:1])[:, 1]).all()
