"""Exercises of Training: optimisers, and choosing honestly."""

import numpy as np

from helpers.exercises.engine import exercise, near, parts, require

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {"helpers.scratch": ("pack", "SGD", "Adam")}


@exercise(
    why="the velocity is a decaying sum of gradients, and theta moves against the velocity instead of the gradient.",
    hints=[
        "First the velocity, then the weights. The weights use the *new* velocity.",
        "The velocity is momentum times its old value, plus the gradient.",
        "`v = momentum * v + grad` makes a new array; `v *= momentum` would change the argument.",
    ],
)
def momentum_step(theta, v, grad, lr, momentum):
    v = momentum * v + grad
    return theta - lr * v, v


def theta_and_v(result):
    return parts(result, "theta", "v")


@momentum_step.fact
def rests_without_gradient_and_velocity(momentum_step):
    theta, v = theta_and_v(momentum_step(np.full(2, 5.0), np.zeros(2), np.zeros(2), 0.1, 0.9))
    require(near(theta, 5) & near(v, 0), "with no gradient and no velocity nothing may change: return theta, then v")


@momentum_step.fact
def is_gradient_descent_without_momentum(momentum_step):
    theta, grad = np.array([1.0, 2.0]), np.array([0.5, -1.0])
    new, _ = theta_and_v(momentum_step(theta, np.zeros(2), grad, 0.1, 0.0))
    fact = "without momentum it must be plain gradient descent; yours does not move: theta moves by the *new* velocity"
    require(new != theta, fact)
    require(near(new, theta - 0.1 * grad), "without momentum it must be plain gradient descent, downhill")


@momentum_step.fact
def rolls_on_without_gradient(momentum_step):
    theta, v = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    new, after = theta_and_v(momentum_step(theta, v, np.zeros(2), 0.1, 0.5))
    require(near(after, 0.5 * v), "with zero gradient the velocity must shrink by the factor momentum")
    fact = "with zero gradient theta must keep rolling, by lr times the new velocity"
    require(near(new, theta - 0.1 * after), fact)


@momentum_step.fact
def adds_up_gradients(momentum_step):
    theta, v = np.zeros(1), np.zeros(1)
    for _ in range(400):
        theta, v = theta_and_v(momentum_step(theta, v, np.ones(1), 0.1, 0.9))
    require(
        near(v, 10, 1e-6),
        "under a constant gradient of 1 the velocity must grow to 1 / (1 - momentum): it adds up gradients, it does "
        "not average them",
    )


@momentum_step.fact
def moves_by_lr_times_the_velocity(momentum_step):
    theta, v, grad = np.random.default_rng(0).standard_normal((3, 5))
    for lr, momentum in ((0.1, 0.9), (0.003, 0.85), (1.7, 0.25)):
        new, after = theta_and_v(momentum_step(theta, v, grad, lr, momentum))
        require(
            near(new - theta, -lr * after) & near(after - momentum * v, grad),
            f"with lr = {lr} and momentum = {momentum}, each weight for itself: the velocity is momentum times the old "
            "one, plus the gradient, and theta moves by lr times the new velocity, downhill",
        )


@exercise(
    why="two running means, each divided by the fraction of weight that it has collected so far.",
    hints=[
        "Five lines: m, s, m_hat, s_hat, theta.",
        "After t steps the weights inside m sum to 1 - beta1^t; dividing by that makes it a proper mean.",
        "theta - lr * m_hat / (sqrt(s_hat) + eps); return m and s without the hats.",
    ],
)
def adam_step(theta, m, s, grad, t, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * grad
    s = beta2 * s + (1 - beta2) * grad**2
    m_hat = m / (1 - beta1**t)
    s_hat = s / (1 - beta2**t)
    return theta - lr * m_hat / (np.sqrt(s_hat) + eps), m, s


def first_step(adam_step, grad, **settings):
    """theta, m and s after the first step from zeros."""
    theta, m, s = np.zeros((3, len(grad)))
    return parts(adam_step(theta, m, s, np.array(grad), 1, **settings), "theta", "m", "s")


@adam_step.fact
def begins_with_a_step_of_length_lr(adam_step):
    for scale in (1.0, 1e3):
        grad = scale * np.array([1.0, -2.0, 5.0])
        theta, _, _ = first_step(adam_step, grad, lr=0.01)
        require(np.isfinite(theta), "the first step gives NaN or infinity; t counts from 1, and s is a mean of squares")
        require(np.sign(theta) == -np.sign(grad), "the first step must go downhill, against the sign of the gradient")
        require(
            near(np.abs(theta), 0.01, 1e-6),
            "the first step must have length lr for every weight, whatever the size of its gradient; is lr used, are "
            "both means corrected by 1 - beta^t, and is s the mean of the squared gradient under a root?",
        )


@adam_step.fact
def returns_uncorrected_means(adam_step):
    _, m, s = first_step(adam_step, [2.0, -4.0])
    require(
        near(m, [0.2, -0.4]),
        "the returned m must be the running mean itself, before its correction, and beta1 belongs to m",
    )
    require(near(s, [0.004, 0.016]), "the returned s must be the running mean of the square, uncorrected")


@adam_step.fact
def keeps_its_pace_under_a_constant_gradient(adam_step):
    theta, m, s = np.zeros((3, 1))
    for t in range(1, 51):
        before = theta
        theta, m, s = parts(adam_step(theta, m, s, np.array([3.0]), t, lr=0.1), "theta", "m", "s")
    require(
        near(before - theta, 0.1, 1e-6),
        "under a constant gradient every step must have length lr, also the fiftieth; does the correction use t?",
    )


@adam_step.fact
def has_eps_beside_the_root(adam_step):
    theta, _, _ = first_step(adam_step, [0.0])
    require(np.isfinite(theta), "with a gradient of zero you divide 0 by 0; eps belongs in the denominator")
    theta, _, _ = first_step(adam_step, [1e-8], lr=1.0)
    fact = "a gradient as small as eps must make half a step: eps is added to the root, not put under it"
    require(near(theta, -0.5, 1e-3), fact)


@adam_step.fact
def takes_the_settings_that_it_is_given(adam_step):
    _, m, s = first_step(adam_step, [2.0, -40.0, 0.5], beta1=0.7, beta2=0.8)
    fact = "beta1 is an argument: with beta1 = 0.7 a gradient enters m with the share 0.3"
    require(near(m, [0.6, -12.0, 0.15]), fact)
    require(near(s, [0.8, 320.0, 0.05]), "beta2 is an argument: with beta2 = 0.8 a square enters s with the share 0.2")
    theta, _, _ = first_step(adam_step, [0.5, -0.5], lr=1.0, eps=0.5)
    fact = "eps is an argument: a gradient as small as eps makes half a step, in whatever place"
    require(near(theta, [-0.5, 0.5]), fact)
    start = np.array([3.14, -2.72, 0.05])
    theta, _, _ = parts(adam_step(start, *np.zeros((2, 3)), np.array([4.0, -1.0, 9.0]), 1, lr=0.01), "theta", "m", "s")
    require(near(theta, start + [-0.01, 0.01, -0.01]), "the step begins at theta, each weight for itself")


@exercise(
    why="whatever is fitted, a mean and a spread included, is fitted on train alone, and then applied to every split.",
    hints=[
        "Which split may a model learn from? A mean is learned, too.",
        "Compute the mean and the spread from the training split only.",
        "Use these two numbers of each column for both splits.",
    ],
)
def standardise(train, test):
    mean, spread = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / spread, (test - mean) / spread


def is_fitted_on_train(scaled, **wording):
    """Add the facts of scaling both splits by what train says: in the order of ``wording``, each with its message."""
    rng = np.random.default_rng(6)
    train, test = 3 + 2 * rng.standard_normal((30, 4)), 1 + rng.standard_normal((20, 4))

    def ours(answer, train=train, test=test):
        a, b = parts(answer(train, test), "train", "test")
        require(a.shape == train.shape and b.shape == test.shape, "both splits must keep their shapes")
        return a, b

    def has_mean_0(answer):
        require(near(ours(answer)[0].mean(axis=0), 0), wording["has_mean_0"])

    def has_spread_1(answer):
        require(near(ours(answer)[0].std(axis=0), 1), wording["has_spread_1"])

    def learns_nothing_about_test(answer):
        require(near(ours(answer)[0], ours(answer, test=test + 100)[0]), wording["learns_nothing_about_test"])

    def treats_both_alike(answer):
        a, b = ours(answer, test=train[:7].copy())
        require(near(a[:7], b), wording["treats_both_alike"])

    facts = {fact.__name__: fact for fact in (has_mean_0, has_spread_1, learns_nothing_about_test, treats_both_alike)}
    for name in wording:
        scaled.fact(facts[name])


is_fitted_on_train(
    standardise,
    learns_nothing_about_test="the training split comes out differently when the test split changes: it has learned "
    "something about test",
    has_mean_0="every column of the training split must have mean 0",
    has_spread_1="every column of the training split must have spread (standard deviation) 1",
    treats_both_alike="an example must come out the same whether it stands in train or in test; with a mean and a "
    "spread of its own, the test split is changed in another way than the model was trained on",
)


@exercise(
    why="the loop remembers three things: the lowest loss, a copy of the weights that had it, and how long ago it was.",
    hints=[
        "Keep the lowest loss, the weights that had it, and a counter of the epochs since then.",
        "`kept = theta` is no copy: step changes theta in place, and kept with it. Write `theta.copy()`.",
        "A new lowest loss sets the counter back to 0; any other epoch adds 1, and at `patience` the loop ends.",
    ],
)
def train_until_worse(start, step, valid_loss, epochs, patience):
    theta, kept, lowest, waited, made = start.copy(), start.copy(), np.inf, 0, 0
    while made < epochs and waited < patience:
        step(theta)
        made += 1
        loss = valid_loss(theta)
        if loss < lowest:
            kept, lowest, waited = theta.copy(), loss, 0
        else:
            waited += 1
    return kept, made


def run_over(train_until_worse, losses, epochs, patience, start=0.0):
    """What the answer returns where epoch i changes the weights to start + i, and has the i-th of the losses."""
    seen = []

    def step(theta):
        theta += 1

    def valid_loss(theta):
        seen.append(round(float(theta[0]) - start))
        require(seen[-1] >= 1, "step, then ask: valid_loss is called once after each step, not before")
        require(seen[-1] <= epochs, "it must stop after `epochs` steps at the latest")
        return losses[seen[-1] - 1]

    begin = start + np.array([0.0, 10.25, -7.5])  # three weights, each with a place of its own
    theta, made = parts(train_until_worse(begin, step, valid_loss, epochs, patience), "theta", "epochs")
    require(theta.shape == (3,), "the first thing returned are the weights, of the shape of start")
    require(seen == list(range(1, len(seen) + 1)), "after each step ask for the validation loss, once")
    require(np.ndim(made) == 0 and made == len(seen), "the second thing returned is the number of steps that you made")
    require(near(np.diff(theta - begin), 0), "return theta itself: every weight in its own place, as step has left it")
    return theta - begin, len(seen)


@train_until_worse.fact
def keeps_the_lowest(train_until_worse):
    kept, _ = run_over(train_until_worse, [5, 3, 4, 2, 6, 7, 8, 9], epochs=6, patience=3)
    fact = "the weights returned must be those of the epoch with the lowest loss, copied: step changes theta in place"
    require(kept == 4, fact)
    kept, _ = run_over(train_until_worse, [-1.5, -2.5, -2, -0.5, -3.5], epochs=5, patience=9, start=0.5)
    require(kept == 5, "a loss may be negative; the lowest counts, and the training begins at start")


@train_until_worse.fact
def stops_when_patience_ends(train_until_worse):
    losses = [5, 6, 4, 7, 8, 3, 9, 9, 9, 1, 1, 1]
    for patience, epochs in ((1, 2), (2, 5), (3, 9), (4, 12)):
        _, made = run_over(train_until_worse, losses, epochs=12, patience=patience)
        require(
            made == epochs,
            "it must stop as soon as `patience` epochs in a row have brought no new lowest loss; a new lowest loss "
            "begins the count anew",
        )
    _, made = run_over(train_until_worse, [2, 2, 2, 2, 2, 2], epochs=6, patience=3)
    require(made == 4, "a loss that only equals the lowest is no new lowest loss")
    _, made = run_over(train_until_worse, [3, 1, 2, 1.5, 2, 1.5, 2, 1.5], epochs=8, patience=2)
    fact = "a loss that is lower than the one before it, but not lower than the lowest so far, is no new lowest loss"
    require(made == 4, fact)


@train_until_worse.fact
def makes_no_more_than_epochs(train_until_worse):
    for epochs in (1, 4):
        kept, made = run_over(train_until_worse, [9, 8, 7, 6, 5, 4, 3], epochs=epochs, patience=2)
        require(made == epochs, "while the loss falls it must go on, and stop after `epochs` steps")
        require(kept == epochs, "while the loss falls the last weights are the best")
