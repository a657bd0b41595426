# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Run the liquid with each model
#
# **Question.** What does a model do when it makes its own configurations: does the liquid live,
# and at what density does it settle?
#
# **What you will do.** Look at the trajectories of every model: how each ended, its density and
# temperature, and the frame in which something went wrong.
#
# **What you will learn.** How a simulation fails, how to treat runs of different length fairly,
# and where the part of a run begins that may be averaged.
#
# **You need** notebook [03](03_train_two_architectures.ipynb) for the models.
#
# **Run time.** `laptop` and `smoke`: under a minute from stored trajectories. Computing one takes
# two to five core minutes for `laptop`, less for `smoke`.
#
# **Files made.** Figures `04_run_liquid_dynamics__density`, `__temperature`, `__survival` and
# `__last_frame`.

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crosstrain import judge
from crosstrain.data import figures, plots, summaries, views
from crosstrain.measure import observables, score, statistics
from crosstrain.potentials import protocol
from crosstrain.simulate.topology import bond_events
from crosstrain.study import Study

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
training_set: str = "classical"  # whose models are looked at, as named in the profile
widget_frames: int = 50  # frames of the trajectory in the widget
viscosity_mPa_s: float = 0.0  # of the liquid, for the finite-size correction of D; 0: not known

# %%
figures.use_style()
pd.set_option("display.max_colwidth", None)
lab = Study(profile, notebook="04_run_liquid_dynamics")
architectures = list(lab.profile.training.architectures)
labels = {name: protocol.architecture(name).LABEL for name in architectures}
states, models = lab.profile.liquid.states, lab.models([training_set])
planned_ps = lab.profile.dynamics.duration_ps

# %% [markdown]
# ## The runs
#
# Every model runs the scoring liquid at constant temperature and pressure from the same starting
# boxes. A run ends when it is complete, or when a bond breaks or forms for longer than a
# vibration, the liquid boils off or collapses, or the temperature runs away. *Lived* is the time
# until then.
#
# At constant pressure the integrator is Langevin dynamics (Newton's equations with friction and
# random kicks, which together hold the temperature) with a barostat [1]. The relaxation time of the
# thermostat is 0.5 ps, that of the barostat 1 ps. At constant volume it is stochastic velocity
# rescaling [2], with 0.5 ps, too. A liquid below 0.3 g/cm³ has boiled off, one above 2.0 g/cm³ has
# collapsed, and above five times the temperature asked for it has run away. A change of a bond
# counts once it has lasted for 50 fs, and is dated to their beginning. Two atoms count as bonded
# anew below 1.00 (H-H), 1.20 (H-O), 1.60 (O-O) or 1.70 Å (C-O), for example, and as no longer
# bonded above 1.30, 1.50, 2.00 and 2.10 Å; in between a pair keeps its state. The distance told of
# a pair is that at the end of the 50 fs, so that of a new bond may be longer than the first of
# these.

# %%
cases = [
    (model.params["architecture"], state, liquid)
    for model in models
    for state in states
    for liquid in lab.liquids(model, state)
]
liquids = [liquid for *_, liquid in cases]
seeds = figures.seed_lines(lab.profile.training.seeds)
dashes = {
    run.name: seeds[m.params["seed"]] for m in models for s in states for run in lab.liquids(m, s)
}
looks = {labels[name]: figures.colour(name) for name in architectures}
of_seeds = {f"seed {seed}": line for seed, line in seeds.items()}
looks |= dict.fromkeys(of_seeds, "0.4")
ended = lab.each(liquids, lambda step: lab.read(step, "run.json"))
trajectories = lab.each(liquids, lab.trajectory)
summaries.runs(ended)

# %% [markdown]
# The name of a run says architecture, training set, seed (s), state and replica (r). *Never run*,
# *failed* and *unstable* are different things: a failed program stops the study with an error, and
# what stands here as unstable is a model's own doing. *Evaluated by* names the program that gave
# the forces: deepmd-kit for Deep Potential, and for MACE Symmetrix, a compiled implementation of
# the same model, whose forces the tests of this project hold against those of mace-torch.

# %% [markdown]
# ## Density
#
# A box starts at a density that is not the model's own, so its beginning must not be averaged.
# Where the average may begin is found by the code: the start that leaves the largest number of
# independent samples [3]. As that is also the start after which a trace looks quietest, samples
# count as correlated for as long as they are in the whole trace, if that is longer (our rule; it
# makes errors larger). Strong: the part that is averaged. Pale: the rest, which is all of a run
# that ended early, marked by a cross.

# %%
observed = lab.each(
    [lab.observed(liquid) for liquid in liquids], lambda s: lab.read(s, "observed.json")
)
fig, axes = plt.subplots(1, len(states), figsize=(6 * len(states), 4), squeeze=False)
panels = dict(zip(states, axes[0], strict=True))
for architecture, state, liquid in cases:
    trajectory, seen = trajectories[liquid.name], observed[liquid.name]
    time, density = trajectory.thermo["time_ps"], summaries.densities_g_cm3(trajectory)
    style = {"seen": seen, "colour": figures.colour(architecture)}
    style["linestyle"] = dashes[liquid.name]
    plots.density_trace(panels[state], time, density, **style)
for state, ax in panels.items():
    at = f"{states[state].temperature_K:g} K, {states[state].pressure_bar:g} bar"
    ax.set(title=at, xlabel="time / ps", ylabel="density / g cm$^{-3}$", xlim=(0, planned_ps))
plots.set_legend(fig, looks, linestyles=of_seeds)
lab.save(fig, "density")

# %% [markdown]
# Traces of one colour and line are replicas of one model. The table has a density for runs
# that were completed only: the others were no liquid at equilibrium.

# %%
rows = {}
for name, seen in observed.items():
    is_whole = seen["status"] == "completed"
    known = seen["density_g_cm3"] if is_whole else None
    rows[name] = {
        "density / g cm⁻³": summaries.plus_minus(known["value"], known["error"]) if known else "-",
        "averaged from / ps": f"{seen['equilibrated_ps']:.2f}" if known else "-",
        "independent samples": f"{known['n_effective']:.1f}" if known else "-",
        "not available": seen["missing"].get("density", "-") if is_whole else "ended early",
    }
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# The error is that of the mean of *correlated* samples. With few independent samples it is itself
# uncertain, and a run that still drifts has few of them.
#
# ## Is the box large enough?
#
# In a small periodic box every molecule feels its own images. The same model, started in the same
# way, in a box with more molecules tells whether that moves its density by more than the errors,
# which are never taken smaller than the scatter of the replicas. Of one or two runs n is the number
# of independent samples, of more runs their number. A run that ended early has no equilibrium, and
# so no density to compare. The models and the state are those of the profile's `larger_box`:

# %%
rows, larger, few = {}, lab.profile.larger_box, sum(lab.profile.liquid.composition.values())
if larger:
    at = states[larger.state]
    print(f"{larger.state}: {at.temperature_K:g} K, {at.pressure_bar:g} bar")
for name, boxes in lab.enlarged().items():
    runs = [run for box in boxes for run in box]
    seen = lab.each(runs, lambda step: lab.read(step, "observed.json"))
    known = [judge.mean_density([seen[run.name] for run in box]) for box in boxes]
    headings = [f"density of {n} molecules / g cm⁻³" for n in (few, few * larger.times)]
    rows[name] = dict(zip(headings, map(summaries.estimate, known), strict=True))
    completed = [each["status"] == "completed" for each in seen.values()]
    rows[name]["completed"] = f"{sum(completed)} of {len(completed)} runs"
    if all(known) and all(completed):
        change = summaries.estimate(score.density_deviation(*known[::-1]))
        rows[name]["larger minus smaller / g cm⁻³"] = change
found = pd.DataFrame.from_dict(rows, orient="index").fillna("-")
found if rows else print("the profile has no larger box")

# %% [markdown]
# A difference of less than two of its errors is none that this check can see. With errors of some
# hundredths of a g/cm³ it finds gross effects only, not one as small as the tolerance of the score,
# 0.02 g/cm³ (notebook [05](05_score_models.ipynb)).
#
# ## Temperature
#
# The thermostat should hold it. A model that finds a hole in its energy heats faster than the
# thermostat cools.

# %%
last = 5  # values, for the temperature at the end
fig, axes = plt.subplots(1, len(states), figsize=(6 * len(states), 3.6), squeeze=False)
panels = dict(zip(states, axes[0], strict=True))
for architecture, state, liquid in cases:
    thermo, shade = trajectories[liquid.name].thermo, figures.colour(architecture)
    panels[state].plot(thermo["time_ps"], thermo["temperature_K"], color=shade, alpha=0.15)
    smooth = pd.Series(thermo["temperature_K"]).rolling(25, center=True, min_periods=5).mean()
    line = {"color": shade, "linewidth": 1.4, "linestyle": dashes[liquid.name]}
    panels[state].plot(thermo["time_ps"], smooth, **line)
    if observed[liquid.name]["reason"]:
        plots.ended_early(panels[state], thermo["time_ps"][-1], smooth.iloc[-1], colour=shade)
    at_end = f"{np.mean(thermo['temperature_K'][-last:]):.0f} K over its last {last} values"
    print(f"{liquid.name}, {observed[liquid.name]['status']}: {at_end}")
for state, ax in panels.items():
    ax.axhline(states[state].temperature_K, color="black", linewidth=1, linestyle=":", zorder=5)
    at = f"{states[state].temperature_K:g} K, {states[state].pressure_bar:g} bar"
    ax.set(title=at, xlabel="time / ps", ylabel="temperature / K", xlim=(0, planned_ps))
plots.set_legend(fig, looks, linestyles=of_seeds)
lab.save(fig, "temperature")

# %% [markdown]
# Pale: as recorded. Strong: the running mean over 25 of these values, at the ends of those that are
# there. A cross: the run ended early. Dotted: the temperature asked for. A box of N atoms scatters
# about it by $T \sqrt{2/(3N)}$ [4]; a steady rise would be a model's fault. At 300 K the first half
# picosecond is warm, because the boxes come from a force field with other bond lengths.

# %%
n_atoms = len(trajectories[liquids[0].name].reference)
for state in states.values():
    spread_K = state.temperature_K * np.sqrt(2 / (3 * n_atoms))
    print(f"{state.temperature_K:g} K: {spread_K:.0f} K of scatter belong to {n_atoms} atoms")

# %% [markdown]
# ## Survival
#
# Some runs end early, others reach the planned time alive. How long they *would* have lived is
# not known: their life times are **censored**. The Kaplan-Meier curve [5] uses both kinds: the
# fraction alive falls by the factor $1 - d/n$ whenever $d$ of the $n$ runs still followed end.

# %%
fig, axes = plt.subplots(1, len(states), figsize=(6 * len(states), 3.8), squeeze=False)
for ax, state in zip(axes[0], states, strict=True):
    for architecture in architectures:
        mine = [ended[step.name] for a, s, step in cases if (a, s) == (architecture, state)]
        died = [run["status"] != "completed" for run in mine]
        curve = statistics.kaplan_meier([run["time_ps"] for run in mine], died)
        style = {"label": f"{labels[architecture]} (runs: {len(mine)})"}
        style |= {"colour": figures.colour(architecture), "until_ps": planned_ps}
        style["linestyle"] = figures.LINE_STYLES.get(architecture, ":")
        plots.survival(ax, curve, **style)
    ax.set_title(f"{states[state].temperature_K:g} K, {states[state].pressure_bar:g} bar")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=len(labels), fontsize=9)
lab.save(fig, "survival")

# %% [markdown]
# All seeds and replicas of an architecture, trained on the set of the parameters cell, are taken
# together. The band is that of 95 % confidence; a curve at one, or at zero, has none. A curve that
# stays at one says that no run was lost, not that none ever would be: if n of n independent runs
# live, up to $p = 1 - 0.05^{1/n}$ of all runs may still fail (the solution of $(1 - p)^n = 0.05$,
# that is with 95 % confidence): half of them for n = 4, 78 % for n = 2.

# %% [markdown]
# ## Self-diffusion
#
# How fast molecules wander is measured at constant volume, from the end of the first replica's run
# and at its mean density, because a box that breathes carries the molecules along; in this profile
# only at the states that it names. D is the slope of the mean squared displacement of the centres
# of mass, over the window that the code prints, divided by six (Einstein [6]), after the potential
# energy has come to rest and with the drift of the whole box taken out. Its error comes from the
# scatter of the molecules, never from the fit of the line; n is their number. EC is C3H4O3, EMC is
# C4H8O3.
#
# Molecules also drag on their own images: a large box would give more, by [7]
#
# $$\Delta D = \frac{2.837 \, k T}{6 \pi \eta L}$$
#
# with the edge $L$ and the viscosity $\eta$. It is added only where the parameters cell knows
# $\eta$.

# %%
rows = {}
moved = [run for model in models for state in states for run in lab.diffused(model, state)]
wandered = lab.each(moved, lambda step: lab.read(step, "diffusion.json"))
for step in moved:
    seen = wandered[step.name]
    found = {k: summaries.diffusion(d) for k, d in seen["D_cm2_s"].items()}
    rows[step.name] = {f"D of {k} / 10⁻⁶ cm² s⁻¹": text for k, text in found.items()}
    if found and viscosity_mPa_s:
        box = {"box_length": seen["box_A"], "viscosity_mPa_s": viscosity_mPa_s}
        more = observables.yeh_hummer_correction(
            temperature_K=step.params["dynamics"]["temperature_K"], **box
        )
        rows[step.name][f"ΔD, η = {viscosity_mPa_s:g} mPa s"] = f"{1e6 * more:.1f}"
    rows[step.name] |= {"not available": seen["missing"].get("self-diffusion", "-")}
for window in {tuple(step.params["fit_window_ps"]) for step in moved}:
    print("slope between lags of {:g} and {:g} ps".format(*window))
known = [d["value"] for seen in wandered.values() for d in seen["D_cm2_s"].values() if d]
if known:
    near, far = (np.sqrt(6 * 10 * 1e4 * d) for d in (min(known), max(known)))  # 1 cm²/s = 1e4 Å²/ps
    print(f"in 10 ps a molecule moves by {near:.1f} to {far:.1f} Å (root mean square)")
pd.DataFrame.from_dict(rows, orient="index").fillna("-") if rows else print("not run")

# %% [markdown]
# Orders of magnitude: in 10 ps a molecule moves by about $\sqrt{6 D t}$ (printed above), less than
# the 6 Å or so from one molecule to the next. The reference's own D cannot be had by reweighting;
# it is in no score.

# %% [markdown] tags=["findings"]
# At `laptop` the two seeds of MACE differ for EC (C3H4O3) by more than their errors say, 8.8 ± 4.3
# against 27.1 ± 4.9 · 10⁻⁶ cm²/s: the few molecules of a box move together, which these errors do
# not hold, or the two models differ; one run of each cannot tell. For EMC (C4H8O3), 19.8 ± 6.2
# against 35.5 ± 6.2, they do not clearly. Each is one run, and an error from 2 or 4 molecules is
# itself uncertain.

# %% [markdown]
# ## The end of a run, seen close
#
# The last frame of the run that lived shortest, with the bonds that differ from the known graph
# of its molecules. If all runs were completed it is simply the last frame of the first.

# %%
shortest = min(liquids, key=lambda step: ended[step.name]["time_ps"] / planned_ps)
trajectory, run = trajectories[shortest.name], ended[shortest.name]
last = trajectory.frames([-1])[0]
formed, broken = bond_events(last, last.info["bonds"])
print(f"{shortest.name}: {run['status']}, {run['detail'] or 'nothing went wrong'}")
print(f"last frame, {run['simulated_ps']:.2f} ps: {len(formed)} formed, {len(broken)} broken bonds")

# %%
fig, axes = plt.subplots(1, 2, figsize=(10.5, 4.6))
views.picture(trajectory.frames([0])[0], axes[0])
views.picture(last, axes[1], marked=[*formed, *broken])
axes[0].set_title("first frame")
axes[1].set_title(f"last frame, {run['simulated_ps']:.2f} ps")
lab.save(fig, "last_frame")

# %% [markdown]
# Rings and dashes mark pairs that have formed or broken a bond.
#
# The trajectory that led there, to be played in JupyterLab:

# %%
numbers = np.linspace(0, len(trajectory.time_ps) - 1, widget_frames).round().astype(int)
views.view(trajectory.frames(np.unique(numbers)))

# %% [markdown]
# ## What we found

# %%
for architecture in architectures:
    mine = [ended[step.name] for a, _, step in cases if a == architecture]
    whole = sum(run["status"] == "completed" for run in mine)
    reasons = sorted({run["reason"] for run in mine if run["reason"]})
    print(
        f"{labels[architecture]}: {whole} of {len(mine)} runs reached {planned_ps:g} ps; "
        f"ended by: {', '.join(reasons) or 'nothing'}"
    )
for state, architecture in product(states, architectures):
    mine = [observed[step.name] for a, s, step in cases if (a, s) == (architecture, state)]
    whole = [run for run in mine if run["status"] == "completed"]
    density = summaries.estimate(judge.mean_density(whole))
    print(f"density at {state}, {labels[architecture]}, completed runs / g cm⁻³: {density}")

# %% [markdown]
# Of three runs or more the error is their scatter and n their number; of fewer, n is the number of
# independent samples.

# %% [markdown] tags=["findings"]
# **In words**, of the results stored for `laptop`, two models of each architecture, trained on
# `classical`. *Does the liquid live?* MACE's does, in 6 of 6 runs of 10 ps. Deep Potential's does
# in 1 of 6; each of the others ended with a bond between two molecules, after 5.45 and 7.17 ps with
# seed 1 and after 0.25 to 0.43 ps with seed 2.
#
# *At what density does it settle?* MACE's at 0.797 ± 0.020 g/cm³ in the hot state (n = 4 runs) and
# at 0.696 ± 0.033 in the cold one (n = 8 samples of two runs). The one whole run of Deep Potential,
# in the cold, gives 1.142 ± 0.033 (n = 3 samples, so that the error is itself uncertain); in the
# hot state it has no density. A box with twice the molecules changes the density by 0.053 ± 0.067
# g/cm³ with Deep Potential and by -0.101 ± 0.069 with MACE, less than two errors; that was tried
# with models of another set.

# %% [markdown]
# The hot state is under pressure and the cold one is not, so the hot liquid need not be the thinner
# one. Which density is right is asked in notebook [05](05_score_models.ipynb), for the hot state:
# for the cold one the liquid of the reference method could not be had. Experiment has 1.0948 g/cm³
# at 25 °C and a mole fraction of EC of 0.336 [8]. That is no truth for models of GFN2-xTB labels,
# but liquids as thin as those of MACE here are far from it.
#
# ## Limits
#
# To be alive is not to be right: a model may hold all bonds in a liquid of the wrong density. Some
# traces still drift at the end, and the start that the code finds can lie before the fall from the
# density that all begin at: 10 ps are short for a density. Short runs of small boxes show early
# deaths only, and boiling comes easier to a small box. Runs of one model share its faults, so
# replicas are fewer independent witnesses than they seem. And a step of 1 fs is long for hydrogen
# whose bonds are not constrained: at whole steps the kinetic energy of a vibration $\omega$ is too
# small by $(\omega \Delta t)^2 / 4$ [9], 8 % in a C-H stretch. The thermostat of runs at constant
# volume holds just that energy, so that they are a little hotter than asked.
#
# **Try it.** Write a file `mine.yml` with `extends: smoke`, a `name` and a `store` (below `runs/`)
# of its own, and under `dynamics` a `duration_ps` of 2 and a `timestep_fs` of 1.0; give its path as
# `profile`. Then halve the time step. Does the same model live longer? If so, was it the culprit?
#
# ## Next
#
# [05_score_models](05_score_models.ipynb): what the liquid should have been, and a number for how
# far off it is.
#
# ## References
#
# 1. D. Quigley, M. I. J. Probert, *J. Chem. Phys.* 2004, 120, 11432: Langevin dynamics at constant
#    pressure.
# 2. G. Bussi, D. Donadio, M. Parrinello, *J. Chem. Phys.* 2007, 126, 014101: velocity rescaling.
# 3. J. D. Chodera, *J. Chem. Theory Comput.* 2016, 12, 1799: detection of equilibration.
# 4. D. Frenkel, B. Smit, *Understanding Molecular Simulation*, Academic Press 2002: the scatter of
#    the temperature.
# 5. E. L. Kaplan, P. Meier, *J. Am. Stat. Assoc.* 1958, 53, 457.
# 6. A. Einstein, *Ann. Phys.* 1905, 322, 549: diffusion from the mean squared displacement.
# 7. I.-C. Yeh, G. Hummer, *J. Phys. Chem. B* 2004, 108, 15873: diffusion in small boxes.
# 8. Wang et al., *Cell Rep. Phys. Sci.* 2022, doi 10.1016/j.xcrp.2022.101047: measured densities.
# 9. M. E. Tuckerman, *Statistical Mechanics: Theory and Molecular Simulation*, Oxford University
#    Press 2010, section 3.13: the Hamiltonian that velocity Verlet conserves, of an oscillator.

# %% [markdown]
# ## Colophon

# %% tags=["hide-output"]
lab.colophon()
