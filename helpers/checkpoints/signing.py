"""Signatures for checkpoints: anyone with the public key can tell that card and weights are as their maker left them.

Ed25519 (Bernstein et al., 2012) through the ``cryptography`` package. A fingerprint finds accidents, since whoever
changes the weights can change the fingerprint too; a signature finds intent. Both files are signed together, in
``path.sig``: an Ed25519 signature of the SHA-256 of each. The private key belongs neither beside the model nor
into the repository.
"""

import hashlib
import json
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from helpers.checkpoints import store
from helpers.disk import DiskError, write_new

PURPOSE = b"From Encoder to Generator: checkpoint, version 1\n"  # a signature made for something else does not count


class SignatureError(store.CheckpointError):
    """A checkpoint that is not vouched for. The message says what was found, where, and what to do."""


def sign(path: str | Path, private_key: Ed25519PrivateKey) -> Path:
    """Sign the checkpoint ``path``, card and weights together; returns the path of the signature, 64 bytes.

    Another file of that name, an earlier signature included, is left alone, and SignatureError says so. Raises
    CheckpointError when there is no whole checkpoint to sign. Atomic.
    """
    card = store.card_path(path)
    store.load(card)  # nothing is vouched for that cannot be loaded
    signature = card.with_suffix(".sig")
    try:
        write_new(signature, private_key.sign(_message(card)))  # Ed25519 has one signature for a key and a message
    except DiskError as error:
        raise SignatureError(str(error)) from None
    return signature


def verify(path: str | Path, public_key: Ed25519PublicKey) -> None:
    """Raise SignatureError, in one sentence, unless card and weights of ``path`` are what the key's owner signed."""
    card = store.card_path(path)
    file = card.with_suffix(".sig")
    try:
        signature = file.read_bytes()
    except FileNotFoundError:
        raise SignatureError(f"{card} has no signature {file.name} beside it; ask its maker for one, or do not use "
                             "it.") from None
    except OSError as error:
        raise SignatureError(f"{file} cannot be read ({error.strerror}); check its permissions.") from None
    try:
        public_key.verify(signature, _message(card))
    except InvalidSignature:
        raise SignatureError(f"{card} or its weights are not what the owner of this key signed, or another key "
                             "signed them; do not use them, and get both anew from their maker.") from None


def load(path: str | Path, public_key: Ed25519PublicKey) -> tuple[dict, dict]:
    """Verify, then read the checkpoint ``path``: (tensors, card), as :func:`helpers.checkpoints.load`."""
    verify(path, public_key)
    return store.load(path)


def _message(card: Path) -> bytes:
    """What is signed: the fingerprints of the card and of the weights that it names."""
    try:
        text = card.read_bytes()
    except OSError as error:
        raise SignatureError(f"{card} cannot be read ({error.strerror}); check the name.") from None
    try:
        name = json.loads(text.decode("utf-8"))["weights"]["file"]
        weights = card.with_name(name).read_bytes()
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        raise SignatureError(f"{card} names no weights that can be read; get card and weights anew from their "
                             "maker.") from None
    return PURPOSE + hashlib.sha256(text).digest() + hashlib.sha256(weights).digest()
