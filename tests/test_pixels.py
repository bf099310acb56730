"""What is decided for a whole folder of images: what is white, what shows through, which frame, which are alike."""

import os

import numpy as np
import pytest
from PIL import Image

from comparing import refused
from helpers import senses
from helpers.data import DataError, Dataset, cache, digits, duplicates, folders, pictures, pixels


def save(folder, images, end=".png", **options):
    folder.mkdir(parents=True, exist_ok=True)
    for k, image in enumerate(images):
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(folder / f"{k:03d}{end}", **options)
    return folder


def ramps(high, dtype, n=12, low=0):
    """n images of 8 × 8, the same values in another order, from ``low`` to shares of ``high``."""
    order = np.random.default_rng(0).permuted(np.tile(np.linspace(0, 1, 64), (n, 1)), axis=1).reshape(n, 8, 8)
    return [(low + order[k] * (high - low) * (k + 1) / n).astype(dtype) for k in range(n)]


# --- intensity -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "end", "black", "white"),
    [
        (ramps(4095, np.uint16), ".png", 0, 4095),  # 12 bits
        (ramps(3300, np.uint16), ".png", 0, 4095),  # 12 bits, not used in full
        (ramps(1023, np.uint16), ".png", 0, 1023),  # 10 bits
        (ramps(16000, np.uint16), ".tif", 0, 16383),  # 14 bits
        (ramps(200, np.uint16), ".png", 0, 255),  # 8 bits in 16
        (ramps(65535, np.uint16), ".png", 0, 65535),
        (ramps(33000, np.uint16, low=30000), ".png", 30000, 33000),  # a small part of the range
        (ramps(4095, np.int32), ".tif", 0, 4095),
        (ramps(3000, np.int32, low=-1000), ".tif", -1000, 3000),  # tomography
        (ramps(1e6, np.int32), ".tif", 0, 1e6),
        (ramps(1.0, np.float32, low=-1), ".tif", -1, 1),
        (ramps(4000.0, np.float32), ".tif", 0, 4000),
        (ramps(0.9, np.float32), ".tif", 0, 1),
        (ramps(0.01, np.float32), ".tif", 0, 0.01),
        (ramps(250.0, np.float32), ".tif", 0, 255),
    ],
)
def test_one_scale_holds_for_all_images_of_a_folder(tmp_path, images, end, black, white):
    data = folders.images(save(tmp_path, images, end), size=8)
    expected = (np.stack(images).astype(float) - black) / (white - black) * 255
    assert np.abs(data.x - expected).max() <= 1
    usual = white in (65535, 1, 255) and black == 0 and (white != 255 or images[0].dtype == np.float32)
    assert len(data.notes) == (not usual)
    if not usual:
        assert f" {white if white < 2 else f'{white:,.0f}'} is white" in data.notes[0]
        assert f" {black:,} is black" in data.notes[0]


def test_images_of_eight_bits_beside_deeper_ones_stay_as_they_are(tmp_path):
    deep, flat = ramps(4095, np.uint16), np.arange(64, dtype=np.uint8).reshape(8, 8)
    data = folders.images(save(tmp_path, [*deep, flat]), size=8)
    assert np.array_equal(data.x[-1], flat) and data.x[11].max() == 255


def test_images_of_eight_bits_that_are_nearly_black_are_said_to_be(tmp_path):
    images = [np.random.default_rng(k).integers(0, 16, (8, 8)).astype(np.uint8) for k in range(12)]
    data = folders.images(save(tmp_path, images), size=8)
    assert data.x.max() == 15 and data.notes[0].startswith("all images are nearly black, with values up to 15 of 255")


def test_a_damaged_deep_image_does_not_decide(tmp_path):
    images = [*ramps(4095, np.uint16), np.full((8, 8), np.nan, np.float32)]
    save(tmp_path, images[:-1])
    Image.fromarray(images[-1]).save(tmp_path / "x.tif")
    data = folders.images(tmp_path, size=8)
    assert data.x.max() == 255 and data.skipped == (("x.tif", "holds NaN or infinity"),)


# --- transparency --------------------------------------------------------------------------------------


def icon(k, grey):
    """A drawing of one grey on a transparent ground."""
    alpha = np.zeros((16, 16), np.uint8)
    alpha[k % 8 : k % 8 + 8, k // 8 + 2 : k // 8 + 9] = 255
    return np.dstack([np.full((16, 16, 3), grey, np.uint8), alpha])


@pytest.mark.parametrize(
    ("light", "dark", "ground"), [(12, 0, 0), (0, 12, 255), (10, 10, 128), (1, 40, 255), (40, 1, 0)])
def test_what_is_transparent_shows_a_ground_that_the_drawings_stand_out_from(tmp_path, light, dark, ground):
    images = [icon(k, 250) for k in range(light)] + [icon(k, 10) for k in range(dark)]
    data = folders.images(save(tmp_path, images), size=16)
    assert len(data) == light + dark and (data.x[:, -1, -1] == ground).all()
    assert (np.ptp(data.x.reshape(len(data), -1), axis=1) > 0).sum() >= light + dark - 1
    said = {0: "lie on black", 128: "lie on grey"}.get(ground)
    assert (said is None and not any("transparent" in note for note in data.notes)) or said in data.notes[0]


def test_an_opaque_alpha_channel_and_a_transparent_nothing_change_nothing(tmp_path):
    rng = np.random.default_rng(0)
    images = [np.dstack([rng.integers(200, 256, (8, 8, 3)), np.full((8, 8), 255)]).astype(np.uint8) for _ in range(12)]
    data = folders.images(save(tmp_path, [*images, np.zeros((8, 8, 4), np.uint8)]), size=8)
    assert np.array_equal(data.x[0], images[0][..., :3].transpose(2, 0, 1)) and (data.x[-1] == 255).all()


# --- frames --------------------------------------------------------------------------------------------


def noise(seed, side=12):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side), np.uint8))


BLANK = Image.new("L", (12, 12), 255)


@pytest.mark.parametrize(("format", "end"), [("GIF", ".gif"), ("TIFF", ".tif"), ("PNG", ".png")])
def test_the_first_frame_that_is_not_blank_is_taken(tmp_path, format, end):
    for k in range(12):
        first, *rest = [BLANK, BLANK, noise(k), noise(100 + k)][k % 2 :]  # one or two blank ones
        first.save(tmp_path / f"{k:02d}{end}", format, save_all=True, append_images=rest)
    data = folders.images(tmp_path, size=12)
    assert all(np.abs(image.astype(int) - np.asarray(noise(k))).max() < 3 for k, image in enumerate(data.x))
    assert data.notes[0].startswith("several frames (") and data.notes[0].endswith("not blank was taken")


def test_a_file_whose_frames_are_all_blank_is_one_blank_image(tmp_path):
    save(tmp_path, [noise(k) for k in range(11)])
    BLANK.save(tmp_path / "x.tif", save_all=True, append_images=[BLANK])
    assert (folders.images(tmp_path, size=12).x[-1] == 255).all()


def stack_of(path, n, dtype=np.uint8, high=255):
    images = [Image.fromarray((np.asarray(noise(k)).astype(float) / 255 * high).astype(dtype)) for k in range(n)]
    images[0].save(path, save_all=True, append_images=images[1:])
    return images


@pytest.mark.parametrize("way", ["the file", "its folder", "two files"])
@pytest.mark.parametrize("end", [".tif", ".gif"])
def test_the_frames_of_a_stack_are_the_images(tmp_path, way, end):
    stack_of(tmp_path / f"a{end}", 60)
    if way == "two files":
        noise(900).save(tmp_path / f"b{end}", save_all=True, append_images=[noise(901)])
    data = senses.read(tmp_path / f"a{end}" if way == "the file" else tmp_path, size=12)
    assert len(data) == 60 + 2 * (way == "two files") and data.kind == "image"
    assert np.abs(data.x[17].astype(int) - np.asarray(noise(17))).max() < 3
    assert f"{len(data)} frames of a{end}" in data.notes[0] and data.notes[0].endswith("are the images")


def test_the_slices_of_a_deep_stack_have_one_scale(tmp_path):
    stack_of(tmp_path / "a.tif", 20, np.uint16, 4095)
    data = senses.read(tmp_path / "a.tif", size=12)
    assert data.x.max() == 255 and np.abs(data.x[3].astype(int) - np.asarray(noise(3))).max() <= 1


def test_a_file_of_few_frames_is_a_single_image(tmp_path):
    stack_of(tmp_path / "a.gif", 3)
    with refused(DataError, "is a single image; give the folder"):
        senses.read(tmp_path / "a.gif")


# --- nearly equal images -------------------------------------------------------------------------------


def drawing(seed, side=96):
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6), np.uint8))
    return small.resize((side, side), Image.Resampling.BICUBIC)


CHANGES = {
    "JPEG": lambda image, k: ("jpg", image, {"quality": 30 + 12 * k}),
    "size": lambda image, k: ("png", image.resize((60 + 20 * k,) * 2, Image.Resampling.LANCZOS), {}),
    "brightness": lambda image, k: ("png", image.point(lambda v: v * (0.75 + 0.05 * k)), {}),
    "contrast": lambda image, k: ("png", image.point(lambda v: 128 + (v - 128) * (0.6 + 0.08 * k)), {}),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [28, 48])
def test_pictures_that_were_saved_in_several_ways_stay_in_one_split(tmp_path, change, size):
    for n in range(12):
        for k in range(5):
            end, image, options = CHANGES[change](drawing(n), k)
            image.save(tmp_path / f"{n:02d}-{k}.{end}", **options)
    data = folders.images(tmp_path, size=size)
    assert len(data) == data.found == 60
    assert np.array_equal(data.alike, np.repeat(5 * np.arange(12), 5))
    assert data.notes == ("60 of 60 images are nearly equal to another (12 groups), each kept in one split",)
    groups = [set(data.alike[rows]) for rows in data.rows.values()]
    assert sum(map(len, groups)) == 12 and len(groups[1]) == len(groups[2]) == 2


def test_different_digits_and_leaves_are_not_nearly_equal():
    x = digits.load(binary=False).x.reshape(-1, 8, 8)
    assert np.array_equal(duplicates.clusters(np.rint(255 * x).astype(np.uint8)), np.arange(len(x)))


def test_near_duplicates_that_were_planted_are_found_and_no_others():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (400, 3, 16, 16)).astype(np.uint8)
    x[7], x[9] = np.clip(x[300] + rng.normal(0, 5, x[0].shape), 0, 255), x[300]
    x[20] = x[21] = 77  # of one colour: like nothing
    expected = np.arange(400)
    expected[[9, 300]] = 7
    assert np.array_equal(duplicates.clusters(x), expected)
    number, note = duplicates.found(x)
    assert np.array_equal(number, expected) and note == "3 of 400 images are nearly equal to another (1 group)"


def test_images_in_other_colours_are_not_nearly_equal():
    x = np.zeros((24, 3, 8, 8), np.uint8)
    for k in range(24):
        x[k, k % 3] = np.asarray(noise(k // 3, 8))
    assert np.array_equal(duplicates.clusters(x), np.arange(24))


def test_tiny_images_say_too_little():
    assert np.array_equal(duplicates.clusters(np.zeros((5, 2, 2), np.uint8)), np.arange(5))


def test_a_folder_of_one_scene_is_read_and_said_to_be_one(tmp_path):
    rng = np.random.default_rng(0)
    base = np.asarray(drawing(1, 28)).astype(float)
    save(tmp_path, [np.clip(base + rng.normal(0, 1.5, base.shape), 0, 255).astype(np.uint8) for _ in range(60)])
    data = folders.images(tmp_path)
    assert len(data) == 60 and data.alike is None and [len(rows) for rows in data.rows.values()] == [42, 9, 9]
    assert "test examples have doubles in train" in data.notes[0]


# --- splits of what is alike, and splits that are given ---------------------------------------------------


X = np.arange(210.0).reshape(105, 2)


def test_what_is_alike_stays_in_one_split():
    alike = np.repeat(np.arange(35), 3)
    data = Dataset.make("toy", X, np.arange(105) // 3 % 5, alike=alike)
    groups = [set(data.alike[rows]) for rows in data.rows.values()]
    assert [len(group) for group in groups] == [25, 5, 5] and len(set.union(*groups)) == 35
    for rows in data.rows.values():
        assert np.ptp(np.bincount(data.c[rows], minlength=5)) == 0  # and labels are in proportion


def test_nothing_alike_splits_as_before():
    for c in (None, np.arange(105) % 4):
        a, b = Dataset.make("toy", X, c), Dataset.make("toy", X, c, alike=np.arange(105))
        assert all(np.array_equal(a.rows[split], b.rows[split]) for split in a.rows)


def test_a_number_that_many_share_goes_to_train():
    alike = np.where(np.arange(105) < 60, 0, np.arange(105))
    for seed in range(5):
        data = Dataset.make("toy", X, alike=alike, seed=seed)
        assert (data.alike[data.rows["train"]] == 0).sum() == 60 and len(data.test) > 3


def test_three_that_differ_are_enough():
    data = Dataset.make("toy", X, alike=np.arange(105) // 35)
    assert [len(rows) for rows in data.rows.values()] == [35, 35, 35]


def test_groups_that_share_what_is_alike_are_held_out_together():
    group, alike = np.arange(105) // 5, np.arange(105)
    alike[[0, 50, 104]] = 0  # groups 0, 10 and 20
    for seed in range(8):
        data = Dataset.make("toy", X, group=group, alike=alike, seed=seed)
        splits = [split for split, rows in data.rows.items() if np.isin([0, 10, 20], group[rows]).any()]
        assert len(splits) == 1
    plain = Dataset.make("toy", X, group=group)
    same = Dataset.make("toy", X, group=group, alike=np.arange(105))
    assert all(np.array_equal(plain.rows[split], same.rows[split]) for split in plain.rows)


@pytest.mark.parametrize("missing", [None, "valid", "test"])
def test_a_split_that_is_given_is_kept_and_one_that_is_missing_comes_from_train(missing):
    split = np.array(["train"] * 70 + ["valid"] * 20 + ["test"] * 15)
    split[split == missing] = "train"
    data = Dataset.make("toy", X, np.arange(105) % 5, split=split)
    assert list(data.rows) == ["train", "valid", "test"]
    for name, rows in data.rows.items():
        if name not in ("train", missing):
            assert np.array_equal(rows, np.nonzero(split == name)[0])
    if missing:
        taken = data.rows[missing]
        assert len(taken) == round((split == "train").sum() / 7) and (split[taken] == "train").all()
        assert np.ptp(np.bincount(data.c[taken], minlength=5)) <= 1
    assert sorted(np.concatenate(list(data.rows.values()))) == list(range(105))


def test_of_equal_examples_the_one_in_test_stays():
    x = X.copy()
    x[:9] = x[[75, 76, 77, 95, 96, 97, 0, 0, 0]]  # six of train in a later split, three that are equal in train
    x[80] = x[100]
    split = np.array(["train"] * 70 + ["valid"] * 20 + ["test"] * 15)
    data = Dataset.make("toy", x, split=split)
    assert [len(rows) for rows in data.rows.values()] == [62, 19, 15]
    assert len(np.unique(data.x, axis=0)) == len(data)
    assert any(note.startswith("7 examples equal one of a later split") for note in data.notes)


def test_doubles_between_given_splits_are_said():
    split = np.array(["train"] * 70 + ["valid"] * 20 + ["test"] * 15)
    alike = np.arange(105)
    alike[[100, 101]] = 3
    data = Dataset.make("toy", X, split=split, alike=alike)
    assert "2 examples of test are nearly equal to one of train: the figures are too good" in data.notes


@pytest.mark.parametrize(("options", "message"), [
    (dict(split=["train"] * 104), r"split has shape \(104,\) for 105 examples"),
    (dict(split=["train"] * 104 + ["dev"]), "holds .'dev'.; give 'train', 'valid' or 'test'"),
    (dict(split=["test"] * 105), "the train split is empty"),
    (dict(alike=np.zeros(3, int)), r"alike has shape \(3,\)"),
])
def test_splits_that_cannot_be_are_refused(options, message):
    with refused(DataError, message):
        Dataset.make("toy", X, **options)


# --- many files ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve images that count as many, and an empty cache."""
    monkeypatch.setattr(cache, "FOLDER", tmp_path / "cache")
    monkeypatch.setattr(pictures, "MANY", 5)
    return save(tmp_path / "mine", [noise(k) for k in range(12)])


def reads(monkeypatch):
    calls, read = [], pixels.read
    monkeypatch.setattr(pixels, "read", lambda path, *rest, **more: calls.append(path) or read(path, *rest, **more))
    return calls


def test_many_files_are_read_once_and_progress_is_shown(folder, monkeypatch, capsys):
    (folder / "broken.png").write_bytes(b"no")
    Image.new("L", (12, 12)).save(folder / "x.tif", save_all=True, append_images=[noise(77)])
    calls = reads(monkeypatch)
    first = folders.images(folder, size=12)
    assert len(calls) == 14 and "image 14   read" in capsys.readouterr().out
    again = folders.images(folder, size=12)
    assert len(calls) == 14 and capsys.readouterr().out == ""
    assert np.array_equal(first.x, again.x) and first.notes == again.notes and first.skipped == again.skipped
    assert first.skipped[0][0] == "broken.png" and "several frames" in first.notes[0]


@pytest.mark.parametrize("change", ["content", "time", "a file more", "a file less", "size", "grey"])
def test_what_has_changed_is_read_again(folder, monkeypatch, change):
    first = folders.images(folder, size=12)
    calls, options = reads(monkeypatch), {"size": 12}
    if change == "content":
        noise(500).save(folder / "003.png", compress_level=0)
    elif change == "time":
        os.utime(folder / "003.png", (1, 1))
    elif change == "a file more":
        noise(500).save(folder / "500.png")
    elif change == "a file less":
        (folder / "003.png").unlink()
    else:
        options |= {"size": 9} if change == "size" else {"grey": True}
    data = folders.images(folder, **options)
    assert calls and (change in ("time", "grey") or not np.array_equal(data.x, first.x))


def test_the_cache_keeps_the_last_four_and_no_more(folder, monkeypatch):
    calls = reads(monkeypatch)
    for size in (6, 7, 8, 9, 10):
        folders.images(folder, size=size)
        for file in cache.FOLDER.iterdir():  # a clock that is coarse must not decide
            os.utime(file, (file.stat().st_mtime - 10,) * 2)
    assert len(list(cache.FOLDER.iterdir())) == 4 and len(calls) == 60
    folders.images(folder, size=7)
    assert len(calls) == 60  # still there
    folders.images(folder, size=6)
    assert len(calls) == 72  # made room for the last


def test_a_file_in_the_cache_that_is_not_ours_stays(folder, monkeypatch):
    calls = reads(monkeypatch)
    cache.FOLDER.mkdir()
    np.savez(cache.FOLDER / "pictures-0.npz", mine=np.arange(3))
    before = (cache.FOLDER / "pictures-0.npz").read_bytes()
    for size in (6, 7, 8, 9):
        folders.images(folder, size=size)
    assert (cache.FOLDER / "pictures-0.npz").read_bytes() == before
    assert sorted(file.name for file in cache.FOLDER.iterdir()) == [f"pictures-{slot}.npz" for slot in range(4)]
    folders.images(folder, size=9)
    assert len(calls) == 48  # three slots are left


def test_a_damaged_or_too_large_result_is_made_again(folder, monkeypatch):
    calls = reads(monkeypatch)
    folders.images(folder, size=12)
    [file] = cache.FOLDER.iterdir()
    file.write_bytes(file.read_bytes()[:300])
    assert len(folders.images(folder, size=12)) == 12 and len(calls) == 24
    monkeypatch.setattr(cache, "MOST_BYTES", 100)
    folders.images(folder, size=8)
    folders.images(folder, size=8)
    assert len(calls) == 48


def test_few_files_leave_nothing_in_the_cache(folder, monkeypatch, capsys):
    monkeypatch.setattr(pictures, "MANY", 12)
    folders.images(folder, size=12)
    assert not cache.FOLDER.exists() and capsys.readouterr().out == ""
