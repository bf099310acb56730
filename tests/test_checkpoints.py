"""Checkpoints: what is read is what was written, to the bit, and everything else is refused in one sentence."""

import hashlib
import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save as to_bytes
from torch import nn

from helpers import checkpoints


def weights_of(card_path):
    return card_path.with_name(json.loads(card_path.read_text())["weights"]["file"])


def edit(card_path, **changes):
    """Change entries of the card; those of "weights" one by one."""
    card = json.loads(card_path.read_text())
    card["weights"] |= changes.pop("weights", {})
    card_path.write_text(json.dumps(card | changes))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    return checkpoints.save(tmp_path / "run", {"w": torch.randn(3, 4), "b": torch.arange(5)}, epochs=3)


def refused(path, *parts):
    """The message with which ``path`` is refused: one sentence that holds ``parts``."""
    with pytest.raises(checkpoints.CheckpointError) as caught:
        checkpoints.load(path)
    message = str(caught.value)
    assert message.endswith(".") and ". " not in message and "\n" not in message, message
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # only one traceback
    for part in parts:
        assert str(part) in message, message
    return message


# --- what is written is what is read -----------------------------------------------------------------

TENSORS = {
    "float32": torch.tensor([1.5, -0.0, float("inf"), float("nan"), 1e-45]),
    "float64": torch.randn(2, 3, dtype=torch.float64),
    "float16": torch.randn(4).half(),
    "bfloat16": torch.randn(4).bfloat16(),
    "int64": torch.tensor([2**62, -1]),
    "uint8": torch.arange(256).to(torch.uint8),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(3.0),
    "empty": torch.zeros(0, 7),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "part": torch.arange(100.0)[10:13],
    "broadcast": torch.tensor([2.0]).expand(5),
    "with gradient": torch.ones(2, requires_grad=True),
}


def bits(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def test_tensors_come_back_to_the_bit(tmp_path):
    checkpoints.save(tmp_path / "all", TENSORS)
    loaded, card = checkpoints.load(tmp_path / "all")
    assert loaded.keys() == TENSORS.keys() and card["weights"]["tensors"] == len(TENSORS)
    for name, tensor in TENSORS.items():
        assert loaded[name].dtype == tensor.dtype and loaded[name].shape == tensor.shape
        assert torch.equal(bits(loaded[name]), bits(tensor)), name


def test_the_card_comes_back_with_hash_and_versions(tmp_path):
    said = {"config": {"lr": 0.1 + 0.2, "hidden": [400, 20]}, "best": float("inf"), "note": "naïve – σ"}
    path = checkpoints.save(tmp_path / "new" / "run.v1", {"w": torch.ones(2)}, **said)
    assert path == tmp_path / "new" / "run.v1.json"
    card = checkpoints.load(path)[1]
    assert {k: card[k] for k in said} == said
    assert card["versions"]["torch"] == torch.__version__
    weights = weights_of(path)
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == card["weights"]["sha256"]
    assert weights.stat().st_size == card["weights"]["bytes"]


@pytest.mark.parametrize("name", ["run", "run.json", "run.safetensors"])
def test_a_checkpoint_has_one_name_with_or_without_suffix(saved, name):
    assert checkpoints.load(saved.with_name(name))[1]["epochs"] == 3


def test_tied_weights_are_saved_and_loaded(tmp_path):
    model, other = (nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)) for _ in range(2))
    for m in (model, other):
        m[1].weight = m[0].weight
    path = checkpoints.save(tmp_path / "tied", model.state_dict())
    checkpoints.load_model(path, other)
    assert torch.equal(other[1].weight, model[0].weight) and other[1].weight is other[0].weight


def test_a_saved_model_does_not_change_with_the_model(tmp_path):
    model = nn.Linear(2, 2)
    path, before = checkpoints.save(tmp_path / "m", model.state_dict()), model.weight.detach().clone()
    nn.init.zeros_(model.weight)
    assert checkpoints.load_model(path, model)["weights"]["tensors"] == 2
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("name", ["run", "run[1]", "a-b"])
def test_only_the_files_of_this_checkpoint_are_cleaned_up(tmp_path, name):
    others = ["run-bestweights1.safetensors", "run.txt", f"{name}-copy.safetensors", "x-0123456789ab.safetensors",
              f"{name}-0123456789ab.safetensors", f".{name}.json.77.part"]
    for file in others:
        (tmp_path / file).write_text("x")
    for i in range(3):
        path = checkpoints.save(tmp_path / name, {"w": torch.full((2,), float(i))})
    assert {p.name for p in tmp_path.iterdir()} == {path.name, weights_of(path).name, *others}
    assert checkpoints.load(path)[0]["w"][0] == 2


@pytest.mark.parametrize("step", [1, 2])
def test_what_a_killed_process_left_is_cleaned_up_by_the_next(tmp_path, step):
    """Killed before the weights, or the card, had their names: what is left is known by the journal alone."""
    first = checkpoints.save(tmp_path / "run", {"w": torch.zeros(2)})
    code = f"""if True:
        import os, torch
        from helpers import checkpoints
        replace, calls = os.replace, []
        def killed(a, b):
            calls.append(b)
            if len(calls) == {step}:
                os.kill(os.getpid(), 9)
            replace(a, b)
        os.replace = killed
        checkpoints.save({str(tmp_path / "run")!r}, {{"w": torch.ones(2)}})"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert checkpoints.load(first)[0]["w"][0] == 0
    path = checkpoints.save(tmp_path / "run", {"w": torch.full((2,), 2.0)})
    assert checkpoints.load(path)[0]["w"][0] == 2
    assert {p.name for p in tmp_path.iterdir()} == {path.name, weights_of(path).name}


def test_a_journal_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / ".run.saving").write_text("mine")
    with pytest.raises(checkpoints.CheckpointError, match="is left as it is"):
        checkpoints.save(tmp_path / "run", {"w": torch.ones(2)})
    assert [p.name for p in tmp_path.iterdir()] == [".run.saving"]


@pytest.mark.parametrize("content", [b"mine", b"{}", b'{"weights": {"file": "/etc/passwd"}}', b"\xff"])
def test_a_file_that_is_not_a_checkpoint_is_never_replaced(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    for write in (lambda: checkpoints.save(tmp_path / "run", {"w": torch.ones(2)}),
                  lambda: checkpoints.remove(tmp_path / "run")):
        with pytest.raises(checkpoints.CheckpointError, match="is left as it is"):
            write()
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"] and (tmp_path / "run.json").read_bytes() == content


def test_weights_of_somebody_else_are_not_replaced(tmp_path):
    path = checkpoints.save(tmp_path / "run", {"w": torch.ones(2)})
    weights = weights_of(path)
    path.unlink()
    weights.write_bytes(b"mine")
    with pytest.raises(checkpoints.CheckpointError, match="is left as it is"):
        checkpoints.save(path, {"w": torch.ones(2)})
    assert weights.read_bytes() == b"mine" and not path.exists()


def test_a_checkpoint_is_removed_and_nothing_else(tmp_path):
    path = checkpoints.save(tmp_path / "run", {"w": torch.ones(2)})
    (tmp_path / "run-0123456789ab.safetensors").write_text("mine")
    checkpoints.remove(path)
    checkpoints.remove(path)  # once more does no harm
    assert [p.name for p in tmp_path.iterdir()] == ["run-0123456789ab.safetensors"]


def test_two_checkpoints_in_a_folder_do_not_clean_up_each_other(tmp_path):
    names = ["run", "run-2", "run.2", "run-0123456789ab"]
    for value in (1.0, 2.0):
        for name in names:
            checkpoints.save(tmp_path / name, {"w": torch.tensor([value])})
    assert all(checkpoints.load(tmp_path / name)[0]["w"] == 2 for name in names)
    assert len(list(tmp_path.iterdir())) == 2 * len(names)


# --- what is refused ---------------------------------------------------------------------------------


class Trap:
    """Opened as a pickle, it would leave a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", sorted(checkpoints.PICKLES) + [".PT"])
def test_pickles_are_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    refused(path, path, "pickle", "model.json")
    with pytest.raises(checkpoints.CheckpointError, match="pickle"):  # a name that load would refuse
        checkpoints.save(path, {"w": torch.ones(1)})
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickles_are_refused_under_any_name(saved, tmp_path, protocol):
    data = pickle.dumps(Trap(tmp_path / "sprung"), protocol=protocol)
    weights_of(saved).write_bytes(data)
    refused(saved, weights_of(saved), "SHA-256", "copy it again")
    edit(saved, weights={"sha256": hashlib.sha256(data).hexdigest()})
    refused(saved, weights_of(saved), "not a safetensors file")
    saved.write_bytes(data)
    refused(saved, saved, "JSON")
    (tmp_path / "alone.safetensors").write_bytes(data)
    refused(tmp_path / "alone.safetensors", tmp_path / "alone.json", "no checkpoint")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("kept", [0, 4, 50, -1])
def test_truncated_weights_are_refused(saved, kept):
    weights = weights_of(saved)
    data = weights.read_bytes()
    weights.write_bytes(data[:kept])
    refused(saved, weights, f"{len(data[:kept])} bytes", f"{len(data)} bytes expected", "copy it again")


def test_a_flipped_bit_is_noticed_wherever_it_is(saved):
    weights = weights_of(saved)
    data = weights.read_bytes()
    for place in range(0, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        weights.write_bytes(changed)
        refused(saved, weights, "SHA-256")
    weights.write_bytes(data)
    checkpoints.load(saved)


def test_missing_files_are_named(saved, tmp_path):
    refused(tmp_path / "other", tmp_path / "other.json", "no checkpoint", "check the name")
    weights = weights_of(saved)
    weights.unlink()
    refused(saved, saved, weights.name, "missing", "copy both")
    weights.mkdir()
    refused(saved, weights, "cannot be read")
    (tmp_path / "folder.json").mkdir()
    refused(tmp_path / "folder", tmp_path / "folder.json", "cannot be read")


BAD_CARDS = {
    "empty": b"",
    "truncated": b'{"weights": {"file": "run-',
    "not UTF-8": b'{"weights": "\xff\xfe"}',
    "a list": b"[1, 2]",
    "a number": b"3",
    "nothing in it": b"{}",
    "no hash": b'{"weights": {"file": "run-0.safetensors"}}',
    "no file": b'{"weights": {"sha256": "0"}}',
    "weights as text": b'{"weights": "run.safetensors"}',
    "too deep": b"[" * 100_000,
}


@pytest.mark.parametrize("case", BAD_CARDS)
def test_what_is_no_card_is_refused(saved, case):
    saved.write_bytes(BAD_CARDS[case])
    refused(saved, saved, "not the card of a checkpoint", "JSON")


@pytest.mark.parametrize(
    "file", ["../{}", "/{}", "sub/{}", "./{}", "..", ".", "", "a\0.safetensors", 7, None, ["x"], "run.pt"]
)
def test_a_card_may_only_name_a_file_beside_it(tmp_path, file):
    folder = tmp_path / "folder"
    path = checkpoints.save(folder / "run", {"w": torch.ones(2)})
    weights = weights_of(path)
    # The file is there, and whole, both inside and outside: the name alone is what is wrong.
    for place in (tmp_path, folder / "sub"):
        place.mkdir(exist_ok=True)
        (place / weights.name).write_bytes(weights.read_bytes())
    (folder / "run.pt").write_bytes(weights.read_bytes())
    edit(path, weights={"file": file.format(weights.name) if isinstance(file, str) else file})
    refused(path, path, "beside the card")


def test_weights_that_fit_their_hash_but_are_no_safetensors_are_refused(saved):
    good = to_bytes({"w": torch.ones(2)})
    for data in (b"", b"\0" * 40, b"\xff" * 40, good[:-1], good + b"\0", good.replace(b'"F32"', b'"X99"')):
        weights_of(saved).write_bytes(data)
        edit(saved, weights={"sha256": hashlib.sha256(data).hexdigest()})
        refused(saved, weights_of(saved), "not a safetensors file")


OTHERS = {
    "it lacks 2.bias (2 missing, 0 unknown tensors)": nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)),
    "the model has no 0.bias (0 missing, 1 unknown tensors)": nn.Sequential(nn.Linear(4, 3, bias=False)),
    "0.bias has shape (3,) there and (5,) in the model": nn.Sequential(nn.Linear(4, 5)),
    "0.weight has shape (3, 4) there and (3, 9) in the model": nn.Sequential(nn.Linear(9, 3)),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_architecture_is_refused_and_the_model_left_as_it_was(tmp_path, what):
    other = OTHERS[what]
    path = checkpoints.save(tmp_path / "m", nn.Sequential(nn.Linear(4, 3)).state_dict())
    before = {k: v.clone() for k, v in other.state_dict().items()}
    with pytest.raises(checkpoints.CheckpointError) as caught:
        checkpoints.load_model(path, other)
    assert str(caught.value) == f"{path} is of another architecture: {what}; build the model as its card says."
    assert all(torch.equal(v, before[k]) for k, v in other.state_dict().items())


@pytest.mark.parametrize("entry", [torch.ones(2), object(), {1, 2}, {(1, 2): 3}, b"x"])
def test_a_card_that_json_cannot_hold_is_refused_before_anything_is_written(tmp_path, entry):
    with pytest.raises(checkpoints.CheckpointError, match=r"run.json was not saved: its card holds what JSON cannot"):
        checkpoints.save(tmp_path / "new" / "run", {"w": torch.ones(2)}, entry=entry)
    assert not list(tmp_path.iterdir())


# --- both or nothing ---------------------------------------------------------------------------------

FAILURES = ["replacing the weights", "replacing the card", "writing the weights", "writing the card"]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_the_old_checkpoint_and_no_temporary_files(tmp_path, monkeypatch, failure, first):
    old = {} if first else {"w": torch.zeros(2)}
    path = tmp_path / "run.json" if first else checkpoints.save(tmp_path / "run", old, number=1)
    part = ".safetensors" if failure.endswith("weights") else ".json"

    def failing(original, place):
        def f(*args, **kwargs):
            if part in str(args[place]):
                if place == 0:  # the disk is full in the middle of a file
                    original(args[0], args[1][:5], **kwargs)
                raise OSError(28, "No space left on device")
            return original(*args, **kwargs)

        return f

    with monkeypatch.context() as m:
        if failure.startswith("replacing"):
            m.setattr(os, "replace", failing(os.replace, 1))
        else:
            m.setattr(type(tmp_path), "write_bytes", failing(type(tmp_path).write_bytes, 0))
        with pytest.raises(OSError, match="No space left"):
            checkpoints.save(tmp_path / "run", {"w": torch.ones(2)}, number=2)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
    if first:
        refused(path, "no checkpoint")
    else:
        tensors, card = checkpoints.load(path)
        assert torch.equal(tensors["w"], old["w"]) and card["number"] == 1
    # and the next attempt leaves nothing of the failed one
    checkpoints.save(tmp_path / "run", {"w": torch.full((2,), 2.0)}, number=3)
    assert checkpoints.load(path)[1]["number"] == 3 and len(list(tmp_path.iterdir())) == 2
