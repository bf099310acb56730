"""Train the models that ship in data/pretrained, and write what they reach into their cards: `make pretrained`.

    python tools/pretrained.py               all
    python tools/pretrained.py conv-0        some, by name
"""

import functools
import sys
import time
from pathlib import Path

import numpy as np
import torch

import helpers
from helpers import checkpoints, evaluation, scratch, sound
from helpers.data import colours, digits, glyphs, notes
from helpers.models import VAE
from helpers.models.audio import SpectrogramDecoder, SpectrogramEncoder
from helpers.models.images import (
    ConvDecoder,
    ConvEncoder,
    MLPDecoder,
    MLPEncoder,
    Reader,
    fonts_vae,
)
from helpers.models.text import GRULanguageModel, TextDecoder, TextEncoder, Transformer, bits_per_character
from helpers.training import fit, ramp

PRETRAINED = Path(__file__).resolve().parent.parent / "data" / "pretrained"
SEEDS = range(5)

# Each chosen on the validation split; "mlp" is the model and the training of notebook 03, first weights included.
RECIPES = {
    "conv": dict(epochs=220, batch_size=100, lr=7e-3, weight_decay=0.1),
    "mlp": dict(epochs=500, batch_size=50, lr=3e-3),
}


def build(kind: str) -> VAE:
    """An untrained VAE for the binary digits: "conv" or "mlp", with a code of 10."""
    if kind == "conv":
        return VAE(ConvEncoder(10), ConvDecoder(10), code=10)
    return VAE(MLPEncoder(64, (128, 128), 10), MLPDecoder(10, (128, 128), 64), code=10)


def start_as_in_notebook_03(model: VAE, seed: int):
    """Give the Linear layers the first weights of the NumPy model: variance 1 / n_in, three times PyTorch's."""
    ours = scratch.VAE(64, (128, 128), 10, np.random.default_rng(seed))
    from_numpy = [layer for net in (ours.encoder, ours.decoder) for layer in net.layers if layer.names]
    for a, b in zip(from_numpy, (m for m in model.modules() if isinstance(m, torch.nn.Linear)), strict=True):
        b.weight.data = torch.tensor(a.W.T.copy(), dtype=torch.float32)
        b.bias.data = torch.tensor(a.b, dtype=torch.float32)


@torch.no_grad()
def figures(model: VAE, x) -> dict[str, float]:
    """Negative ELBO and IWAE-200 of the rows of x, in nats per image, always with the same noise."""
    x = torch.as_tensor(x, dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    nll, kl = model.elbo(x, generator=generator, samples=100)
    bound = -model.log_prob(x, k=200, generator=generator)
    return {"negative ELBO": round((nll + kl).mean().item(), 3), "IWAE-200": round(bound.mean().item(), 3)}


def train(name: str):
    """Train one model and save it with its card."""
    kind, seed = name.split("-")
    data, grey = digits.load(), digits.load(binary=False)
    torch.manual_seed(int(seed))
    model = build(kind)
    if kind == "mlp":
        start_as_in_notebook_03(model, int(seed))
    start = time.perf_counter()
    jitter = lambda x, generator: digits.threshold_jitter(x, generator, width=0.15)
    history = fit(model, (grey.train, data.valid), augment=jitter, seed=int(seed), quiet=True, **RECIPES[kind])
    card = dict(
        model=f"VAE on the binary digits: {kind}, code of 10, Bernoulli pixels",
        made_by=f"make pretrained ({name})",
        data="digits, binary: 1,250 training images, thresholds jittered by 0.15; see data/README.md",
        training=RECIPES[kind] | {"seed": int(seed), "best epoch": history.best + 1},
        test=figures(model, data.test.x),
        validation=figures(model, data.valid.x),
        licence="MIT",
        limits="Eight by eight pixels, thirteen hands; for learning about models, not for reading digits.",
    )
    checkpoints.save(PRETRAINED / f"digits-{name}", model.state_dict(), **card)
    seconds = time.perf_counter() - start
    print(f"{name}: test {card['test']}, validation {card['validation']}, {seconds:.0f} s", flush=True)


# Sampled alphabets should be as legible and as varied as can be: a high β costs likelihood, and gives codes that
# fill the prior. See notebook 06.
GLYPHS = dict(epochs=700, batch_size=48, lr=2e-3, weight_decay=0.01, clip=1.0, warmup=0.03)
GLYPHS_OBJECTIVE = dict(beta=100.0, members=8, seen=6)
READER = dict(epochs=3, batch_size=128, lr=2e-3, weight_decay=0.02, warmup=0.1)
ONE_LETTER = [glyphs.CHARACTERS.index(k) for k in "AGMRaegn"]  # shown one at a time


@torch.no_grad()
def glyph_figures(model: VAE, reader: Reader, data) -> dict[str, float]:
    """What the card of the fonts' VAE reports; see notebook 06 for what each figure means."""
    every, train = torch.arange(62), data.sets("train")
    generator = torch.Generator().manual_seed(1)
    alphabets = model.sample(64, every, generator=generator, mean=True)
    read = reader.read(glyphs.ink(alphabets).reshape(-1, 784)).reshape(64, 62)
    found = {"recognised": (read == every).float().mean().item(),
             "diversity": evaluation.diversity(glyphs.ink(alphabets)),
             "diversity of real fonts": evaluation.diversity(glyphs.ink(originals(train, data)))}  # fmt: skip
    for split in ("valid", "test"):
        sets = data.sets(split)
        x, c = torch.as_tensor(sets.x), torch.as_tensor(sets.c)
        ours, nearest = [], []
        for k in ONE_LETTER:
            guess = model.expect(model.posterior(x[:, [k]], c[:, [k]]).mean, every)
            ours.append(evaluation.set_errors(glyphs.ink(guess.numpy()), glyphs.ink(sets.x), sets.c, [k]))
            row = evaluation.nearest_set(glyphs.ink(sets.x), sets.c, glyphs.ink(train.x), train.c, [k])
            copied = glyphs.ink(train.x[row])
            nearest.append(evaluation.set_errors(copied, glyphs.ink(sets.x), sets.c, [k], train.c[row]))
        found |= {f"{split}, from one letter": np.mean(ours), f"{split}, nearest font": np.mean(nearest)}
    return {name: round(float(value), 4) for name, value in found.items()}


def originals(sets, data):
    """The fonts of a split that have all 62 characters and are no changed copies: (N, 62, 784)."""
    real = np.array(["/" not in data.group_names[g] for g in sets.index])
    return sets.x[real & (sets.c >= 0).all(axis=1)]


def train_reader():
    """Train the classifier of characters that judges what the generator draws."""
    data = glyphs.load(form="ink")
    torch.manual_seed(0)
    reader = Reader(62)
    fit(reader, data, seed=0, quiet=True, **READER)
    right = {s: round((reader.read(torch.as_tensor(p.x)).numpy() == p.c).mean().item(), 4)
             for s, p in (("validation", data.valid), ("test", data.test))}  # fmt: skip
    checkpoints.save(
        PRETRAINED / "glyphs-reader", reader.state_dict(), model="convolutional classifier of 62 characters",
        made_by="make pretrained (glyphs-reader)", data="glyphs, ink; see data/README.md",
        training=READER | {"seed": 0}, right=right, licence="MIT",
        limits="Printed characters centred in 28 × 28 pixels; I, l and 1 are often one shape.",
    )  # fmt: skip
    print(f"glyphs-reader: {right}", flush=True)


def train_glyphs():
    """Train the fonts' VAE and save it with its card."""
    data = glyphs.load()
    train, start = data.train, time.perf_counter()
    average = np.stack([train.x[train.c == k].mean(axis=0) for k in range(62)])
    torch.manual_seed(0)
    model = fonts_vae(average)
    objective = GLYPHS_OBJECTIVE | {"beta": ramp(end=GLYPHS_OBJECTIVE["beta"])}
    fit(model, (data.sets("train"), data.sets("valid")), seed=0, objective=objective, **GLYPHS)
    reader = Reader(62)
    checkpoints.load_model(PRETRAINED / "glyphs-reader", reader.eval())
    found = glyph_figures(model, reader, glyphs.load())
    checkpoints.save(
        PRETRAINED / "glyphs-fonts", model.state_dict(),
        model="VAE of fonts: 62 characters as distance fields of 28 × 28, one code of 16 a font, Normal pixels",
        made_by="make pretrained (glyphs-fonts)",
        data="glyphs, distance, 40 changed copies of each text font; see data/README.md",
        training=GLYPHS | GLYPHS_OBJECTIVE | {"seed": 0}, figures=found, licence="MIT",
        limits="Learnt from 24 fonts and changed copies of them: Latin letters and digits, no kerning, no accents.",
    )  # fmt: skip
    print(f"glyphs-fonts: {found}, {time.perf_counter() - start:.0f} s", flush=True)


# --- instruments -------------------------------------------------------------------------------------

NOTES = dict(epochs=150, batch_size=8, lr=3e-3, weight_decay=0.01, clip=1.0, warmup=0.03)
NOTES_OBJECTIVE = dict(beta=60.0, members=4, seen=3)


def build_notes(average=None) -> VAE:
    """An untrained VAE of instruments: one code of 8 for all notes of an instrument."""
    decoder = SpectrogramDecoder(8, 513, 51, 36, R=40, hidden=256, average=average, sigma=0.35)
    return VAE(SpectrogramEncoder(513, 51, 36, 8, hidden=256), decoder, code=8, shared=True)


@torch.no_grad()
def note_figures(model: VAE, data) -> dict[str, float]:
    """What the card of the instruments' VAE reports, log-spectral distances in dB; see notebook 07."""
    train, found = data.sets("train", dense=False), {}
    average = average_spectra(train)
    for split in ("valid", "test"):
        sets = data.sets(split, dense=False)
        x, c = torch.as_tensor(sets.x).float(), torch.as_tensor(sets.c)
        rebuilt, guess = model.reconstruct(x, c), model.expect(model.posterior(x[:, [5]], c[:, [5]]).mean, c)
        rest = [k for k in range(x.shape[1]) if k != 5]
        found[f"{split}, rebuilt"] = distance(rebuilt, x)
        found[f"{split}, from one note"] = distance(guess[:, rest], x[:, rest])
        found[f"{split}, mean spectrogram"] = distance(average[sets.c[:, rest]], x[:, rest])
    return {name: round(float(value), 3) for name, value in found.items()}


def distance(a, b) -> float:
    """The mean log-spectral distance in dB of sets of spectrograms (N, M, F, T)."""
    a, b = (torch.as_tensor(s).flatten(0, 1) for s in (a, b))
    return float(sound.log_spectral_distance(a, b).mean())


def average_spectra(sets) -> np.ndarray:
    """The mean spectrogram of each pitch, (36, 513, 51), from sets."""
    return np.stack([sets.x[sets.c == k].mean(axis=0, dtype=np.float32) for k in range(36)])


def train_notes():
    """Train the instruments' VAE and save it with its card."""
    data, start = notes.load(), time.perf_counter()
    train, valid = (data.sets(split, dense=False) for split in ("train", "valid"))
    torch.manual_seed(0)
    model = build_notes(average_spectra(train).mean(axis=2))
    objective = NOTES_OBJECTIVE | {"beta": ramp(end=NOTES_OBJECTIVE["beta"])}
    fit(model, (train, valid), seed=0, objective=objective, **NOTES)
    found = note_figures(model, data)
    checkpoints.save(
        PRETRAINED / "notes-instruments", model.state_dict(),
        model="VAE of instruments: log-magnitude spectrograms of 513 × 51 at 36 pitches, one code of 8 an instrument",
        made_by="make pretrained (notes-instruments)", data="notes: 230 training instruments; see data/README.md",
        training=NOTES | NOTES_OBJECTIVE | {"seed": 0}, figures=found, licence="MIT",
        limits="Learnt from four families of synthetic sounds of one second, C3 to B5; phases come from Griffin-Lim.",
    )  # fmt: skip
    print(f"notes-instruments: {found}, {time.perf_counter() - start:.0f} s", flush=True)


# --- names for colours -------------------------------------------------------------------------------

# Chosen on the validation names. The colour gets a little noise, or it is learned by heart, and is divided by 0.1,
# or it is hardly used; see notebook 08.
TOLD = dict(condition=3, spread=0.1, noise=0.03)
NAMES = dict(batch_size=50, clip=1.0)
NAMES_GRU = NAMES | dict(epochs=60, lr=5e-3, weight_decay=0.1)
NAMES_TRANSFORMER = NAMES | dict(epochs=80, lr=3e-3, weight_decay=0.1, warmup=0.1)
NAMES_VAE = NAMES | dict(epochs=60, lr=5e-3, weight_decay=0.01)
FREE_BITS = 1.0


def build_names(kind: str, symbols: int, longest: int) -> torch.nn.Module:
    """An untrained model of names: "gru", "transformer", the same with "-colour" or "-shuffled"; "vae", "vae-plain"."""
    told = {} if kind in ("gru", "transformer") else TOLD
    if kind.startswith("gru"):
        return GRULanguageModel(symbols, longest=longest, dropout=0.4, **told)
    if kind.startswith("transformer"):
        return Transformer(symbols, longest=longest, dropout=0.3, **told)
    encoder = TextEncoder(symbols, 4, condition=3, dropout=0.2, spread=0.1)
    return VAE(encoder, TextDecoder(symbols, 4, condition=3, dropout=0.4, longest=longest, spread=0.1), code=4)


def load_names(kind: str) -> list[torch.nn.Module]:
    """The five models of one kind that ship, in evaluation mode; of a VAE, the only one."""
    data = colours.load()
    several = torch.nn.ModuleList(build_names(kind, len(data.vocabulary), data.x.shape[1]) for _ in copies(kind))
    checkpoints.load_model(PRETRAINED / f"names-{kind}", several.eval())
    return list(several)


def copies(kind):
    return range(1) if kind.startswith("vae") else SEEDS


def shuffled(split, seed: int = 0):
    """x and c of a split, each name with the colour of another."""
    order = np.random.default_rng(seed).permutation(len(split))
    return split.x, split.c[order]


@torch.no_grad()
def name_figures(models, data) -> dict[str, float]:
    """Bits per character, the mean over models and their standard deviation; for the VAE its bound (IWAE-50)."""
    found = {}
    for name, split in (("validation", data.valid), ("test", data.test)):
        x, c = torch.as_tensor(split.x), torch.as_tensor(split.c, dtype=torch.float32)
        more = dict(k=50, generator=torch.Generator().manual_seed(0)) if isinstance(models[0], VAE) else {}
        bits = [bits_per_character(model.log_prob(x, c, **more), x) for model in models]
        found |= {name: round(float(np.mean(bits)), 3), f"{name}, deviation": round(float(np.std(bits)), 3)}
    return found


def train_names(kind: str):
    """Train the models of one kind, one for each seed, and save them in one file with a card."""
    data, models, start = colours.load(), [], time.perf_counter()
    pair = (shuffled(data.train), shuffled(data.valid)) if kind == "gru-shuffled" else data
    recipe = NAMES_TRANSFORMER if kind.startswith("transformer") else NAMES_VAE if kind.startswith("vae") else NAMES_GRU
    objective = dict(free_bits=FREE_BITS) if kind == "vae" else {}
    for seed in copies(kind):
        torch.manual_seed(seed)
        models.append(build_names(kind, len(data.vocabulary), data.x.shape[1]))
        fit(models[-1], pair, seed=seed, objective=objective, quiet=True, **recipe)
    found = name_figures(models, data)
    seconds = time.perf_counter() - start
    what = {"vae": "VAE, one code of 4 a name, decoded by a GRU told its colour, trained with free bits",
            "vae-plain": "VAE, as names-vae but trained without free bits: its code is ignored", "gru": "GRU",
            "gru-colour": "GRU told the colour", "gru-shuffled": "GRU told the colour of another name",
            "transformer": "Transformer", "transformer-colour": "Transformer told the colour"}[kind]  # fmt: skip
    checkpoints.save(
        PRETRAINED / f"names-{kind}", torch.nn.ModuleList(models).state_dict(),
        model=f"{what}, of names for colours, character by character; seeds 0 to {len(models) - 1}",
        made_by=f"make pretrained (names-{kind})", data="colours: 679 training names; see data/README.md",
        training=recipe | objective, bits_per_character=found, licence="MIT",
        limits="Learnt from 679 English names given by visitors of a web site; some names are crude.",
    )  # fmt: skip
    print(f"names-{kind}: {found}, {seconds:.0f} s", flush=True)


NAME_MODELS = ("gru", "gru-colour", "gru-shuffled", "transformer", "transformer-colour", "vae", "vae-plain")

OTHERS = {"glyphs-reader": train_reader, "glyphs-fonts": train_glyphs, "notes-instruments": train_notes}
OTHERS |= {f"names-{kind}": functools.partial(train_names, kind) for kind in NAME_MODELS}


def main():
    names = sys.argv[1:] or [*(f"{kind}-{seed}" for kind in RECIPES for seed in SEEDS), *OTHERS]
    helpers.setup(seed=0)
    torch.distributions.Distribution.set_default_validate_args(False)
    for name in names:
        OTHERS[name]() if name in OTHERS else train(name)


if __name__ == "__main__":
    main()
