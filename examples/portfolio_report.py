"""The table and the figure of the portfolios: names, colours, rows, panels."""

from statistics import fmean, stdev
from typing import Any

from examples import report

ASSETS = 8
AHEAD = 8  # weeks of the plans
ONE, TUNED, CUT = "least squares, one week", "the same, cost tuned", "learnt, gradient cut"
LEARNT = "learnt through time"
PLAN, TRUTH = f"least squares, plan of {AHEAD} weeks", f"truth known, plan of {AHEAD} weeks"
ORDER = (ONE, TUNED, CUT, LEARNT, PLAN, TRUTH)
COLOURS = {ONE: report.GREY, LEARNT: report.BLUE, CUT: report.RED, TRUTH: "black"}


def row_of(name: str, markets: list[report.Record]) -> report.Record:
    """A row of the table: means over the markets, and in how many least squares was beaten."""
    records, others = ([numbers["policies"][key] for numbers in markets] for key in (name, ONE))
    gains = [r["utility"] - other["utility"] for r, other in zip(records, others, strict=True)]
    spread = f" ± {stdev(gains):.2f}" if len(gains) > 1 else ""
    means = {key: fmean(record[key] for record in records) for key in records[0]}
    return {
        "% a year, held out": name,
        "utility": f"{means['utility']:.2f}",
        "beyond one week": "" if name == ONE else f"{fmean(gains):+.2f}{spread}",
        "better in": "" if name == ONE else f"{sum(g > 0 for g in gains)} of {len(gains)}",
        "return before costs": f"{means['return']:.2f}",
        "costs": f"{means['cost']:.2f}",
        "risk": f"{means['risk']:.2f}",
        "ms a decision": f"{means['ms']:.1f}",
    }


def rows(found: report.Record) -> list[report.Record]:
    """The table: a row for each policy."""
    return [row_of(name, found["markets"]) for name in ORDER]


def draw(figure: Any, found: report.Record) -> None:
    """Utility by epoch; the weight of one asset, by week; earned and paid, a dot a market."""
    by_epoch, by_week, traded = figure.subplots(1, 3)
    markets = found["markets"]
    for name, colour in COLOURS.items():
        records = [numbers["policies"][name] for numbers in markets]
        if name in (CUT, LEARNT):
            logs = [numbers["utility"][name] for numbers in markets]
            means = [fmean(values) for values in zip(*logs, strict=True)]
            by_epoch.plot(means, color=colour, label=name)
        else:
            level = fmean(record["utility"] for record in records)
            by_epoch.axhline(level, color=colour, ls="--", label=name)
        if name in found["weights"]:
            by_week.plot(found["weights"][name], color=colour, label=name)
        costs, gains = ([record[key] for record in records] for key in ("cost", "return"))
        traded.scatter(costs, gains, color=colour, label=name, s=18)
    by_week.axhline(1 / ASSETS, color="black", lw=1, ls=":", label="equal weights")
    by_epoch.set_ylim(0)
    about = "Utility: higher is better"
    report.finish(by_epoch, title=about, xlabel="epoch", ylabel="held-out utility, % a year")
    about = "One asset, week by week"
    report.finish(by_week, title=about, xlabel="week", ylabel="weight in the portfolio")
    about, costs = "A dot is a market", "costs, % a year"
    report.finish(traded, title=about, xlabel=costs, ylabel="return before costs, % a year")
    report.legend_below(figure, by_epoch, by_week, columns=3)
