"""What is odd? Scores of oddness on digits and on letters, over five seeds: what each finds, and what it promises.

data/alarm.json holds its rows; ``python tools/sweep.py`` makes them. The usual letters are the 31 characters with the
longest outlines. Each seed holds out other fonts: of the 26 fonts with plain alphabets 14 are for training, six for
setting thresholds and six for the test. A pixel of a letter is ink if its grey is darker than a limit: 0.6, where
hairlines break, as in a faint scan, or 0.35, where they hold.
"""

import functools
import time
from collections.abc import Callable

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, IsolationForest
from sklearn.neighbors import NearestNeighbors

from helpers.data import digits, glyphs
from helpers.evaluation.privacy import auc
from helpers.experiments import sweeps
from helpers.scratch.mixture import fit_mixture, log_joint, mixture_nll

PROMISED = 0.05  # the part of usual examples for which an alarm may ring
COPIES = 18  # changed copies of each font: 12 to learn from, 6 to set a threshold or to judge
HELD_OUT = 6  # fonts for the threshold, and as many for the test
ODD = "Il1"
SIDE = 14
PLAIN = [font for font in glyphs.FONTS if font[2] not in glyphs.ORNAMENTAL]
FAINT, FULL = 0.6, 0.35
CASES = {"digits": ("noise", "mirrored", "blank"), "letters": ("noise", "mirrored", "I, l, 1", "blank")}
SCORES = {
    "-log p": "surprise", "two-sided": "typicality", "with ink": "typicality of -log p or of the ink",
    "ratio": "against independent pixels",
    "rebuilt": "distance to the nearest prototype", "isolation": "isolation forest",
    "neighbour": "distance to the fifth nearest neighbour", "shown": "trees that have seen other odd things",
}


@functools.cache
def alphabets() -> np.ndarray:
    """Characters of 14 × 14 pixels, grey from 0 to 1, in changed copies of each font: (26 fonts, 18 copies, 62, 196);
    NaN where a font lacks a character."""
    rng, found = np.random.default_rng(0), np.full((len(PLAIN), COPIES, 62, SIDE**2), np.nan, np.float32)
    for font, (_, file, alphabet, _) in enumerate(PLAIN):
        drawn = glyphs.draw_font(file, alphabet)
        here = [k for k, character in enumerate(glyphs.CHARACTERS) if character in drawn]
        fine = np.stack([drawn[glyphs.CHARACTERS[k]] for k in here])
        for copy in range(COPIES):
            found[font, copy, here] = halved(glyphs.unbroken(fine, rng))
    return found


def halved(fields: np.ndarray) -> np.ndarray:
    """Distances (N, 28, 28) or (N, 784) as grey levels at half the resolution: (N, 196)."""
    grey = glyphs.ink(np.asarray(fields)).reshape(-1, SIDE, 2, SIDE, 2)
    return grey.mean(axis=(2, 4)).reshape(-1, SIDE**2)


def outline(x: np.ndarray) -> np.ndarray:
    """How many neighbouring pixels of binary images (N, 196) differ: the length of the outline, (N,)."""
    image = x.reshape(-1, SIDE, SIDE)
    return sum(np.abs(np.diff(image, axis=axis)).sum(axis=(1, 2)) for axis in (1, 2))


def intricate() -> list[int]:
    """The 31 characters whose outlines are longest, on the mean over the training fonts of the data set."""
    train = [font for font, (*_, split) in enumerate(PLAIN) if split == "train"]
    lengths = [np.mean(outline(present(alphabets()[train][:, :, [k]], 0.5))) for k in range(62)]
    return sorted(np.argsort(lengths)[-31:].tolist())


def present(x: np.ndarray, darker: float) -> np.ndarray:
    """All characters (…, 196) that exist, as binary rows (N, 196)."""
    rows = x.reshape(-1, x.shape[-1])
    return (rows[~np.isnan(rows[:, 0])] > darker).astype(np.float32)


def letters(seed: int, darker: float) -> dict[str, np.ndarray]:
    """What there is to learn from, to set thresholds by ("copies" and "new") and to judge: rows of 196 pixels each."""
    dealt = np.random.default_rng(seed).permutation(len(PLAIN))
    test, valid, train = np.split(dealt, [HELD_OUT, 2 * HELD_OUT])
    kind, odd = intricate(), [glyphs.CHARACTERS.index(character) for character in ODD]
    other = [k for k in range(62) if k not in kind and k not in odd]
    x, old = alphabets(), COPIES * 2 // 3
    return {
        "train": present(x[train][:, :old, kind], darker), "copies": present(x[train][:, old:, kind], darker),
        "new": present(x[valid][:, old:, kind], darker), "usual": present(x[test][:, old:, kind], darker),
        "I, l, 1": present(x[test][:, old:, odd], darker), "shown": present(x[train][:, :old, other], darker),
    }


def numerals(seed: int) -> dict[str, np.ndarray]:
    """The digits in their splits; what is shown as odd are training digits upside down."""
    data = digits.load()
    train, valid, test = (data.x[data.rows[split]] for split in ("train", "valid", "test"))
    return {"train": train, "new": valid, "usual": test, "shown": train[:, ::-1]}


def with_odd(parts: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    """The same, with noise of as much ink, mirrored images and a blank page."""
    rng, usual = np.random.default_rng(seed), parts["usual"]
    side = round(usual.shape[1] ** 0.5)
    return parts | {
        "noise": (rng.random(usual.shape) < parts["train"].mean()).astype(usual.dtype),
        "mirrored": usual.reshape(-1, side, side)[:, :, ::-1].reshape(usual.shape),
        "blank": np.zeros((1, usual.shape[1])),
    }


def scores(parts: dict[str, np.ndarray], prototypes: int, seed: int) -> dict[str, Callable]:
    """A function of images (N, D) for each score: how odd each is, (N,). All are fitted to ``train``."""
    train, rng = np.asarray(parts["train"], float), np.random.default_rng(seed)
    pi, p = fit_mixture(train, prototypes, rng, steps=30)
    ink = (train.sum(axis=0) + 0.1) / (len(train) + 0.2)
    reference = np.asarray(parts["new"], float)
    costs, inks = mixture_nll(reference, pi, p), reference.sum(axis=1)
    forest = IsolationForest(n_estimators=200, random_state=seed).fit(train)
    some = train[rng.permutation(len(train))[:4000]]
    neighbours = NearestNeighbors(n_neighbors=5).fit(some)
    shown = parts["shown"][rng.permutation(len(parts["shown"]))[:4000]]
    trees = ExtraTreesClassifier(200, min_samples_leaf=3, random_state=seed)
    trees.fit(np.concatenate([some, shown]), np.repeat([0, 1], [len(some), len(shown)]))

    def prototype(x):
        return p[log_joint(x, pi, p).argmax(axis=1)]

    return {
        "-log p": lambda x: mixture_nll(x, pi, p),
        "two-sided": lambda x: np.abs(mixture_nll(x, pi, p) - costs.mean()),
        "with ink": lambda x: np.maximum(np.abs(mixture_nll(x, pi, p) - costs.mean()) / costs.std(),
                                         np.abs(x.sum(axis=1) - inks.mean()) / inks.std()),
        "ratio": lambda x: mixture_nll(x, pi, p) + x @ np.log(ink) + (1 - x) @ np.log(1 - ink),
        "rebuilt": lambda x: ((x - prototype(x)) ** 2).sum(axis=1),
        "isolation": lambda x: -forest.score_samples(x),
        "neighbour": lambda x: neighbours.kneighbors(x)[0][:, -1],
        "shown": lambda x: trees.predict_proba(x)[:, 1],
    }


def threshold(usual: np.ndarray, promised: float = PROMISED) -> float:
    """The score above which so small a part of usual scores (N,) lies: the ⌈(1 - promised)(N + 1)⌉th smallest, so that
    the promise holds for what comes from the same source (Vovk, Gammerman and Shafer, 2005)."""
    return float(np.sort(usual)[min(int(np.ceil((1 - promised) * (len(usual) + 1))), len(usual)) - 1])


def train_one(setting: dict, seed: int) -> dict[str, float]:
    """AUROC of each case against the usual, and how often an alarm rings, for one score."""
    start, of = time.process_time(), setting["of"]
    parts = with_odd(letters(seed, setting["darker"]) if of == "letters" else numerals(seed), seed)
    score = scores(parts, setting["prototypes"], seed)
    result: dict[str, float] = {}
    for name, odd in score.items():
        found = {part: odd(np.asarray(x, float)) for part, x in parts.items() if part not in ("train", "shown")}
        result |= {f"{name}, {case}": auc(found[case], found["usual"]) for case in CASES[of]}
        result |= {f"{name}, mean, {case}": found[case].mean() for case in ("usual", *CASES[of])}
        for reference in ("copies", "new"):
            if reference in found:
                limit = threshold(found[reference])
                result |= {f"{name}, {reference}, {case}": (found[case] > limit).mean()
                           for case in ("usual", *CASES[of])}
    return {"seconds": time.process_time() - start} | result


SETTINGS: list[dict] = [
    {"of": "digits", "prototypes": 50},
    {"of": "letters", "prototypes": 100, "darker": FAINT},
    {"of": "letters", "prototypes": 100, "darker": FULL},
]


def cell(values: np.ndarray, digits: int = 2) -> str:
    """Mean ± standard error over seeds."""
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1) / len(values) ** 0.5:.{digits}f}"


def table(rows: list[dict], setting: dict) -> str:
    """AUROC of each score for each case: means over seeds, ± their standard error. 0.5 is chance."""
    cases = CASES[setting["of"]]
    lines = [f"{'':<12}" + "".join(f"{case:<14}" for case in cases)]
    for name in SCORES:
        found = (cell(sweeps.figures(rows, setting, f"{name}, {case}")) for case in cases)
        lines.append(f"{name:<12}" + "".join(f"{one:<14}" for one in found))
    return "\n".join(line.rstrip() for line in lines)


def promises(rows: list[dict], setting: dict) -> str:
    """How often alarms on letters ring, in %, with thresholds from copies and from new fonts: means over seeds, ± their
    standard error. 5 % of the usual letters are promised."""
    cases = ("usual", "I, l, 1", "blank")
    lines = [f"{'':<12}{'threshold from copies':<36}threshold from new fonts",
             f"{'':<12}" + "".join(f"{case:<12}" for case in 2 * cases)]
    for name in SCORES:
        found = (cell(100 * sweeps.figures(rows, setting, f"{name}, {reference}, {case}"), 0)
                 for reference in ("copies", "new") for case in cases)
        lines.append(f"{name:<12}" + "".join(f"{one:<12}" for one in found))
    return "\n".join(line.rstrip() for line in lines)
