# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Read the transfer matrix
#
# **Question.** Which kind of training data helps which architecture, and does what was made by
# one serve the other?
#
# **What you will do.** Lay out every model of the study as a matrix, training sets by
# architectures, measure what each block of data is worth with an interval, and hold the paper's
# claims against it.
#
# **What you will learn.** How to compare sets when a few seeds are all one has, why a control of
# equal size is needed, and how to say "undecided".
#
# **You need** notebooks [05](05_score_models.ipynb), [06](06_improve_by_intuition.ipynb) and
# [07](07_improve_by_iteration.ipynb).
#
# **Run time.** `laptop` and `smoke`: about a minute. Only stored results are read, nothing is
# trained or simulated.
#
# **Files made.** Figures `08_read_the_transfer_matrix__matrix`, `__gains`, `__overlap`,
# `__novelty` and `__sizes`.

# %%
from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crosstrain import matrix
from crosstrain.data import evidence, figures, summaries, transfer_plots
from crosstrain.measure import overlap, transfer, verdicts
from crosstrain.potentials import protocol
from crosstrain.study import Study

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
state: str = "hot"  # of the liquid, as named in the profile
quantity: str = "auto"  # effects are measured in: score, survival, own_error, ...; auto chooses
base: str = "classical"  # the set that blocks are added to
control: str = "classical+classical_more"  # the base with more frames of its own kind
intuition: str = "classical+scan+molecules"  # the row with all blocks made by intuition
simplest: list = ["packed", "classical"]  # rows without dynamics by a model
sizes: list = [25, 50, 100]  # frames of the base in the size scan, beside all of them
confidence: float = 0.95  # of all intervals and verdicts
density_tolerance_g_cm3: float = 0.02  # deviation at which the density term is one half
rdf_tolerance: float = 0.05  # overlap error at which an RDF term is one half
seed: int = 0  # of the bootstraps

# %%
figures.use_style()
pd.set_option("display.max_colwidth", None)
lab = Study(profile, notebook="08_read_the_transfer_matrix")
labels = {name: protocol.architecture(name).LABEL for name in lab.profile.training.architectures}
tolerances = {"density": density_tolerance_g_cm3, "rdf": rdf_tolerance}
rows, architectures = lab.rows(), list(labels)
others = [row for row in rows if row != base]
makers = dict(lab.profile.iteration.blocks) if lab.profile.iteration else {}

# %% [markdown]
# ## The matrix
#
# A row is a training set, blocks joined by +; a column is an architecture; a cell holds one model
# per seed. What is not stored is not computed here: it is *not run*.

# %%
cells = matrix.read(lab, state, seed=seed, tolerances=tolerances)
models = [runs for runs in cells["fixed_error"].values()]
n_stored = sum(run.value is not None for runs in models for run in runs)
print(f"{n_stored} of {sum(map(len, models))} models of the matrix are stored and evaluated")

# %% [markdown]
# The score needs the liquid of the reference method, and so does the deviation of the density.
# Without a reference that may be trusted (notebook [05](05_score_models.ipynb)) both are left out,
# and the matrix is read through the rest.

# %%
reference = lab.reference(state)
if lab.has(reference):
    found = lab.read(reference, "reference.json")
    print(f"density of the reference: {summaries.reference_verdict(found, 'density')}")
else:
    print("the reference liquid is not stored: not all of its samplers have been run")
quantity = matrix.chosen(cells, quantity)
measured = matrix.QUANTITIES[quantity]
is_error = measured.better == "lower"
values = transfer.logarithms(cells[quantity]) if is_error else cells[quantity]
unit = f"{'logarithm of ' if is_error else ''}{measured.label}"
print(f"effects are measured in: {quantity} ({measured.better} is better)")

# %%
needed = ("score", "density_deviation")  # of the reference
shown = [name for name in cells if name not in needed or matrix.has_value(cells[name])]
n_across = 3 if len(shown) > 4 else 2
n_lines = int(np.ceil(len(shown) / n_across))
size = (11.5, n_lines * (1 + 0.4 * len(rows)))
fig, axes = plt.subplots(n_lines, n_across, figsize=size, sharey=True, squeeze=False)
for ax in axes.flat[len(shown) :]:
    ax.remove()
for name, ax in zip(shown, axes.flat, strict=False):
    about = matrix.QUANTITIES[name]
    transfer_plots.heat_map(ax, cells[name], rows, labels, form=about.form, better=about.better)
    ax.set_title(about.label, fontsize=11)
lab.save(fig, "matrix", state=state)

# %% [markdown]
# Each number is the mean over seeds with its standard error. Blue: dark is good. Orange: dark is
# bad. Hatched cells hold unstable models: how long these lived counts in survival and score, but
# the density and the error on the own run are those of whole runs only, so there the unstable
# seeds are not averaged in. White cells were not run, grey ones failed on this machine.

# %% [markdown]
# ## What a block is worth
#
# The gain of a row is its mean minus that of the base, signed so that positive is better. Errors
# are compared by their natural logarithms, for those of one architecture can be ten times those of
# the other: a gain of 0.69 halves the error. The intervals are Welch's and come from the scatter of
# the seeds, which takes two seeds of both rows. Right: by how much more MACE gains than Deep
# Potential. An interval clear of zero there means that the block's worth depends on the
# architecture.

# %%
options = {"better": measured.better, "seed": seed, "confidence": confidence}
gains = evidence.gains(values, rows, base, architectures, **options)
differ = evidence.interactions(values, rows, base, ("mace", "deep_potential"), **options)
plain = evidence.differences(values, rows, base, architectures, better=measured.better)
evidence.effects(gains | {(row, "mace - deep_potential"): e for row, e in differ.items()})

# %%
fig, axes = plt.subplots(1, 2, figsize=(11.5, 1.3 + 0.5 * len(others)), sharey=True)
colours = {name: figures.colour(name) for name in labels}
transfer_plots.effects(axes[0], gains, others, colours, plain=plain)
differences = {(row, ""): effect for row, effect in differ.items()}
transfer_plots.effects(axes[1], differences, others, {"": "0.2"})
for name, label in labels.items():
    axes[0].plot([], [], "o", color=figures.colour(name), label=label)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
axes[0].set_xlabel(f"gain over {base}\n({unit})")
axes[1].set_xlabel("gain of MACE minus gain of Deep Potential")
lab.save(fig, "gains", state=state, quantity=quantity)

# %% [markdown]
# Hollow points are plain differences without an interval, for want of seeds. Words stand where
# there is nothing to compare. "No scatter" means that all seeds are equal, as survivals that are
# all 1: then there is no error to be had. The p values of the table are not corrected for their
# number, and among many intervals of 95 % one in twenty misses by chance.

# %% [markdown]
# ## Does it transfer?
#
# More frames help by being more. So the gain is taken over the control, the base with more frames
# of its own kind. **Transfer efficiency** (our definition) is this gain on the architecture that
# did not make the block, divided by that on the one that did: 1, it transfers fully; 0, no better
# than more of the same; below 0, harmful. It is given only if the denominator's interval is above
# zero. Blocks made by people have no maker, and both directions are shown.

# %%
design = evidence.Design(
    base, control, simplest, intuition, makers, simpler="deep_potential", other="mace"
)
pairs = [(design.row(b), maker, design.receiver(maker)) for b, maker in makers.items()]
by_hand = [r for r in others if set(matrix.added_blocks(lab, r, base)) <= {"scan", "molecules"}]
pairs += [(row, *pair) for row in by_hand for pair in permutations(architectures, 2)]
bootstrap = {"better": measured.better, "confidence": confidence}
efficiencies = {
    (row, maker, receiver): transfer.efficiency(
        values,
        row,
        control,
        maker=maker,
        receiver=receiver,
        rng=np.random.default_rng(seed),
        **bootstrap,
    )
    for row, maker, receiver in pairs
}
evidence.efficiencies(efficiencies)

# %% [markdown]
# The control adds a fixed number of frames, the blocks add what the next table says. Where a block
# is the smaller one, the control has an advantage, and a gain over it is the more telling.

# %%
known = [row for row in dict.fromkeys([*others, control]) if lab.can_train(row)]
added = {row: matrix.added_blocks(lab, row, base) for row in known}
n_added = {row: sum(lab.recipe(block).frames for block in added[row]) for row in added}
pd.Series(n_added, name=f"frames beyond {base}").to_frame()

# %% [markdown]
# ## Why: what the blocks cover
#
# Each atom is described by its surroundings alone (QUESTS), without any model. Two sets overlap
# as far as the atoms of one have near neighbours in the other.

# %%
blocks = dict.fromkeys([base, *lab.profile.blocks, *makers])
stored = [lab.block(name) for name in blocks if lab.has(lab.block(name))]
frames = lab.each(stored, lab.frames_of)
environments = {name: overlap.descriptors(found) for name, found in frames.items() if found}
covered = overlap.overlap_matrix(environments, rng=np.random.default_rng(seed))
fig, ax = plt.subplots(figsize=(2.2 + 0.65 * len(covered), 1.6 + 0.6 * len(covered)))
transfer_plots.overlap(ax, list(environments), covered)
lab.save(fig, "overlap")

# %% [markdown]
# Read a row from left to right: how much of this set the others already know, at equal numbers of
# atoms. Two sets of one kind show how much is the most that can be expected.

# %% [markdown]
# Novelty is the distance from the atoms of a block's frames to the nearest atom of the base. Does
# it predict what the block is worth?

# %%
new = {
    block: overlap.novelty(environments[block], environments[base]).mean
    for block in environments
    if block != base
}
novelty = {
    row: float(np.mean(np.concatenate([new[block] for block in parts])))
    for row, parts in added.items()
    if set(parts) <= new.keys()
}
fig, ax = plt.subplots(figsize=(8.5, 4.2))
transfer_plots.novelty_against_gain(ax, novelty, plain, labels)
ax.set_ylabel(f"gain over {base}\n({unit})")
lab.save(fig, "novelty", state=state, quantity=quantity)

# %%
for name, label in labels.items():
    points = [(novelty[row], plain[row, name]) for row in novelty if (row, name) in plain]
    x, y = np.transpose(points) if points else ([], [])
    rank = verdicts.rank_correlation(x, y, rng=np.random.default_rng(seed), confidence=confidence)
    print(
        f"{label}: Spearman {rank.value:.2f} ({rank.lower:.2f} to {rank.upper:.2f}), "
        f"{rank.n_points} rows; that novelty predicts gain is {rank.finding}"
    )

# %% [markdown]
# The test goes through all orders of the points, so it cannot say yes with fewer than five.

# %% [markdown]
# ## How much of the simplest set is enough?
#
# Models of the first frames of the base, trained for the same time.

# %%
scan = {f"{base}.{n}": n for n in sizes if n < lab.recipe(base).frames}
scan[base] = lab.recipe(base).frames
few = matrix.read(lab, state, seed=seed, rows=list(scan), tolerances=tolerances)
fig, axes = plt.subplots(1, 2, figsize=(10.5, 3.8))
for name, ax in zip(("fixed_error", "own_error"), axes, strict=True):
    transfer_plots.size_scan(ax, few[name], scan, labels)
    ax.set_ylabel(matrix.QUANTITIES[name].label)
axes[0].legend()
lab.save(fig, "sizes", state=state)

# %%
for row, n in scan.items():
    states = {a: transfer.cell(few["fixed_error"], row, name).state for name, a in labels.items()}
    print(f"{n} frames: " + ", ".join(f"{label} {how}" for label, how in states.items()))

# %% [markdown]
# A curve that still falls at its right end: more frames of the same kind would help. A size that
# was not run has no point.

# %% [markdown]
# ## The paper's claims
#
# Each verdict follows from a rule that is fixed before looking: the effect is written so that it
# is positive if the claim is true. *Supported*: the whole interval is above zero. *Not
# supported*: the whole of it is below. *Undecided*: it holds zero, or rows are missing. Where a
# claim needs one effect among several, their intervals are widened for their number (Bonferroni);
# where it needs all, one below zero refutes it.

# %%
errors = cells["own_error"], cells["fixed_error"]
claims = evidence.claims(values, errors, rows, design, **options)
evidence.claims_table(claims)

# %% [markdown]
# Effects are in the unit of the quantity chosen above; of an error, in its logarithm. The claims
# are those of the paper's abstract, numbered in their order there, and one of its preprint's, in
# our words; the rules are ours, for what the paper calls "well" or "correctly" is not known to us
# in numbers. A difference of either sign supports claim 2, so it can be left open but not refuted.
# Of the other claims, that data can be tried across architectures is what this whole study does;
# the metric has notebook [05](05_score_models.ipynb); foundation models and unseen molecules are
# not part of this matrix.

# %% [markdown]
# ## What we found

# %%
print(f"measured in {quantity}, {n_stored} models, intervals of {confidence:.0%}")
for claim in claims:
    print(f"{claim.number}: {claim.finding}")
clear = [f"{row} for {labels[a]}" for (row, a), e in gains.items() if verdicts.of_one(e).is_clear]
print("rows whose gain over the base is clear of zero:", ", ".join(clear) or "none")

# %% [markdown]
# ## Limits
#
# Few seeds make wide intervals: undecided does not mean that there is no effect. All sets were
# trained for the same time, so a larger set is seen fewer times. Where an architecture's liquid
# does not live, an error on its own run has no value, and the comparison is lost rather than won;
# survival sees it. The gain over the control is at unequal numbers of frames. And an effect in one
# small liquid at one state is not one in all.
#
# **Try it.** Set `quantity = "survival"`, or `"fixed_error"`. Do the verdicts stay? Which of them
# would a fixed test set alone have given?
#
# ## Next
#
# Back to [00_start_here](00_start_here.ipynb) for the map. `crosstrain plan` shows how far the
# matrix is, and `crosstrain study` fills it.
#
# ## References
#
# 1. S. P. Niblett et al., *J. Chem. Theory Comput.* 2025, 21, 6096: the claims.
# 2. B. L. Welch, *Biometrika* 1947, 34, 28, and E. C. Fieller, *J. R. Stat. Soc. B* 1954, 16,
#    175: intervals of gains and of their ratio.
# 3. D. Schwalbe-Koda et al., *Nat. Commun.* 2025, 16, 4014: QUESTS.
# 4. D. G. Bonett, T. A. Wright, *Psychometrika* 2000, 65, 23: interval of a rank correlation.

# %% [markdown]
# ## Colophon

# %%
lab.colophon()
