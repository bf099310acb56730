"""Every check refuses at least nine in ten wrong versions of its solution, and takes right answers in other styles."""

import numpy as np
import pytest
import torch

import mutants
from helpers.exercises.engine import exercise, near, require, returns

EXERCISES = mutants.exercises()


@pytest.mark.parametrize("key", EXERCISES, ids="/".join)
def test_nine_in_ten_mutants_are_refused(key):
    counted, survivors = mutants.judged(EXERCISES[key])
    passes = "\n  ".join(survivors)
    assert counted and len(survivors) <= counted / 10, f"{len(survivors)} of {counted} mutants pass:\n  {passes}"


@pytest.mark.parametrize("key", EXERCISES, ids="/".join)
def test_right_answers_in_another_style_pass(key):
    assert mutants.refused_styles(EXERCISES[key]) == []


def test_a_weak_check_is_found_out_although_its_own_inputs_are_narrow(monkeypatch):
    """Twice and squared are the same for 2, the only number it asks about; for others of the same kind they are not."""

    @exercise(why="because", hints=[])
    def double(x):
        return 2 * x

    @double.fact
    def of_two_is_four(double):
        require(near(returns(double(np.full(3, 2.0)), (3,)), 4), "four")

    made = [("squared", lambda x: x * x), ("the same", lambda x: x + x)]
    monkeypatch.setattr(mutants, "rewritten", lambda _: iter(made))
    counted, survivors = mutants.judged(double)
    assert "squared" in survivors and "the same" not in survivors and counted > len(survivors)

    @double.fact
    def of_three_is_six(double):
        require(near(double(np.array([3.0, -5.0])), [6, -10]), "six")

    assert "squared" not in mutants.judged(double)[1]


def test_mutants_are_the_same_every_time_and_leave_the_solution_as_it_is():
    one = EXERCISES["start_here", "mix_nll"]
    first, second = (mutants.judged(one) for _ in range(2))
    assert first == second and first[0] > 50
    assert one.verdict(one.answer).startswith("✓")


def test_a_copy_holds_model_optimiser_and_generator_together():
    model, generator = torch.nn.Linear(2, 1), torch.Generator().manual_seed(3)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    (new, its, same), _ = mutants.copied(((model, optimiser, generator), {}))
    assert its.param_groups[0]["params"][0] is new.weight is not model.weight
    assert torch.rand(1, generator=same) == torch.rand(1, generator=generator)
