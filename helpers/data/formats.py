"""What a file is, by the end of its name or by its first bytes; and what to do with one that is not read here."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

IMAGES = {".png", ".apng", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".pbm", ".pgm",
          ".ppm", ".pnm", ".jp2", ".avif", ".ico", ".tga"}
SOUNDS = {".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff"}
PLAIN = {".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".html", ".htm", ".py", ".log", ".ini", ".cfg"}


class Advice(NamedTuple):
    """What files of some kind are, and what to do so that they can be read."""

    what: str
    do: str


JPEG = "export them as JPEG or PNG"
FRAMES = "take single pictures out of them, as PNG, for example with ffmpeg or VLC"
WAV = "convert them to WAV, for example with ffmpeg or Audacity"
UTF8 = "save them as plain text (.txt, UTF-8)"
UNPACK = "unpack it and give the folder that comes out"

# Endings of names -> what it is, and how it becomes something that is read.
CONVERT = {ending: Advice(what, do) for endings, what, do in (
    (".heic .heif .hif", "photographs of a telephone (HEIC)", JPEG),
    (".cr2 .cr3 .crw .nef .nrw .arw .sr2 .dng .raf .orf .rw2 .pef .srw .raw .x3f .3fr", "raw files of a camera", JPEG),
    (".dcm .dicom .ima", "medical images (DICOM)", "export them as PNG of 16 bits, for example with 3D Slicer"),
    (".nii .mha .mhd .nrrd .czi .lif .nd2 .lsm .vsi .svs .ndpi .oib", "scientific image volumes",
     "export their slices as PNG or TIFF, for example with Fiji or 3D Slicer"),
    (".fits .fit .fts .hdr .exr .pfm", "images of real numbers", "export them as TIFF or PNG of 16 bits"),
    (".psd .psb .xcf .kra .clip .procreate .afphoto", "files of a drawing program", JPEG),
    (".ai .eps .ps .cdr .wmf .emf", "vector drawings", "export them as PNG"),
    (".svg .svgz", "vector drawings (SVG)", "export them as PNG, for example with Inkscape"),
    (".jxl .jxr .wdp .j2k .bpg .dds .pcx .sgi .qoi .cur", "images of another kind", JPEG),
    (".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .wmv .flv .3gp .mts .m2ts .ogv", "films",
     f"{FRAMES}, or their sound as WAV"),
    (".m4a .aac .wma .amr .opus .oga .caf .ape .wv .mka .ac3 .dsf .m4b .3ga .weba", "sounds of another kind", WAV),
    (".mid .midi", "notes without sound (MIDI)", "play them with a synthesiser into WAV, for example with MuseScore"),
    (".doc .docx .odt .rtf .pages .wpd", "documents of a word processor", UTF8),
    (".epub .mobi .azw .azw3 .fb2 .djvu", "electronic books", "convert them to plain text, for example with Calibre"),
    (".pdf", "PDF documents", "save their text as plain text (.txt, UTF-8), or their pages as PNG"),
    (".ppt .pptx .odp .key", "slides", "export them as PNG"),
    (".xls .xlsx .ods .numbers .parquet .feather .sqlite .db", "tables",
     "save the column that you want as plain text (.txt, UTF-8), one item a line"),
    (".npy .npz .mat .h5 .hdf5 .pkl .pickle .pt .tfrecord", "arrays of a program",
     "save each example as a file, for example Image.fromarray(x).save('0001.png'), or give the array to Dataset.make"),
    (".zip .tar .gz .tgz .7z .rar .bz2 .xz .tbz2 .txz .zst .lz4 .cab .iso .dmg", "an archive", UNPACK),
    (".torrent .crdownload .part .download .partial", "an unfinished download", "download it again"),
) for ending in endings.split()}
TEXTS = {".txt", ".text", ".md", ".caption", ".rst", *PLAIN}
KNOWN = IMAGES | SOUNDS | TEXTS | set(CONVERT)

# How files of a kind begin: (place, bytes) -> the ending that its name should have.
BEGINNINGS = [
    (0, b"\x89PNG\r\n\x1a\n", ".png"), (0, b"\xff\xd8\xff", ".jpg"), (0, b"GIF8", ".gif"), (8, b"WEBP", ".webp"),
    (0, b"II*\0", ".tif"), (0, b"MM\0*", ".tif"), (0, b"II+\0", ".tif"), (8, b"WAVE", ".wav"), (0, b"fLaC", ".flac"),
    (0, b"ID3", ".mp3"), (0, b"\xff\xfb", ".mp3"), (0, b"\xff\xf3", ".mp3"), (8, b"AIFF", ".aif"), (8, b"AIFC", ".aif"),
    (0, b"\0\0\0\x0cjP  ", ".jp2"), (4, b"ftypavif", ".avif"), (4, b"ftypheic", ".heic"), (4, b"ftypheix", ".heic"),
    (4, b"ftypmif1", ".heic"), (4, b"ftypmsf1", ".heic"), (4, b"ftypM4A", ".m4a"), (4, b"ftyp", ".mp4"),
    (0, b"PK\3\4", ".zip"), (0, b"PK\5\6", ".zip"), (0, b"\x1f\x8b", ".gz"), (0, b"7z\xbc\xaf\x27\x1c", ".7z"),
    (0, b"Rar!", ".rar"), (0, b"BZh", ".bz2"), (0, b"\xfd7zXZ", ".xz"), (257, b"ustar", ".tar"),
    (0, b"\x28\xb5\x2f\xfd", ".zst"), (0, b"\x93NUMPY", ".npy"), (128, b"DICM", ".dcm"), (0, b"%PDF", ".pdf"),
    (0, b"8BPS", ".psd"), (0, b"\x1aE\xdf\xa3", ".mkv"), (8, b"AVI ", ".avi"), (0, b"\x89HDF", ".h5"),
    (0, b"\xd0\xcf\x11\xe0", ".doc"), (0, b"{\\rtf", ".rtf"), (0, b"#!AMR", ".amr"), (0, b"MThd", ".mid"),
    (0, b"SQLite", ".db"),
]
INSIDE_ZIP = {b"word/": ".docx", b"ppt/": ".pptx", b"xl/": ".xlsx", b"application/epub": ".epub",
              b"opendocument.text": ".odt"}


def ending(path: str | os.PathLike) -> str:
    """The end of a file's name in small letters, such as ".png"; by its first bytes, if names do not say what it is.

    Only such files are opened. "" for what is not known, and has no ending.
    """
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    return suffix if suffix in KNOWN else content(path) or suffix


def content(path: str | os.PathLike) -> str:
    """What ending a file should have, by its first bytes; "" if that is not known, or if it cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return ""
    if head.startswith(b"OggS"):
        return ".opus" if b"OpusHead" in head else ".ogg"
    if head.startswith(b"PK\3\4"):
        return next((found for mark, found in INSIDE_ZIP.items() if mark in head), ".zip")
    if head.startswith(b"BM") and len(head) > 26 and head[14:18] in (b"\x28\0\0\0", b"\x7c\0\0\0", b"\x0c\0\0\0"):
        return ".bmp"  # two letters alone also begin a text
    if re.match(rb"P[1-6][\s#]", head):
        return ".ppm"
    found = next((found for place, mark, found in BEGINNINGS if head[place : place + len(mark)] == mark), "")
    has_ending = bool(os.path.splitext(os.fspath(path))[1])
    return found or (".txt" if head and not has_ending and _is_text(head) else "")


def _is_text(head):
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) - error.start > 3:  # else a character that was cut
            return False
        text = head[: error.start].decode("utf-8-sig")
    return all(c.isprintable() or c in "\t\r\n\f" for c in text)


def advice(endings: Iterable[str], most: int = 4) -> str:
    """What files of these endings are, how many there are, and what to do: "20 .heic are …: export them as JPEG".

    Those that there is no advice for are counted with their endings. "" for no files.
    """
    seen = Counter(endings)
    known: Counter[Advice] = Counter()
    for suffix, count in seen.items():
        known[CONVERT.get(suffix, Advice("", ""))] += count
    said = []
    for found, count in known.most_common(most):
        names = [suffix or "without an ending" for suffix in seen if CONVERT.get(suffix, Advice("", "")) == found]
        files = f"{count:,} {', '.join(sorted(names)[:most])}" + (", …" if len(names) > most else "")
        said.append(f"{files}: {found.what}; {found.do}" if found.what else files)
    return "; ".join(said)


def is_table_of_numbers(path: str | os.PathLike, columns: int = 50) -> bool:
    """Whether the second line of a file is at least so many numbers, parted by commas, semicolons, blanks or tabs."""
    try:
        with open(path, "rb") as file:
            lines = file.read(1 << 20).split(b"\n")[1:2]
    except OSError:
        return False
    words = re.split(rb"[,;\s]+", lines[0].strip()) if lines else []
    return len(words) >= columns and all(re.fullmatch(rb"[-+]?[\d.]+(e[-+]?\d+)?", word) for word in words)
