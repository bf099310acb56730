"""From the bytes of a file to its characters: UTF-8, UTF-16 with a mark, or an honest guess at an older encoding."""

from helpers.data.dataset import DataError

PART = 100_000  # bytes that a guess looks at, all from lines that are not ASCII
FEW = 0.4  # of the bytes of such lines: as many are beyond ASCII in a language that has mostly plain letters
BROKEN = 0.01  # of the characters beyond ASCII: a text with fewer bad ones is UTF-8 that was damaged
MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
WEST = {"cp1250", "cp1252", "cp1254", "cp1257", "cp775", "latin_1", "mac_latin2", "mac_roman", "cp850", "cp858",
        "cp437", "hp_roman8", *(f"iso8859_{k}" for k in (2, 3, 4, 9, 10, 13, 14, 15, 16))}
SHOWN = {"cp1250": "Windows-1250", "cp1251": "Windows-1251", "cp1252": "Windows-1252", "cp1253": "Windows-1253",
         "cp932": "Shift-JIS", "shift_jis": "Shift-JIS", "shift_jis_2004": "Shift-JIS", "koi8_r": "KOI8-R",
         "gb18030": "GB18030", "euc_jis_2004": "EUC-JP", "euc_jp": "EUC-JP", "big5": "Big5", "cp949": "EUC-KR",
         "euc_kr": "EUC-KR"}


def decoded(name: str, data: bytes) -> tuple[str, str | None]:
    """The characters of a file, line ends as \\n, and a note if its encoding had to be guessed, or None.

    A mark at its beginning is dropped. Raises DataError for bytes that are no text: zeros, or no encoding that fits.
    """
    text, note = _decoded(name, data)
    return text.replace("\r\n", "\n").replace("\r", "\n"), note


def _decoded(name, data):
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                raise DataError(f"{name}: begins like {encoding.upper()} and does not go on like it; save it as "
                                "UTF-8.") from None
            if "\0" in text:
                break
            return text, f"{name}: read as {encoding.upper()}"
    if b"\0" in data:
        raise DataError(f"{name}: is not text: byte {data.index(0) + 1:,} is zero; give a text file in UTF-8.")
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        bad = error.start
    text = data.decode("utf-8-sig", "replace")
    broken = text.count("�")
    # Where nothing beyond ASCII but bad bytes is left, it never was UTF-8.
    if broken <= max(1, BROKEN * sum(len(line) for line in _marked(text))) and any(_marked(text)):
        bytes_ = "1 place is" if broken == 1 else f"{broken:,} places are"
        return text, f"{name}: {bytes_} not UTF-8, and shown as �"
    line = data[:bad].count(b"\n") + 1
    found = _guess(data)
    if found is None:
        raise DataError(f"{name}: is not UTF-8, as byte {data[bad]:#04x} in line {line:,} shows, and no other encoding "
                        "fits; save it as UTF-8.")
    text, encoding = found
    example = next(row.strip() for row in text.splitlines() if not row.isascii())
    return text, (f"{name}: read as {encoding}, a guess, since line {line:,} is not UTF-8 (it gives {example[:40]!r}); "
                  "save it as UTF-8 if that is wrong")


def _marked(text):
    """What is beyond ASCII, and no mark of a bad byte, in runs."""
    return ["".join(c for c in line if c > "\x7f" and c != "�") for line in text.splitlines() if not line.isascii()]


def _guess(data):
    """The text in the encoding that fits best, and what the encoding is called; None if none does."""
    import charset_normalizer  # slow to import, and seldom needed

    lines, size = [], 0
    for line in data.splitlines():
        if not line.isascii():
            lines.append(line)
            size += len(line)
            if size > PART:
                break
    part = b"\n".join(lines)
    found = charset_normalizer.from_bytes(part)
    names = [name for match in found for name in (match.encoding, *match.could_be_from_charset)]
    if sum(byte > 127 for byte in part) < FEW * len(b"".join(part.split())):  # letters with accents among plain ones
        names = [name for name in names if name in WEST] or ["cp1252"]
    # Letters with accents are as likely in all encodings of Europe: then the one that most files have, unless another
    # has fewer signs inside of words.
    if names and names[0] in WEST:
        first = ["cp1252", names[0]] if "cp1252" in names else [names[0], "cp1252"]
        names = sorted(dict.fromkeys([*first, "cp1250"]), key=lambda name: _signs(part, name))
    for name in [*names, "cp1252"]:
        try:
            text = data.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
        if all(c.isprintable() or c in "\t\n\r\f" for c in set(text)):
            return text, SHOWN.get(name, name)
    return None


def _signs(part, name):
    """How many characters beyond ASCII, read so, are signs within a word, or no characters at all."""
    text = part.decode(name, "replace")
    inside = zip(text, text[1:], text[2:])
    return text.count("�") + sum(c > "\x7f" and not c.isalpha() and c not in "’‑" and a.isalpha() and b.isalpha()
                                 for a, c, b in inside)
