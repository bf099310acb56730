"""The reader's own fonts: which files of a folder can be drawn, and why the others cannot.

A font is used if it is one TrueType or OpenType font with outlines for all of A–Z and a–z. Whatever else is found is
left out, by name and with its reason.
"""

import hashlib
import os
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from helpers.data.dataset import DataError
from helpers.data.outlines import BASELINE, CAPITAL, CHARACTERS, FINE, outlines

Font = tuple[str, Path, str, str]  # name, file, alphabet (always ""), split
ENDINGS = (".ttf", ".otf")
OTHERS = {
    ".ttc": "a collection of fonts; save each of them as a file of its own",
    ".otc": "a collection of fonts; save each of them as a file of its own",
    ".woff": "a font packed for the web; save it as TTF or OTF",
    ".woff2": "a font packed for the web; save it as TTF or OTF",
    ".dfont": "a font of an older Macintosh; save it as TTF or OTF",
    ".pfb": "a PostScript font; save it as OTF",
    ".pfa": "a PostScript font; save it as OTF",
    ".fon": "a font of pixels, which has no outlines",
    ".bdf": "a font of pixels, which has no outlines",
}
LETTERS = string.ascii_letters
SHOWN = 6  # reasons in an error's message


def read(folder: str | os.PathLike, held_out: Sequence[str] = ()) -> tuple[list[Font], list[str], bytes]:
    """The usable fonts of a folder, sorted by file name; what is said about the others; and a hash of all contents.

    held_out: names of fonts, or of their files, that go to the test split; all others join the training. Raises
    DataError for a folder that is not there or holds no usable font, and for a name in held_out that is none of them.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give the one that holds your .ttf and .otf files.")
    if isinstance(held_out, str):
        held_out = (held_out,)
    fonts: list[Font] = []
    notes: list[str] = []
    names: dict[str, Path] = {}
    seen: dict[bytes, str] = {}
    digest = hashlib.sha256()
    for file in files(folder):
        where = printable(file.relative_to(folder).as_posix())
        content, reason = b"", OTHERS.get(file.suffix.lower(), "")
        if not reason:
            try:
                content = file.read_bytes()
            except OSError as error:
                reason = f"cannot be read ({error.strerror})"
        key = hashlib.sha256(content).digest()
        digest.update(where.encode() + b"\0" + key + reason.encode())
        if not reason and key in seen:
            reason = f"the same file as {seen[key]}"
        name = ""
        if not reason:
            seen[key] = where
            name, reason = examine(file, content)
        if reason:
            notes.append(f"left out: {where} ({reason})")
            continue
        name = name if name and name not in names else f"{name or 'font'} ({where})"
        names[name] = file
        split = "test" if {name, file.name, file.stem} & set(held_out) else "train"
        fonts.append((name, file, "", split))
    if not fonts:
        said = "; ".join(note.removeprefix("left out: ") for note in notes[:SHOWN])
        more = f"; and {len(notes) - SHOWN} more" if len(notes) > SHOWN else ""
        raise DataError(f"{folder} holds no font that can be used{': ' + said + more if notes else ''}. Put .ttf or "
                        ".otf files with Latin letters there.")
    unknown = [h for h in held_out if not any(h in (name, file.name, file.stem) for name, file, *_ in fonts)]
    if unknown:
        raise DataError(f"held_out: {unknown[0]!r} is no usable font of {folder}; there are {', '.join(names)}.")
    digest.update(repr(sorted(held_out)).encode())
    return fonts, notes, digest.digest()


def files(folder: Path) -> Iterator[Path]:
    """The files of a folder and its subfolders that look like fonts, sorted; none that is hidden, no link out of it."""
    inside = folder.resolve()
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if hidden or file.suffix.lower() not in (*ENDINGS, *OTHERS) or file.is_dir():
            continue
        if not file.is_symlink() or inside in file.resolve().parents:
            yield file


def examine(file: Path, content: bytes) -> tuple[str, str]:
    """The name of a font, and why it cannot be used: one of them is empty."""
    from io import BytesIO

    from fontTools.ttLib import TTFont

    if not content:
        return "", "an empty file"
    if content[:4] == b"ttcf":
        return "", OTHERS[".ttc"]
    try:
        font = TTFont(BytesIO(content), lazy=True)
        tables, name = set(font.keys()), printable(full_name(font))
        unicode = font.getBestCmap() if "cmap" in tables else None
    except Exception:  # a damaged file raises anything
        return "", "damaged, or not a font"
    if "fvar" in tables:
        return "", "a variable font, one file for many weights; save the weights that you want as fonts of their own"
    if not tables & {"glyf", "CFF ", "CFF2"}:
        return "", "a font without outlines"
    if not unicode:
        return "", "a font of symbols, which does not say what letters its glyphs are"
    missing = [k for k in LETTERS if ord(k) not in unicode]
    if missing:
        return "", f"it lacks {'Latin letters' if len(missing) == len(LETTERS) else ' '.join(missing[:10])}"
    try:
        found = outlines(file)
    except Exception:  # FreeType, too, may raise anything
        return "", "damaged: its outlines cannot be read"
    empty = [k for k in LETTERS if k not in found]
    if empty:
        return "", f"empty where it should draw {' '.join(empty[:10])}"
    if not 0 < found["H"][0][:, 1].max() < 1000:
        return "", "its H does not stand on the line"
    return name or printable(file.stem), ""


def full_name(font: Any) -> str:
    """What a font of fontTools' is called: its full name, or its family's; nothing, if it does not say."""
    table = font["name"] if "name" in font else None
    return next((found for number in (4, 16, 1) if table and (found := table.getDebugName(number))), "")


def printable(text: str) -> str:
    """A name without what cannot be shown on one line, at most 60 characters."""
    return "".join(c if c.isprintable() else "?" for c in text).strip()[:60]


def trouble(drawn: dict[str, np.ndarray], others: dict[str, dict[str, np.ndarray]]) -> str:
    """Why the fields of a font (56, 56 each) cannot be used beside those of others, by name; nothing, if they can."""
    cut = [k for k, field in drawn.items() if max(field[[0, -1]].max(), field[:, [0, -1]].max()) > 0]
    if len(cut) > 3:
        return f"too large for the image: {' '.join(cut[:10])} would be cut off"
    tall = np.flatnonzero((drawn["H"] > 0).any(axis=1)) / FINE
    if not len(tall) or abs(BASELINE - CAPITAL - tall[0]) > 1:
        return "its H does not stand on the line"
    for name, other in others.items():
        both = [k for k in CHARACTERS if k in drawn and k in other]
        if both and np.mean([np.abs(np.clip(drawn[k], -2, 2) - np.clip(other[k], -2, 2)).mean() for k in both]) < 0.02:
            return f"the same letters as {name}"
    return ""
