"""A typeface as a TrueType file that installs and types: from an alphabet of 62 distance fields.

Outlines are traced (tracing), punctuation is drawn by rule (marks), letters are spaced and kerned by their white
(spacing), and fontTools writes the tables. The same alphabet and name give the same bytes.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from helpers.data import glyphs, strokes
from helpers.data.outlines import BASELINE, CAPITAL, CHARACTERS, SIDE
from helpers.disk import DiskError, write_new
from helpers.errors import DataError
from helpers.export import marks, spacing, tracing

if TYPE_CHECKING:
    from helpers.models import SetVAE

UNITS = 1000  # to the em, the size at which a font is set
HEIGHT = 700  # of the capitals, in these
SCALE = HEIGHT / CAPITAL  # units a pixel
WHITE = 0.31  # beside a straight stroke, as a part of the white inside an n
DATE = 2082844800 + 1767225600  # in every file, so that bytes repeat: 1 January 2026, in seconds since 1904
LONGEST = 31  # characters of a name; older programs cut longer ones


def font(alphabet: ArrayLike, path: str | os.PathLike, name: str, licence: str = "", licence_url: str = "",
         designer: str = "", model: "SetVAE | None" = None) -> Path:
    """Write an alphabet as a TrueType font (.ttf), and return its path.

    alphabet: signed distances (62, 784), in the order of ``glyphs.CHARACTERS``; or, with a ``model`` of fonts, a code
    (K,), which is decoded under all characters, and mended. name: what programs list it as. licence, licence_url,
    designer: what the file says about itself; nothing, unless you say it.

    With the 62 characters come the space, no-break space and the punctuation of ``marks.MARKS``, drawn by rule from the
    typeface's own strokes, and kerning. Raises DataError for an alphabet or a name that cannot be used, and DiskError
    where a file is already, or nothing can be written.
    """
    path = Path(path)
    fields = _decoded(alphabet, model)
    _check_name(name)
    if path.suffix.lower() != ".ttf":
        raise DataError(f"{path.name!r} is no name for a TrueType font; let it end in .ttf.")
    for what, text in (("licence", licence), ("licence_url", licence_url), ("designer", designer)):
        if not isinstance(text, str) or any(ord(c) < 32 and c != "\n" for c in text):
            raise DataError(f"{what} is {text!r}; give it as text, without control characters.")
    data = build(fields, name, {13: licence, 14: licence_url, 9: designer})
    try:
        write_new(path, data)
    except OSError as error:
        raise DiskError(f"{path.parent} cannot be written to ({error.strerror}); choose another folder.") from error
    return path


def _decoded(alphabet, model):
    """The fields (62, 28, 28) of an alphabet or of a code, checked."""
    if model is not None:
        import torch

        code = torch.as_tensor(np.asarray(alphabet), dtype=torch.float32).reshape(1, -1)
        if code.shape[1] != model.code:
            raise DataError(f"the code has {code.shape[1]} numbers, and the model's have {model.code}.")
        alphabet = strokes.decoded(model, code)
    try:
        fields = np.asarray(alphabet, dtype=float)
        fields = fields.reshape(len(fields), SIDE, SIDE)
    except (TypeError, ValueError):
        fields = np.empty(0)
    if fields.shape != (len(CHARACTERS), SIDE, SIDE):
        raise DataError(f"an alphabet has the shape (62, 784), and this one {np.shape(alphabet)}; give the distances "
                        "of all 62 characters, or a code together with its model.")
    if not np.isfinite(fields).all():
        raise DataError("the alphabet holds numbers that are not finite (NaN or infinity); no font can be made of it.")
    return fields


def _check_name(name):
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*(?:[ -][A-Za-z0-9]+)*", name, re.ASCII):
        raise DataError(f"a font cannot be called {name!r}; take letters from A to Z, digits, and single spaces or "
                        "hyphens between them, and begin with a letter.")
    if len(name) > LONGEST:
        raise DataError(f"{name!r} has {len(name)} characters; programs cut names of fonts after {LONGEST}.")


def build(fields: np.ndarray, name: str, texts: dict[int, str]) -> bytes:
    """The bytes of a font of fields (62, 28, 28). texts: what else stands in its table of names, by number."""
    from fontTools.fontBuilder import FontBuilder

    fine = {k: tracing.refine(field) for k, field in zip(CHARACTERS, fields)}
    lines = {k: tracing.zero_lines(field, tracing.FINE) for k, field in fine.items()}
    empty = "".join(k for k, found in lines.items() if not found)
    if empty:
        raise DataError(f"there is no ink in {empty}; a font needs all its letters.")
    m = marks.measures(fine, glyphs.measure(fields.reshape(len(fields), -1))["slant"])
    sides = {k: spacing.edges(field, tracing.FINE, m.slant) for k, field in fine.items()}
    for mark in marks.MARKS:
        field = marks.draw(mark, m)
        lines[mark] = tracing.zero_lines(field, marks.TIMES)
        sides[mark] = spacing.edges(field, marks.TIMES, m.slant)

    target = WHITE * m.counter
    room, outlines = {}, {}
    pieces = {k: [tracing.trace(line, sharpen=k in CHARACTERS) for line in found] for k, found in lines.items()}
    base = level(pieces, "EFHIKLMNTXZhiklmnrxz", BASELINE, same=0.3)  # what a model draws may stand off
    top = level(pieces, "BDEFHIKLMNPRTUVWXYZ", BASELINE - CAPITAL, same=0.3)
    x_top = level(pieces, "imnruvwxyz", BASELINE - m.x_height)
    for k in CHARACTERS:
        for found in pieces[k]:
            tracing.align(found, [base, top, x_top])
    for k, (left, right) in sides.items():
        tall = not k.islower() and k not in ".,:;-+=\u2013\u2014"
        room[k] = spacing.bearings(left, right, tall, m.x_height, target)
        outlines[k] = glyph(pieces[k], room[k][0], base if k in CHARACTERS else BASELINE)
    white = {k: (left - room[k][0], room[k][1] - right) for k, (left, right) in sides.items()}
    moves = spacing.kerning(white, target, SCALE)

    names = {k: glyph_name(k) for k in outlines}
    space = round(0.5 * (room["n"][1] - room["n"][0]) * SCALE)
    drawn = {".notdef": notdef(), "space": glyph([], 0, 0), **{names[k]: outline for k, outline in outlines.items()}}
    widths = {".notdef": 560, "space": space, **{names[k]: round((b - a) * SCALE) for k, (a, b) in room.items()}}
    builder = FontBuilder(UNITS, isTTF=True)
    builder.setupGlyphOrder(list(drawn))
    builder.setupCharacterMap({32: "space", 0xA0: "space", **{ord(k): names[k] for k in outlines}})
    builder.setupGlyf(drawn)
    builder.setupHorizontalMetrics({k: (width, getattr(drawn[k], "xMin", 0)) for k, width in widths.items()})
    low = min(getattr(g, "yMin", 0) for g in drawn.values())
    high = max(getattr(g, "yMax", 0) for g in drawn.values())
    up, down = round((BASELINE - 0.5) * SCALE), -round((SIDE - BASELINE - 0.5) * SCALE)  # of the learned images
    angle = -float(np.degrees(np.arctan(m.slant))) if abs(m.slant) > 0.03 else 0.0
    builder.setupHorizontalHeader(ascent=up, descent=down, lineGap=90, caretSlopeRise=1000,
                                  caretSlopeRun=round(1000 * m.slant) if angle else 0)
    builder.setupOS2(version=4, sTypoAscender=up, sTypoDescender=down, sTypoLineGap=90, usWinAscent=max(up, high),
                     usWinDescent=max(-down, -low), sxHeight=round((base - x_top) * SCALE),
                     sCapHeight=round((base - top) * SCALE), fsType=0, achVendID="    ",
                     usWeightClass=weight_class(m.stem / CAPITAL),
                     fsSelection=(1 << 6) | (1 << 7), usFirstCharIndex=32, usLastCharIndex=max(map(ord, outlines)),
                     usDefaultChar=0, usBreakChar=32, usMaxContext=2, ulCodePageRange1=1, ulUnicodeRange1=1,
                     xAvgCharWidth=round(np.mean(list(widths.values()))), yStrikeoutSize=round(m.bar * SCALE),
                     yStrikeoutPosition=round(0.55 * m.x_height * SCALE))
    builder.setupPost(italicAngle=angle, underlinePosition=-130, underlineThickness=max(20, round(m.bar * SCALE)))
    builder.setupNameTable(table_of_names(name, drawn, texts), mac=False)
    builder.updateHead(created=DATE, modified=DATE, fontRevision=1.0, lowestRecPPEM=8, flags=0b1011)
    finish(builder, {(names[a], names[b]): move for (a, b), move in moves.items()})
    return to_bytes(builder.font)


def level(pieces: dict[str, list[list[tracing.Piece]]], characters: str, near: float, same: float = 0.0) -> float:
    """The height (y, in pixels) at which some characters have their level parts: their median, if they are near to one.

    near: where they are expected; it is the answer, too, where none is found, or the median is off by less than same.
    """
    found = [outline[i].points[:, 1].mean() for k in characters for outline in pieces[k]
             for i in tracing.level_parts(outline)]
    found = [y for y in found if abs(y - near) < 1.0]
    median = float(np.median(found)) if found else near
    return near if abs(median - near) < same else median


def glyph(outlines: list[list[tracing.Piece]], origin: float, base: float) -> Any:
    """The outlines of one character, in pixels, y downwards, as a glyph of fontTools' with quadratic curves.

    origin: where its room begins, in pixels from the left of the image, at half the capitals' height. base: where it
    stands, in pixels from the top.
    """
    from fontTools.pens.cu2quPen import Cu2QuPen
    from fontTools.pens.roundingPen import RoundingPen
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    result = TTGlyphPen(None)
    pen = Cu2QuPen(RoundingPen(result), max_err=0.8)
    place = lambda points: [((x - origin) * SCALE, (base - y) * SCALE) for x, y in points]
    for pieces in outlines:
        pen.moveTo(place(pieces[0].points[:1])[0])
        for number, piece in enumerate(pieces, start=1):
            if not piece.straight:
                pen.curveTo(*place(piece.points[1:]))
            elif number < len(pieces):  # closing draws the last line
                pen.lineTo(place(piece.points[1:])[0])
        pen.closePath()
    return result.glyph(dropImpliedOnCurves=True)


def notdef() -> Any:
    """The box that stands for characters that a font lacks."""
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    for ring in ([(60, 0), (60, 700), (500, 700), (500, 0)], [(110, 50), (450, 50), (450, 650), (110, 650)]):
        pen.moveTo(ring[0])
        for point in ring[1:]:
            pen.lineTo(point)
        pen.closePath()
    return pen.glyph()


def glyph_name(character: str) -> str:
    """What a character's glyph is called in Adobe's list of names, such as "a", "seven" or "comma"."""
    from fontTools.agl import UV2AGL

    return UV2AGL[ord(character)]


def weight_class(stem: float) -> int:
    """The weight as programs count it, 300 (light) to 800 (very bold), from the stem over the height of capitals."""
    return next((weight for most, weight in ((0.08, 300), (0.155, 400), (0.18, 600), (0.24, 700)) if stem < most), 800)


def table_of_names(name: str, drawn: dict, texts: dict[int, str]) -> dict:
    """What setupNameTable wants. The unique name holds a hash of the outlines: two fonts may be called the same."""
    postscript = name.replace(" ", "") + "-Regular"
    points = repr([(k, list(g.coordinates) if g.numberOfContours else []) for k, g in drawn.items()])
    unique = f"1.000;{postscript};{hashlib.sha256(points.encode()).hexdigest()[:8]}"
    said = {1: name, 2: "Regular", 3: unique, 4: name, 5: "Version 1.000", 6: postscript, **texts}
    keys = {1: "familyName", 2: "styleName", 3: "uniqueFontIdentifier", 4: "fullName", 5: "version", 6: "psName",
            9: "designer", 13: "licenseDescription", 14: "licenseInfoURL"}
    return {keys[number]: text for number, text in said.items() if text}


def finish(builder: Any, moves: dict[tuple[str, str], int]) -> None:
    """Add kerning, as GPOS and for older programs as a kern table, and how to smooth on a screen."""
    from fontTools.ttLib import newTable
    from fontTools.ttLib.tables._k_e_r_n import KernTable_format_0

    lines = "".join(f"  pos {a} {b} {move};\n" for (a, b), move in moves.items())
    languages = "languagesystem DFLT dflt;\nlanguagesystem latn dflt;\n"
    if moves:
        builder.addOpenTypeFeatures(f"{languages}feature kern {{\n{lines}}} kern;\n")
        kern, table = newTable("kern"), KernTable_format_0()
        kern.version, kern.kernTables, table.coverage, table.kernTable = 0, [table], 1, dict(moves)
        builder.font["kern"] = kern
    builder.font["gasp"] = gasp = newTable("gasp")
    gasp.version, gasp.gaspRange = 1, {0xFFFF: 0b1010}  # grey, and smoothed in both directions, at all sizes
    builder.font["OS/2"].recalcAvgCharWidth(builder.font)


def to_bytes(made: Any) -> bytes:
    """What a TTFont saves, without the time of the day."""
    import io

    file = io.BytesIO()
    made.recalcTimestamp = False
    made.save(file, reorderTables=True)
    return file.getvalue()
