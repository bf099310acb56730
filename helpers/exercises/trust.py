"""Exercises of notebook 10: precision and recall, an honest threshold, AUC, exposure, clipping, what comes first."""

import numpy as np

from helpers.exercises.engine import Exercise, Wrong, require

# --- precision_recall --------------------------------------------------------------------------------


def _precision_recall(found, truth):
    hits = np.sum(found & truth)
    return (hits / found.sum() if found.any() else 1.0), hits / truth.sum()


def _two(f, found, truth):
    both = f(np.array(found, bool), np.array(truth, bool))
    require(isinstance(both, (tuple, list, np.ndarray)) and len(both) == 2, "return two numbers: precision, recall")
    return float(both[0]), float(both[1])


def _pr_count(f):
    precision, recall = _two(f, [1, 1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0, 0])
    require(abs(precision - 0.25) < 1e-9, "four are flagged and one of them is true: precision divides by the flagged")
    require(abs(recall - 0.5) < 1e-9, "two are true and one of them is flagged: recall divides by the true")


def _pr_all(f):
    precision, recall = _two(f, [1, 1, 1, 1], [1, 0, 0, 0])
    require(abs(recall - 1) < 1e-9, "who flags everything finds everything: recall 1")
    require(abs(precision - 0.25) < 1e-9, "who flags everything has the precision of the share of the true")


def _pr_none(f):
    precision, recall = _two(f, [0, 0, 0], [1, 0, 1])
    require(precision == 1 and recall == 0, "nothing flagged: nothing wrong is claimed, and nothing is found")


precision_recall = Exercise(
    "precision_recall",
    _precision_recall,
    "both count the same hits, and divide them by what was claimed and by what there is.",
    [_pr_count, _pr_all, _pr_none],
    [
        "`found & truth` are the hits. What is each of the two a part of?",
        "Precision: hits / found.sum(), unless nothing is found. Recall: hits / truth.sum().",
    ],
)

# --- judged_right: spot the leak ---------------------------------------------------------------------


def _judged_right(valid_score, valid_truth, test_score, test_truth):
    candidates = np.sort(valid_score)
    right = [((valid_score >= t) == valid_truth).mean() for t in candidates]
    threshold = candidates[np.argmax(right)]
    return threshold, ((test_score >= threshold) == test_truth).mean()


def _scores(seed, n=60):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.5
    return truth + rng.standard_normal(n), truth


def _judge(f, valid, test):
    both = f(*valid, *test)
    require(isinstance(both, tuple) and len(both) == 2, "return two numbers: threshold, test accuracy")
    return float(both[0]), float(both[1])


def _judge_test(f):
    for seed in range(5):
        valid, test, other = _scores(seed), _scores(seed + 100), _scores(seed + 200)
        require(_judge(f, valid, test)[0] == _judge(f, valid, other)[0],
                "another test must not change the threshold: choose it on the validation split alone")  # fmt: skip


def _judge_valid(f):
    for seed in range(5):
        score, truth = _scores(seed)
        threshold, _ = _judge(f, (score, truth), _scores(seed + 100))
        best = max(((score >= t) == truth).mean() for t in score)
        require(((score >= threshold) == truth).mean() > best - 1e-9,
                "on the validation split no other threshold may judge more examples rightly")  # fmt: skip


def _judge_report(f):
    for seed in range(5):
        valid, (score, truth) = _scores(seed), _scores(seed + 100)
        threshold, reported = _judge(f, valid, (score, truth))
        require(abs(reported - ((score >= threshold) == truth).mean()) < 1e-9,
                "the accuracy to report is that of the test split, with the chosen threshold")  # fmt: skip


judged_right = Exercise(
    "judged_right",
    _judged_right,
    "the best of many thresholds on a split flatters itself there, so one split chooses and another reports.",
    [_judge_test, _judge_valid, _judge_report],
    [
        "Which split do the candidates come from, and on which are they compared?",
        "Compare them by valid_score and valid_truth. Then use the winner, once, on the test.",
    ],
)

# --- auc ---------------------------------------------------------------------------------------------


def _auc(member, other):
    above = member[:, None] > other
    ties = member[:, None] == other
    return (above + 0.5 * ties).mean()


def _area(f, member, other):
    found = np.asarray(f(np.array(member, float), np.array(other, float)), float)
    require(found.size == 1, f"two lists of scores give one number; yours has shape {found.shape}")
    return float(found)


def _auc_perfect(f):
    require(abs(_area(f, [3, 4], [1, 2, 0]) - 1) < 1e-9, "if every member scores above every other, it is 1")
    require(abs(_area(f, [1, 2], [3, 4, 5])) < 1e-9, "if every member scores below, it is 0")


def _auc_ties(f):
    require(abs(_area(f, [1, 1], [1, 1, 1]) - 0.5) < 1e-9, "if all score the same, it is guessing: ties count half")


def _auc_pairs(f):
    found = _area(f, [1.0, 2.5, 4.0], [0.0, 2.5, 3.0, 5.0])
    require(abs(found - (1 + 1.5 + 3) / 12) < 1e-9,
            "count over all pairs of a member and another: above 1, equal 1/2, below 0; take the mean")  # fmt: skip


def _auc_scale(f):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, 30), rng.normal(0, 1, 50)
    require(abs(_area(f, a, b) - _area(f, np.exp(3 * a), np.exp(3 * b))) < 1e-9,
            "only the order of scores counts: stretching them must change nothing")  # fmt: skip


auc = Exercise(
    "auc",
    _auc,
    "comparing every member with every other is the definition itself.",
    [_auc_perfect, _auc_ties, _auc_pairs, _auc_scale],
    [
        "`member[:, None] > other` is a table of all comparisons.",
        "Its mean counts ties as losses. Add half of the mean of `member[:, None] == other`.",
    ],
)

# --- exposure ----------------------------------------------------------------------------------------


def _exposure(log_p, secret):
    rank = 1 + np.sum(log_p > log_p[secret])
    return np.log2(len(log_p)) - np.log2(rank)


def _bits(f, log_p, secret):
    found = np.asarray(f(np.array(log_p, float), secret), float)
    require(found.size == 1, f"one secret has one number; yours has shape {found.shape}")
    return float(found)


LOG_P = np.log(np.arange(1, 17) / 136)  # 16 alternatives, the last one the likeliest


def _exposure_first(f):
    require(abs(_bits(f, LOG_P, 15) - 4) < 1e-9, "the likeliest of 16 has rank 1: log2(16) = 4 bits are out")


def _exposure_last(f):
    require(abs(_bits(f, LOG_P, 0)) < 1e-9, "the least likely of all has the last rank: nothing is out")


def _exposure_between(f):
    require(abs(_bits(f, LOG_P, 12) - 2) < 1e-9, "with rank 4 of 16, two of the four bits are out")


exposure = Exercise(
    "exposure",
    _exposure,
    "the rank says how many guesses an attacker needs, and its logarithm how many bits are still missing.",
    [_exposure_first, _exposure_last, _exposure_between],
    [
        "How many alternatives are likelier than the secret? Its rank is one more.",
        "`np.log2(len(log_p)) - np.log2(rank)`",
    ],
)

# --- noisy_gradient: spot the bug --------------------------------------------------------------------


def _noisy_gradient(gradients, largest, noise, rng):
    lengths = np.linalg.norm(gradients, axis=1, keepdims=True)
    clipped = gradients * np.minimum(1, largest / np.maximum(lengths, 1e-12))
    total = clipped.sum(axis=0) + noise * largest * rng.standard_normal(gradients.shape[1])
    return total / len(gradients)


def _noisy(f, gradients, largest=1.0, noise=0.0):
    found = np.asarray(f(gradients, largest, noise, np.random.default_rng(0)), float)
    require(found.shape == gradients.shape[1:], f"the shape should be {gradients.shape[1:]}; yours is {found.shape}")
    return found


def _noisy_short(f):
    gradients = 0.01 * np.random.default_rng(1).standard_normal((8, 5))
    require(np.abs(_noisy(f, gradients) - gradients.mean(axis=0)) < 1e-9,
            "gradients shorter than the limit are left alone: without noise it is their mean")  # fmt: skip


def _noisy_one(f):
    gradients = 0.01 * np.random.default_rng(1).standard_normal((8, 5))
    loud = gradients.copy()
    loud[3] = 1000.0
    moved = np.linalg.norm(_noisy(f, loud) - _noisy(f, gradients))
    require(moved <= (1 + np.linalg.norm(gradients[3])) / 8 + 1e-9,
            "an example with a huge gradient moves the result too far: clip each one, not their mean")  # fmt: skip


def _noisy_length(f):
    gradients = np.array([[3.0, 4.0], [0.0, 0.0], [-30.0, 40.0]])
    require(np.abs(_noisy(f, gradients, 2.0) - np.array([1.2 - 1.2, 1.6 + 1.6]) / 3) < 1e-9,
            "a long gradient keeps its direction, and is scaled to the length `largest`")  # fmt: skip


def _noisy_noise(f):
    zero = np.zeros((10, 20_000))
    for largest, noise in ((1.0, 2.0), (3.0, 0.5)):
        sd = _noisy(f, zero, largest, noise).std() * 10
        require(abs(sd / (noise * largest) - 1) < 0.05,
                "noise on the sum has the standard deviation noise · largest; then all is divided by N")  # fmt: skip


noisy_gradient = Exercise(
    "noisy_gradient",
    _noisy_gradient,
    "the noise hides one example only if no example can be longer than the limit.",
    [_noisy_short, _noisy_one, _noisy_length, _noisy_noise],
    [
        "Give one example an enormous gradient. How far does the result move?",
        "Lengths of the rows, `np.linalg.norm(gradients, axis=1, keepdims=True)`; scale each row; then sum.",
        "`clipped = gradients * np.minimum(1, largest / np.maximum(lengths, 1e-12))`",
    ],
)

# --- open_model --------------------------------------------------------------------------------------


def _open_model(path, verify, read):
    verify(path)
    return read(path)


def _opened(f, fits):
    """The calls that f makes, and what comes of it."""
    calls = []

    def verify(path):
        calls.append("verify")
        if not fits:
            raise PermissionError("the signature does not fit")

    def read(path):
        calls.append("read")
        return f"model in {path}"

    try:
        return calls, f("a.json", verify, read)
    except Wrong as wrong:
        if isinstance(wrong.__cause__, PermissionError):
            return calls, "refused"
        raise


def _open_bad(f):
    calls, result = _opened(f, fits=False)
    require("read" not in calls, "a file whose signature does not fit was opened: for a pickle that is too late")
    require(result == "refused", "the error of verify must reach the user, and no model may be returned")


def _open_good(f):
    calls, result = _opened(f, fits=True)
    require("verify" in calls, "the signature was never verified")
    require(calls.index("verify") < len(calls) - 1 and result == "model in a.json",
            "a file that fits is read after it was verified, and what read gives is returned")  # fmt: skip


open_model = Exercise(
    "open_model",
    _open_model,
    "opening is the dangerous part, so it comes second; and an error that is caught is an error that nobody sees.",
    [_open_bad, _open_good],
    [
        "What may have happened by the time that the warning is printed?",
        "Verify first, and let its error pass. Only then read.",
    ],
)
