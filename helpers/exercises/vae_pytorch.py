"""Exercises of notebook 04: from NumPy to PyTorch."""

import numpy as np
import torch
from torch import nn

from helpers.exercises.engine import Exercise, Wrong, require
from helpers.scratch.losses import bernoulli_nll, gaussian_kl


def _random(seed=0):
    return np.random.default_rng(seed)


# --- to_torch ----------------------------------------------------------------------------------------


def _to_torch(W, b):
    layer = nn.Linear(*W.shape, dtype=torch.float64)
    layer.weight.data = torch.tensor(W.T.copy())
    layer.bias.data = torch.tensor(b)
    return layer


def _is_linear(f):
    layer = f(np.ones((3, 2)), np.ones(2))
    require(isinstance(layer, nn.Linear), f"it must be an nn.Linear; yours is {type(layer).__name__}")
    require(
        (layer.in_features, layer.out_features) == (3, 2),
        "W (3, 2) takes 3 numbers to 2: nn.Linear(3, 2) names the inputs first",
    )
    require(
        layer.weight.shape == (2, 3),
        f"nn.Linear keeps its weight as (n_out, n_in), here (2, 3), the transpose of W; yours has "
        f"{tuple(layer.weight.shape)}",
    )
    require(layer.weight.dtype == torch.float64, "the layer must compute in float64, as NumPy does")


def _linear_agrees(f):
    rng = _random(1)
    for n_in, n_out in ((5, 2), (4, 4)):
        W, b, x = rng.standard_normal((n_in, n_out)), rng.standard_normal(n_out), rng.standard_normal((6, n_in))
        zero = f(W, b)(torch.zeros(1, n_in, dtype=torch.float64)).detach().numpy()
        require(np.abs(zero - b) < 1e-12, "an input of zeros must give b")
        y = f(W, b)(torch.tensor(x)).detach().numpy()
        require(
            np.abs(y - (x @ W + b)) < 1e-12,
            "its output differs from x W + b; nn.Linear keeps its weight as (n_out, n_in), and a square W does not "
            "complain when it is not transposed",
        )


to_torch = Exercise(
    "to_torch",
    _to_torch,
    "nn.Linear computes x weightᵀ + bias, so its weight is our W transposed.",
    [_is_linear, _linear_agrees],
    [
        "Look at `nn.Linear(3, 2).weight.shape`.",
        "It is (n_out, n_in). Assign to `layer.weight.data` and `layer.bias.data`.",
        "`layer = nn.Linear(*W.shape, dtype=torch.float64)`, then `layer.weight.data = torch.tensor(W.T.copy())`.",
    ],
)

# --- negative_elbo -----------------------------------------------------------------------------------


def _negative_elbo(x, logits, mu, logvar):
    nll = (nn.functional.softplus(logits) - x * logits).sum(dim=1)
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)
    return (nll + kl).mean()


def _elbo_problem(N=6, D=5, K=3):
    rng = _random(2)
    x = (rng.random((N, D)) < 0.5).astype(float)
    return x, *(rng.standard_normal((N, n)) for n in (D, K, K))


def _call(f, *arrays):
    tensors = [torch.tensor(a, requires_grad=i > 0) for i, a in enumerate(arrays)]
    loss = f(*tensors)
    require(isinstance(loss, torch.Tensor), f"it must return a tensor, to have a gradient; found {type(loss).__name__}")
    require(loss.dim() == 0, f"it must be one number, averaged over the batch; yours has shape {tuple(loss.shape)}")
    return loss, tensors


def _elbo_kl_part(f):
    x, logits, mu, logvar = _elbo_problem()
    change = _call(f, x, logits, mu, logvar)[0] - _call(f, x, logits, 0 * mu, 0 * logvar)[0]
    truth = gaussian_kl(mu, logvar)[0].mean()
    require(
        abs(change.item() - truth) < 1e-9,
        "moving q away from the prior must raise the loss by the KL divergence: summed over the numbers of the code, "
        "averaged over the batch, with logvar the logarithm of the variance",
    )


def _elbo_nll_part(f):
    x, logits, mu, logvar = _elbo_problem()
    loss, _ = _call(f, x, logits, 0 * mu, 0 * logvar)
    require(
        abs(loss.item() - bernoulli_nll(x, logits)[0].mean()) < 1e-9,
        "with q equal to the prior only the Bernoulli nll is left: summed over pixels, averaged over the batch",
    )


def _elbo_gradient(f):
    loss, tensors = _call(f, *_elbo_problem())
    loss.backward()
    require(
        all(t.grad is not None and bool(t.grad.abs().sum() > 0) for t in tensors[1:]),
        "no gradient reaches logits, mu or logvar; was a tensor turned into a number or an array on the way?",
    )


def _elbo_stable(f):
    x = np.array([[1.0, 0.0]])
    loss, _ = _call(f, x, np.array([[900.0, -900.0]]), np.zeros((1, 1)), np.zeros((1, 1)))
    require(np.isfinite(loss.item()) and loss.item() < 1, "logits of 900 overflow; use softplus, not log of a sigmoid")


negative_elbo = Exercise(
    "negative_elbo",
    _negative_elbo,
    "sum over dimensions, average over the batch; PyTorch finds both backward passes by itself.",
    [_elbo_nll_part, _elbo_kl_part, _elbo_gradient, _elbo_stable],
    [
        "Two terms of shape (N,), each summed over `dim=1`; then a mean.",
        "The nll of a pixel is softplus(a) - x a; the KL of a number is half of mu² + exp(logvar) - 1 - logvar.",
        "`(nn.functional.softplus(logits) - x * logits).sum(dim=1)` is the first term.",
    ],
)

# --- conv_size ---------------------------------------------------------------------------------------


def _conv_size(n, kernel, stride, padding):
    return (n + 2 * padding - kernel) // stride + 1


def _size_matches(f):
    cases = [(8, 3, 1, 1), (8, 3, 1, 0), (8, 4, 2, 1), (8, 3, 2, 1), (28, 5, 3, 2), (7, 7, 1, 0)]
    facts = {
        (8, 3, 1, 1): "a kernel of 3 with padding 1 and stride 1 keeps the size",
        (8, 3, 1, 0): "without padding a kernel of 3 loses one pixel on each side",
        (8, 4, 2, 1): "a kernel of 4 with padding 1 and stride 2 halves the size",
    }
    for n, kernel, stride, padding in cases:
        truth = nn.Conv2d(1, 1, kernel, stride, padding)(torch.zeros(1, 1, n, n)).shape[-1]
        fact = facts.get((n, kernel, stride, padding), "a step that would leave the image is not taken: round down")
        require(f(n, kernel, stride, padding) == truth, fact)


conv_size = Exercise(
    "conv_size",
    _conv_size,
    "the first place costs the whole kernel, and every stride that still fits gives one place more.",
    [_size_matches],
    [
        "Start with stride 1 and no padding: a kernel of 3 over 8 pixels has how many places?",
        "The padded width is n + 2 padding; the first place needs `kernel` of it. How many strides fit in the rest?",
        "`(n + 2 * padding - kernel) // stride + 1`",
    ],
)

# --- training_step: spot the bug ---------------------------------------------------------------------


class _Pull(nn.Module):
    """A loss that pulls one weight towards x: its gradient is w - x, so every step can be known."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))

    def loss(self, x):
        return 0.5 * (self.w - x) ** 2


def _training_step(model, optimiser, x):
    optimiser.zero_grad()
    loss = model.loss(x)
    loss.backward()
    optimiser.step()
    return loss.item()


def _steps(f, n):
    model = _Pull()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = [f(model, optimiser, 8.0) for _ in range(n)]
    return model.w.item(), losses


def _step_moves(f):
    w, losses = _steps(f, 1)
    require(isinstance(losses[0], float), "the loss must come back as a number; a tensor keeps the graph alive")
    require(w != 0, "the weight has not moved: does backward come after zero_grad, and step after backward?")
    require(w == 4, "the first step must be lr times the gradient")


def _step_forgets(f):
    w, losses = _steps(f, 3)
    require(losses == [32.0, 8.0, 2.0], "the loss of every step must be the one before that step's change")
    if w != 7:
        raise Wrong(
            "three steps towards 8, each half of the way, must end at 7; yours overshoots, as if old gradients were "
            "still there"
        )


training_step = Exercise(
    "training_step",
    _training_step,
    "backward adds to the gradients that are there; without zero_grad every step repeats all earlier ones.",
    [_step_moves, _step_forgets],
    [
        "Call it twice and look at the gradient of a weight after each call.",
        "backward() adds to `.grad`. Who empties it?",
        "`optimiser.zero_grad()` belongs before `loss.backward()`.",
    ],
)
