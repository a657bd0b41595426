# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Improve a training set by intuition
#
# **Question.** Two deficiencies of a simple training set are known, and a block of frames is made
# by hand against each: do these blocks help the liquid, and do they help both architectures?
#
# **What you will do.** See the deficiencies: the pressure along volume scans, and molecules far
# from equilibrium. Then compare models before and after, on these tests and in the liquid, with a
# control that has more frames of the old kind.
#
# **What you will learn.** How a deficiency is found, why a control belongs to every improvement,
# and how sure one can be with few seeds.
#
# **You need** notebooks [01](01_build_liquids.ipynb) for the blocks and
# [05](05_score_models.ipynb) for errors on a model's own frames.
#
# **Run time.** `laptop` and `smoke`: a minute from stored results.
#
# **Files made.** Figures `06_improve_by_intuition__pressure`, `__pressure_errors`,
# `__molecules`, `__survival`, `__last_frames`, `__traces` and `__liquid`.

# %%
import textwrap
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from ase.units import kB
from crosstrain import compare, matrix
from crosstrain.build.molecules import molecule
from crosstrain.data import charts, figures, plots, summaries, views
from crosstrain.measure import errors, transfer, verdicts
from crosstrain.potentials import protocol
from crosstrain.simulate.topology import bond_events
from crosstrain.study import Study

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
before: str = "classical"  # training set with the deficiencies
control: str = "classical+classical_more"  # more of the same
with_scan: str = "classical+scan"  # against the first deficiency
with_molecules: str = "classical+molecules"  # against the second
after: str = "classical+scan+molecules"  # against both
simplest: str = "packed"  # no dynamics at all, for comparison
window_kbar: float = 10.0  # pressures that a liquid may meet, for the error along the scans
scans_drawn: int = 3  # how many scans are drawn as curves
seed: int = 0  # of the bootstrap behind the scores

# %%
figures.use_style()
pd.set_option("display.max_colwidth", None)
lab = Study(profile, notebook="06_improve_by_intuition")
architectures = list(lab.profile.training.architectures)
labels = {name: protocol.architecture(name).LABEL for name in architectures}
states, planned_ps = lab.profile.liquid.states, lab.profile.dynamics.duration_ps
rows = list(dict.fromkeys([simplest, before, control, with_scan, with_molecules, after]))
pool = compare.pooled(lab, rows)  # and the other rows of the matrix, for the scatter of seeds
models = {row: pool[row] for row in rows}
everyone = [model for members in models.values() for model in members]
everywhere = [model for members in pool.values() for model in members]
shade = {row: figures.set_colour(row) for row in rows}
assert models[before], f"no model of {before!r}: neither stored nor asked for by the profile"

# %% [markdown]
# ## Why by hand?
#
# A training set is a statement about where the model will go. Snapshots of classical dynamics say:
# into liquids whose density and temperature rise together. A model that is fitted to them alone has
# been told little of the pressure at other densities, and nothing of what a molecule costs that is
# half torn apart. It is free to invent both, and notebook [04](04_run_liquid_dynamics.ipynb) shows
# what can become of inventions: liquids that swell, and bonds that form where none should.
#
# Whoever knows chemistry can see such gaps without any simulation, and fill each with a block:
#
# - `scan`: liquid frames whose volume was changed while the molecules kept their shape. It should
#   teach how the pressure depends on the density.
# - `molecules`: isolated molecules with bonds, angles and torsions far from rest. It should keep
#   molecules whole.
# - `classical_more`, the **control**: as good as the first set, only more of it. A block that helps
#   no more than this has only added frames.
#
# Since no model had a hand in these blocks, one would hope that they serve any architecture alike.
# That is the claim to be tested.
#
# ## The training sets


# %%
def of(row, architecture):
    return [model for model in models[row] if model.params["architecture"] == architecture]


compare.inventory(lab, models, labels)

# %% [markdown]
# Frames of each set, and how many models were trained on it. The models of one set differ by their
# seeds. *Not run* means that the result is not stored and this profile does not ask for it; it is
# missing from the figures below and in no average. The scans are of these boxes:

# %%
for name in ("scan", "scan_test"):
    if lab.has(lab.block(name)):
        boxes = Counter(frame.info["composition"] for frame in lab.frames(name))
        said = ", ".join(f"{n} of {box}" for box, n in boxes.items())
        print(f"{name}: {boxes.total()} frames, {said}")

# %% [markdown]
# Compositions come in turn in the set that is scanned. A scan of every so many of its frames may
# pass over some of them: at the size of `laptop` every ninth frame, of six compositions, leaves two
# in `scan`, and most of `scan_test` is of boxes that the block does not hold.

# %% [markdown]
# ## Deficiency one: pressure and density
#
# A liquid has the density at which the push and pull of its molecules on each other, with their
# thermal motion, balances the pressure outside. A rigid volume scan shows this **molecular
# pressure**: minus the derivative of the energy by the volume when the molecules move with the box
# and keep their shape. It is the pressure that the stress $\sigma$ of the frame gives, less the
# part that is inside the molecules [1], with the force $f_i$ on an atom at $r_i$, the centre of
# mass $R_m$ of its molecule, and the volume $V$:
#
# $$P_\mathrm{mol} = -\frac{\mathrm{tr} \, \sigma}{3} -
# \frac{1}{3V} \sum_m \sum_{i \in m} (r_i - R_m) \cdot f_i$$
#
# What is subtracted belongs to the bonds and angles inside the molecules, which a rigid scan leaves
# as they are. So a model can have a good stress and a poor molecular pressure. The test set
# `scan_test` has scans of frames that no model was trained on.

# %%
found = lab.each(
    [lab.evaluated(m, lab.block(t)) for m in everywhere for t in ("scan_test", "molecules_test")],
    lab.predicted,
)


def said(model, test):
    return found[lab.evaluated(model, lab.block(test)).name]


def scan_of(model):
    predicted = said(model, "scan_test")
    return summaries.scan_pressures(predicted["frames"], predicted)


scanned = {model.name: scan_of(model) for model in everywhere}
truth = scanned[models[before][0].name]

# %%
drawn = [row for row in (before, control, with_scan, after) if models[row]]
scans = summaries.widest_scans(truth, scans_drawn)
shape = (1 + len(architectures), len(scans))
size = (4 * shape[1], 2.8 * shape[0])
fig, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex=True, sharey="row")
for scan, column in zip(scans, axes.T, strict=True):
    known = truth[truth["scan"] == scan]
    plots.scan_curves(column[0], known["density_g_cm3"], known["reference_kbar"])
    column[0].set_title(f"reference, {known['composition'].iloc[0]}")
    for architecture, ax in zip(architectures, column[1:], strict=True):
        for row in drawn:
            for model in of(row, architecture):
                mine = scanned[model.name][scanned[model.name]["scan"] == scan]
                curve = mine["density_g_cm3"], mine["error_kbar"]
                style = {"colour": shade[row], "marker": figures.set_marker(row)}
                plots.scan_curves(ax, *curve, **style)
        ax.set_title(f"{labels[architecture]} - reference")
for ax in axes.flat:
    ax.label_outer()
reach = max(np.abs(ax.get_ylim()).max() for ax in axes[1:, 0])
plt.setp(axes[1:, 0], ylim=(-reach, reach), ylabel="difference / kbar")
axes[0, 0].set_ylabel("molecular pressure / kbar")
markers = {row: figures.set_marker(row) for row in rows}
plots.set_legend(fig, {row: shade[row] for row in drawn}, markers=markers)
lab.save(fig, "pressure", before=before, after=after)

# %% [markdown]
# Above, black: the reference, for the scans that cover the densities best; lines only join their
# few points. Below: what each model says more or less, a line of each colour for each seed. The
# axes are linear within 1 kbar and logarithmic beyond, for the walls at high density are steep
# while the attraction at low density is weak.
#
# Where the reference is below zero the molecules pull: that is what keeps a liquid together. A
# model that is above the reference there pulls too little: it has never seen molecules apart, or
# does not look that far, and its liquid tends to swell. One that is below it tends to be too dense.
# What counts is the sign near the density of the liquid. All scans together say how large such
# errors are:

# %%
shape = (1, len(architectures))
fig, axes = plt.subplots(*shape, figsize=(5.6 * shape[1], 4), squeeze=False, sharey=True)
edges = np.linspace(truth["density_g_cm3"].min(), truth["density_g_cm3"].max(), 6)
for architecture, ax in zip(architectures, axes[0], strict=True):
    for place, row in enumerate(drawn):
        for model in of(row, architecture):
            error = summaries.pressure_errors_by_density(scanned[model.name], edges)
            style = {"marker": figures.set_marker(row), "color": shade[row], "alpha": 0.85}
            ax.plot(error.index + 0.012 * place, error, linewidth=1.2, **style)
    plots.logarithmic(ax)
    ax.set(title=labels[architecture], xlabel="density / g cm$^{-3}$")
axes[0, 0].set_ylabel("RMS error of molecular pressure / kbar")
plots.set_legend(fig, {row: shade[row] for row in drawn}, markers=markers)
lab.save(fig, "pressure_errors", before=before, after=after)

# %% [markdown]
# The root mean square over all scans in five ranges of density, a line for each seed (sets are
# a little apart, to be told from each other). Look at the densities of a liquid, where little
# pressure decides, before the walls at the right. A root mean square has no sign, and the sign
# tells whether a liquid will swell. So what the models say more (+) or less (-) than the reference,
# by seed: on average over the frames whose pressure is within `window_kbar` of zero, over those of
# them where the reference pulls, and over those near the density of the liquid. The standard error
# is that of the choice of frames, as if they were independent; they are the same for all models, so
# that a difference between models is better known, and the seeds show the scatter of the training.

# %%
near = truth["reference_kbar"].abs() <= window_kbar
pulls = near & (truth["reference_kbar"] < 0)
places = {f"within {window_kbar:g} kbar": near, "of these, below zero": pulls}
places[f"within {window_kbar:g} kbar and 0.8 to 1 g/cm³"] = near & truth["density_g_cm3"].between(
    0.8, 1.0
)
for where, kept in ((where, kept) for where, kept in places.items() if kept.any()):
    print(f"{where}, {kept.sum()} frames: mean of model - reference / kbar")
    for architecture in architectures:
        for row in rows[1:]:
            off = [scanned[m.name].loc[kept, "error_kbar"] for m in of(row, architecture)]
            said_off = ", ".join(f"{x.mean():+.2f} ± {x.sem():.2f}" for x in off) or "not run"
            print(f"  {labels[architecture]}, {row}: {said_off}")

# %% [markdown]
# ## Deficiency two: molecules far from equilibrium
#
# A molecule falls apart in a simulation when the model offers it a way out: an energy that is too
# low for a shape that the training set did not hold. At a temperature $T$ a shape of energy $E$ is
# met with a weight of about $e^{-E/kT}$, so that an energy that is too low by a few kT makes a rare
# shape a common one. The test set `molecules_test` has isolated molecules with stretched and
# compressed bonds, bent and twisted. *Strain* is that of the bond that changed most, relative to
# the molecule at rest in the classical force field that the boxes come from.

# %%
names = lab.profile.tests["molecules_test"].options["molecules"]
relaxed = {name: molecule(name, seed=1) for name in names}
strained = {
    model.name: summaries.strained_molecules(
        said(model, "molecules_test")["frames"], said(model, "molecules_test"), relaxed
    )
    for model in everywhere
}
drawn = [row for row in (before, control, with_molecules, after) if models[row]]
shape = (2, len(architectures))
fig, axes = plt.subplots(*shape, figsize=(5.6 * shape[1], 8), squeeze=False, sharey="row")
for architecture, column in zip(architectures, axes.T, strict=True):
    for row in drawn:
        for model in of(row, architecture):
            style = {"colour": shade[row], "marker": figures.set_marker(row)}
            plots.strained_molecules(
                column, strained[model.name], **style, place=drawn.index(row) - len(drawn) // 2
            )
    column[0].set_title(labels[architecture])
style = {"markers": markers, "linestyles": dict.fromkeys(drawn, "")}
plots.set_legend(fig, {row: shade[row] for row in drawn}, **style)
lab.save(fig, "molecules", before=before, after=after)

# %% [markdown]
# Above: how far a model's energy is off that of the reference, both relative to that frame of each
# molecule which is lowest by the reference. A point far below the line is a way out: the model
# believes that tearing the molecule costs little. Below: the force error of each frame against the
# strain, compressed bonds to the left and stretched ones to the right. Both architectures are drawn
# to the same scales, the sets a little apart. Energies in numbers, by seed, with the standard error
# of the choice of frames, and beside the warmest state of the liquid:

# %%
warmest_eV = kB * max(state.temperature_K for state in states.values())
print(f"mean of model - reference / eV, behind it in kT at the warmest state ({warmest_eV:.3f} eV)")
for architecture in architectures:
    for row in drawn:
        off = [
            table["predicted_eV"] - table["reference_eV"]
            for table in (strained[model.name] for model in of(row, architecture))
        ]
        said_off = ", ".join(
            f"{x.mean():+.3f} ± {x.sem():.3f} ({x.mean() / warmest_eV:+.1f} kT)" for x in off
        )
        print(f"  {labels[architecture]}, {row}: {said_off}")

# %% [markdown]
# ## Do molecules live longer?
#
# So far the models were asked about frames that people chose. Now they run the liquid and choose
# their own. A run ends early when a bond forms or breaks for longer than a vibration, the liquid
# boils off or collapses, or the temperature runs away. Curves are those of Kaplan-Meier, as in
# [04](04_run_liquid_dynamics.ipynb), one for each training set.

# %%
runs = {(m.name, s): lab.liquids(m, s) for m in everyone for s in states}
steps = [lab.observed(run) for each in runs.values() for run in each]
observed = lab.each(steps, lambda step: lab.read(step, "observed.json"))


def lived(row, architecture, state):
    return [observed[run.name] for m in of(row, architecture) for run in runs[m.name, state]]


drawn = [row for row in (before, control, after) if models[row]]
fig = charts.survivals(
    lived, drawn, states=states, labels=labels, until_ps=planned_ps, colours=shade
)
lab.save(fig, "survival", before=before, after=after)

# %% [markdown]
# The fraction of runs alive at each time, with its band of 95 % confidence; the legends say how
# many runs reached the planned time. A curve at one, or at zero, has no band; what may hide behind
# it says notebook [04](04_run_liquid_dynamics.ipynb). Replicas of one model share its faults; they
# are fewer independent witnesses than their number.
#
# And how does a run end? For each training set and architecture with runs that ended early, the
# last frame of the one that lived shortest.


# %%
def shortest(row, architecture):
    mine = [run for m in of(row, architecture) for s in states for run in runs[m.name, s]]
    early = [run for run in mine if observed[run.name]["status"] != "completed"]
    print(f"{labels[architecture]}, {row}: {len(early)} of {len(mine)} runs ended early")
    return min(early, key=lambda run: observed[run.name]["time_ps"], default=None)


ends = {(row, a): shortest(row, a) for a in architectures for row in drawn}
ends = {key: run for key, run in ends.items() if run is not None}
n_panels = max(1, len(ends))
fig, axes = plt.subplots(1, n_panels, figsize=(5.2 * n_panels, 5.6), squeeze=False)
for ((row, architecture), run), ax in zip(ends.items(), axes[0], strict=False):
    last = lab.trajectory(run).frames([-1])[0]
    views.picture(last, ax, marked=np.concatenate(bond_events(last, last.info["bonds"])))
    seen = observed[run.name]
    happened = seen["detail"]
    if not seen["reason"].startswith("bond"):  # those tell their time themselves
        happened = f"{seen['reason']} at {seen['time_ps']:.2f} ps: {happened}"
    title = f"{labels[architecture]}, {row}\n{textwrap.fill(happened, 50)}"
    ax.set_title(title + "\n" * (2 - title.count("\n")), fontsize=11)  # three lines each
if not ends:
    plots.not_run(axes.flat, "every run reached the planned time")
lab.save(fig, "last_frames", before=before, after=after)

# %% [markdown]
# Rings mark pairs that have formed or broken a bond in this frame, and dashes join them; of a pair
# that meets across a face of the box the rings stand apart. Above each frame stands what ended the
# run, which may be something else, as the temperature.

# %% [markdown]
# ## The liquid, before and after
#
# To live is not enough. Does the density come to rest, and where?

# %%
references = lab.each([lab.reference(s) for s in states], lambda s: lab.read(s, "reference.json"))
tracks = lab.each([run for each in runs.values() for run in each], lab.trajectory)
dashes = dict(zip(drawn, ("-", "--", "-.", ":"), strict=False))
shape = (len(states), len(architectures))
fig, axes = plt.subplots(
    *shape, figsize=(5.6 * shape[1], 3.6 * shape[0]), squeeze=False, sharey="row"
)
for state, line in zip(states, axes, strict=True):
    for architecture, ax in zip(architectures, line, strict=True):
        for row in drawn:
            for run in (r for m in of(row, architecture) for r in runs[m.name, state]):
                seen, track = observed[run.name], tracks[run.name]
                trace = track.thermo["time_ps"], summaries.densities_g_cm3(track)
                plots.density_trace(ax, *trace, seen=seen, colour=shade[row], linestyle=dashes[row])
        plots.reference_density(ax, references[state])
        ax.set_title(f"{labels[architecture]}, {states[state].temperature_K:g} K", loc="left")
        ax.set(xlabel="time / ps", ylabel="density / g cm$^{-3}$", xlim=(0, planned_ps))
plots.set_legend(fig, {row: shade[row] for row in drawn}, linestyles=dashes)
lab.save(fig, "traces", before=before, after=after)

# %% [markdown]
# A trace for every run from the density at which all of them start, strong where it is averaged; a
# cross where it ended early. The level black line with a grey band, where it can be trusted: the
# density of the reference's own liquid, from notebook [05](05_score_models.ipynb). Where traces
# still wander by a tenth of a g/cm³ the runs are too short for a density, and the error bars below,
# of what came after equilibration, may be too small. Now the same runs as numbers, one for each
# model:

# %%
points = {state: compare.liquids(lab, models, state) for state in states}
fig = charts.liquids(points, rows, states=states, labels=labels, references=references)
lab.save(fig, "liquid", before=before, after=after)

# %% [markdown]
# A point for each seed, with its error bar where one is known. A line marks the mean of the seeds,
# where none of their runs ended early. Hollow: a run of that model did. A tripod at the bottom: no
# value could be had. The error on own frames tells of runs that break; a density that is wrong, as
# MACE's from `classical`, need not show in it. Of a run that ended early both are of the short time
# that it lived: they are drawn hollow here, and enter no mean and no comparison below, where they
# are *unstable*. Compare each row with *two* others: with `classical` for what the block is worth,
# with `classical_more` for what its kind is worth.

# %% [markdown]
# ## How large is the gain, and how sure?
#
# Eyes find differences everywhere. A **gain** compares the mean of the seeds of two training sets,
# with an interval from their scatter (Welch's t interval [2], 95 %): of errors,
#
# $$g = \langle \ln e \rangle_\mathrm{base} - \langle \ln e \rangle_\mathrm{row} \pm t_\nu
# \sqrt{\frac{s^2_\mathrm{base}}{n_\mathrm{base}} + \frac{s^2_\mathrm{row}}{n_\mathrm{row}}} ,$$
#
# with the errors $e$ of the models, $\langle\,\rangle$ the mean and $s$ the standard deviation over
# the $n$ seeds of a set, and Student's $t$ with Welch's degrees of freedom $\nu$; shown as the
# factor $e^{-g}$, so that *error × 0.5* means that it was halved; of the lived part of the planned
# time, the plain difference. Two floors are ours: $s$ is at least the noise within a run, where
# that is known, and at least the mean scatter of all rows of the architecture that are stored, on
# this page or not, if there are three or more. What a row scatters beyond that counts with the
# degrees of freedom of its own seeds, the rest with those of all rows (notebook
# [08](08_read_the_transfer_matrix.ipynb)); notebooks 06, [07](07_improve_by_iteration.ipynb) and 08
# give one comparison one interval. **Against `before`** it says whether the block helps, **against
# the control** whether its *kind* does. An interval on one side of *no change* is called *helps* or
# *harms*; any other is *unclear*. Nothing is corrected for the number of comparisons, so one among
# twenty is expected to look clear by chance. The interval does not know that a lived part ends at 0
# and at 1: what of it lies beyond ±1 cannot be.
#
# A block may also do harm where nobody looks. So beside what the two blocks were made for stands
# what they were not: the force between molecules on the first fixed test set and on the frames of a
# model's own runs, how far the density is off that of the reference, and the liquid score (notebook
# [05](05_score_models.ipynb)). Error on own frames and density need a liquid that lived: a model
# whose run ended early has neither, its cell says *unstable* (one stable seed is none to compare).
# How long it lived counts for all. *No scatter*: all seeds are equal, as lived parts that are all
# 1. *Lost in the noise*: a deviation smaller than its own error has no useful logarithm.

# %%
main = next(iter(states))


def window_error(model):
    table = scanned[model.name][scanned[model.name]["reference_kbar"].abs() <= window_kbar]
    return compare.Point(errors.rms(table["error_kbar"]))


def strained_error(model):
    return compare.Point(errors.rms(strained[model.name]["force_error_eV_A"]))


def energy_error(model):
    table = strained[model.name]
    return compare.Point(errors.rms(table["predicted_eV"] - table["reference_eV"]))


measured = {
    f"molecular pressure within {window_kbar:g} kbar": compare.points(pool, window_error),
    "force on strained molecules": compare.points(pool, strained_error),
    "energy of strained molecules": compare.points(pool, energy_error),
}
held = matrix.read(lab, main, seed=seed, rows=list(pool))
measured = {name: compare.cells(found) for name, found in measured.items()}
measured |= compare.of_matrix(held, state=main, test=next(iter(lab.profile.tests)))
better = compare.which_is_better(measured)

# %%
pairs = [(row, base) for row in (with_scan, with_molecules, after) for base in (before, control)]
pairs.insert(0, (control, before))
gained = {
    name: compare.gains(values, pairs, architectures, better=better[name])
    for name, values in measured.items()
}
pd.concat({name: compare.table(gained[name], better[name], labels) for name in gained})

# %% [markdown]
# Read a pair of lines together: a block that helps against `classical` and not against the control
# may have helped by its number only. Where a cell says why there is no gain, seeds are missing or
# unstable, or nothing varies between them.

# %% [markdown]
# ## What we found
#
# The abstract of [3] says that configurations designed by intuition to correct a systematic
# deficiency often transfer well between algorithms. For each quantity the code asks whether both
# blocks together help **every** architecture: *supported* if all intervals say so, *not supported*
# if one says that it harms even when it is widened for the number of architectures (notebook
# [08](08_read_the_transfer_matrix.ipynb)), else *undecided*. How many frames the paper's sets had,
# and what they held, is not known to us: the claim is tested, not the numbers.

# %%
for name, gains in gained.items():
    print(name)
    for base in (before, control):
        found_gains = {labels[a]: gains[after, base, a] for a in architectures}
        finding = verdicts.of_all(list(found_gains.values()))
        print(f"  {after} over {base}: {finding.verdict}")
        for label, gain in found_gains.items():
            print(f"    {label}: {compare.in_words(gain, better[name])}")

# %% [markdown]
# What speaks **against** the blocks, one quantity, architecture and base at a time: gains that are
# clearly negative contradict the claim, others below zero lean that way.

# %%
of_blocks = {
    name: {key: gain for key, gain in gains.items() if key[0] != control}
    for name, gains in gained.items()
}
print("\n".join(compare.contradictions(of_blocks, better, labels)))

# %% [markdown]
# A liquid that lives need not have the right density. A factor of $|\rho - \rho_\mathrm{ref}|$ says
# little where it is as small as its error, and nothing of the side. So the mean over the seeds of
# `before`, of the control, of the sets with the blocks, against the reference, and by how much both
# blocks move it (with standard errors, those of the means over the models; that of the reference is
# in the first difference):

# %%
stored = [row for row in rows if row != simplest and models[row]]
found = summaries.reference_verdict(references[main], "density")
print(f"density / g cm⁻³, reference, {main}: {found}")
for architecture in architectures:
    mean = {row: transfer.cell(held["density"], row, architecture) for row in stored}
    for row in stored:
        said = compare.density_in_words(mean[row], references[main])
        print(f"  {labels[architecture]}, {row}: {said}")
    for base in (row for row in stored if after in mean and row != after):
        print(f"    {after} - {base}: {compare.change_in_words(mean[after], mean[base])}")

# %% [markdown]
# MACE's liquid from `classical` is too thin; with `scan` and `molecules` it is on the other side of
# the reference, too dense, and so is that of Deep Potential, which had none before. The lines above
# say by how much, and whether that is clear of the errors. The seeds one by one:

# %%
for state in states:
    said_by = summaries.reference_verdict(references[state], "density")
    print(f"density at {state} / g cm⁻³: reference {said_by}")
    for (row, architecture), values in points[state]["density"].items():
        print(f"  {labels[architecture]}, {row}: {compare.in_numbers(values)}")
for architecture in architectures:
    for row in drawn:
        ends = [run["status"] == "completed" for s in states for run in lived(row, architecture, s)]
        said = f"{sum(ends)} of {len(ends)} runs reached {planned_ps:g} ps"
        print(f"{labels[architecture]}, {row}: {said}")
        for state in states:
            values = compare.in_numbers(points[state]["own_force"][row, architecture])
            share = compare.in_numbers(points[state]["own_percent"][row, architecture])
            print(
                f"  error between molecules on own {state} runs / meV Å⁻¹: {values}; / %: {share}"
            )
n_seeds = {row: {labels[a]: len(of(row, a)) for a in architectures} for row in rows}
print(f"seeds: {n_seeds}")

# %% [markdown] tags=["findings"]
# **In words**, of the results stored for `laptop`. *Do these blocks help the liquid?* Deep
# Potential's holds with them (6 of 6 runs reached 10 ps, against 1 and 0 of 6), but it is no good
# liquid: its forces between molecules are 93.1 ± 3.4 and 94.9 ± 3.9 % wrong on its own hot frames,
# and its density of 0.994 ± 0.033 g/cm³ is too dense by 0.122 ± 0.037. MACE's liquid, which held
# before, goes from too thin to too dense (+0.184 ± 0.042 g/cm³), and against the control its score
# falls (-0.47 (-0.88 to -0.05)), if that effect is looked at alone: as one of the two that the
# claim asks for it is not clear.
#
# *Do they mend what they were made for, in both architectures?* The force on strained molecules:
# yes, error × 0.574 (0.476 to 0.693) and × 0.39 (0.325 to 0.468) over the control. Their energy,
# which is what offers a way out: for MACE at best (-0.034 ± 0.013 and -0.054 ± 0.015 eV are left of
# its mean error, and against the control the gain is unclear), not for Deep Potential (-0.255 ±
# 0.040 and -0.215 ± 0.033 eV, which is -5.9 and -5.0 kT at the warmest state). The pressure:
# unclear for both, though the mean of MACE's error within 10 kbar goes from +0.26 ± 0.10 and +0.40
# ± 0.11 kbar to -0.02 ± 0.11 and +0.07 ± 0.12. Near the density of the liquid there are 4 frames,
# too few to tell: from -0.07 ± 0.60 and -0.12 ± 0.47 to -0.87 ± 0.40 and -0.73 ± 0.45 kbar would be
# in line with a liquid that becomes too dense. So of two faults one was mended in part, and the
# liquid is another matter.
#
# *Which of the two blocks did it?* The scans alone help the pressure of Deep Potential (error ×
# 0.629 (0.402 to 0.985) over the control) and leave MACE's as it was (× 0.919 (0.601 to 1.41)).
# Deep Potential's liquid lives longer than the control's (+0.73 (+0.18 to +1.29) of the planned
# time), but one of its two models lost it; MACE's density is 0.842 ± 0.027 g/cm³, near that of the
# reference (0.872 ± 0.017). The strained molecules alone do what they were made for: the force on
# such molecules is better for both, error × 0.562 (0.465 to 0.678) and × 0.381 (0.319 to 0.455),
# and MACE's energy, too, × 0.469 (0.22 to 0.999), not that of Deep Potential, × 0.995 (0.85 to
# 1.16), whose liquid lives longer all the same (+0.78 (+0.35 to +1.20)), but for one run of four.
# And with them come the costs: MACE's liquid is too dense, by 0.143 ± 0.030 g/cm³ (near its density
# the pressure is off by -1.16 ± 0.49 and -0.57 ± 0.52 kbar, in line with that), its score below the
# control's (-0.48 (-0.86 to -0.09)), and both err more between molecules on the test liquid, × 1.54
# (1.41 to 1.68) and × 1.13 (1.06 to 1.2). With the scans added to them MACE's density hardly moves
# (-0.035 ± 0.043 g/cm³). A reason may be, which was not tested, that they hold nothing between
# molecules to learn and take their share of the training.

# %% [markdown]
# ## Limits
#
# The blocks, their sizes and the tests are ours, and the tests are of the same kind as the blocks:
# what improves there is no proof of a better liquid, which is why the liquid is shown. The control
# adds more frames than a single block and fewer than both together (first table). Where a row with
# one block alone is not run, what that block does is known only on top of the other. With two or
# three seeds only large effects are clear, and *unclear* is not *no effect*. Survival is limited by
# the planned time. Each block was drawn once: another draw of the same kind may be worth more or
# less, which the seeds of the models do not tell.
#
# **Try it.** Set `window_kbar = 1.0`: do the blocks help as much near zero pressure, which decides
# the density, as within 10 kbar? Then, where `packed` has been run, set `before` to `packed` and
# `control` to `classical`: is dynamics by a classical force field worth more than the blocks that a
# person thought of?
#
# ## Next
#
# [07_improve_by_iteration](07_improve_by_iteration.ipynb): let the models themselves find what
# they do not know.
#
# ## References
#
# 1. M. P. Allen, D. J. Tildesley, *Computer Simulation of Liquids*, 2nd ed., Oxford 2017: the
#    molecular virial.
# 2. B. L. Welch, *Biometrika* 1947, 34, 28.
# 3. S. P. Niblett, P. Kourtis, I.-B. Magdău, C. P. Grey, G. Csányi, *J. Chem. Theory Comput.*
#    2025, 21, 6096 (arXiv:2409.05590).

# %% [markdown]
# ## Colophon

# %% tags=["hide-output"]
lab.colophon()
