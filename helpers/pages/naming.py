"""What the page that names colours holds: two of each kind of network of the lesson, and words that may be shown."""

from itertools import product
from typing import Any

import numpy as np

from helpers import disk
from helpers.build import restore
from helpers.data import colours
from helpers.data.colours import alike, parts
from helpers.evaluation.filters import rude
from helpers.evaluation.naming import DRAWS, LAMBDA, Meaning, Namer
from helpers.pages.document import chosen, pack

JUDGES = 2  # networks of each kind that rank; the lesson has four or five


def decent(words: list[str]) -> set[str]:
    """The words of which no name is rude: neither by themselves, nor where short ones are put together."""
    fine = {word for word in words if not rude(word)}
    short = sorted(word for word in fine if len(word) <= 2)
    joined = (name for few in (2, 3) for name in product(short, repeat=few) if rude(" ".join(name)))
    return fine - {word for name in joined for word in name}


def facts() -> dict[str, Any]:
    """Weights, words, and the meaning of words, for names as in Text: name a colour."""
    data = colours.load()
    names = data.vocabulary.decode(data.train.x)
    lexicon = colours.Words(names)
    fine = decent(lexicon.words)
    told: list[dict] = []
    plain: list[dict] = []
    tensors: dict[str, Any] = {}
    longest = 0  # of what the writer writes
    for kind, checkpoint, found, count in (("words", "names-words-colour", told, 1 + JUDGES),
                                           ("letters", "names-gru-colour", told, JUDGES),
                                           ("words", "names-words", plain, JUDGES),
                                           ("letters", "names-gru", plain, JUDGES)):
        models: Any = restore(disk.PRETRAINED / checkpoint)[0]
        longest = longest or models[0].longest
        for number, model in enumerate(models[:count]):
            found.append({"kind": kind, "name": f"{checkpoint}.{number}", "plan": {"spread": model.spread}})
            tensors |= chosen(model.state_dict(), "", f"{checkpoint}.{number}.")
    namer, meaning = Namer(None, lexicon, [], names), Meaning(names, np.asarray(data.train.c))
    weights = meaning.ridge.coef_.T  # (features, 3)
    meant = {feature: np.round(weights[i], 5).tolist() for feature, i in meaning.features.vocabulary_.items()
             if feature.removesuffix(" (last)") in fine}
    return {
        "told": told, "plain": plain, "packed": pack(tensors), "cones": colours.CONES.tolist(),
        "opponents": colours.OPPONENTS.tolist(), "characters": list(data.vocabulary.characters),
        "words": [word if word in fine else "" for word in lexicon.words],  # so that places stay the same
        "first": sorted(namer.first & fine), "last": sorted(namer.last & fine),
        "known": sorted({alike(name) for name in names if set(parts(name)) <= fine}),
        "meaning": {"words": meant, "middle": meaning.ridge.intercept_.tolist(),
                    "precision": meaning.precision.tolist()},
        "lambda": LAMBDA, "draws": DRAWS, "longest": longest,
    }
