"""A portfolio with trading costs, in cvxpy and torch: forecasts are learnt through time.

    python -m examples.portfolio [--epochs 6] [--seed 0] [--output results] [--quick]

Each week a fund chooses the weights of 8 assets: long-only, fully invested, none above 0.3, judged
against equal weights, with a factor model of risk and 0.5 % to pay of all that is traded. Two
signals foresee returns: a strong one that is gone after a week, and a weak one that lasts. Least
squares on 20 years of weeks says what each is worth next week. The QP of one week then hardly
trades on the weak signal, since one week of it doesn't pay for the trade. The learner has that QP
as a layer that starts from its own last weights, and ascends on the utility after costs of 24 weeks
in a row: the gradient flows through what it holds. It learns what the signals and the factors of
risk are to count. The markets are simulated, so that all policies are judged by what is true.
"""

import time
from functools import cache
from typing import Any, NamedTuple

import cvxpy as cp
import torch
from torch import Tensor, nn

from examples import common, report
from examples.portfolio_report import (
    AHEAD,
    ASSETS,
    COLOURS,
    CUT,
    LEARNT,
    ONE,
    ORDER,
    PLAN,
    TRUTH,
    TUNED,
    draw,
    rows,
)
from kktdiff.adapters.cvxpy import CvxpyLayer

FACTORS = 2
LIMIT, AVERSION, COST = 0.3, 5.0, 0.5  # of a weight; to variance; in % of what is traded
STRENGTH, PERSISTENCE = (0.3, 0.1), (0.2, 0.98)  # of the two signals; % a week, week to week
LEAD, WINDOW, EVERY = 6, 24, 8  # weeks: not counted, learnt from, between two windows
PATHS, HELD_OUT = 16, (12, 40)  # weeks that lead in, and that count
RATE, MARKETS, YEAR = 0.04, 5, 52


class Market(NamedTuple):
    """What is true of a market, or what is believed. Returns are in % a week."""

    strength: Tensor  # (2,) of the signals
    persistence: Tensor  # (2,)
    exposures: Tensor  # (FACTORS, ASSETS) to factors of variance 1
    specific: Tensor  # (ASSETS,), standard deviations


class Weeks(NamedTuple):
    """What B paths show, week after week."""

    signals: Tensor  # (T, B, ASSETS, 2)
    returns: Tensor  # (T, B, ASSETS), of the week that follows the signals

    def after(self, lead: int) -> "Weeks":
        """The weeks after the first ones."""
        return Weeks(*(values[lead:] for values in self))

    def of(self, paths: Tensor) -> "Weeks":
        """Some of the paths."""
        return Weeks(*(values[:, paths] for values in self))


def draw_market() -> Market:
    """A factor that all assets share, others that they don't."""
    shared = 2 + 0.6 * torch.randn(1, ASSETS)
    exposures = torch.cat([shared, torch.randn(FACTORS - 1, ASSETS)])
    signals = torch.tensor(STRENGTH), torch.tensor(PERSISTENCE)
    return Market(*signals, exposures, specific=2 + torch.rand(ASSETS))


def draw_weeks(market: Market, paths: int, weeks: int) -> Weeks:
    """Signals that are autoregressions of variance 1, and the returns that they foresee."""
    kept, new = market.persistence, (1 - market.persistence**2).sqrt()
    now, signals = torch.randn(paths, ASSETS, 2), []
    for _ in range(weeks):
        signals.append(now)
        now = kept * now + new * torch.randn(paths, ASSETS, 2)
    seen = torch.stack(signals)
    noise = torch.randn(weeks, paths, FACTORS) @ market.exposures
    noise = noise + market.specific * torch.randn(weeks, paths, ASSETS)
    return Weeks(seen, seen @ market.strength + noise)


def estimate(history: Weeks) -> Market:
    """By least squares; the factors by principal axes of the residuals' covariance."""
    signals, returns = history
    strength = torch.linalg.lstsq(signals.reshape(-1, 2), returns.reshape(-1, 1)).solution[:, 0]
    persistence = (signals[:-1] * signals[1:]).mean((0, 1, 2)) / signals.square().mean((0, 1, 2))
    residuals = (returns - signals @ strength).flatten(0, 1)
    covariance = residuals.T @ residuals / len(residuals)
    specific = covariance.diagonal() / 2
    for _ in range(50):
        values, vectors = torch.linalg.eigh(covariance - specific.diag())  # ascending
        exposures = (vectors * values.clamp(min=0).sqrt()).T[-FACTORS:]
        specific = (covariance.diagonal() - exposures.square().sum(0)).clamp(min=0.1)
    return Market(strength, persistence, exposures, specific.sqrt())


@cache
def layer_of(weeks: int) -> CvxpyLayer:
    """From forecasts, the weights held, risk and cost to a plan of so many weeks."""
    shape = (weeks, ASSETS)
    weights, factors = cp.Variable(shape), cp.Variable((weeks, FACTORS))
    buys, sells = cp.Variable(shape, nonneg=True), cp.Variable(shape, nonneg=True)
    forecasts, held = cp.Parameter(shape), cp.Parameter(ASSETS)
    exposures, specific = cp.Parameter((FACTORS, ASSETS)), cp.Parameter(ASSETS, nonneg=True)
    cost = cp.Parameter(nonneg=True)
    active = weights - 1 / ASSETS
    own = [cp.sum_squares(cp.multiply(specific, active[week])) for week in range(weeks)]
    risk = cp.sum_squares(factors) + sum(own)
    worth = cp.sum(cp.multiply(forecasts, active)) - AVERSION / 200 * risk  # both in %
    before = cp.vstack([held, *(weights[week] for week in range(weeks - 1))])
    # Trades as cp.norm1(weights - before), but with bounds where that has inequalities.
    rules = [factors == active @ exposures.T, weights == before + buys - sells]
    rules += [cp.sum(weights, axis=1) == 1, weights >= 0, weights <= LIMIT]
    problem = cp.Problem(cp.Maximize(worth - cost * cp.sum(buys + sells)), rules)
    return CvxpyLayer(problem, [forecasts, held, exposures, specific, cost], [weights])


class Policy(nn.Module):
    """From signals (B, ASSETS, 2) and the weights held (B, ASSETS) to new weights."""

    def __init__(self, beliefs: Market, weeks: int = 1, cost: float = COST) -> None:
        super().__init__()
        self.layer = layer_of(weeks)
        self.strength = nn.Parameter(beliefs.strength.clone())
        self.exposures = nn.Parameter(beliefs.exposures.clone())
        self.specific, self.cost = beliefs.specific, torch.tensor(cost)
        self.lasting = beliefs.persistence ** torch.arange(weeks)[:, None]  # (weeks, 2)
        self.solved = self.unsolved = 0

    def forward(self, signals: Tensor, held: Tensor) -> Tensor:
        """The first weights of the plan."""
        forecasts = (signals @ (self.strength * self.lasting).T).mT  # (B, weeks, ASSETS)
        (plan,) = self.layer(forecasts, held, self.exposures, self.specific, self.cost)
        self.solved += int(self.layer.last.solved.sum())
        self.unsolved += int((~self.layer.last.solved).sum())
        return plan[:, 0]


def follow(
    policy: Policy, weeks: Weeks, lead: int, *, cut: bool = False
) -> tuple[Weeks, Tensor, Tensor]:
    """Weeks after the lead, weights (T, B, ASSETS) chosen and held; or the gradient cut there."""
    held = torch.full_like(weeks.returns[0], 1 / ASSETS)
    learning, chosen, before = torch.is_grad_enabled(), [], []
    for week, (signals, returns) in enumerate(zip(*weeks, strict=True)):
        if cut:
            held = held.detach()
        with torch.set_grad_enabled(learning and week >= lead):
            weights = policy(signals, held)
            before.append(held)
            chosen.append(weights)
            grown = weights * (1 + returns / 100)
            held = grown / grown.sum(-1, keepdim=True)  # prices move the weights
    return weeks.after(lead), torch.stack(chosen[lead:]), torch.stack(before[lead:])


def accounts(market: Market, weeks: Weeks, weights: Tensor, held: Tensor) -> dict[str, Tensor]:
    """In % a year, by a market's means and variances: the luck of the returns is left out."""
    active = weights - 1 / ASSETS
    gain = YEAR * (active * (weeks.signals @ market.strength)).sum(-1).mean()
    factors, own = active @ market.exposures.T, active * market.specific
    variance = YEAR * (factors.square().sum(-1) + own.square().sum(-1)).mean()
    cost = YEAR * COST * (weights - held).abs().sum(-1).mean()
    utility = gain - AVERSION / 200 * variance - cost
    return {"utility": utility, "return": gain, "cost": cost, "risk": variance.sqrt()}


@torch.no_grad()
def judge(policy: Policy, market: Market, weeks: Weeks) -> tuple[report.Record, Tensor]:
    """What a policy reaches in weeks that it hasn't seen, by what is true; and its weights."""
    began = time.perf_counter()
    followed = follow(policy, weeks, HELD_OUT[0])
    seconds = time.perf_counter() - began
    record = {name: value.item() for name, value in accounts(market, *followed).items()}
    return record | {"ms": 1000 * seconds / (sum(HELD_OUT) * PATHS)}, followed[1]


def worth(policy: Policy, beliefs: Market, past: Weeks, *, cut: bool = False) -> Tensor:
    """The utility in the past, as the beliefs have it."""
    return accounts(beliefs, *follow(policy, past, LEAD, cut=cut))["utility"]


def windows(history: Weeks) -> Weeks:
    """Pieces of a history, as paths."""
    length = LEAD + WINDOW
    starts = torch.arange(0, len(history.returns) - length + 1, EVERY)
    index = starts + torch.arange(length)[:, None]
    return Weeks(*(values[index, 0] for values in history))


def tuned(beliefs: Market, past: Weeks) -> Policy:
    """The QP of one week with the cost that would have been best in the past."""
    policies = [Policy(beliefs, cost=COST * times) for times in (0.4, 0.6, 0.8, 1.0, 1.25, 1.6)]
    with torch.no_grad():
        return max(policies, key=lambda policy: worth(policy, beliefs, past).item())


def run_market(args: Any) -> tuple[report.Record, dict[str, Tensor]]:
    """What all policies reach in one market, and their weights in the weeks held out."""
    market = draw_market()
    history = draw_weeks(market, 1, args.data_size)
    held_out = draw_weeks(market, PATHS, sum(HELD_OUT))
    beliefs, past = estimate(history), windows(history)

    def learn(policy: Policy, *, cut: bool) -> list[report.Record]:
        return common.fit(
            policy,
            lambda index: -worth(policy, beliefs, past.of(index), cut=cut),
            past.returns.shape[1],
            lambda: judge(policy, market, held_out)[0],
            batch=args.batch,
            epochs=args.epochs,
            rate=RATE,
        )

    policies = {name: Policy(beliefs) for name in (ONE, CUT, LEARNT)}
    policies[TUNED] = tuned(beliefs, past)
    policies |= {PLAN: Policy(beliefs, AHEAD), TRUTH: Policy(market, AHEAD)}
    logs = {name: learn(policies[name], cut=name == CUT) for name in (CUT, LEARNT)}
    found = {name: judge(policies[name], market, held_out) for name in ORDER}
    numbers = {
        "policies": {name: record for name, (record, _) in found.items()},
        "utility": {name: [row["utility"] for row in log] for name, log in logs.items()},
        "solved": sum(policy.solved for policy in policies.values()),
        "unsolved": sum(policy.unsolved for policy in policies.values()),
    }
    return numbers, {name: weights[:, 0] for name, (_, weights) in found.items()}


def run(args: Any) -> report.Record:
    """All markets; the weights of the asset that is traded most, in the first."""
    found = [run_market(args) for _ in range(1 if args.quick else MARKETS)]
    paths = found[0][1]
    asset = int(paths[TRUTH].std(0).argmax())
    return {
        "weights": {n: paths[n][:, asset].tolist() for n in COLOURS if n != CUT},
        "markets": [numbers for numbers, _ in found],
    }


def main(argv: list[str] | None = None) -> None:
    """Parse the options, run the markets, report."""
    whole, quick = common.Size(1040, 6), common.Size(300, 3)
    parser = common.options(__doc__, whole, quick, batch=32, qpth=False)
    args = common.read(parser, argv)
    found = args.found or run(args)
    solved, unsolved = (
        sum(market[key] for market in found["markets"]) for key in ("solved", "unsolved")
    )
    print(f"{solved} QPs solved, {unsolved} not")
    report.publish(args, "portfolio", found, rows, draw)


if __name__ == "__main__":
    main()
