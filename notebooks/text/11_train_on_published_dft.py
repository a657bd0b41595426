# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train on DFT data that others published
#
# **Question.** Do the two architectures rank the same on DFT labels as on those of the embedded
# reference method, and do they give the right density?
#
# **What you will do.** Train both on published DFT frames of the same liquid, test them on whole
# blocks that they have not seen, do it all again with other labels of the *same* frames, and
# compare densities with experiment and with the group that made the data.
#
# **What you will learn.** Why a set must be split by blocks, how far a model extrapolates to hot
# and dense liquids, and whether a cheap reference method is a fair judge of architectures.
#
# **You need** notebooks [02](02_label_with_a_reference.ipynb) for the two methods and
# [03](03_train_two_architectures.ipynb) for the training; and the published file, which is not part
# of this project: README.md says how to get it (`CROSSTRAIN_PUBLISHED`). Without it, or without a
# section `published` in the profile, this page says *skipped* and holds the text alone.
#
# **Run time.** `laptop` and `smoke`: a minute from stored results. To compute them takes minutes
# for `smoke` and hours for `laptop`.
#
# **Files made.** Figures `11_train_on_published_dft__set`, `__blocks`, `__sizes`, `__labels` and
# `__density`.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crosstrain.data import dft, figures, plots, published, summaries
from crosstrain.potentials import protocol
from crosstrain.study import DFT, DFT_LABELS, Study

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
component: str = "total"  # force error that decides who wins: total, translation, rotation, ...
confidence: float = 0.95  # of all intervals and verdicts
seed: int = 0  # of the random choices behind intervals

# %%
figures.use_style()
pd.set_option("display.max_colwidth", None)
lab = Study(profile, notebook="11_train_on_published_dft")
asked = lab.profile.published
try:
    published.path(DFT, download=False)
except published.NotAvailable as error:
    print(error)
    raise SystemExit(0) from None
if asked is None:
    print(f"skipped: profile {profile!r} does not ask for published data (section 'published')")
    raise SystemExit(0)
labels = {name: protocol.architecture(name).LABEL for name in lab.profile.training.architectures}
colours = {label: figures.colour(name) for name, label in labels.items()}
methods = dict(zip(DFT_LABELS, (published.DFT_METHOD, lab.profile.reference.method), strict=True))

# %% [markdown]
# ## Why other people's data?
#
# Everything so far rests on one cheap reference method and on sets of this project's making. If the
# comparison of the two architectures were an artefact of either, one would not know. The published
# frames of the group's own liquid differ in both: labels by DFT, and frames that this project had
# no hand in. And only with them can a density be compared with experiment [3], and with what the
# group found [2].
#
# ## The published set
#
# Frames of liquid EC and EMC with energy, forces and virial [1], in blocks of one preparation each:
# first at fixed volume, from low temperature up, then at varied volume and higher temperature.
# Temperature and density rise together, as in this project's set `classical`. The file does not
# name its level of theory; that of the paper it belongs to is likely.

# %%
frames = lab.frames_of(lab.dft_frames("dft"))
about = pd.DataFrame(
    {
        "block": [frame.info["block"] for frame in frames],
        "temperature / K": [frame.info["temperature_K"] for frame in frames],
        "density / g cm$^{-3}$": [dft.density_g_cm3(frame) for frame in frames],
    }
)
fig, ax = plt.subplots(figsize=(6.5, 4))
dots = ax.scatter(about.iloc[:, 1], about.iloc[:, 2], c=about["block"], cmap="viridis")
fig.colorbar(dots, label="block")
ax.set(xlabel=about.columns[1], ylabel=about.columns[2])
lab.save(fig, "set")
per_block = about["block"].value_counts()
print(f"{len(frames)} frames, {', '.join(sorted({f.info['composition'] for f in frames}))}")
print(f"{len(per_block)} blocks of {per_block.min()} to {per_block.max()} frames")
print(f"{about.iloc[:, 1].min():g} to {about.iloc[:, 1].max():g} K")

# %% [markdown]
# One dot for each frame, its colour the block. Hot frames are dense ones, so a split by blocks is
# one by temperature and density at once.
#
# ## Splits
#
# Frames of one block come from one preparation and are alike. Divided at random, a test would ask
# for what was nearly seen, and any model would look good. So a block trains, validates or tests as
# a whole. A split that trains on the cool blocks and tests on the hot ones asks for extrapolation,
# one that has both ends asks for interpolation:

# %%
pd.DataFrame(
    {name: dft.roles(split) for name, split in asked.splits.items()}
).sort_index().transpose()

# %% [markdown]
# ## The models
#
# A model of each architecture for each split, for each kind of labels, and for fewer frames. The
# hyperparameters are those of the study, the same computing time for each. The two kinds of labels
# never meet in one training set, and the energies of isolated atoms go with the labels.

# %%
models = lab.dft_models()
records = lab.each(list(models.values()), lambda step: lab.read(step, "training.json"))
pd.DataFrame.from_dict({n: summaries.training(r) for n, r in records.items()}, orient="index")

# %%
steps = {key: lab.evaluated(m, lab.dft_frames(key[1])) for key, m in models.items()}
said = lab.each(list(steps.values()), lab.predicted)
tables = {
    key: dft.block_errors(said[step.name], asked.splits[key[2]]) for key, step in steps.items()
}

# %% [markdown]
# ## Errors by block
#
# How much worse is a model where it has not been? Each error is relative to the size of that part
# of the force in the block, so that hot blocks, where all forces are larger, do not look worse by
# that alone.


# %%
def of_split(kind, split):
    return {label: tables[name, kind, split, None] for name, label in labels.items()}


shape = (len(asked.splits), len(dft.COMPONENTS))
size = (4.2 * shape[1], 3.6 * shape[0])
fig, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharey=True)
for split, line in zip(asked.splits, axes, strict=True):
    for part, ax in zip(dft.COMPONENTS, line, strict=True):
        dft.by_block(ax, of_split("dft", split), part, colours)
        ax.set_title(f"{part}, split {split}")
        plots.logarithmic(ax)
    line[0].set_ylabel("force error / % of the component")
plots.set_legend(fig, colours)
lab.save(fig, "blocks")

# %% [markdown]
# A row for each split, a column for each part of the force, blocks from cool to hot. Filled: test
# blocks. Hollow circles: trained on; hollow squares: validation. A step up from hollow to filled is
# the price of extrapolation.
#
# In numbers, the means over the test blocks: force errors by part in percent, force RMSE in meV/Å
# and pressure RMSE in kbar.

# %%
columns = [*dft.COMPONENTS, "force_meV_A", "pressure_kbar"]
tested = {key: table[table["role"] == dft.TEST] for key, table in tables.items()}
n_frames = {key: records[model.name]["n_training"] for key, model in models.items()}
means = {
    (labels[name], methods[kind], split, n_frames[name, kind, split, size]): table[columns].mean()
    for (name, kind, split, size), table in tested.items()
}
pd.DataFrame.from_dict(means, orient="index").round(1)

# %% [markdown]
# ## From low to high
#
# What does it cost to know only the cooler, thinner liquid? Where two splits test the same blocks,
# the factor is the error with one split divided by that with the first: above 1, the first knows
# more of what these blocks ask for.

# %%
first, *others = asked.splits
for split in others:
    for name, label in labels.items():
        far, near = (tested[name, "dft", s, None].set_index("block") for s in (split, first))
        both = far.index.intersection(near.index)
        factors = (far.loc[both, component] / near.loc[both, component]).round(2)
        print(f"{label}: error of {split} / error of {first}, by block: {factors.to_dict()}")
if not others:
    print(f"not to be had: this profile has the one split {first!r}")

# %% [markdown]
# ## Learning curves
#
# How many labels of DFT are needed? Fewer frames, spread evenly over the training blocks, trained
# for the same time.

# %%
whole = n_frames[next(iter(labels)), "dft", first, None]
sizes = {n: n for n in asked.sizes} | {whole: None}
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8))
for part, ax in zip(("force_meV_A", "pressure_kbar"), axes, strict=True):
    for name, label in labels.items():
        curve = [tested[name, "dft", first, size][part].mean() for size in sizes.values()]
        ax.plot(list(sizes), curve, "o-", color=colours[label])
    ax.set_xlabel("training frames")
    ax.set_xticks(list(sizes))
    plots.logarithmic(ax)
axes[0].set_ylabel("force RMSE on test blocks / meV Å$^{-1}$")
axes[1].set_ylabel("pressure RMSE / kbar")
plots.set_legend(fig, colours)
lab.save(fig, "sizes")

# %% [markdown]
# Force error (left) and pressure error (right) on the test blocks, one training for each point. A
# curve that still falls at its right end would fall on with more frames.
#
# ## The same frames, other labels
#
# The control experiment of this notebook. The same frames are labelled by the reference method of
# the study, and both architectures are trained again; each model is judged by its own kind of
# labels. If the two architectures compare alike on both, the cheap reference has been a fair judge
# between them on these frames, whatever it is worth as chemistry.

# %%
shape = (len(asked.splits), len(DFT_LABELS))
size = (5.6 * shape[1], 3.6 * shape[0])
fig, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharey=True)
for split, line in zip(asked.splits, axes, strict=True):
    for kind, ax in zip(DFT_LABELS, line, strict=True):
        dft.by_block(ax, of_split(kind, split), component, colours)
        ax.set_title(f"{methods[kind]}, split {split}", fontsize=10)
        plots.logarithmic(ax)
    line[0].set_ylabel(f"force error, {component} / %")
plots.set_legend(fig, colours)
lab.save(fig, "labels", component=component)

# %% [markdown]
# Left: models of DFT labels. Right: models of the reference method's labels. A row for each split,
# filled symbols are test blocks. Compare not the heights but the *order* of the colours.
#
# **Who wins?** On each of the $n$ test blocks $b$ the logarithm of the ratio of the two errors
# $\epsilon$, its mean and Student's t interval from the scatter $s$ of the blocks,
#
# $$\bar r = \frac{1}{n} \sum_b \ln \frac{\epsilon_{1,b}}{\epsilon_{2,b}} , \qquad
# \bar r \pm t_{n-1} \frac{s}{\sqrt{n}} .$$
#
# An interval that holds zero has no winner. *The method of the labels changes who wins*: supported
# if both methods have a winner and these differ, not supported if they agree, else undecided.

# %%
one, other = labels
options = {"rng": np.random.default_rng(seed), "confidence": confidence}
winners, findings = {}, {}
for split in asked.splits:
    for kind in DFT_LABELS:
        pair = [tables[name, kind, split, None] for name in (one, other)]
        ratios = dft.log_ratios(*pair, component)
        effect = dft.mean_effect(ratios, **options)
        winners[split, kind] = dft.winner(effect, labels[one], labels[other])
        factor = f"error of {labels[one]} / {labels[other]} {np.exp(ratios.mean()):.2f}"
        print(f"{split}, {methods[kind]}: {factor}, winner {winners[split, kind]}")
    mine = [winners[split, kind] for kind in DFT_LABELS]
    findings[split] = dft.winner_changes(mine, list(labels.values()))

# %% [markdown]
# ## Density
#
# Errors on frames, once more, are not the liquid. Here it is at constant pressure, with the models
# of one split. Where the profile asks for the group's state, hot and at 1 atm, EMC is above its
# boiling point: a small box may boil within the run, so that one is larger. Densities with a
# standard error from the independent samples of the run; a run that ended early has none.

# %%
runs = lab.dft_runs()
observed = lab.each(list(runs.values()), lambda step: lab.read(step, "observed.json"))
rows = {}
for (name, kind, liquid), step in runs.items():
    at = asked.liquids[liquid]
    state = f"{at.temperature_K:g} K, {at.pressure_bar:g} bar"
    row = dft.density_row(observed[step.name])
    rows[state, methods[kind], labels[name]] = row
pd.DataFrame.from_dict(rows, orient="index")

# %%
tracks = lab.each([step.inputs["trajectory"] for step in runs.values()], lab.trajectory)
shape = (1, len(asked.liquids))
fig, axes = plt.subplots(*shape, figsize=(6 * shape[1], 4), squeeze=False)
panels = dict(zip(asked.liquids, axes[0], strict=True))
for (name, kind, liquid), step in runs.items():
    seen, track = observed[step.name], tracks[step.name]
    trace = track.thermo["time_ps"], summaries.densities_g_cm3(track)
    style = {"colour": colours[labels[name]], "ended": seen["status"] != "completed"}
    start = seen.get("equilibrated_ps") if kind == "dft" else None
    plots.density_trace(panels[liquid], *trace, equilibrated_ps=start, **style)
for liquid, ax in panels.items():
    known = dft.known_density(asked.liquids[liquid].temperature_K)
    if known is not None:
        ax.axhline(known[0], color=figures.REFERENCE_COLOUR, linewidth=1)
    ax.set(title=f"{asked.liquids[liquid].temperature_K:g} K", xlabel="time / ps")
axes[0, 0].set_ylabel("density / g cm$^{-3}$")
plots.set_legend(fig, colours)
lab.save(fig, "density")

# %% [markdown]
# A trace for each model. Strong: models of DFT labels, after equilibration (a dotted line marks its
# end); pale: before it, and models of the reference's labels. Black: the density that is known,
# from experiment or from the group. A cross: the run ended early.

# %% [markdown]
# ## What we found

# %%
for split, finding in findings.items():
    print(f"split {split}: that the method of the labels changes who wins is {finding}")
for liquid, at in asked.liquids.items():
    print(f"{liquid}, known density / g cm⁻³: {dft.known_density(at.temperature_K)}")
    for (name, kind, of), step in runs.items():
        row = dft.density_row(observed[step.name])
        if of == liquid:
            print(f"  {labels[name]}, {methods[kind]}: {row['density / g cm⁻³']}, {row['ended']}")

# %% [markdown]
# ## Limits
#
# The level of theory of the labels is likely, not known, and the group's density comes from its
# full set, of which these frames are no more than a part, by a model far larger than ours. One seed
# of each model: intervals over blocks say how other blocks may do, not how other seeds. Runs are
# short beside the group's nanosecond, and a liquid above its boiling point may hold for longer than
# they last.
#
# **Try it.** Set `component = "translation"`: the part that holds the molecules at their distance.
# Does the same architecture win? With `profile = "smoke"` every step runs in minutes, on a few of
# the frames.
#
# ## Next
#
# [12_bring_your_own](12_bring_your_own.ipynb): the same chain for a liquid, or an architecture, of
# your own.
#
# ## References
#
# 1. I.-B. Magdău et al., *npj Comput. Mater.* 2023, 9, 146, and the repository imagdau/Tutorials
#    (MIT licence): the frames.
# 2. Svahn et al., *J. Chem. Theory Comput.* 2026, 22, 3660 (doi 10.1021/acs.jctc.5c02043): the
#    group's density.
# 3. Wang et al. 2022, doi 10.1016/j.xcrp.2022.101047: measured densities.

# %% [markdown]
# ## Colophon

# %% tags=["hide-output"]
lab.colophon()
