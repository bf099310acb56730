"""Signatures: every byte of card, weights and signature is covered, and every refusal is one sentence."""

import json
import os

import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from helpers import checkpoints
from helpers.checkpoints import signing

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))  # for tests alone: everybody knows it
PUBLIC = KEY.public_key()


@pytest.fixture
def card(tmp_path):
    path = checkpoints.save(tmp_path / "run", {"w": torch.arange(6.0), "b": torch.zeros(2)}, epochs=3)
    signing.sign(path, KEY)
    return path


def weights_of(card):
    return card.with_name(json.loads(card.read_text())["weights"]["file"])


def refused(card, *parts, key=PUBLIC):
    with pytest.raises(signing.SignatureError) as caught:
        signing.verify(card, key)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and ". " not in message, message
    for part in parts:
        assert str(part) in message, message


def test_what_was_signed_is_accepted_and_loaded(card):
    assert signing.verify(card, PUBLIC) is None
    assert signing.verify(card.with_suffix(""), PUBLIC) is None  # the names of helpers.checkpoints
    tensors, described = signing.load(card, PUBLIC)
    assert torch.equal(tensors["w"], torch.arange(6.0)) and described["epochs"] == 3
    assert len(card.with_suffix(".sig").read_bytes()) == 64


@pytest.mark.parametrize("which", ["card", "weights", "signature"])
def test_every_byte_is_covered(card, which):
    file = {"card": card, "weights": weights_of(card), "signature": card.with_suffix(".sig")}[which]
    content = file.read_bytes()
    for place in range(len(content)):
        for flip in (1, 255):
            file.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
            with pytest.raises(signing.SignatureError):
                signing.verify(card, PUBLIC)
    for other in (content[:-1], content + b"\n", b""):
        file.write_bytes(other)
        with pytest.raises(signing.SignatureError):
            signing.verify(card, PUBLIC)
    file.write_bytes(content)
    signing.verify(card, PUBLIC)


def test_another_key_is_refused(card):
    refused(card, card, "another key", key=Ed25519PrivateKey.generate().public_key())


def test_a_missing_signature_is_refused(card):
    card.with_suffix(".sig").unlink()
    refused(card, "no signature", "run.sig")


def test_a_missing_card_or_missing_weights_are_refused(card):
    weights_of(card).unlink()
    refused(card, "names no weights")
    card.unlink()
    refused(card, "cannot be read")


@pytest.mark.parametrize("name", ["../elsewhere.safetensors", "", 3, None, "a\0b"])
def test_a_card_that_names_no_file_is_refused(card, name):
    described = json.loads(card.read_text())
    described["weights"]["file"] = name
    card.write_text(json.dumps(described))
    refused(card, card)


def test_a_swapped_card_is_refused(card):
    """Two models of the same maker, both signed: the card of one does not vouch for the weights of the other."""
    other = checkpoints.save(card.with_name("other.json"), {"w": torch.ones(6), "b": torch.zeros(2)}, epochs=300)
    signing.sign(other, KEY)
    mine, theirs = json.loads(card.read_text()), json.loads(other.read_text())
    card.write_text(json.dumps(theirs))
    refused(card)
    card.write_text(json.dumps({**mine, "weights": theirs["weights"]}))
    refused(card)


def test_a_model_saved_anew_has_no_valid_signature(card):
    """Whoever replaces weights, card and fingerprint passes checkpoints.load, and fails here."""
    checkpoints.save(card, {"w": torch.ones(6), "b": torch.zeros(2)}, epochs=3)
    checkpoints.load(card)
    refused(card, "not what the owner")
    with pytest.raises(signing.SignatureError):
        signing.load(card, PUBLIC)


def test_a_signature_for_something_else_does_not_count(card):
    message = card.read_bytes() + weights_of(card).read_bytes()
    card.with_suffix(".sig").write_bytes(KEY.sign(message))
    refused(card)


def test_nothing_that_cannot_be_loaded_is_signed(card):
    card.with_suffix(".sig").unlink()
    weights_of(card).write_bytes(b"something else")
    with pytest.raises(checkpoints.CheckpointError, match="fingerprint"):
        signing.sign(card, KEY)
    assert not card.with_suffix(".sig").exists()


def test_signing_is_atomic(card, monkeypatch):
    card.with_suffix(".sig").unlink()

    def fails(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="disk full"):
        signing.sign(card, KEY)
    assert not card.with_suffix(".sig").exists() and not list(card.parent.glob(".*.part"))


def test_a_file_named_like_a_signature_is_left_alone(card):
    file = card.with_suffix(".sig")
    signing.sign(card, KEY)  # the same once more does no harm
    before = file.read_bytes()
    checkpoints.save(card, {"w": torch.ones(6), "b": torch.zeros(2)})
    with pytest.raises(signing.SignatureError, match="is left as it is"):
        signing.sign(card, KEY)
    assert file.read_bytes() == before
