"""Mini-Sudoku: the layer's gradient, and training."""

import itertools

import numpy as np
import pytest

from kktdiff import sudoku
from kktdiff.sudoku import _boards as boards_
from kktdiff.sudoku import _layer as layer
from kktdiff.sudoku import _report as report
from kktdiff.sudoku import _train as training
from tests.checks import assert_near
from tests.tolerances import DIFFERENCE, PUBLIC_RESIDUAL, SUM


@pytest.fixture(scope="module")
def boards():
    return sudoku.generate(120, np.random.default_rng(300))


# ------------------------------------------------------------------------------------- layer


def parameters(seed=303):
    rng = np.random.default_rng(seed)
    return layer.initial(rng)._replace(log_z0=rng.normal(scale=0.3, size=layer.SIZE))


def test_predictions_meet_the_constraints(boards):
    where = parameters()
    x = layer.predict(where, boards.puzzles[:10])
    right = np.broadcast_to(where.A @ np.exp(where.log_z0), (10, layer.ROWS))
    assert_near(x @ where.A.T, right, PUBLIC_RESIDUAL, "A x")
    assert x.min() >= -PUBLIC_RESIDUAL


@pytest.mark.parametrize("name", layer.Parameters._fields)
def test_the_gradient_is_that_of_central_differences(boards, name):
    where, few = parameters(), boards.take(slice(8))
    loss, gradient = layer.loss_and_gradient(where, *few, smoothing=None)
    x = layer.predict(where, few.puzzles)
    assert_near(loss, np.mean((x - boards_.one_hot(few.solutions)) ** 2), SUM, "loss")
    rng = np.random.default_rng(304)
    for _ in range(3):
        direction = rng.normal(size=getattr(where, name).shape)

        def moved(t, direction=direction):
            there = where._replace(**{name: getattr(where, name) + t * direction})
            return layer.loss_and_gradient(there, *few, smoothing=None)[0]

        t = 1e-5
        near, far = moved(t) - moved(-t), moved(2 * t) - moved(-2 * t)
        slope = (8 * near - far) / (12 * t)
        assert abs(slope) > 1e-3  # or the comparison would say nothing
        assert_near(np.sum(getattr(gradient, name) * direction), slope, DIFFERENCE, name)


def test_the_smoothed_gradient_tends_to_the_exact_one(boards):
    where, few = parameters(), boards.take(slice(8))
    exact = layer.loss_and_gradient(where, *few, smoothing=None)[1].A
    gaps = [
        np.linalg.norm(layer.loss_and_gradient(where, *few, smoothing=smoothing)[1].A - exact)
        for smoothing in (layer.SMOOTHING, layer.SMOOTHING / 1e2, layer.SMOOTHING / 1e6)
    ]
    assert gaps[0] > 2 * gaps[1] > 200 * gaps[2] > 0
    np.testing.assert_array_equal(
        layer.loss_and_gradient(where, *few)[1].A,
        layer.loss_and_gradient(where, *few, smoothing=layer.SMOOTHING)[1].A,
    )


def test_adam_remembers_past_gradients():
    state, x, m, v = layer.start(parameters()), parameters().log_z0[0], 0.0, 0.0
    for t, g in enumerate((1.0, -2.0, 0.5), start=1):
        state = layer.step(state, layer.Parameters(*(np.full(u.shape, g) for u in parameters())))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        x -= 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert_near(state.parameters.log_z0[0], x, SUM, "log_z0")


# ---------------------------------------------------------------------------------- training


def trained(boards, seed=305, epochs=2, batch=24):
    rng = np.random.default_rng(seed)
    parts = boards_.split(boards, rng)
    begin = layer.initial(rng)
    return training.train(begin, parts, epochs=epochs, batch=batch, rng=rng)


def test_two_small_epochs_lower_the_loss_and_are_reproducible(boards):
    first = trained(boards)
    assert [epoch.steps for epoch in first.epochs] == [0, 4, 8]
    assert np.mean(first.losses[-2:]) < 0.5 * first.losses[0]
    assert first.epochs[2].held_out_loss < 0.5 * first.epochs[0].held_out_loss
    again, other = trained(boards), trained(boards, seed=306)
    assert again.losses == first.losses
    np.testing.assert_array_equal(again.parameters.A, first.parameters.A)
    assert other.losses != first.losses


def test_ctrl_c_keeps_what_was_learnt(boards, monkeypatch):
    whole = trained(boards, epochs=1, batch=32)
    calls = itertools.count(1)
    honest = layer.step

    def interrupted(state, gradient):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return honest(state, gradient)

    monkeypatch.setattr(layer, "step", interrupted)
    found = trained(boards, epochs=9, batch=32)
    assert found.interrupted
    assert found.losses == whole.losses[:2]
    assert [epoch.steps for epoch in found.epochs] == [0, 2]
    assert found.epochs[1].held_out_loss < found.epochs[0].held_out_loss
    assert not np.array_equal(found.parameters.A, layer.initial(np.random.default_rng(305)).A)


def test_the_parameters_that_solve_most_validation_boards_are_kept(boards, monkeypatch):
    seen, shares = [], iter([0.1, 0.0, 0.7, 0.0, 0.7, 0.0, 0.4, 0.0])

    def scripted(where, *_):
        seen.append(where)
        return next(shares), 1.0

    monkeypatch.setattr(training, "measure", scripted)
    found = trained(boards, epochs=3, batch=96)
    assert found.best.number == 2
    assert found.parameters is seen[4]
    assert not found.learnt


@pytest.mark.parametrize(("share", "epochs"), [(1.0, 1), (0.998, 1), (0.996, 4)])
def test_training_stops_when_the_validation_boards_are_solved(boards, monkeypatch, share, epochs):
    def scripted(where, part, _):  # the held-out boards are never solved, and decide nothing
        return (share if part.size == 12 and scripted.calls > 1 else 0.0), 1.0

    scripted.calls = 0
    honest = layer.step

    def counted(*args):
        scripted.calls += 2
        return honest(*args)

    monkeypatch.setattr(layer, "step", counted)
    monkeypatch.setattr(training, "measure", scripted)
    found = trained(boards, epochs=4, batch=96)
    assert len(found.epochs) == 1 + epochs
    assert found.learnt == (epochs == 1)


def test_a_board_without_a_prediction_is_not_solved(boards, monkeypatch):
    x = boards_.one_hot(boards.solutions)
    x[:30] = np.nan
    monkeypatch.setattr(layer, "predict", lambda *_: x)
    solved, loss = training.measure(parameters(), boards, None)
    assert solved == 0.75
    assert_near(loss, 0.25 * 0.25, SUM, "loss")  # as if x were 0: a quarter of 1 each


# --------------------------------------------------------------------------------------- run


def test_a_run_returns_its_result_and_says_nothing_unasked(boards, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = sudoku.run(boards, epochs=1, batch=48)
    assert (result.held_out, len(result.epochs), result.interrupted) == (12, 2, False)
    assert 0 <= result.solved <= 12
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [{"epochs": 0}, {"batch": 0}, {"seed": -1}, {"backend": "no"}])
def test_a_wrong_option_is_refused(boards, option):
    ((name, value),) = option.items()
    with pytest.raises(ValueError, match=f"{name}='?{value}'?"):
        sudoku.run(boards, **option)


def test_shares_are_rounded_down():
    assert report.solved(987, 1000) == "held-out boards solved: 987 of 1000 (98.7 %)"
    assert report.solved(9999, 10_000).endswith("(99.9 %)")
    assert report.solved(1000, 1000).endswith("(100.0 %)")
    assert all(report.percent(i / 1000) == f"{i // 10}.{i % 10} %" for i in range(1001))
