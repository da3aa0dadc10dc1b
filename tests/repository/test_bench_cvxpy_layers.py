"""The comparison with cvxpylayers: its reference, its errors, its failures, what is published."""

import json
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")
cp = pytest.importorskip("cvxpy")
pytest.importorskip("clarabel")

from benchmarks.cvxpy_layers import __main__ as against
from benchmarks.cvxpy_layers import examples, layers, measure, models, report, truth
from tests.commands import command
from tests.tolerances import DIFFERENCE, HIGH_ACCURACY

LITTLE = {
    "qp": partial(models.dense, 4),
    "portfolio": partial(models.portfolio, 6, 2),
    "mpc": partial(models.control, 3),
    "lasso": partial(models.lasso, 8, 4),
    "tv": partial(models.total_variation, 9),
    "relu": partial(examples.relu, 4),
    "sparsemax": partial(examples.sparsemax, 12),
    "ranks": partial(examples.ranks, 3),
    "isotonic": partial(examples.isotonic, 5),
    "optnet": partial(examples.optnet, 4, 2),
    "fit": partial(examples.fit, 6, 3),
    "allocation": partial(examples.allocation, 5),
    "trades": partial(examples.trades, 4),
    "policy": partial(examples.policy, 3, 2),
    "supply": partial(examples.supply, 3),
    "barrier": partial(examples.barrier, 2, 3),
}
EFFORT = measure.Effort(repeats=1, seconds=1, ways=(), checked=2)


@pytest.fixture(autouse=True)
def little(monkeypatch):
    """Models that take no time."""
    for name, make in LITTLE.items():
        monkeypatch.setitem(
            models.KINDS, f"little {name}", models.Kind(f"little {name}", make, (1,))
        )


@pytest.fixture
def alone(monkeypatch):
    """As where cvxpylayers is not installed."""
    monkeypatch.setattr(measure.util, "find_spec", lambda _: None)


@pytest.mark.parametrize("name", LITTLE)
def test_our_layer_is_right_on_every_model(name, alone):
    (record,) = measure.records_of(f"little {name}", (1,), EFFORT)
    assert record["layer"] == layers.OURS
    assert record["reference_disagreement"] <= 1e-5  # Clarabel's accuracy, where it is worst
    out, of = record["left_out"]
    assert 2 * out < of
    assert report.worst(record) <= DIFFERENCE
    assert record["errors"]["objective"] <= HIGH_ACCURACY
    assert [len(record[f"{part}_seconds"]) for part in ("forward", "backward")] == [1, 1]


# -------------------------------------------------------------------------------- faulty layers


class Faulty(torch.nn.Module):
    """Our layer with one thing wrong."""

    def __init__(self, fault, model):
        super().__init__()
        self.fault, self.layer = fault, layers.layer_of(layers.OURS, model)

    def forward(self, *parameters):
        if self.fault == "raises in batches" and len(parameters[0]) > 2:
            raise RuntimeError("it broke\nin the second line, too")
        found = self.layer(*parameters)
        if self.fault == "x":
            return [1.001 * v for v in found]
        if self.fault == "gradient":  # of what is given last, here a number
            return self.layer(*parameters[:-1], parameters[-1] * 1.5 - parameters[-1].detach() / 2)
        return found


@pytest.fixture
def faulty(monkeypatch):
    """What cvxpylayers would answer with a fault."""
    honest = layers.layer_of

    def layer_of(name, model):
        if name == "is not there":
            raise ImportError("no such module")
        return honest(name, model) if name == layers.OURS else Faulty(name, model)

    monkeypatch.setattr(measure, "layer_of", layer_of)
    monkeypatch.setattr(measure.util, "find_spec", lambda _: True)
    ways = ("none", "x", "gradient", "raises in batches", "is not there")
    return measure.records_of("little lasso", (1, 3), EFFORT._replace(ways=ways))


def by_layer(records, name):
    return [record for record in records if record["layer"] == name]


def test_an_error_is_seen_where_it_is(faulty):
    errors = {r["layer"]: r["errors"] for r in faulty if "failed" not in r}
    assert errors["none"]["x"] <= HIGH_ACCURACY
    assert errors["x"]["x"] == pytest.approx(1e-3)
    assert errors["x"]["objective"] > HIGH_ACCURACY
    wrong = errors["gradient"]
    assert wrong["gradients"]["weight"] == pytest.approx(0.5)
    assert wrong["gradients"]["b"] <= DIFFERENCE
    assert wrong["x"] <= HIGH_ACCURACY


def test_a_failure_is_a_sentence_and_stops_no_other(faulty):
    one, three = by_layer(faulty, "raises in batches")
    assert "failed" not in one
    assert three["failed"] == "RuntimeError: it broke"
    missing = by_layer(faulty, "is not there")
    assert [r["failed"] for r in missing] == 2 * ["ImportError: no such module"]
    assert len(by_layer(faulty, "gradient")) == 2
    assert "ImportError: no such module" in report.row(missing[0]).values()


def test_each_is_timed_beside_ours(faulty):
    for record in faulty:
        ours = record["layer"] == layers.OURS
        assert ("beside" in record) == (not ours and "failed" not in record)
    slow = by_layer(faulty, "none")[0] | {"forward_seconds": [3.0], "backward_seconds": [1.0]}
    slow["beside"] = {"forward_seconds": [1.0, 9.0, 1.0], "backward_seconds": [1.0]}
    assert report.ratio(slow) == 2
    assert report.row(slow)["times kktdiff"] == "2"


def test_the_fastest_that_is_not_wrong_is_summed_up(faulty):
    def timed(layer, seconds):
        record = next(r for r in by_layer(faulty, layer) if r["batch"] == 1)
        return record | {"forward_seconds": [seconds], "backward_seconds": [0.0]}

    records = [timed(layers.OURS, 1.0), timed("none", 4.0), timed("x", 3.0), timed("gradient", 2.0)]
    (_, _, line) = report.summary({"records": records}).splitlines()
    cells = line.split("|")
    assert cells[2].startswith(" 1000, error ")
    assert cells[3] == " none "  # nothing was measured at the defaults
    assert cells[4].startswith(" x: 3000 (")


# ----------------------------------------------------------------------------------- reference


def test_a_kink_nearby_leaves_a_direction_out():
    smooth = np.array([[2.0, 3.0], [2.0, 3.0 + 1e-9]])  # by two steps, for two elements
    kinked = np.array([[2.0, 3.0], [2.0, 2.5]])
    found = truth._without_kinks(np.stack([smooth, kinked]))
    assert np.isnan(found).tolist() == [[False, False], [False, True]]


@pytest.mark.parametrize("wrong", ["at the point", "nearby"])
def test_a_reference_that_is_wrong_is_seen(wrong):
    """Clarabel does not agree with what the differences are taken of."""
    data, cotangents = measure.drawn("little tv", 2)
    layer = layers.layer_of(layers.OURS, LITTLE["tv"]())

    def solve(values):
        here = all(np.array_equal(a, b) for a, b in zip(values, data, strict=True))
        found = [v.numpy() for v in layer(*map(torch.tensor, values))]
        return [1.01 * v if here == (wrong == "at the point") else v for v in found]

    model, rng = models.KINDS["little tv"].make(), np.random.default_rng(0)
    found = truth.truth_of(model, solve, data, cotangents, rng)
    assert found.disagreement == pytest.approx(0.01, rel=0.1)


def test_every_way_of_cvxpylayers_answers():
    pytest.importorskip("cvxpylayers")
    effort = EFFORT._replace(ways=tuple(layers.WAYS))
    records = measure.records_of("little tv", (2,), effort)
    assert [r["layer"] for r in records] == [layers.OURS, *layers.WAYS]
    for record in records:
        if "moreau" in record["layer"] and "failed" in record:
            continue  # it may not be there
        assert report.worst(record) <= 1e-2, record["layer"]


# ------------------------------------------------------------------------ from the command line


def test_the_comparison_runs_and_its_tables_are_made_again(repository, tmp_path):
    options = ("--quick", "--models", "lasso", "--output", tmp_path / "a")
    done = command(repository, "-m", "benchmarks.cvxpy_layers", *options)
    assert done.returncode == 0, done.stderr
    numbers = tmp_path / "a" / "cvxpy_layers.json"
    found = json.loads(numbers.read_text())
    assert {"processor", "cores", "versions", "date", "commit"} <= set(found["machine"])
    assert {"cvxpy", "clarabel"} <= set(found["machine"]["versions"])
    assert found["records"][0]["batch"] == 2
    against.main(["--from", str(numbers), "--output", str(tmp_path / "b")])
    for ending in (".json", ".md"):
        first, again = (tmp_path / folder / f"cvxpy_layers{ending}" for folder in "ab")
        assert first.read_text() == again.read_text()
    assert (tmp_path / "a" / "cvxpy_layers.md").read_text() in done.stdout


def test_models_and_batches_are_chosen(alone, capsys):
    options = ["--models", "little tv,little lasso", "--batches", "2,3", "--repeats", "1"]
    found = against.main(options)
    pairs = [(r["model"], r["batch"]) for r in found["records"]]
    assert pairs == [("little tv", 2), ("little tv", 3), ("little lasso", 2), ("little lasso", 3)]
    assert report.page(found) in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [("--models", "tv,carrots"), ("--batches", "1,0"), ("--repeats", "x"), ("--from", "no.json")],
    ids=" ".join,
)
def test_a_wrong_option_is_wrong_use(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        against.main(list(arguments))
    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


# ----------------------------------------------------------------------------- what is published


def test_published_tables_are_made_from_the_published_numbers(repository):
    results = repository / "docs" / "results"
    if not (results / "cvxpy_layers.json").exists():
        pytest.skip("nothing is published")
    found = json.loads((results / "cvxpy_layers.json").read_text())
    assert (results / "cvxpy_layers.md").read_text() == report.page(found)
    assert str(repository) not in json.dumps(found)
    assert {"cvxpy", "cvxpylayers", "diffcp"} <= set(found["machine"]["versions"])
    assert {r["model"] for r in found["records"]} == {k for k in models.KINDS if "little" not in k}
    assert {r["layer"] for r in found["records"]} == {layers.OURS, *layers.WAYS}
