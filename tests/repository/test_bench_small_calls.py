"""Small calls: the plain interior point, the check of answers, and the tables."""

import json

import numpy as np
import pytest

import kktdiff
from benchmarks.small_calls import __main__ as program
from benchmarks.small_calls import batches, loop, problems
from tests.checks import assert_near


def test_the_plain_interior_point_is_right_and_so_are_its_gradients():
    jax = pytest.importorskip("jax")
    from benchmarks.small_calls.interior_point import solve_qp

    jax.config.update("jax_enable_x64", True)
    try:
        rows = problems.drawn(5, 20)
        sol = kktdiff.solve_qp(*rows)
        weights = np.random.default_rng(0).normal(size=rows.p.shape)
        x, pull = jax.vjp(jax.vmap(solve_qp), *map(jax.numpy.asarray, rows))
        assert_near(np.asarray(x), sol.x, 1e-6)
        grads = sol.vjp(x=weights)
        for found, name in zip(pull(jax.numpy.asarray(weights)), "QpGh", strict=True):
            assert_near(np.asarray(found), getattr(grads, name), 1e-5)
    finally:
        jax.config.update("jax_enable_x64", False)


def test_answers_are_checked_against_an_active_set():
    rows = problems.drawn(4, 10)
    sol = kktdiff.solve_qp(*rows)
    by_p = sol.vjp(x=np.ones_like(rows.p)).p
    assert max(problems.errors(rows, sol.x, by_p)) < 1e-8
    x, slope = sol.x.copy(), by_p.copy()
    x[3, 1] += 1e-5
    slope[7, 2] += 1e-3
    assert problems.errors(rows, x, by_p)[0] > 1e-6
    assert problems.errors(rows, sol.x, slope)[1] > 1e-5


def test_the_filter_keeps_the_robots_apart():
    run = problems.filtered(4, 1200)
    x = kktdiff.solve_qp(*map(np.stack, zip(*run, strict=True))).x
    place = np.array([[1.0, 0.0], [-1.0, 0.0]])
    closest, moved = np.inf, 0.0
    for velocity in x.reshape(-1, 2, 2):
        place = place + problems.STEP * velocity
        closest = min(closest, np.linalg.norm(place[0] - place[1]))
        moved += np.abs(velocity).max()
    assert problems.APART - 1e-3 < closest < 1.5 * problems.APART
    assert moved > 500


def test_the_command_measures_and_writes(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(batches, "SIZES", (2,))
    monkeypatch.setattr(batches, "BATCHES", (1, 3))
    monkeypatch.setattr(batches, "MOST", 2)
    monkeypatch.setattr(batches, "CALLS", {"kktdiff, NumPy": batches.ours})
    monkeypatch.setattr(loop, "PLANES", (2,))
    monkeypatch.setattr(loop, "TURN", 20)
    found = program.main(["--seconds", "1", "--libraries", "kktdiff", "--out", str(tmp_path)])
    assert [r["batch"] for r in found["batches"]] == [1, 3]
    assert found["loop"][0]["median"] <= found["loop"][0]["late"]
    assert json.loads((tmp_path / "small-calls.json").read_text())["loop"] == found["loop"]
    assert "n=2, m=5" in (tmp_path / "small-calls-loop.md").read_text()
    assert "| 2 | 3 |" in capsys.readouterr().out


def test_wrong_answers_are_said():
    record = {"n": 2, "m": 5, "library": "x", "median": 1.0, "late": 2.0, "error": 1e-3}
    assert "wrong by 1e-03" in loop.table([record])
    record = {"n": 2, "batch": 1, "library": "x", "forward": 1.0, "both": 2.0, "error": np.inf}
    assert "wrong by inf" in batches.table([record])


def test_an_unknown_library_is_refused(capsys):
    with pytest.raises(SystemExit):
        program.main(["--libraries", "kktdif"])
    assert "known are kktdiff; " in capsys.readouterr().err
