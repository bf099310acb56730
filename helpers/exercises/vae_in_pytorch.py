"""Exercises of The same VAE in PyTorch: layers, losses and steps."""

import copy

import numpy as np
import torch
from torch import nn

from helpers.exercises.engine import exercise, near, require, returns, whole
from helpers.scratch.losses import bernoulli_nll, gaussian_kl

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.models.images": ("mlp", "MLPEncoder", "MLPDecoder", "ConvEncoder", "ConvDecoder"),
}


@exercise(
    why="sum over dimensions, average over the batch; PyTorch finds both backward passes by itself.",
    hints=[
        "Two terms of shape (N,), each summed over `dim=1`; then a mean.",
        "The nll of a pixel is softplus(a) - x a; the KL of a number is half of mu² + exp(logvar) - 1 - logvar.",
        "`(nn.functional.softplus(logits) - x * logits).sum(dim=1)` is the first term.",
    ],
)
def negative_elbo(x, logits, mu, logvar):
    nll = (nn.functional.softplus(logits) - x * logits).sum(dim=1)
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)
    return (nll + kl).mean()


def batch(N=6, D=5, K=3):
    """x, logits, mu, logvar."""
    rng = np.random.default_rng(2)
    return (rng.random((N, D)) < 0.5).astype(float), *(rng.standard_normal((N, n)) for n in (D, K, K))


def loss_of(negative_elbo, *arrays):
    """The loss, and the tensors that it was computed from."""
    tensors = [torch.tensor(a, requires_grad=i > 0) for i, a in enumerate(arrays)]
    loss = negative_elbo(*tensors)
    require(isinstance(loss, torch.Tensor), f"it must return a tensor, to have a gradient; found {type(loss).__name__}")
    require(loss.dim() == 0, f"it must be one number, averaged over the batch; yours has shape {tuple(loss.shape)}")
    return loss, tensors


@negative_elbo.fact
def is_the_nll_at_the_prior(negative_elbo):
    x, logits, mu, logvar = batch()
    loss, _ = loss_of(negative_elbo, x, logits, 0 * mu, 0 * logvar)
    require(
        near(loss, bernoulli_nll(x, logits)[0].mean()),
        "with q equal to the prior only the Bernoulli nll is left: summed over pixels, averaged over the batch",
    )


@negative_elbo.fact
def grows_by_the_kl(negative_elbo):
    x, logits, mu, logvar = batch()
    change = loss_of(negative_elbo, x, logits, mu, logvar)[0] - loss_of(negative_elbo, x, logits, 0 * mu, 0 * logvar)[0]
    require(
        near(change, gaussian_kl(mu, logvar)[0].mean()),
        "moving q away from the prior must raise the loss by the KL divergence: summed over the numbers of the code, "
        "averaged over the batch, with logvar the logarithm of the variance",
    )


@negative_elbo.fact
def has_gradients(negative_elbo):
    loss, tensors = loss_of(negative_elbo, *batch())
    if loss.requires_grad:
        loss.backward()
    require(
        loss.requires_grad and all(t.grad is not None and bool(t.grad.abs().sum() > 0) for t in tensors[1:]),
        "no gradient reaches logits, mu or logvar; was a tensor turned into a number or an array on the way?",
    )


@negative_elbo.fact
def survives_large_logits(negative_elbo):
    x, zero = np.array([[1.0, 0.0]]), np.zeros((1, 1))
    loss = loss_of(negative_elbo, x, np.array([[900.0, -900.0]]), zero, zero)[0].item()
    require(np.isfinite(loss) and loss < 1, "logits of 900 overflow; use softplus, not log of a sigmoid")


@exercise(
    why="the first place costs the whole kernel, and every stride that still fits gives one place more.",
    hints=[
        "Start with stride 1 and no padding: a kernel of 3 over 8 pixels has how many places?",
        "The padded width is n + 2 padding; the first place needs `kernel` of it. How many strides fit in the rest?",
        "`(n + 2 * padding - kernel) // stride + 1`, and 0 where the kernel is wider than all that",
    ],
)
def conv_size(n, kernel, stride, padding):
    return max(0, (n + 2 * padding - kernel) // stride + 1)


@conv_size.fact
def agrees_with_pytorch(conv_size):
    down = "a step that would leave the image is not taken: round down"
    for (n, kernel, stride, padding), fact in {
        (8, 3, 1, 1): "a kernel of 3 with padding 1 and stride 1 keeps the size",
        (8, 3, 1, 0): "without padding a kernel of 3 loses one pixel on each side",
        (8, 4, 2, 1): "a kernel of 4 with padding 1 and stride 2 halves the size",
        (8, 3, 2, 1): down,
        (28, 5, 3, 2): down,
        (7, 7, 1, 0): down,
    }.items():
        truth = nn.Conv2d(1, 1, kernel, stride, padding)(torch.zeros(1, 1, n, n)).shape[-1]
        require(returns(conv_size(n, kernel, stride, padding), ()) == truth, fact)
    for n, kernel, stride, padding in ((64, 3, 1, 1), (101, 5, 4, 0), (33, 7, 2, 3), (40, 4, 3, 2), (13, 3, 5, 9)):
        truth = sum(start + kernel <= n + 2 * padding for start in range(0, n + 2 * padding, stride))
        fact = (
            f"a kernel of {kernel} on {n} pixels, padding {padding}, stride {stride} fits at another number of places"
        )
        require(returns(conv_size(n, kernel, stride, padding), ()) == truth, fact)


@conv_size.fact
def is_a_whole_number(conv_size):
    whole(conv_size(8, 3, 2, 1), "a whole number, which nn.Linear can take")
    fact = "a kernel of 5 fits nowhere on 2 pixels without padding: 0 places, and never fewer"
    require(conv_size(2, 5, 1, 0) == 0 and conv_size(3, 9, 2, 1) == 0, fact)


@exercise(
    why="every row once an epoch; validation neither remembers nor trains; the best weights are a copy.",
    hints=[
        "Two loops, as in `train`: epochs, and in each the batches of `torch.randperm(len(x), generator=generator)`.",
        "After the inner loop: `with torch.no_grad():` and the loss of x_valid. Is it the lowest so far? Then copy.",
        "`best = copy.deepcopy(model.state_dict())` keeps them, `model.load_state_dict(best)` puts them back.",
    ],
)
def keep_best(model, optimiser, x, x_valid, epochs, batch_size, generator):
    losses = []
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=generator).split(batch_size):
            optimiser.zero_grad()
            model.loss(x[index]).backward()
            optimiser.step()
        with torch.no_grad():
            losses.append(model.loss(x_valid).item())
        if losses[-1] == min(losses):
            best = copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return losses


class Pull(nn.Module):
    """A loss that pulls one weight towards the rows: its gradient is weight - mean, so every step can be known."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = []  # of each call of loss: its rows, whether it was remembered for a backward pass, and the loss

    def loss(self, x):
        loss = 0.5 * ((self.weight - x) ** 2).mean() - 100  # a loss may be below zero
        self.seen.append((torch.as_tensor(x).detach().tolist(), torch.is_grad_enabled(), loss.item()))
        return loss


def trained(keep_best, x, x_valid, epochs, batch_size, lr=0.5, seed=0):
    """The losses, the weight and what the model has seen, after training on rows of numbers."""
    model, generator = Pull(), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.SGD(model.parameters(), lr=lr)
    rows = [torch.tensor(values, dtype=torch.float32).reshape(len(values), -1) for values in (x, x_valid)]
    losses = keep_best(model, optimiser, *rows, epochs, batch_size, generator)
    return returns(losses, (epochs,), "one loss on x_valid for each epoch"), model.weight.item(), model.seen


def orders(keep_best, seed):
    """The rows of x in the order in which two epochs of training saw them, in batches of 3."""
    *_, seen = trained(keep_best, range(1, 9), [20, 30], epochs=2, batch_size=3, seed=seed)
    batches = [rows for rows, remembered, _ in seen if remembered]
    require(
        [len(rows) for rows in batches] == [3, 3, 2, 3, 3, 2],
        "8 rows in batches of 3 are three steps an epoch, of 3, 3 and 2 rows; x_valid must be scored without gradients",
    )
    order = [row for rows in batches for row in rows]
    return order[:8], order[8:]


@keep_best.fact
def steps_with_the_optimiser(keep_best):
    _, weight, _ = trained(keep_best, [8] * 6, [8], epochs=1, batch_size=2)
    require(weight != 0, "the weight has not moved: does backward come after zero_grad, and step after backward?")
    require(
        weight == 7,
        "three steps towards 8, each half of the way, must end at 7; were old gradients still there, or was the step "
        "not the optimiser's?",
    )
    _, weight, _ = trained(keep_best, [8, 8], [8], epochs=2, batch_size=2, lr=0.25)
    require(weight == 3.5, "the optimiser that is given must make the steps")


@keep_best.fact
def goes_through_all_rows(keep_best):
    first, second = orders(keep_best, seed=1)
    require(
        sorted(first) == sorted(second) == [[float(i)] for i in range(1, 9)], "every epoch must use every row of x once"
    )
    require(first != second, "every epoch must go through the rows in a new order")
    require(first != orders(keep_best, seed=2)[0], "the order must come from the generator")
    require(first == orders(keep_best, seed=1)[0], "the same generator must give the same order")


@keep_best.fact
def validates(keep_best):
    rng = np.random.default_rng(4)
    x, x_valid = (np.round(9 * rng.standard_normal((n, 2)), 3).astype(np.float32).tolist() for n in (13, 4))
    losses, _, seen = trained(keep_best, x, x_valid, epochs=11, batch_size=11, lr=0.1)
    scored = [(rows, loss) for rows, remembered, loss in seen if not remembered]
    require(
        [rows for rows, _ in scored] == [x_valid] * 11,
        "after every epoch x_valid must be scored once, all its rows as they are, without gradients",
    )
    require(near(losses, [loss for _, loss in scored], 1e-5), "it must return the losses on x_valid, as they are")
    steps = [rows for rows, remembered, _ in seen if remembered]
    require([len(rows) for rows in steps] == [11, 2] * 11, "13 rows in batches of 11 are two steps an epoch")
    require(
        all(sorted(one + other) == sorted(x) for one, other in zip(steps[::2], steps[1::2], strict=True)),
        "every epoch must use every row of x once, as it is",
    )
    when = [i for i, (_, remembered, _) in enumerate(seen) if not remembered]
    require(when == [*range(2, 33, 3)], "x_valid must be scored after the steps of an epoch")


@keep_best.fact
def puts_the_best_weights_back(keep_best):
    for valid, best in ((3.5, 3.5), (2, 2), (8, 5.46875)):  # after the second, the first, and the last of four epochs
        _, weight, _ = trained(keep_best, [8], [valid], epochs=4, batch_size=1, lr=0.25)
        require(
            near(weight, best, 1e-6),
            "at the end the weights of the best epoch must be back; a state_dict that was not copied changes with the "
            "model, and the best may be any epoch",
        )
