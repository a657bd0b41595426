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
# **Question.** Do the two architectures rank the same on DFT labels as on those of GFN2-xTB,
# and do they give the right density?
#
# **What you will do.** Train both on published DFT frames of the same liquid, test them on whole
# groups of frames that they have not seen, do it all again with other labels of the *same* frames,
# and compare densities with experiment and with what the group that made the data found.
#
# **What you will learn.** Why a set must be split by blocks, how far a model extrapolates to hot
# and dense liquids, and whether a cheap reference method is a fair judge of architectures.
#
# **You need** notebooks [02](02_label_with_a_reference.ipynb) for the two methods and
# [03](03_train_two_architectures.ipynb) for the training; and the published file, which is not part
# of this project: README.md says how to get it (`CROSSTRAIN_PUBLISHED`). Without it, or without a
# section `published` in the profile, this page says *skipped* and holds the text alone. Without the
# file, `crosstrain render` leaves a page that is stored with results as it is.
#
# **Run time.** `laptop` and `smoke`: a minute from stored results. To compute them takes minutes
# for `smoke` and hours for `laptop`.
#
# **Files made.** Figures `11_train_on_published_dft__set`, `__blocks`, `__sizes`, `__labels` and
# `__density`.

# %%
from itertools import pairwise

import matplotlib.pyplot as plt
import pandas as pd
from crosstrain.data import dft, figures, plots, published, summaries
from crosstrain.potentials import protocol
from crosstrain.study import DFT, DFT_LABELS, Study

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
component: str = "total"  # that decides who wins: total, translation, rotation, vibration
confidence: float = 0.95  # of all intervals and verdicts

# %%
figures.use_style()
pd.set_option("display.max_colwidth", None)
if component not in dft.COMPONENTS:
    raise ValueError(f"component {component!r}; allowed are {', '.join(dft.COMPONENTS)}")
lab = Study(profile, notebook="11_train_on_published_dft")
asked = lab.profile.published
if asked is None:
    print(f"skipped: profile {profile!r} does not ask for published data (section 'published')")
    raise SystemExit(0)
try:
    published.path(DFT, download=False)
except published.NotAvailable as error:
    print(error)
    raise SystemExit(0) from None
labels = {name: protocol.architecture(name).LABEL for name in lab.profile.training.architectures}
colours = {label: figures.colour(name) for name, label in labels.items()}
methods = dict(zip(DFT_LABELS, (published.DFT_METHOD, lab.profile.reference.method), strict=True))
dashes = dict(zip(DFT_LABELS, ("-", "--"), strict=True))

# %% [markdown]
# ## Why other people's data?
#
# Everything so far rests on one cheap reference method and on sets of this project's making. If the
# comparison of the two architectures were an artefact of either, one would not know. The published
# frames of the group's own liquid differ in both: labels by DFT, and frames that this project had
# no hand in. And only with them can a density be compared with experiment [1], and with what the
# group found [2].
#
# ## The published set
#
# Frames of liquid EC and EMC with energy, forces and virial [3], in blocks of one preparation each:
# first at fixed volume, from low temperature up, then at varied volume and higher temperature.
# Temperature and density rise together, as in this project's set `classical`. The file does not
# name its level of theory; that of the paper it belongs to, PBE-D2, is likely (by CASTEP, a DFT
# program with plane waves).

# %%
frames = lab.frames_of(lab.dft_frames("dft"))
about = pd.DataFrame(
    {
        "block": [frame.info["block"] for frame in frames],
        "temperature / K": [frame.info["temperature_K"] for frame in frames],
        "density / g cm⁻³": [dft.density_g_cm3(frame) for frame in frames],
    }
)
fig, ax = plt.subplots(figsize=(6.5, 4))
twin = about["block"] - about.groupby("temperature / K")["block"].transform("mean")
place = about["temperature / K"] + 30 * twin  # so that blocks of one temperature are apart
dots = ax.scatter(place, about.iloc[:, 2], c=about["block"], cmap="viridis", marker="h")
fig.colorbar(dots, label="block")
ax.set(xlabel=about.columns[1], ylabel=about.columns[2])
lab.save(fig, "set")
per_block = about["block"].value_counts()
print(f"{len(frames)} frames, {', '.join(sorted({f.info['composition'] for f in frames}))}")
per = " to ".join(map(str, sorted({per_block.min(), per_block.max()})))
print(f"{len(per_block)} blocks of {per} frames")
print(f"{about.iloc[:, 1].min():g} to {about.iloc[:, 1].max():g} K")

# %% [markdown]
# One point for each frame, its colour the block; frames of one temperature and volume lie on each
# other, and the two blocks of one temperature stand a little beside it. Hot frames are dense ones,
# so a split by blocks is one by temperature and density at once.
#
# ## Splits
#
# Frames of one block come from one preparation and are alike. Divided at random, a test would ask
# for what was nearly seen, and a model would look better than it is. So a block trains, validates
# or tests as a whole. A split that trains on the cool blocks and tests on the hot ones asks for
# extrapolation, one that has both ends asks for interpolation. Each block with its mean density:

# %%
of_blocks = about.groupby("block").mean().round(2)
for name, split in asked.splits.items():
    of_blocks[f"split {name}"] = pd.Series(dft.roles(split))
of_blocks.fillna("-")

# %% [markdown]
# ## The models
#
# A model of each architecture for each split, for each kind of labels, and for fewer frames. The
# hyperparameters are those of the study, the same computing time for each. The two kinds of labels
# never meet in one training set, and the energies of isolated atoms go with the labels. The
# validation block chooses for MACE alone: mace-torch keeps the model of its smallest validation
# loss, deepmd-kit that of its last step.

# %%
models = lab.dft_models()
records = lab.each(list(models.values()), lambda step: lab.read(step, "training.json"))
budget = f"{asked.core_s:g} core seconds" if asked.core_s else "as the settings say"
print(f"planned for each training: {budget}")
pd.DataFrame.from_dict({n: summaries.training(r) for n, r in records.items()}, orient="index")

# %% [markdown]
# A row for each training: architecture, labels (*dft* as published, *reference* by our method),
# split, number of training frames where it is not all of them, and seed. Behind ± stands how much
# the last reports of a training scatter (notebook [03](03_train_two_architectures.ipynb)).

# %%
frames_dft = lab.dft_frames("dft")
steps = {key: lab.evaluated(m, lab.dft_frames(key[1])) for key, m in models.items()}
said = lab.each(list(steps.values()), lab.predicted)
tables = {
    key: dft.block_errors(said[step.name], asked.splits[key[2]]) for key, step in steps.items()
}
n_lost = len(frames) - len(lab.frames_of(lab.dft_frames("reference")))
print(f"{n_lost} of {len(frames)} frames could not be labelled by {methods['reference']}")

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
size = (2.9 * shape[1], 3 * shape[0] + 0.5)
fig, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex=True, sharey="col")
for split, line in zip(asked.splits, axes, strict=True):
    for part, ax in zip(dft.COMPONENTS, line, strict=True):
        dft.by_block(ax, of_split("dft", split), part, colours)
        ax.set_title(f"{part}, split {split}")
        plots.logarithmic(ax)
fig.supylabel("force error / % of the component", fontsize=12)
fig.supxlabel("temperature of the block / K", fontsize=12)
plots.set_legend(fig, colours)
lab.save(fig, "blocks")

# %% [markdown]
# A row for each split, a column for each part of the force, blocks from cool to hot in the order of
# the table of the splits. Filled: test blocks; half filled: validation; hollow: trained on. A step
# up from hollow to filled is the price of what was not seen: of extrapolation, where all test
# blocks lie on one side, of a gap in the training set, where they lie between. Each point is one
# training's error on the 20 frames of a block and has no error bar: what the blocks scatter by
# stands in the table below.
#
# In numbers, the means over the test blocks, with the standard error of these from the scatter of
# the blocks: force errors by part in percent, force RMSE in meV/Å and pressure RMSE in kbar.

# %%
columns = dict.fromkeys(dft.COMPONENTS) | {
    "force_meV_A": "force / meV Å⁻¹",
    "pressure_kbar": "pressure / kbar",
}


def over_blocks(table):
    return {
        unit or column: summaries.plus_minus(table[column].mean(), table[column].sem())
        for column, unit in columns.items()
    }


tested = {key: table[table["role"] == dft.TEST] for key, table in tables.items()}
n_frames = {key: records[model.name]["n_training"] for key, model in models.items()}
means = {
    (labels[name], methods[kind], split, n_frames[name, kind, split, size]): over_blocks(table)
    for (name, kind, split, size), table in tested.items()
}
names = ["architecture", "labels", "split", "training frames"]
shown = pd.DataFrame.from_dict(means, orient="index")
shown.set_axis(pd.MultiIndex.from_tuples(shown.index, names=names))

# %% [markdown]
# ## From low to high
#
# What does it cost to know only the cooler, thinner liquid? The profile names the cooler split
# first. The factor is the error with it divided by the error with another split, on the same block:
# above 1, this is the price. Only blocks that both splits leave for testing can be compared.

# %%
first, *others = asked.splits
for split in others:
    for name, label in labels.items():
        low, wide = (tested[name, "dft", s, None].set_index("block") for s in (first, split))
        both = low.index.intersection(wide.index)
        prices = low.loc[both, component] / wide.loc[both, component]
        said = [f"{price:.2f} at {low.temperature_K[b]:g} K" for b, price in prices.items()]
        print(f"{label}: error of {first} / error of {split}: {', '.join(said) or 'no block'}")
if not others:
    print(f"not to be had: this profile has the one split {first!r}")

# %% [markdown]
# ## Learning curves
#
# How many labels of DFT are needed? Fewer frames of the first split, spread evenly over its
# training blocks, trained for the same time.

# %%
whole = n_frames[next(iter(labels)), "dft", first, None]
sizes = {n: n for n in asked.sizes} | {whole: None}
marker = figures.set_marker("dft")
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8))
for part, ax in zip(("force_meV_A", "pressure_kbar"), axes, strict=True):
    for name, label in labels.items():
        errors = [tested[name, "dft", first, size][part] for size in sizes.values()]
        mean, spread = [e.mean() for e in errors], [e.sem() for e in errors]
        ax.errorbar(
            list(sizes), mean, spread, fmt=f"{marker}-", color=colours[label], elinewidth=0.9
        )
    ax.set_xlabel("training frames")
    ax.set_xticks(list(sizes))
    plots.logarithmic(ax)
axes[0].set_ylabel("force RMSE on test blocks / meV Å$^{-1}$")
axes[1].set_ylabel("pressure RMSE / kbar")
plots.set_legend(fig, colours)
if not asked.sizes:
    print("not run: this profile asks for no fewer frames, so each curve is a point")
lab.save(fig, "sizes")

# %% [markdown]
# Force error (left) and pressure error (right) on the test blocks, one training for each point;
# bars are standard errors from the scatter of the test blocks. These are the same at every point,
# so that a change along a curve is better known than its bars say (below). A curve that still falls
# at its right end may fall on with more frames. Where the first split trains on cool blocks and
# tests on hot ones, as `low` does, this is a curve of extrapolation: more frames of the cool liquid
# need not help with the hot one, and what they do for the cool one is not seen. From point to
# point, block by block, with the interval from their scatter:

# %%
for name, label in labels.items():
    for (fewer, less), (more, size) in pairwise(sizes.items()):
        pair = (tested[name, "dft", first, of] for of in (size, less))
        ratios = dft.log_ratios(*pair, "force_meV_A")
        said = dft.factor(ratios, dft.mean_effect(ratios, confidence=confidence))
        print(f"{label}: error with {more} frames / with {fewer}: {said}")

# %% [markdown]
# Below 1, more frames help; each point is one training, and what another would give is not in it.
#
# ## More time
#
# And would the same frames do better if they were trained on for longer? One more training of each
# architecture, on the DFT labels of one split, where the profile asks for it; its learning rates
# fall more slowly, all else is the same.

# %%
longer = lab.dft_longer()
split, times = asked.liquid_split, asked.longer_times
rows, factors = {}, []
for name, model in longer.items():
    table = dft.block_errors(lab.predicted(lab.evaluated(model, frames_dft)), asked.splits[split])
    rows[labels[name], "1 ×"] = over_blocks(tested[name, "dft", split, None])
    rows[labels[name], f"{times:g} ×"] = over_blocks(table[table["role"] == dft.TEST])
    ratios = dft.log_ratios(table, tables[name, "dft", split, None], component)
    effect = dft.mean_effect(ratios, confidence=confidence)
    factors.append(f"{labels[name]}: {component} error, longer / once {dft.factor(ratios, effect)}")
print("\n".join(factors) or "not run: this profile asks for no longer training")
pd.DataFrame.from_dict(rows, orient="index") if rows else None

# %% [markdown]
# Where it was asked for: means over the test blocks of the split that the liquids below use, with
# standard errors from the scatter of the blocks. The factor above the table is the geometric mean
# over these blocks, with its interval from their scatter: below 1, longer training helps on frames
# that were not seen.
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
fig.supylabel(f"force error, {component} / %", fontsize=12)
fig.supxlabel("temperature of the block / K", fontsize=12)
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
winners, findings = {}, {}
for split in asked.splits:
    for kind in DFT_LABELS:
        pair = [tables[name, kind, split, None] for name in (one, other)]
        ratios = dft.log_ratios(*pair, component)
        effect = dft.mean_effect(ratios, confidence=confidence)
        winners[split, kind] = dft.winner(effect, labels[one], labels[other])
        factor = f"error of {labels[one]} / {labels[other]} {dft.factor(ratios, effect)}"
        print(f"{split}, {methods[kind]}: {factor}, winner {winners[split, kind]}")
    mine = [winners[split, kind] for kind in DFT_LABELS]
    findings[split] = dft.winner_changes(mine, list(labels.values()))

# %% [markdown]
# ## Density
#
# Errors on frames, once more, are not the liquid. Here it is at constant pressure, with the models
# of one split, named above the table, those that were trained longer too. Where the profile asks
# for the group's state, hot and at 1 atm, EMC is above its boiling point (110 °C, see notebook
# [00](00_start_here.ipynb)): a small box may boil within the run, so that one is larger (molecules
# of each box in the table).
#
# A density comes with a standard error from the $n$ independent samples of the averaged part. A
# drift, too, may give a small error. So a run has *settled* only if the means of the two halves of
# that part differ by no more than two standard errors of their difference,
#
# $$|\bar\rho_2 - \bar\rho_1| \leq 2 \sqrt{\sigma_1^2 + \sigma_2^2} ,$$
#
# each half with the error $\sigma$ of its own independent samples, and if the straight line through
# that part changes by no more than three of its standard errors (at two, one run in twenty would be
# called drifting by chance). This change and its error are the *drift* of the table. One that has
# not settled, or that ended early, has no density; nor has one whose halves are too short to have
# such errors. The rule finds a drift that is large beside the fluctuations; a slow one may pass.

# %%
runs = lab.dft_runs()
runs |= {(name, "longer", liquid): run for (name, liquid), run in lab.dft_longer_runs().items()}
trained = methods | ({"longer": f"{methods['dft']}, {times:g} × the time"} if longer else {})
observed = lab.each(list(runs.values()), lambda step: lab.read(step, "observed.json"))
tracks = lab.each([step.inputs["trajectory"] for step in runs.values()], lab.trajectory)
traces = {name: (t.thermo["time_ps"], summaries.densities_g_cm3(t)) for name, t in tracks.items()}
states = {
    of: f"{at.temperature_K:g} K, {at.pressure_bar:g} bar" for of, at in asked.liquids.items()
}
boxes = {
    of: " ".join(f"{name}:{n}" for name, n in at.composition.items())
    for of, at in asked.liquids.items()
}
densities, rows = {}, {}
for (name, kind, liquid), step in runs.items():
    seen = observed[step.name]
    found = dft.settled_density(seen, *traces[step.inputs["trajectory"].name])
    densities[name, kind, liquid] = found
    row = dft.density_row(seen, found, *traces[step.inputs["trajectory"].name])
    about = states[liquid], boxes[liquid], trained[kind]
    rows[*about, labels[name]] = row
print(
    f"models trained on split {asked.liquid_split}" if runs else "not run: no liquid is asked for"
)
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# What should it be? A model learns its labels with their faults. So the yardstick of a model of DFT
# labels is first what others found with models of the same method, and only then experiment. Near
# room temperature the group has a MACE and a GAP of the likely method of these labels [2, 3], and a
# MACE of another dispersion correction: how far these differ shows how much depends on architecture
# and method. For the reference method of the study nothing but experiment is known.

# %%
about_times = {1: "trained once"} | ({times: f"{times:g} × the time"} if longer else {})
shape = (len(about_times), max(1, len(asked.liquids)))
size = (6 * shape[1], 0.9 + 3.4 * shape[0])
fig, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharey="col", sharex="col")
places = [(time, liquid) for time in about_times for liquid in asked.liquids]
panels = dict(zip(places, axes.flat, strict=False))
if not panels:
    axes[0, 0].set_title("this profile asks for no liquid", fontsize=10)
for (name, kind, liquid), step in runs.items():
    ax = panels[times if kind == "longer" else 1, liquid]
    style = {"colour": colours[labels[name]], "linestyle": dashes.get(kind, "-")}
    trace = traces[step.inputs["trajectory"].name]
    plots.density_trace(ax, *trace, seen=observed[step.name], **style)
for (time, liquid), ax in panels.items():
    at = asked.liquids[liquid]
    for known in dft.known_densities(at.temperature_K, methods["dft"]):
        line = {"color": figures.REFERENCE_COLOUR, "linestyle": dft.LINES[known.who]}
        ax.axhline(known.density_g_cm3, linewidth=1, **line)
    ax.set(title=f"{at.temperature_K:g} K, {about_times[time]}", xlim=(0, at.duration_ps))
fig.supxlabel("time / ps", fontsize=12)
fig.supylabel("density / g cm$^{-3}$", fontsize=12)
dft.density_legend(fig, colours, {methods[kind]: dashes[kind] for kind in methods})
lab.save(fig, "density")

# %% [markdown]
# A trace for each model, as far as its run came, of the models that the profile asks for there;
# models that were trained longer, where there are any, have a row of their own. Its colour is the
# architecture; solid: models of DFT labels; dashed: of the reference method's labels. Strong: the
# part that is averaged. Pale: the rest, which is all of a run that ended early. Black: what is
# known, from experiment or from models of the likely method of the DFT labels. A cross: the run
# ended early.

# %% [markdown]
# ## What we found

# %%
for split, finding in findings.items():
    print(f"split {split}: that the method of the labels changes who wins is {finding}")
for liquid, at in asked.liquids.items():
    print(f"\n{liquid}, {states[liquid]}; known are")
    print("\n".join(f"  {known}" for known in dft.known_densities(at.temperature_K)) or "  none")
    for (name, kind, of), step in runs.items():
        if of == liquid:
            found, seen = densities[name, kind, of], observed[step.name]
            ended = seen["reason"] or seen["status"]
            is_number = not isinstance(found, str)
            said = f"{summaries.estimate(found)} g/cm³" if is_number else found
            print(f"{labels[name]}, labels {trained[kind]}: density {said} ({ended})")
            for known in dft.known_densities(at.temperature_K, trained[kind]) if is_number else ():
                print(f"  {dft.deviation(found, known)}")

# %% [markdown]
# The right density? A deviation has the error of the run and, where it is known, of the other
# value; *agrees* means that it is no larger than two of these errors. That is easier for a run with
# a large error, and says nothing of another seed.

# %% [markdown] tags=["findings"]
# **In words**, of the results stored for `laptop`. *Do the architectures rank the same on DFT
# labels as on those of the reference method?* Yes, on these frames: on blocks that were not seen
# the error of Deep Potential's whole force is 1.68 (1.47 to 1.91) times that of MACE with DFT
# labels and 1.63 (1.42 to 1.86) times with those of GFN2-xTB on the split `low`, 1.95 (1.89 to
# 2.01) and 1.77 (1.71 to 1.85) times on `wide` (intervals over four blocks; one training of each).
# MACE wins all four, so that the method of the labels changes who wins is *not supported* on either
# split: between these two the cheap reference has been a fair judge of force errors.
#
# *How many labels?* More of the same kind help little: from 50 to 100 cool frames the force error
# on the hot blocks changes by a factor of 1.00 (0.98 to 1.02) for Deep Potential and 0.96 (0.92 to
# 1.00) for MACE, from 12 to 50 by 0.91 (0.88 to 0.94) and 0.87 (0.85 to 0.88), and 12 frames of
# MACE (212 ± 28 meV/Å) beat 100 of Deep Potential (291 ± 26). What helps are frames from where the
# test is: with `low` MACE's errors on the two blocks that both splits leave out are 1.23 and 1.31
# times those with `wide`, Deep Potential's 1.08 and 1.12 times (single trainings tested on 20
# frames of each block, and no errors, so that MACE pays more is a hint).
#
# *Do they give the right density?* At 300 K, with DFT labels, within 2 % of experiment, though
# neither has seen the cold liquid, and though the translational forces of Deep Potential on unseen
# blocks are no better than saying zero (115.4 ± 7.6 % wrong; MACE 59.3 ± 6.1 %). MACE has 1.117 ±
# 0.012 g/cm³, which agrees with experiment and with the group's MACE of that method, and is denser
# than the group's GAP by 0.050 ± 0.012; Deep Potential has 1.0793 ± 0.0071, which agrees with the
# group's GAP, in a run that still rises (0.0229 ± 0.0098), and is thinner than experiment by 0.016
# ± 0.007 and than the group's MACE by 0.050 ± 0.007. At 500 K and 1 atm, no: in a box as large as
# the group's Deep Potential broke a bond within 0.230 ps, and MACE thinned out from the start and
# boiled off after 10.083 ps, where the group's MACE, trained on its full set, holds 0.924 ± 0.02.
# So these two models have no liquid there.
#
# *Would more time help?* The errors, yes, and not the liquid. Trained three times as long on the
# same frames, Deep Potential's whole force on unseen blocks errs 0.65 (0.61 to 0.70) times and
# MACE's 0.77 (0.75 to 0.80) times as much as before. But at 300 K the liquid of this Deep Potential
# broke after 0.350 ps, where that of the worse one lived its 50; the density of this MACE is 1.198
# ± 0.011, too dense by 0.103 ± 0.011 against experiment and by 0.069 ± 0.011 against the group's
# MACE, so that the agreement above was in part luck of a model; and at 500 K it boiled off after
# 15.547 ps. Up to three times, training time is not what was lacking there. The frames may be: no
# block is as cold and as dense as the cold liquid, and MACE's error of the pressure did not fall
# (1.46 ± 0.58 and 1.74 ± 0.67 kbar). Size of the model and seed were not tested.
#
# *And with the other labels of the same frames?* No density is known: at 300 K Deep Potential's
# still falls at the end of its run (-0.065 ± 0.016 g/cm³ over it), and MACE's ended at a bond
# between two molecules after 3.270 ps. So who wins by force errors need not win by the liquid: of
# single runs, on these labels Deep Potential lived and MACE did not.

# %% [markdown]
# ## Limits
#
# The level of theory of the labels is likely, not known, and the group's densities come from its
# full set, of which these frames are no more than a part, by models far larger than ours. The only
# block at 300 K is thinner than half the cold liquid (table of the splits), and the blocks as dense
# as that are hot: to each model the cold liquid is extrapolation, with the split `wide` too. One
# seed of each model: intervals over blocks say how other blocks may do, not how other seeds. Each
# density is that of one run from one box: what a box adds to it, which notebook
# [08](08_read_the_transfer_matrix.ipynb) measures for a smaller one, is in no error. Runs are short
# beside the group's nanosecond, and a liquid above its boiling point may hold for longer
# than they last.
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
# 1. Wang et al., *Cell Rep. Phys. Sci.* 2022, doi 10.1016/j.xcrp.2022.101047: measured densities.
# 2. Svahn et al., *J. Chem. Theory Comput.* 2026, 22, 3660 (doi 10.1021/acs.jctc.5c02043): the
#    densities of the group's MACE.
# 3. I.-B. Magdău et al., *npj Comput. Mater.* 2023, 9, 146, and the repository imagdau/Tutorials
#    (MIT licence): the frames, and the group's GAP.

# %% [markdown]
# ## Colophon

# %% tags=["hide-output"]
lab.colophon()
