"""Exercises of The same VAE in PyTorch: layers, losses and steps."""

import numpy as np
import torch
from torch import nn

from helpers.exercises.engine import exercise, near, require
from helpers.scratch.losses import bernoulli_nll, gaussian_kl

# What the lesson builds and the package keeps: the same code, as a test sees to.
TAUGHT = {
    "helpers.models.images": ("mlp", "MLPEncoder", "MLPDecoder", "ConvEncoder", "ConvDecoder"),
}


@exercise(
    why="nn.Linear computes x weightᵀ + bias, so its weight is our W transposed.",
    hints=[
        "Look at `nn.Linear(3, 2).weight.shape`.",
        "It is (n_out, n_in). Assign to `layer.weight.data` and `layer.bias.data`.",
        "`layer = nn.Linear(*W.shape, dtype=torch.float64)`, then `layer.weight.data = torch.tensor(W.T.copy())`.",
    ],
)
def to_torch(W, b):
    layer = nn.Linear(*W.shape, dtype=torch.float64)
    layer.weight.data = torch.tensor(W.T.copy())
    layer.bias.data = torch.tensor(b)
    return layer


@to_torch.fact
def is_a_linear_layer(to_torch):
    layer = to_torch(np.ones((3, 2)), np.ones(2))
    require(isinstance(layer, nn.Linear), f"it must be an nn.Linear; yours is {type(layer).__name__}")
    sizes = layer.in_features, layer.out_features
    require(sizes == (3, 2), "W (3, 2) takes 3 numbers to 2: nn.Linear(3, 2) names the inputs first")
    require(
        layer.weight.shape == (2, 3),
        f"nn.Linear keeps its weight as (n_out, n_in), here (2, 3), the transpose of W; yours has "
        f"{tuple(layer.weight.shape)}",
    )
    require(layer.weight.dtype == torch.float64, "the layer must compute in float64, as NumPy does")


@to_torch.fact
def computes_the_affine_map(to_torch):
    rng = np.random.default_rng(1)
    for n_in, n_out in ((5, 2), (4, 4)):
        W, b, x = rng.standard_normal((n_in, n_out)), rng.standard_normal(n_out), rng.standard_normal((6, n_in))
        zero = to_torch(W, b)(torch.zeros(1, n_in, dtype=torch.float64))
        require(near(zero, b, 1e-12), "an input of zeros must give b")
        require(
            near(to_torch(W, b)(torch.tensor(x)), x @ W + b, 1e-12),
            "its output differs from x W + b; nn.Linear keeps its weight as (n_out, n_in), and a square W does not "
            "complain when it is not transposed",
        )


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
    loss.backward()
    require(
        all(t.grad is not None and bool(t.grad.abs().sum() > 0) for t in tensors[1:]),
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
        "`(n + 2 * padding - kernel) // stride + 1`",
    ],
)
def conv_size(n, kernel, stride, padding):
    return (n + 2 * padding - kernel) // stride + 1


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
        require(conv_size(n, kernel, stride, padding) == truth, fact)


@exercise(
    why="backward adds to the gradients that are there; without zero_grad every step repeats all earlier ones.",
    hints=[
        "Call it twice and look at the gradient of a weight after each call.",
        "backward() adds to `.grad`. Who empties it?",
        "`optimiser.zero_grad()` belongs before `loss.backward()`.",
    ],
)
def training_step(model, optimiser, x):
    optimiser.zero_grad()
    loss = model.loss(x)
    loss.backward()
    optimiser.step()
    return loss.item()


class Pull(nn.Module):
    """A loss that pulls one weight towards x: its gradient is w - x, so every step can be known."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))

    def loss(self, x):
        return 0.5 * (self.w - x) ** 2


def towards_8(training_step, n):
    """Where n steps lead, each half of the way to 8, and their losses."""
    model = Pull()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = [training_step(model, optimiser, 8.0) for _ in range(n)]
    return model.w.item(), losses


@training_step.fact
def steps_against_the_gradient(training_step):
    w, losses = towards_8(training_step, 1)
    require(isinstance(losses[0], float), "the loss must come back as a number; a tensor keeps the graph alive")
    require(w != 0, "the weight has not moved: does backward come after zero_grad, and step after backward?")
    require(w == 4, "the first step must be lr times the gradient")


@training_step.fact
def forgets_old_gradients(training_step):
    w, losses = towards_8(training_step, 3)
    require(losses == [32.0, 8.0, 2.0], "the loss of every step must be the one before that step's change")
    require(
        w == 7,
        "three steps towards 8, each half of the way, must end at 7; yours overshoots, as if old gradients were "
        "still there",
    )
