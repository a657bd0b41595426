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
# **What you will learn.** How to compare sets when a few seeds are all one has, why a control is
# needed, how a verdict depends on the yardstick, and how to say "undecided".
#
# **You need** notebooks [05](05_score_models.ipynb), [06](06_improve_by_intuition.ipynb) and
# [07](07_improve_by_iteration.ipynb).
#
# **Run time.** `laptop` and `smoke`: one to two minutes. Only stored results are read, nothing is
# trained or simulated.
#
# **Files made.** Figures `08_read_the_transfer_matrix__matrix`, `__gains`, `__overlap`,
# `__novelty` and `__sizes`.

# %%
from itertools import permutations, product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crosstrain import compare, matrix
from crosstrain.data import controls, evidence, figures, plots, summaries, transfer_plots
from crosstrain.measure import overlap, transfer, verdicts
from crosstrain.potentials import protocol
from crosstrain.study import Study
from ipywidgets import Dropdown, FloatSlider

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
state: str = "hot"  # of the liquid, as named in the profile
quantity: str = "auto"  # effects are measured in: score, survival, own_error, ...; auto chooses
base: str = "classical"  # the set that blocks are added to
control: str = "classical+classical_more"  # the base with more frames of its own kind
iterated_control: str = "classical+classical_more.100"  # with as many as an iterated block adds
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
rows = list(dict.fromkeys([*lab.rows(), control, iterated_control]))
architectures = list(labels)
others = [row for row in rows if row != base]
makers = dict(lab.profile.iteration.blocks) if lab.profile.iteration else {}

# %% [markdown]
# ## The matrix
#
# Notebooks [06](06_improve_by_intuition.ipynb) and [07](07_improve_by_iteration.ipynb) asked what
# single blocks are worth. Whether data *transfer* is a question about the pattern: a block can help
# both architectures, one of them, or the one that made it. So here everything stands side by side,
# in the **transfer matrix**. A row is a training set, blocks joined by +; a column is an
# architecture; a cell holds one model per seed, each judged at the state of the parameters cell.
# What is not stored is not computed here: it is *not run*.

# %%
held = matrix.stored(lab, state, rows=rows)
cells = matrix.read(lab, state, seed=seed, rows=rows, tolerances=tolerances, known=held)
models = [runs for runs in cells["fixed_error"].values()]
n_stored = sum(run.value is not None for runs in models for run in runs)
print(f"{n_stored} of {sum(map(len, models))} models of the matrix are stored and evaluated")

# %% [markdown]
# Each model has several numbers, and they need not agree:
#
# - *survival fraction*: the part of the planned time that its runs lived;
# - *density* of its liquid, and how far this is *off the reference*'s: the mean of the absolute
#   deviations of the seeds, which noise alone makes larger than zero (notebook
#   [07](07_improve_by_iteration.ipynb) gives the deviation of the mean);
# - *own-run error*: of the forces between molecules, on relabelled frames of its own runs;
# - *fixed-set error*: the same on the first test set of the profile;
# - *liquid score*, which puts survival, density and structure into one (notebook
#   [05](05_score_models.ipynb)).
#
# Score and deviation need the liquid of the reference method. Without one that may be trusted both
# are left out, and the matrix is read through the rest. The code says which of them measures the
# effects below:

# %%
reference = lab.reference(state)
if lab.has(reference):
    found = lab.read(reference, "reference.json")
    print(f"density of the reference / g cm⁻³: {summaries.reference_verdict(found, 'density')}")
    trusted = summaries.trusted_samplers(found, "density")
    print("samplers that pass by themselves:", ", ".join(trusted) or "none")
else:
    print("the reference liquid is not stored: not all of its samplers have been run")
quantity = matrix.chosen(cells, quantity)
measured = matrix.QUANTITIES[quantity]
print(f"effects are measured in: {quantity} ({measured.better} is better)")

# %%
needed = ("score", "density_deviation")  # of the reference
shown = [name for name in cells if name not in needed or matrix.has_value(cells[name])]
n_across = 3 if len(shown) > 4 else 2
n_lines = int(np.ceil(len(shown) / n_across))
size = (2.6 + 3 * n_across, n_lines * (1 + 0.4 * len(rows)))
fig, axes = plt.subplots(n_lines, n_across, figsize=size, sharey=True, squeeze=False)
for ax in axes.flat[len(shown) :]:
    ax.remove()
of_errors = transfer_plots.colour_scale([cells["own_error"], cells["fixed_error"]], "lower")
for name, ax in zip(shown, axes.flat, strict=False):
    about = matrix.QUANTITIES[name]
    look = {"form": about.form, "better": about.better}
    look |= {"scale": of_errors} if name.endswith("_error") else {}
    transfer_plots.heat_map(ax, cells[name], rows, labels, **look)
    ax.set_title(about.label, fontsize=11)
lab.save(fig, "matrix", state=state)

# %% [markdown]
# Each number is the mean over seeds with its standard error, which for score and density is at
# least what the runs' own errors leave: two seeds may agree by chance. Blue: dark is good. Orange:
# dark is bad, equal steps of colour are equal factors, and both force errors share one scale.
# Purple is neither. Hatched cells hold unstable models: how long these lived counts in survival and
# score, but the density and the error on the own run are those of whole runs only, so there the
# unstable seeds are not averaged in. White cells were not run, hatched ones without a number have
# no stable seed, dark grey ones failed on this machine.
#
# Read it first along a column: which rows are better than the base, for one architecture? Then
# compare columns: does the *same* row help both? Last compare panels: a model that is good on the
# fixed set and bad in its own run is the reason why this study does not stop at test errors. The
# reverse is worth as much: a block may raise the fixed-set error and keep the liquid alive. Seeds
# that are all equal (1.00 ± 0) tell of no error, not of a perfect one. The deviations of the
# density once more, where two seeds have one:

# %%
for row, name in cells["density_deviation"]:
    off = transfer.cell(cells["density_deviation"], row, name)
    if off.error is not None:
        print(f"{labels[name]} on {row}: {off.mean:.3f} ± {off.error:.3f} g/cm³")

# %% [markdown]
# One number for each error hides which motion is wrong. The same models by component of the forces
# (notebook [03](03_train_two_architectures.ipynb)): what pushes a molecule, what turns it, and what
# deforms it. Root mean square errors in meV/Å, means over seeds with their standard errors.

# %%
parts = matrix.parts(lab, state, held, rows)
of_forces = {
    f"{component}, {where}": parts[f"{short}:{component}"]
    for short, where in (("fixed", "fixed set"), ("own", "own runs"))
    for component in matrix.COMPONENTS
}
evidence.parts_table(of_forces, rows, ".2f").rename(index=labels)

# %% [markdown]
# And the structure of the liquid: the overlap error $\Delta$ (notebook
# [05](05_score_models.ipynb)) of each radial distribution function with that of the reference, from
# 0 (the same) to 1, after the share that the noise of both explains was taken off. Where 0 stands
# the whole deviation may be noise; the error says how much such runs could have seen at all.

# %%
of_pairs = {
    name.removeprefix("rdf:"): found
    for name, found in parts.items()
    if name.startswith("rdf:") and matrix.has_value(found)
}
table = evidence.parts_table(of_pairs, rows, ".2f").rename(index=labels) if of_pairs else None
table if of_pairs else print("not to be had: no reference that may be trusted")

# %% [markdown]
# ## What start and random numbers add
#
# The first run of every model starts from one and the same box, the second from another. A box is
# two handfuls of molecules with the shapes that chance gave them, and what a molecule does not
# change within a run stays. And all models that were trained with seed 1 are driven by the same
# random numbers, those of seed 2 by others: thermostat and barostat push their volumes in the same
# way at the same times. By how much does the density of the first run differ from that of the
# second?

# %%
by_start = matrix.densities_by_start(lab, state, held, rows)
enough = {s: found for s, found in by_start.items() if len(found) > 1 and found.shape[1] > 1}
for number, densities in enough.items():
    less = densities[:, 0] - densities[:, 1]
    spread = f"standard deviation between models {less.std(ddof=1):.3f}"
    print(f"seed {number}, {len(less)} models that lived in all runs:", end=" ")
    mean = f"{less.mean():+.3f} ± {less.std(ddof=1) / len(less) ** 0.5:.3f}"
    print(f"first minus second run {mean} g/cm³ on average, {spread}")
if not enough:
    print("not to be had: it takes two models of a seed, and two runs of each")

# %% [markdown]
# What the models of a seed have in common here is no property of a model, but of start and noise,
# and it is one draw of them, however many models there are. Were it the boxes alone, both seeds
# would show the same difference within these errors; where they do, boxes and random numbers cannot
# be told apart. The runs are too short to forget it. Between rows of the same seeds it drops out in
# part; the intervals below take runs as independent, and are the wider for it. The reference at 500
# K is sampled for the most part from the same boxes by models of seed 1: a model of seed 1 is held
# against it under its own noise, one of seed 2 under another, and its samplers agree more easily
# than independent ones would.

# %% [markdown]
# ## What a block is worth
#
# The **gain** of a row is its mean over the seeds minus that of the base, signed so that positive
# is better. Its standard error $s$ comes from the scatter of the $n$ seeds of either row:
#
# $$g = \pm \, (\bar x_\mathrm{row} - \bar x_\mathrm{base}) , \qquad
# s^2 = \frac{s^2_\mathrm{row}}{n_\mathrm{row}} + \frac{s^2_\mathrm{base}}{n_\mathrm{base}} ,$$
#
# and its interval is $g \pm t_\nu s$ with Student's $t$ and Welch's degrees of freedom $\nu$ [1],
# which lets the two rows scatter unequally. It takes two seeds of both rows. Two seeds know little
# of their own scatter, and may agree by chance, so $s^2_\mathrm{row}$ is at least the mean square
# of what each run's own noise leaves open, and at least the mean of $s^2_\mathrm{row}$ over all
# rows of the architecture: this mean is known with the degrees of freedom of all of them, so that
# where the rows scatter alike $t_\nu$ is that of many seeds; it needs three rows or more. The noise
# of a run is estimated from its own frames, not from two seeds, and what it adds makes $t_\nu$ no
# larger; but these are worth few independent ones, so it is itself uncertain (notebook
# [05](05_score_models.ipynb)). It is that of the model's run alone, for an error of the reference
# moves all rows together; the deviation of a density alone holds that of the reference, once in the
# mean of a row. Both floors are our addition to Welch's interval. In simulations (docstring of
# `crosstrain.measure.transfer.contrast`) intervals of 95 % with them cover 94 to 99 % where the
# runs' own noise is known, as it nearly is for score and density, and 93 to 97 % where only seeds
# tell, as for survival and errors; but 84 to 92 % where one row has all the scatter, which is near
# to the survival of Deep Potential. Errors enter as their natural logarithms, for those of one
# architecture can be ten times those of the other: a gain of ln 2 halves the error.
#
# By how much more one architecture gains than the other is a difference of two gains. An interval
# clear of zero there means that the block's worth depends on the architecture. Where all seeds of
# the base are at the best already, as survivals of 1, a gain could not show: such differences are
# not taken (*at its best*). An interval does not know that scores and survival fractions end at 0
# and 1: what of it lies beyond ±1 cannot be.

# %%
values = compare.comparable(cells[quantity], measured.better)
unit = f"{'logarithm of ' if measured.better == 'lower' else ''}{measured.label}"
options = {"better": measured.better, "confidence": confidence}
gains = evidence.gains(values, rows, base, architectures, **options)
differ = evidence.interactions(values, rows, base, ("mace", "deep_potential"), **options)
plain = evidence.differences(values, rows, base, architectures, better=measured.better)
differ = {(row, "MACE - Deep Potential"): effect for row, effect in differ.items()}
evidence.effects(gains | differ).rename(index=labels)

# %%
fig, axes = plt.subplots(1, 2, figsize=(11.5, 1.3 + 0.5 * len(others)), sharey=True)
colours = {name: figures.colour(name) for name in labels}
transfer_plots.effects(axes[0], gains, others, colours, plain=plain)
transfer_plots.effects(axes[1], differ, others, {"MACE - Deep Potential": "0.2"})
plots.set_legend(fig, {label: colours[name] for name, label in labels.items()})
axes[0].set_xlabel(f"gain over {base}\n({unit})")
axes[1].set_xlabel(f"gain of MACE minus gain of Deep Potential\n({unit})")
lab.save(fig, "gains", state=state, quantity=quantity)

# %% [markdown]
# Left: the gain of each row over the base, to the right of zero is better. Right: the gain of MACE
# minus that of Deep Potential. Bars are their intervals, markers those of the rows. Hollow points
# are plain differences without an interval, for want of seeds. Words stand where there is nothing
# to compare. "No scatter" means that all seeds are equal, as survivals that are all 1: then there
# is no error to be had. The p values of the table are not corrected for their number, and among
# many intervals of 95 % one in twenty misses by chance.

# %% [markdown]
# ## Would another yardstick say the same?
#
# What a block is worth depends on what is asked of it, and the score on its tolerances. In
# JupyterLab choose another yardstick and move the sliders: matrix and gains are drawn again. The
# tolerances (density in g cm⁻³; the overlap error of an RDF has no unit) act on the score alone, so
# without a trusted reference they change nothing but the title. On a page that is only read, the
# default of both figures stands above.

# %%
look = {"readout_format": ".3g", "continuous_update": False}
sliders = {
    name: FloatSlider(value, min=value / 4, max=4 * value, step=value / 4, **look)
    for name, value in tolerances.items()
}
judging = [name for name, about in matrix.QUANTITIES.items() if about.better]


def reread(yardstick, **tolerances):
    found = matrix.read(lab, state, seed=seed, rows=rows, tolerances=tolerances, known=held)
    about = matrix.QUANTITIES[yardstick]
    judged, better = compare.comparable(found[yardstick], about.better), {"better": about.better}
    gained = evidence.gains(judged, rows, base, architectures, **(options | better))
    without = evidence.differences(judged, rows, base, architectures, **better)
    fig, axes = plt.subplots(1, 2, figsize=(11.5, 1.3 + 0.45 * len(rows)))
    transfer_plots.heat_map(axes[0], found[yardstick], rows, labels, form=about.form, **better)
    transfer_plots.effects(axes[1], gained, others, colours, plain=without)
    axes[0].set_title(about.label)
    axes[1].set_title(f"gain over {base}, colours as above")
    fig.suptitle(", ".join(f"{name} tolerance {value:.3g}" for name, value in tolerances.items()))
    return fig


controls.follow(reread, yardstick=Dropdown(options=judging, value=quantity), **sliders)

# %% [markdown]
# Does a row that wins by one yardstick win by all? A block that lowers the fixed-set error and not
# the own-run error has taught the model its test, not its liquid.

# %% [markdown]
# ## Does it transfer?
#
# More frames help by being more. So the gain is taken over a control, the base with more frames of
# its own kind: that of an iterated block over `iterated_control`, that of blocks made by people
# over `control`. **Transfer efficiency** (our definition) is this gain on the architecture that did
# not make the block (the receiver), divided by that on the one that did (the maker):
#
# $$\eta = \frac{g_\mathrm{receiver}}{g_\mathrm{maker}}$$
#
# 1, it transfers fully; 0, no better than more of the same; below 0, worse than that. The interval
# of the ratio is Fieller's [1]: every $\eta$ with which the two gains can be reconciled. It is
# given only if the interval of the maker's gain is above zero, for a ratio over nothing means
# nothing, and both gains stand beside it. Blocks made by people have no maker, and both directions
# are shown.

# %%
roles = {"simpler": "deep_potential", "other": "mace"}
design = evidence.Design(base, control, iterated_control, simplest, intuition, makers, **roles)
pairs = [(design.row(b), maker, design.receiver(maker)) for b, maker in makers.items()]
own_and_others = [intuition, iterated_control, *(row for row, *_ in pairs)]
by_hand = [r for r in others if set(matrix.added_blocks(lab, r, base)) <= {"scan", "molecules"}]
pairs += [(row, *pair) for row in by_hand for pair in permutations(architectures, 2)]
against = {row: design.control_of(row) for row, *_ in pairs}
efficiencies = {
    (row, against[row], maker, receiver): transfer.efficiency(
        values, row, against[row], maker=maker, receiver=receiver, **options
    )
    for row, maker, receiver in pairs
}
evidence.efficiencies(efficiencies).replace({"from": labels, "to": labels})

# %% [markdown]
# *Not given* is the usual answer of few seeds, and the last column says what is missing. The column
# *against* names the control. The next table says how many frames each row adds to the base (of an
# iterated block, those asked for), how many its control adds, and whether these are as many. Where
# a block is the smaller one, the control has an advantage, and a gain over it is the more telling;
# where it is the larger one, part of the gain may be its number.

# %%
known = [row for row in others if lab.can_train(row)]
added = {row: matrix.added_blocks(lab, row, base) for row in known}
n_added = {row: matrix.n_added(lab, row, base) for row in known}
counted = evidence.frames_table(n_added, against)
counted.rename_axis(f"beyond {base}")

# %% [markdown]
# ## Iterated, or made by hand?
#
# Both kinds of blocks may keep a liquid alive, and a liquid that lives may still be wrong. So the
# iterated rows are compared with the row that has all blocks made by people, too, in every
# yardstick. This comparison was thought of after the matrix had been seen: it takes part in no
# verdict below. Errors are given as factors: *error × 0.5* was halved.

# %%
of_iterated = [design.row(block) for block in makers]
beside = {}
for name in judging:
    judge_by = options | {"better": matrix.QUANTITIES[name].better}
    judged = compare.comparable(cells[name], judge_by["better"])
    effects = evidence.gains(judged, of_iterated, intuition, architectures, **judge_by)
    beside[name.replace("_", " ")] = {
        (row, labels[a]): compare.in_words(effect, judge_by["better"])
        for (row, a), effect in effects.items()
    }
pd.DataFrame(beside).rename_axis([f"over {intuition}", ""])

# %% [markdown]
# *Lost in the noise*: a deviation that is smaller than its own error has no useful logarithm.
# Either kind lets Deep Potential's liquid live: survival does not part them. Score and force errors
# do: on its own runs, with the iterated frames, whoever made them, the error is about a third of
# that with the blocks made by hand, and the interval is clear of one. These were made against two
# faults, of which notebook [06](06_improve_by_intuition.ipynb) finds one mended in part (the force
# on strained molecules for both architectures, their energy not for Deep Potential); for the other,
# the pressure along the scans, the gain is not clear. What else a model meets in its own liquid
# they do not hold. MACE, whose liquid lives in either case, gains too, by more than a quarter of
# its error.

# %% [markdown]
# ## Another state
#
# The matrix above is of one state of the liquid. The rows that were run at others, with their
# survival and own-run errors, which need no reference:

# %%
at_others = {}
for other in (name for name in lab.profile.liquid.states if name != state):
    found = matrix.read(lab, other, seed=seed, rows=rows, tolerances=tolerances)
    run_here = [r for (r, _), runs in found["survival"].items() if matrix.has_value({r: runs})]
    lived_and_erred = {
        "survival fraction": found["survival"],
        "own-run error between molecules / meV Å⁻¹": found["own_error"],
    }
    table = evidence.parts_table(lived_and_erred, run_here, ".2f").rename(index=labels)
    at_others[f"{other}, {lab.profile.liquid.states[other].temperature_K:g} K"] = table
pd.concat(at_others) if at_others else print("not run: the profile has one state")

# %% [markdown]
# Means over seeds with their standard errors; in brackets, how many seeds are not whole, or that
# there is one. Errors are those of whole runs.

# %% [markdown]
# ## Why: what the blocks cover
#
# Could one have known before training which block helps? Each atom is described by its surroundings
# alone (QUESTS [2]): a vector $x$ of damped inverse distances (Å⁻¹) to its neighbours and among
# them, without any model.
# An atom is *covered* by a set $Y$ if enough atoms $y$ of its element are near,
#
# $$-\ln \sum_{y \in Y} \exp\left( -\frac{|x - y|^2}{2 h^2} \right) \leq 0 ,$$
#
# and the **overlap** of two sets is the share of the atoms of one that the other covers. The width
# $h$ of 0.04 Å⁻¹ is ours; QUESTS takes 0.015 Å⁻¹, at which sets of a hot liquid hardly overlap
# (printed above the figure).

# %%
blocks = dict.fromkeys([base, *lab.profile.blocks, *makers])
stored = [lab.block(name) for name in blocks if lab.has(lab.block(name))]
frames = lab.each(stored, lab.frames_of)
environments = {name: overlap.descriptors(found) for name, found in frames.items() if found}
rng = np.random.default_rng(seed)
draws = np.array([overlap.overlap_matrix(environments, rng=rng) for _ in range(5)])
covered, scatter = draws.mean(axis=0), draws.std(axis=0, ddof=1)
fig, ax = plt.subplots(figsize=(2.2 + 0.65 * len(covered), 1.6 + 0.6 * len(covered)))
transfer_plots.overlap(ax, list(environments), covered)
lab.save(fig, "overlap")
names = list(environments)
for name in (name for name in names if name != base):
    place = names.index(name), names.index(base)
    share = summaries.plus_minus(100 * covered[place], 100 * scatter[place])
    print(f"{base} covers {share} % of the atoms of {name}")
if "classical_more" in environments:
    pair = {n: environments[n] for n in (base, "classical_more")}
    narrow = [overlap.overlap_matrix(pair, rng=rng, bandwidth=0.015)[0, 1] for _ in range(5)]
    share = summaries.plus_minus(100 * np.mean(narrow), 100 * np.std(narrow, ddof=1))
    print(f"at 0.015 Å⁻¹ classical_more covers {share} % of the atoms of {base}")

# %% [markdown]
# Read a row from left to right: how much of this set the others already know, at equal numbers of
# atoms. Two sets of one kind (the base and its control) show how much is the most that can be
# expected: even these cover each other in part only, for a hot liquid is never the same twice. At
# most 1000 atoms of each element are drawn from a set: shares are means of five draws, and behind ±
# in the lines above stands how much one draw scatters, as between this figure and notebook
# [01](01_build_liquids.ipynb).

# %% [markdown]
# **Novelty** is the distance, in that space, from the atoms of a block's frames to the nearest atom
# of the base, on average. Does it predict what the block is worth?

# %%
new = {
    block: overlap.novelty(environments[block], environments[base]).mean
    for block in environments
    if block != base
}
novelty = {
    row: float(np.mean(np.concatenate([new[block] for block in blocks])))
    for row, blocks in added.items()
    if set(blocks) <= new.keys() and base in lab.blocks_of(row)
}
fig, ax = plt.subplots(figsize=(8.5, 4.2))
transfer_plots.novelty_against_gain(ax, novelty, gains, plain, labels)
ax.set_ylabel(f"gain over {base}\n({unit})")
lab.save(fig, "novelty", state=state, quantity=quantity)

# %% [markdown]
# A point for each architecture and row that adds whole blocks to the base, its marker tells the row
# (those of equal novelty stand a little apart); the bar is the interval of the gain, a hollow point
# has none. If novelty were worth something by itself, the points of one colour would rise to the
# right. In numbers, by the rank correlation (Spearman's, from -1 to 1, with its interval [3]):

# %%
for name, label in labels.items():
    points = [(novelty[row], plain[row, name]) for row in novelty if (row, name) in plain]
    x, y = np.transpose(points) if points else ([], [])
    rank = verdicts.rank_correlation(x, y, rng=np.random.default_rng(seed), confidence=confidence)
    print(f"{label}, rank correlation: {rank}; novelty predicts gain: {rank.finding.verdict}")

# %% [markdown]
# The test goes through all orders of the points, so at 95 % it cannot say yes with fewer than five.
# The rows add different numbers of frames, too. And novelty alone need not be good: noise is novel.

# %% [markdown]
# ## How much of the base is enough?
#
# A block is worth labels only if more of the base would not do. Models of the first frames of the
# base, trained for the same time, show how far it is from exhausted.

# %%
scan = {f"{base}.{n}": n for n in sizes if n < lab.recipe(base).frames}
scan[base] = lab.recipe(base).frames
few = matrix.read(lab, state, seed=seed, rows=list(scan), tolerances=tolerances)
fig, axes = plt.subplots(1, 2, figsize=(10.5, 3.8))
for name, ax in zip(("fixed_error", "own_error"), axes, strict=True):
    transfer_plots.size_scan(ax, few[name], scan, labels)
    ax.set_ylabel(matrix.QUANTITIES[name].label)
    plots.logarithmic(ax)
axes[0].legend()
lab.save(fig, "sizes", state=state)

# %% [markdown]
# Left: on the fixed set. Right: on the own runs, of stable models only. Both axes are logarithmic,
# and a bar is a standard error over the seeds, where there is more than one. A curve that still
# falls at its right end: more frames of the same kind would help; one that is flat there is near
# what this kind can teach. A size that was not run has no point, nor has on the right one
# without a run that lived to its end. Both errors between molecules and
# how much of the planned time was lived, means over the seeds with their standard errors:

# %%
told = {
    "fixed_error": "fixed set / meV Å⁻¹",
    "own_error": "own runs / meV Å⁻¹",
    "survival": "lived, part of the planned time",
}
for row, n in scan.items():
    for name, label in labels.items():
        said = []
        for what, words in told.items():
            found = transfer.cell(few[what], row, name)
            mean = "no value" if found.mean is None else f"{found.mean:.3g}"
            error = "" if found.error is None else f" ± {found.error:.2g}"
            said.append(f"{words} {mean}{error}")
        print(f"{n} frames, {label}: {'; '.join(said)}")

# %% [markdown] tags=["findings"]
# So, at `laptop`: from 100 to 150 frames nothing falls clearly. On the fixed set MACE goes from 15
# to 14.9 ± 0.14 meV/Å, Deep Potential from 21.1 to 21.9 ± 0.83; on its own runs MACE goes from 18
# to 20.9 ± 3.3 (one model of 100 frames, so that its errors are not known). Deep Potential's
# liquids ended early at every size, so it has no curve on the right. Nor do 300 frames, the row
# `classical+classical_more`, score clearly better (first rows of the table of gains). That is no
# proof that more of `classical` would do nothing; in this training time a gain of it is not seen.

# %% [markdown]
# ## The paper's claims
#
# Now the matrix is held against the abstract of [4]. Each verdict follows from a rule that is fixed
# before looking: the effect is written so that it is positive if the claim is true.
#
# - *Supported*: the whole interval is above zero.
# - *Not supported*: the whole of it is below.
# - *Undecided*: it holds zero, or rows are missing. That is no verdict on the claim, but on what
#   the stored results can tell.
#
# Where a claim needs one effect among several, their intervals are widened for their number, since
# one of many looks clear by chance (Bonferroni: of $k$ intervals each has the confidence
# $1 - (1 - c)/k$, with the $c$ of the parameters cell; rows that were not run count in $k$). One
# above zero then supports it, and all below refute it. Where a claim needs all of $k$, all plain
# intervals above zero support it; to refute it one must lie below zero with its interval widened
# in the same way, since one of many is below by chance, too. The evidence shows plain intervals
# there; the table says which are widened, and for how many.

# %%
errors = cells["own_error"], cells["fixed_error"]
claims = evidence.claims(values, errors, rows, design, **options)
evidence.claims_table(claims, labels)

# %% [markdown]
# Effects are in the unit of the quantity chosen above; of an error, in its logarithm. The
# preprint's row is a plain difference of intermolecular force errors, in meV/Å. The claims are
# those of the paper's abstract, numbered in their order there, and one of its preprint's, in our
# words; the rules are ours, for what the paper calls "well" or "correctly" is not known to us in
# numbers. Claim 5b is read strictly: what one model generated is to help it *more* than the other,
# which it may help, too. A difference of either sign supports claim 2, so it can be left open but
# not refuted. The abstract claims more than a matrix can tell:

# %%
known = cells["fixed_error"].items()
tried = {key for key, runs in known if any(run.value is not None for run in runs)}
n_both = sum({(row, name) for name in labels} <= tried for row in rows)
elsewhere = {
    "1. Data made for one architecture can be tried with another.": f"done here: {n_both} of "
    f"{len(rows)} training sets by both architectures",
    "3. There is a simple metric of performance.": "notebook 05: ours; the paper's is not known",
    "6. Foundation models usually need data of the system.": "notebook 09",
    "7. Stability is kept for new shapes of molecules, not for new chemistry.": "notebook 10",
    "8. Training sets can be enhanced at little cost, with foundation models.": "notebook 09: "
    "labels that fine-tuning saves; the cost of a block: crosstrain plan",
}
pd.DataFrame(elsewhere.items(), columns=["claim, in our words", "where it is looked at"])

# %% [markdown]
# A verdict holds for the yardstick that it was measured with. The others need not agree, for they
# ask other things: a liquid that lives may have the wrong density. The verdict is the one above.
# Its yardstick follows a rule fixed beforehand: the score if a reference is trusted, else the
# own-run error. If any of several yardsticks could decide, one would by chance. (The preprint's
# claim compares two errors and has no other yardstick.)


# %%
def judged_by(name):
    asked = options | {"better": matrix.QUANTITIES[name].better}
    judged = compare.comparable(cells[name], asked["better"])
    found = evidence.claims(judged, errors, rows, design, **asked)
    return {claim.number: claim.finding for claim in found}


judged = pd.DataFrame({name: judged_by(name) for name in judging}).drop("preprint")
units = {"\n": " ", "$^{-1}$": "⁻¹", "$^{-3}$": "⁻³"}  # of figures; a table has no formulas
plain_words = {name: matrix.QUANTITIES[name].label for name in judging}
for written, plainly in units.items():
    plain_words = {name: text.replace(written, plainly) for name, text in plain_words.items()}
judged.map(lambda finding: finding.verdict.value).rename(columns=plain_words)

# %% [markdown]
# The preprint's claim can be looked at in other ways. The rule above compares the two errors on
# the simplest set only. Over all models whose liquids lived, which was counted after the rule had
# been fixed (the error of a median is that of resampling the models as if they were independent):

# %%
for name, label in labels.items():
    keys = [(row, name) for row in rows]
    runs = [zip(cells["own_error"][k], cells["fixed_error"][k], strict=True) for k in keys]
    whole = [
        (one, other) for each in runs for one, other in each if one.state is transfer.State.DONE
    ]
    ratios = [one.value / other.value for one, other in whole if other.value is not None]
    worse = sum(ratio > 1 for ratio in ratios)
    middle = ""
    if len(ratios) > 1:
        middle = f", the middle one {summaries.resampled(np.median, ratios, seed=seed)} times"
    print(f"{label}: {worse} of {len(ratios)} err more on their own runs than on the set{middle}")

# %% [markdown]
# And does the error on the fixed set tell how long a liquid lives? Over all models of an
# architecture, whatever they were trained on:

# %%
for name, label in labels.items():
    keys = [(row, name) for row in rows]
    both = [
        (one.value, other.value)
        for key in keys
        for one, other in zip(cells["fixed_error"][key], cells["survival"][key], strict=True)
        if None not in (one.value, other.value)
    ]
    x, y = np.transpose(both) if both else ([], [])
    rank = verdicts.rank_correlation(x, y, rng=np.random.default_rng(seed), confidence=confidence)
    print(f"{label}, fixed-set error against survival: rank correlation {rank}")
    for error, survival in sorted(both):
        print(f"  {error:5.1f} meV/Å between molecules: lived {survival:.2f} of the planned time")

# %% [markdown]
# An interval that holds zero: whether the fixed set tells cannot be said from these models. Where
# all models lived to the end there is nothing to correlate. Seeds of one set are no independent
# points.
#
# ## What we found

# %%
print(f"measured in {quantity} at {state}, {n_stored} models, intervals of {confidence:.0%}")
for claim in claims:
    print(f"{claim.number}. {claim.text} {str(claim.finding).capitalize()}.")
clear = judged.drop(columns=quantity).stack()
for (number, name), finding in clear[clear.map(lambda finding: finding.is_clear)].items():
    print(f"  {number} by {name}, another yardstick: {finding.verdict}")
for row, one in counted[counted["which adds"] != "-"].iterrows():
    print(f"{row} adds {one['adds frames']} frames, {one['compared with']} {one['which adds']}")
for name, label in labels.items():
    lived = {row: transfer.cell(cells["survival"], row, name).mean for row in own_and_others}
    said = ", ".join(f"{row} {part:.2f}" for row, part in lived.items() if part is not None)
    print(f"{label}, part of the planned time lived, on {said}")
clear = [f"{row} for {labels[a]}" for (row, a), e in gains.items() if verdicts.of_one(e).is_clear]
print("rows whose gain over the base is clear of zero:", ", ".join(clear) or "none")
for row, name in product([*simplest, control, *own_and_others], labels):
    found = transfer.cell(cells[quantity], row, name)
    if None not in (found.mean, found.error):
        print(f"{labels[name]}, {quantity} on {row}: {found.mean:.2f} ± {found.error:.2f}")
halves = [(e.upper - e.lower) / 2 for e in gains.values() if isinstance(e, transfer.Contrast)]
if halves:
    seen = f"{min(halves):.2f} to {max(halves):.2f}"
    print(f"half widths of these gains' intervals: {seen}; a smaller gain cannot be told from none")

# %% [markdown] tags=["findings"]
# **In words**, of the results stored for `laptop`, by the liquid score. *Which kind of data helps
# which architecture?* Frames from iteration help Deep Potential, whoever chose them: over
# `classical` its score gains +0.553 (+0.262 to +0.844) with its own and +0.712 (+0.35 to +1.07)
# with those of MACE. What it gains with the blocks made by hand is unclear, +0.0877 (-0.159 to
# +0.334), though its liquid lives with them, too. No set is clearly better for MACE than
# `classical`; over their control the blocks made by hand lower its score, -0.465 (-0.877 to
# -0.0526), as an effect that is looked at alone. With scans alone neither gains clearly: +0.229
# (-0.0994 to +0.557) for Deep Potential, +0.0391 (-0.394 to +0.472) for MACE. With strained
# molecules alone neither gains, either: -0.00997 (-0.174 to +0.154) and -0.297 (-0.597 to
# +0.00255); over the control they cost MACE as much as both blocks do, -0.475 (-0.858 to -0.0921).
#
# *Does what was made by one serve the other?* MACE's frames serve Deep Potential: +0.703 (+0.363 to
# +1.04) over as many classical ones, clearly more than they give MACE itself (MACE's gain less Deep
# Potential's is -0.707 (-1.34 to -0.0782), with an interval that is widened for two). Of Deep
# Potential's frames nothing can be said: they give MACE +0.121 (-0.492 to +0.733).
#
# Four verdicts need a second look. *MACE does well with the simplest sets* (4a) says *better than
# Deep Potential*, whose liquids died; MACE's own scores, 0.46 ± 0.12 and 0.44 ± 0.13 of 1, are not
# good, and notebook [07](07_improve_by_iteration.ipynb) finds its density on `classical` too thin
# by 0.076 ± 0.029 g/cm³, almost four tolerances. *Needs iterative training* (4b): the control has
# as many frames, but they are of other states, for in `classical` temperature and density rise
# together, and in the iterated frames they do not (notebook 07). Whether choice by a committee
# helps, or any frames off that line, is not told; that would take a control with both drawn at
# random. *Intuition transfers* (5a) is undecided for the liquid: what speaks against it is MACE's
# loss against the control, -0.465 (-0.877 to -0.0526), which is no longer clear once it is known to
# be one of two effects looked at, and over `classical` it is -0.287 (-0.623 to +0.0485); by the
# error on the fixed set the claim is refuted, and of the deficiencies that the blocks were made for
# notebook [06](06_improve_by_intuition.ipynb) finds one mended in part. And *no help by the other's
# frames* (5b) is undecided as our rule puts it, which asks that they help their maker *more*; what
# they give the other architecture stands above, and one direction is open.

# %% [markdown]
# ## Limits
#
# Few seeds make wide intervals: undecided does not mean that there is no effect. All sets were
# trained for the same time, so a larger set is seen fewer times, and twice that time would lower
# the errors of both architectures (notebook [03](03_train_two_architectures.ipynb)). Where an
# architecture's liquid does not live, an error on its own run has no value, and the comparison is
# lost rather than won; survival sees it. A gain over a control is at equal numbers of frames only
# where the table of frames says so: at the size of `laptop` for the iterated blocks, and not for
# `scan` and `molecules`, alone or together. Without a reference liquid nothing here says whether a
# liquid that lives is the right one; a score, where there is one, says more of life and density
# than of structure, for many deviations of radial distribution functions are within the noise. Each
# block was drawn once: the intervals are over the seeds of the training, so they hold for these
# frames, and another draw of the same kind may be worth more or less. With the seeds there are,
# only large gains can be seen (*half widths* above). How the noise of runs is counted and enters
# the intervals, and which models sample the reference and with which weights, was mended after the
# matrix had been seen, for reasons that stand in notebook [05](05_score_models.ipynb) and in the
# changelog, not for the verdicts; but with the last of these changes, by the score, 4a became
# *supported* and 5a *not supported*, both undecided until then. After that the rule was corrected,
# so that one of $k$ effects refutes only with its widened interval, and 5a is undecided again. That
# a liquid lives does not single out iteration either: it lives with the blocks made by hand, too.
# And an effect in one small liquid at one state is not one in all.
#
# **Try it.** In the table of yardsticks, which verdicts would a fixed test set alone have given?
# Set `quantity = "survival"` to see the effects behind its verdicts. Then set `confidence = 0.8`:
# which verdicts appear, and how many of them would you expect to be wrong?
#
# ## Next
#
# [09_compare_foundation_models](09_compare_foundation_models.ipynb): models that others have
# trained on very much more. `crosstrain plan` shows how far this matrix is, and `crosstrain study`
# fills it.
#
# ## References
#
# 1. B. L. Welch, *Biometrika* 1947, 34, 28, and E. C. Fieller, *J. R. Stat. Soc. B* 1954, 16,
#    175: intervals of gains and of their ratio.
# 2. D. Schwalbe-Koda et al., *Nat. Commun.* 2025, 16, 4014: QUESTS.
# 3. D. G. Bonett, T. A. Wright, *Psychometrika* 2000, 65, 23: interval of a rank correlation.
# 4. S. P. Niblett et al., *J. Chem. Theory Comput.* 2025, 21, 6096: the claims.

# %% [markdown]
# ## Colophon

# %% tags=["hide-output"]
lab.colophon()
