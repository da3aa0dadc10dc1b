# %% [markdown]
"""
# A batch that is too large for one call

A hundred thousand problems, their derivatives and a mean over them, chunk by chunk on all
cores or on a cluster. For anyone with more problems than memory: you learn to put kktdiff
behind Dask, and that chunks change no answer, not even in the last bit.
"""

# %%
import dask.array as da
import matplotlib.pyplot as plt
import numpy as np

import kktdiff

# %% [markdown]
# Each of 100 000 people spreads a budget over three goods: the point of the simplex that is
# closest to what they would like. Dask draws the wishes as it needs them, 10 000 at a time.

# %%
wishes = da.random.default_rng(0).normal(0.3, 0.5, size=(100_000, 3), chunks=(10_000, 3))


def choose(wishes):
    """The choices x, and how much the first answers to a change of its wish, (B, 4)."""
    sol = kktdiff.solve_qp(np.eye(3), -wishes, A=np.ones((1, 3)), b=1, lb=0)
    first = np.zeros_like(sol.x)
    first[:, 0] = 1
    slope = -sol.vjp(x=first, wrt=("p",)).p[:, :1]
    return np.hstack([sol.x, slope])


found = wishes.map_blocks(choose, chunks=(10_000, 4), dtype=float)
print(f"{found.numblocks[0]} chunks of {found.chunksize[0]} problems")

# %% [markdown]
# Nothing has been solved yet. `compute` solves the chunks in threads; with a `Client` of
# `dask.distributed` the same lines run on a cluster.

# %%
none = (found[:, :3] < 1e-9).sum(1)
means, shares, counts = da.compute(
    found.mean(0), (none == 2).mean(), da.histogram(found[:, 0], bins=25, range=(0, 1))[0]
)
print("mean choice:", means[:3].round(3))
print(f"mean slope of the first choice in its wish: {means[3]:.3f}")
print(f"{shares:.1%} spend all on one good")

# %% [markdown]
# An answer does not depend on its chunk: other chunks give the same bits.

# %%
some = wishes[:3_000].compute()
whole, parts = choose(some), np.concatenate([choose(part) for part in np.split(some, 30)])
print("the same bits in chunks of 3000 and of 100:", np.array_equal(whole, parts))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
left.bar(np.linspace(0, 1, 25, endpoint=False), counts / 1000, width=0.04, align="edge")
left.set(title="Many spend nothing on the first good", xlabel="share of the budget")
left.set_ylabel("people, %")
kinds = {"0: buys none, or nothing else": 0, "1/2: buys one other": 1 / 2, "2/3: buys all": 2 / 3}
for name, slope in kinds.items():
    mine = some[np.isclose(whole[:, 3], slope)]
    right.plot(*mine[:50, :2].T, ".", ms=4, label=name)
right.set(title="How the choice of the first follows its wish", xlabel="wish for the first")
right.set_ylabel("wish for the second")
right.legend(fontsize="x-small", title="slope", title_fontsize="x-small")
plt.show()
