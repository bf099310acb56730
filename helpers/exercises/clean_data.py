"""Exercises of Clean data: precision and recall, an honest threshold, a split that leaks, labels that do not fit."""

import numpy as np

from helpers.exercises.engine import exercise, near, require, returns

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.evaluation.labels": ("cross_fit", "suspicious_labels"),
}


@exercise(
    why="both count the same hits, and divide them by what was claimed and by what there is.",
    hints=[
        "`found & truth` are the hits. What is each of the two a part of?",
        "Precision: hits / found.sum(), unless nothing is found. Recall: hits / truth.sum().",
    ],
)
def precision_recall(found, truth):
    hits = np.sum(found & truth)
    return (hits / found.sum() if found.any() else 1.0), hits / truth.sum()


def both_of(precision_recall, found, truth):
    both = precision_recall(np.array(found, bool), np.array(truth, bool))
    return returns(both, (2,), "two numbers: precision, recall")


@precision_recall.fact
def divides_hits_by_flagged_and_by_true(precision_recall):
    precision, recall = both_of(precision_recall, [1, 1, 1, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 1, 0, 0, 0, 0])
    require(near(precision, 0.25), "four are flagged and one of them is true: precision divides by the flagged")
    require(near(recall, 0.5), "two are true and one of them is flagged: recall divides by the true")


@precision_recall.fact
def finds_all_if_all_is_flagged(precision_recall):
    precision, recall = both_of(precision_recall, [1, 1, 1, 1], [1, 0, 0, 0])
    require(near(recall, 1), "whoever flags everything finds everything: recall 1")
    require(near(precision, 0.25), "whoever flags everything has the precision of the share of the true")


@precision_recall.fact
def claims_nothing_if_nothing_is_flagged(precision_recall):
    both = both_of(precision_recall, [0, 0, 0], [1, 0, 1])
    require(both == [1, 0], "nothing flagged: nothing wrong is claimed, and nothing is found")


@exercise(
    why="the best of many thresholds on a split flatters itself there, so one split chooses and another reports.",
    hints=[
        "Which split do the candidates come from, and on which are they compared?",
        "Compare them by valid_score and valid_truth. Then use the winner, once, on the test.",
    ],
)
def judged_right(valid_score, valid_truth, test_score, test_truth):
    candidates = np.sort(valid_score)
    right = [((valid_score >= t) == valid_truth).mean() for t in candidates]
    threshold = candidates[np.argmax(right)]
    return threshold, ((test_score >= threshold) == test_truth).mean()


def scores(seed, n=60, shift=0.0):
    """Scores (n,), and the truth about them (n,)."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.5
    # in steps that float32 can hold, too
    return np.round((truth + rng.standard_normal(n)) * 64) / 64 + shift, truth


def accuracy(score, truth, threshold):
    return ((score >= threshold) == truth).mean()


def judgement(judged_right, valid, test):
    return returns(judged_right(*valid, *test), (2,), "two numbers: threshold, test accuracy")


@judged_right.fact
def does_not_choose_by_the_test(judged_right):
    for seed in range(5):
        one, other = (judgement(judged_right, scores(seed), scores(seed + more))[0] for more in (100, 200))
        require(one == other, "another test must not change the threshold: choose it on the validation split alone")


@judged_right.fact
def chooses_the_best_for_validation(judged_right):
    for seed in range(5):
        valid = scores(seed)
        threshold, _ = judgement(judged_right, valid, scores(seed + 100))
        require(
            accuracy(*valid, threshold) > max(accuracy(*valid, t) for t in valid[0]) - 1e-9,
            "on the validation split no other threshold may judge more examples rightly",
        )


@judged_right.fact
def reports_the_test(judged_right):
    for seed in range(5):
        test = scores(seed + 100)
        threshold, reported = judgement(judged_right, scores(seed), test)
        fact = "the accuracy to report is that of the test split, with the chosen threshold"
        require(near(reported, accuracy(*test, threshold)), fact)
    far, test = scores(3, shift=-8.0), scores(4, shift=-8.0)  # scores may be negative
    threshold, reported = judgement(judged_right, far, test)
    require(near(threshold, judgement(judged_right, scores(3), scores(4))[0] - 8), "a threshold moves with its scores")
    require(near(reported, accuracy(*test, threshold)), fact)


@exercise(
    why="what has a relative in training was half known before, so it flatters the test.",
    hints=[
        "Which groups occur among the training images?",
        "`np.isin(a, b)` says which entries of a occur in b.",
        "`np.isin(group[is_test], group[~is_test]).mean()`",
    ],
)
def leaked(group, is_test):
    return np.isin(group[is_test], group[~is_test]).mean()


def part_that_leaks(leaked, group, is_test):
    return returns(leaked(np.array(group), np.array(is_test, bool)), (), "one part, from 0 to 1")


@leaked.fact
def is_0_where_groups_stay_together(leaked):
    found = part_that_leaks(leaked, [3, 3, 5, 7, 5, 3], [0, 0, 1, 1, 1, 0])
    require(near(found, 0), "where every group is wholly in the test or wholly in training, nothing leaks")


@leaked.fact
def is_1_where_all_have_relatives(leaked):
    found = part_that_leaks(leaked, [0, 1, 2, 2, 1, 0, 9], [1, 1, 1, 0, 0, 0, 0])
    require(near(found, 1), "where every test image has a relative in training, all of the test leaks")


@leaked.fact
def counts_images_of_the_test(leaked):
    found = part_that_leaks(leaked, [4, 4, 4, 8, 6, 6, 1, 1, 1, 4], [1, 1, 0, 1, 1, 1, 0, 0, 0, 0])
    fact = "of five test images two have a relative in training: count test images, not groups, and divide by the test"
    require(near(found, 2 / 5), fact)


@leaked.fact
def does_not_mind_relatives_on_one_side(leaked):
    found = part_that_leaks(leaked, [4, 4, 2, 2], [1, 1, 0, 0])
    require(near(found, 0), "relatives within the test, or within training, are no leak")


@exercise(
    why="a label is doubted only where another one is as probable as it usually is for images that have it.",
    hints=[
        "First the limit of each label j: the mean of p[:, j] over the rows with c == j.",
        "Another label speaks against c where p reaches that label's limit *and* is above p of the row's own label.",
        "`((p >= limit) & (p > own[:, None])).any(axis=1)`, with `own = p[np.arange(len(c)), c]`",
    ],
)
def flagged(p, c):
    limit = np.array([p[c == j, j].mean() for j in range(p.shape[1])])
    own = p[np.arange(len(c)), c]
    return ((p >= limit) & (p > own[:, None])).any(axis=1)


def doubted(flagged, p, c):
    """The rows that are flagged."""
    found = returns(flagged(np.array(p, float), np.array(c)), (len(c),), "True or False for each image", bool)
    return np.flatnonzero(found).tolist()


@flagged.fact
def trusts_labels_that_fit(flagged):
    found = doubted(flagged, [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]], [0, 0, 1, 1])
    require(found == [], "where every label is the likeliest for its image, nothing is flagged")


@flagged.fact
def doubts_a_label_that_another_beats(flagged):
    found = doubted(flagged, [[0.9, 0.1], [0.8, 0.2], [0.05, 0.95], [0.1, 0.9], [0.2, 0.8]], [0, 0, 0, 1, 1])
    fact = "an image with label 0 that is more probably a 1 than images with label 1 usually are must be flagged"
    require(found == [2], fact)


@flagged.fact
def leaves_doubtful_images_alone(flagged):
    found = doubted(flagged, [[0.9, 0.1], [0.4, 0.6], [0.1, 0.9], [0.0, 1.0]], [0, 0, 1, 1])
    fact = "another label flags only if it reaches its own limit, too; being likelier is not enough: mind its limit"
    require(found == [], fact)


@flagged.fact
def has_a_limit_for_each_label(flagged):
    p = [[0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9], [0.3, 0.1, 0.6]]
    found = doubted(flagged, [*p, [0.55, 0.05, 0.4]], [0, 0, 1, 1, 2, 2, 2])
    fact = "each label has a limit of its own, the mean over the images with that label, and reaching it is enough"
    require(found == [6], fact)
    found = doubted(flagged, [[0.5, 0.5], [0.25, 0.75], [0.25, 0.75]], [0, 0, 1])
    require(found == [1], fact)


@flagged.fact
def asks_every_other_label(flagged):
    p = [[0.9, 0.05, 0.05], [0.2, 0.5, 0.3], [0.0, 1.0, 0.0], [0.05, 0.9, 0.05], [0.4, 0.3, 0.3], [0.45, 0.35, 0.2]]
    fact = "any other label may flag, not the likeliest alone: a less likely one can reach its limit where it does not"
    require(doubted(flagged, p, [0, 0, 1, 1, 2, 2]) == [1], fact)


@flagged.fact
def compares_with_the_images_own_label(flagged):
    found = doubted(flagged, [[0.45, 0.55, 0.0], [0.4, 0.35, 0.25], [0.1, 0.2, 0.7]], [1, 0, 2])
    fact = "a label that reaches its limit but is less likely than the one that stands there does not flag"
    require(found == [], fact)
