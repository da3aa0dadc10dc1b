# %% [markdown]
"""
# Forecast prices for the decisions they lead to

A battery is charged when power is cheap and sold when it is dear, by a forecast that can't be
right everywhere. For anyone whose model feeds an optimiser: you learn to train the model on
what its decisions lose, the regret, instead of on its error.
"""

# %%
import matplotlib.pyplot as plt
import torch

from kktdiff.adapters.torch import solve_qp

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)

# %% [markdown]
# The prices of 24 hours depend on a day's weather, three numbers, and have peaks. The model is
# linear in the weather, so that it foresees the peaks badly.

# %%
hours = torch.arange(24.0)
shapes = torch.stack([torch.sin(2 * torch.pi * (hours - at) / 24) for at in (1, 8, 16)])


def days(count):
    """Weather (count, 3), and prices (count, 24) in euros per kWh."""
    weather = torch.randn(count, 3)
    load = weather @ shapes
    prices = 0.1 + 0.04 * (load**3 / 3 - load)
    return weather, prices + 0.01 * torch.randn(count, 24)


(weather, prices), (new_weather, new_prices) = days(200), days(200)

# %% [markdown]
# The battery takes and gives at most 1 kW and holds 4 kWh; wear costs 0.02 euros times the
# square of the power. The QP of a day chooses the power of each hour, and ends with an empty
# battery.

# %%
Q = 0.04 * torch.eye(24)
sums = torch.ones(23, 24).tril()  # the level after each hour but the last
G, h = torch.cat([sums, -sums]), torch.cat([4 * torch.ones(23), torch.zeros(23)])


def schedule(prices):
    """The best power of each hour, (B, 24), positive where it charges."""
    return solve_qp(Q, prices, G, h, A=torch.ones(1, 24), b=[0.0], lb=-1.0, ub=1.0).x


def cost(forecast, prices):
    """What days cost on average, with wear, if they are scheduled by the forecast; in euros."""
    power = schedule(forecast)
    return ((power * prices).sum(-1) + 0.02 * power.square().sum(-1)).mean()


def error(forecast, prices):
    """Mean squared error of the prices."""
    return (forecast - prices).square().mean()


# %% [markdown]
# Two models of the same form learn from the same days, from a constant price on: one to be near
# the prices, the other to spend little. The regret is what it spends beyond the best schedule.

# %%
best = cost(new_prices, new_prices)  # with the prices known


def train(loss):
    """The held-out regret and error after each epoch."""
    model, log = torch.nn.Linear(3, 24), []
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.constant_(model.bias, 0.1)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(13):
        with torch.no_grad():
            forecast = model(new_weather)
            regret = cost(forecast, new_prices) - best
            log.append((regret.item(), error(forecast, new_prices).item()))
        for rows in torch.randperm(200).split(40):
            optimiser.zero_grad()
            loss(model(weather[rows]), prices[rows]).backward()
            optimiser.step()
    return log


logs = {"fitted to prices": train(error), "trained on regret": train(cost)}
for name, log in logs.items():
    print(f"{name}: regret {log[0][0]:.2f} -> {log[-1][0]:.2f} euros a day", end=", ")
    print(f"error of prices {log[-1][1]:.4f}")

# %%
figure, panels = plt.subplots(1, 2, figsize=(9, 3.4))
titles = ("Trained on regret, decisions lose less", "though the forecasts are worse")
labels = ("regret on new days, euros a day", "mean squared error of new prices")
for column, (axes, title, label) in enumerate(zip(panels, titles, labels, strict=True)):
    for name, log in logs.items():
        axes.plot([row[column] for row in log], label=name)
    axes.set(title=title, xlabel="epoch", ylabel=label)
    axes.set_ylim(0)
    axes.legend()
plt.show()
