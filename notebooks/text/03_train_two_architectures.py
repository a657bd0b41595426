# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Train two architectures on the same labels
#
# **Question.** What do a feed-forward and a message-passing potential make of the same training
# set?
#
# **What you will do.** Compare the settings and learning curves of the trained models and their
# errors on frames that they have not seen.
#
# **What you will learn.** What sets Deep Potential and MACE apart, why one error is not enough,
# and which part of the force makes the liquid.
#
# **You need** notebooks [01](01_build_liquids.ipynb) and [02](02_label_with_a_reference.ipynb).
#
# **Run time.** `laptop` and `smoke`: under a minute from stored models. Training itself takes
# minutes for `smoke` and tens of minutes per model for `laptop`.
#
# **Files made.** Figures `03_train_two_architectures__learning_curves`, `__parity`,
# `__force_components` and `__worst_frames`.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crosstrain import judge
from crosstrain.data import figures, plots, summaries, views
from crosstrain.data.frames import ENERGY, FORCES
from crosstrain.measure import errors as measure_errors
from crosstrain.potentials import protocol
from crosstrain.study import Study

FORCE, RATIO = "force / meV Å⁻¹", summaries.RATIO

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
training_set: str = "classical"  # which training set is looked at, as named in the profile
seed: int = 1  # which of the trained seeds

# %%
figures.use_style()
lab = Study(profile, notebook="03_train_two_architectures")
architectures = list(lab.profile.training.architectures)
labels = {name: protocol.architecture(name).LABEL for name in architectures}
models = {name: lab.model(name, training_set, seed) for name in architectures}

# %% [markdown]
# ## Two ways to see a neighbourhood
#
# Both write the energy as a sum over atoms, each a function of its neighbours within a cutoff.
#
# - **Deep Potential** [1] describes the neighbourhood once, by numbers that do not change when it
#   is turned, and feeds them to a network. An atom knows nothing beyond the cutoff.
# - **MACE** [2] passes messages: an atom first gathers its neighbours, then gathers what *they*
#   gathered, with many-body terms. What is passed may turn along with the molecule (`max_L` of 1 or
#   more) or, to save time, not (`max_L` of 0). It reaches as far as layers times cutoff.
#
# Both fit the numbers in that function to energies, forces and stresses together. Apart from
# conventions of each program they make the loss small (that of Deep Potential is in [1], that of
# MACE in [2], to which its program adds the stress)
#
# $$L = w_E \left\langle (\Delta E / N)^2 \right\rangle
# + w_F \left\langle |\Delta f|^2 \right\rangle
# + w_\sigma \left\langle |\Delta \sigma|^2 \right\rangle$$
#
# with the deviations $\Delta$ of energy $E$ (of $N$ atoms), force $f$ and stress $\sigma$ from the
# labels, and means over frames, atoms and components. The prefactors $w$ change on the way, and so
# does the *learning rate*, the size of a step of the fit: in Deep Potential from `start_pref_*` to
# `limit_pref_*` and from `start_lr` to `stop_lr`, smoothly; in MACE from `*_weight` to
# `stage_two_*_weight` and from `lr` to `stage_two_lr`, at epoch `start_stage_two`.

# %%
trained = lab.each(list(models.values()), lambda step: lab.read(step, "training.json"))
trained = dict(zip(models, trained.values(), strict=True))
settings = {labels[name]: pd.Series(t["settings"], dtype=str) for name, t in trained.items()}
pd.DataFrame(settings).fillna("-")

# %% [markdown]
# Names and units are those of the two programs (distances in Å, learning rates without unit); a
# dash means that the program has no such setting, names it otherwise, or that it is fixed here
# (Deep Potential sees one frame a step). The values are our choice, made for two cores. Those that
# decide most, in groups:
#
# - **Deep Potential.** What an atom sees: the cutoff `rcut`, the distance `rcut_smth` from which
#   neighbours fade, and `sel`, the most neighbours of each element (C, H, O) that are kept. The
#   networks: `neuron` are the widths of the first one, which *embeds* each distance as a row of
#   numbers; `axis_neuron` says how many of these are used a second time when rows are multiplied
#   into the descriptor; `fitting_neuron` are the widths from descriptor to energy. The training:
#   the learning rate falls from `start_lr` to `stop_lr` over all `steps`.
# - **MACE.** What an atom sees: the cutoff `r_max` of each of `num_interactions` rounds of
#   messages; `max_ell` says how finely directions are told apart (the highest degree of spherical
#   harmonics), `correlation` how many neighbours one term sees at once. `num_channels` is the width
#   of a message. The training has two stages, the second with more weight of energy and stress and
#   a smaller learning rate. The model that is kept is an exponential moving average (EMA) of the
#   fitted numbers over the steps, which `ema_decay` smooths the more the nearer it is to one.
#   `patience` is longer than the training, so that none is stopped before its time.
#
# The other settings, and the defaults of those not listed, are documented by the two packages
# (deepmd-kit and mace-torch).

# %% [markdown]
# ## Learning
#
# The error on held-out frames against the number of frames seen, repeats counted. One counts
# steps, the other epochs; frames seen and core time make them comparable.

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 3.8))
titles = {
    "energy_rmse_eV_atom": "energy RMSE / meV per atom",
    "forces_rmse_eV_A": "force RMSE / meV Å$^{-1}$",
}
for ax, (quantity, title) in zip(axes, titles.items(), strict=True):
    for name, training in trained.items():
        style = {"label": labels[name], "colour": figures.colour(name)}
        plots.learning_curve(ax, training["learning_curve"], quantity, **style)
    ax.set_ylabel(title)
axes[0].legend()
lab.save(fig, "learning_curves", training_set=training_set, seed=seed)

# %% [markdown]
# The scatter of Deep Potential's curve is partly that of its validation, which draws a few frames
# each time. Where MACE changes to its second stage, energy and stress get more weight: energies
# fall steeply, while forces may rise a little first.

# %% [markdown]
# ## How the settings were chosen
#
# A small search, one training of each candidate with the same planned core time; the smallest force
# error on the validation frames, a part of the set that is never trained on, decides. Names say
# what was changed: narrower or wider networks, a longer cutoff (`far`), more weight of energy and
# stress at the end (`balanced`, and `wide` with it). The error is the mean over the last fifth of
# the frames seen, with the scatter of the reports. Differences smaller than this scatter decide
# nothing, and what was not tried may well be better.

# %%
rows, search = {}, lab.profile.training.search
for name, candidates in lab.searched().items():
    tried = lab.each(list(candidates.values()), lambda step: lab.read(step, "training.json"))
    for candidate, (step, training) in zip(candidates, tried.items(), strict=True):
        rows[labels[name], candidate] = summaries.training(training) | {
            "core time / min": round(lab.cost(candidates[candidate])["cpu_s"] / 60, 1),
            "chosen": "yes" if step == lab.model(name, search.set, search.seed).name else "",
        }
pd.DataFrame.from_dict(rows, orient="index") if rows else print("not run: no search in profile")

# %% [markdown]
# ## Is either starved?
#
# Every model of the study is trained for the same planned core time, so a larger set of the same
# kind is passed fewer times. Was that time enough? In the table, over the seeds of every training
# set of the profile: a training that is cut short would still be falling in the column *force error
# fell by*, which compares the error of the forces in the last fifth of the frames seen with that in
# the middle fifth. *Frames seen* and *passes* are those at the last report, a little before the
# end; *weights* is the number of fitted numbers of a model.

# %%
records, core_s = {}, {}
for sets in lab.profile.training.sets:
    for step in lab.shown(sets):
        key = sets, labels[step.params["architecture"]]
        records.setdefault(key, []).append(lab.read(step, "training.json"))
        core_s.setdefault(key, []).append(lab.cost(step)["cpu_s"])
budget = lab.profile.training.budget
print(f"planned core time: {budget.core_s / 60:g} min" if budget else "steps as the profile says")
weights = {
    labels[name]: protocol.architecture(name).n_weights(lab.model_file(model))
    for name, model in models.items()
    if hasattr(protocol.architecture(name), "n_weights")
}
table = summaries.trainings(records, core_s).rename_axis(["training set", "architecture"])
table.assign(weights=[weights.get(label, "-") for _, label in table.index])

# %% [markdown]
# Means over seeds with their scatter; of one seed without. Two seeds that happen to agree give a
# small scatter: it is no error to rely on. In place of the two losses, which are weighted
# differently, stand the errors on the validation frames in the last fifth of the frames seen. All
# sets have validation frames of their own, so these errors compare the two architectures of one
# set, not different sets. The core time is what the trainings took, whose speed also depends on
# what else the machine did. Of some that were interrupted it counts the last part only, since the
# parts were not added up when they were trained: they make its large scatters.

# %%
fallen = table["force error fell by / %"]
for label in labels.values():
    of_all = fallen[fallen.index.get_level_values(1) == label]
    value = of_all.str.partition(" ")[0].astype(float)
    least, most = of_all[value.idxmin()], of_all[value.idxmax()]
    print(f"{label}: force error fell by {least} to {most} % at the end")

# %% [markdown]
# Neither is cut off in the steep part of its curve: what is left at the end is a slow fall by some
# percent from the middle fifth to the last, and in part the work of the learning rate, which falls
# there. The two stretches that are compared lie on either side of the start of MACE's second stage,
# so that its column also holds what the change of prefactors does. That is no proof, for a longer
# training lets the learning rate fall later. It is tried below.

# %% [markdown]
# ## Errors on unseen frames
#
# Each test set was drawn and labelled independently of the training set.

# %%
tests = list(lab.profile.tests)
evaluations = [lab.evaluated(model, lab.block(test)) for model in models.values() for test in tests]
cases = [(name, test) for name in models for test in tests]
said = dict(zip(cases, lab.each(evaluations, lab.predicted).values(), strict=True))
rows_of = {
    (labels[name], test): summaries.model_errors_with_spread(result["frames"], result)
    for (name, test), result in said.items()
}
summaries.error_table(rows_of)

# %% [markdown]
# Root mean square errors, each with its standard error from leaving out a fifth of the frames at a
# time. A dash: too few frames to find an offset, or isolated molecules, which have neither stress
# nor forces between molecules. The *offset* is a constant per element: it costs nothing in
# dynamics, so it is shown apart. Percentages are relative to the size of the same component; the
# *molecular* stress is that of the forces between molecules; *intermolecular* is the part of the
# force that moves or turns molecules as a whole, *vibration* the rest (formula below).
#
# The pressure bias is predicted minus reference, of the whole pressure. Part of that is inside the
# molecules, whose bonds adapt in a run, so its sign does not tell the density: notebook
# [06](06_improve_by_intuition.ipynb) takes the molecular pressure, which does more.

# %% [markdown]
# ## What more time would give
#
# The plainest answer to the question whether the budget starves an architecture: give more. One
# model of each is trained anew for a multiple of the time, on the same frames, with the same seed
# and settings; Deep Potential's learning rate falls over the whole length, and each of MACE's
# stages lasts longer in proportion.

# %%
asked, unseen, liquids, said_of = lab.profile.longer_training, {}, {}, {}
for (name, sets), longer in lab.longer().items():
    if sets != training_set:
        continue
    for times, model in ((1, lab.model(name, sets, asked.seed)), (asked.times, longer)):
        steps = [lab.evaluated(model, lab.block(test)) for test in tests]
        found = dict(zip(tests, lab.each(steps, lab.predicted).values(), strict=True))
        of_test = {t: summaries.model_errors_with_spread(f["frames"], f) for t, f in found.items()}
        key = labels[name], f"{times:g} x the time"
        said_of[key] = found
        unseen[key] = {f"{test}: {FORCE}": e[FORCE] for test, e in of_test.items()}
        unseen[key][f"{tests[0]}: intermolecular / %"] = of_test[tests[0]]["intermolecular / %"]
        steps = [lab.observed(run) for run in lab.liquids(model, asked.state)]
        liquids[key] = lab.each(steps, lambda step: lab.read(step, "observed.json"))
summaries.error_table(unseen) if unseen else print("not run: this profile asks for none")

# %% [markdown]
# Errors with their standard errors, as in the table above. How the liquids of these models ended,
# which notebook [04](04_run_liquid_dynamics.ipynb) is about (*n*: independent samples behind a
# density; a run that ended early has none):

# %%
for (label, times), runs in liquids.items():
    for run in runs.values():
        lived = f"lived {run['time_ps']:.2f} of {run['planned_ps']:g} ps"
        is_whole = run["status"] == "completed"
        density = summaries.estimate(judge.mean_density([run])) if is_whole else "none"
        ended = f"{run['status']} {run['detail']}".strip()
        print(f"{label}, {times}, {asked.state} liquid: {lived}, density / g cm⁻³: {density}")
        print(f"  {ended}")

# %% [markdown]
# And by how much their errors changed. Both models of a pair are tested on the same frames, so
# parts of these are left out of both together: what makes a frame hard for both is in no error.

# %%
for label in dict.fromkeys(label for label, _ in said_of):
    for test in tests:
        (_, one), (_, more) = (item for item in said_of.items() if item[0][0] == label)
        change = summaries.error_changes(one[test]["frames"], one[test], more[test])
        for quantity in (FORCE, "intermolecular / %"):
            known, what = change[quantity], quantity.partition(" /")[0]
            if np.isnan(known.value):  # isolated molecules
                continue
            percent = summaries.plus_minus(known.value, known.error)
            print(f"{label}, {asked.times:g} x the time, {what} error on {test}: {percent} %")

# %% [markdown]
# So neither architecture is at its end after the time of this study: twice the time takes about a
# sixth off the force error of Deep Potential on the test liquid, and about a fifth off that of
# MACE. That is much less than what lies between the two, and in the whole force a little more for
# MACE. Between the molecules of liquids like those of the set MACE would improve about twice as
# much as Deep Potential: if the budget favours one of them there, it is Deep Potential. Off the
# line that the set follows (`hot_test`) both are 16 % better in the whole force, and between the
# molecules MACE alone (-16.8 ± 1.6 %; Deep Potential 2.7 ± 7.1 %). On `scan_test` and
# `molecules_test` Deep Potential is 12 and 15 % better, MACE not by more than two standard errors.
#
# The liquids do not follow. Those of Deep Potential still end early. And of MACE's two runs, which
# both lived after the usual time, one now ends with a bond between two molecules, though its force
# errors on the test liquid are smaller. It is one model of each; but a smaller error on a fixed set
# is no promise of a better liquid, which notebooks [04](04_run_liquid_dynamics.ipynb) and
# [05](05_score_models.ipynb) are about.
#
# Is either starved, then? By the whole force neither is held back much more than the other; between
# the molecules MACE is, in liquids like those of the set. Neither is cut off where its errors still
# fall steeply, but both would go on improving slowly. What matters is whether the findings of this
# study are those of a budget. Notebook [07](07_improve_by_iteration.ipynb) gives twice the time to
# the sets on which the plainest of them rests, and there those of Deep Potential stay as they are.

# %% [markdown]
# ## Prediction against reference
#
# The models of the usual time again, on the first test set, which is drawn as `classical` is.

# %%
test = tests[0]
atom_energies = lab.read(lab.atoms(), "energies_eV.json")
fig, axes = plt.subplots(2, len(models), figsize=(4.4 * len(models), 8.4), squeeze=False)
for column, name in enumerate(models):
    result, shade = said[name, test], figures.colour(name)
    frames = result["frames"]
    energies = ([frame.info[ENERGY] for frame in frames], result["energy_eV"])
    binding = [summaries.atomisation_energies(frames, e, atom_energies) for e in energies]
    plots.parity(axes[0, column], *binding, colour=shade)
    forces = [
        np.concatenate(f) for f in ([f.arrays[FORCES] for f in frames], result["forces_eV_A"])
    ]
    plots.parity(axes[1, column], *forces, colour=shade)
    axes[0, column].set(title=labels[name], xlabel="reference energy / eV per atom")
    axes[1, column].set(xlabel="reference force / eV Å$^{-1}$")
axes[0, 0].set_ylabel("predicted energy / eV per atom")
axes[1, 0].set_ylabel("predicted force / eV Å$^{-1}$")
lab.save(fig, "parity", training_set=training_set, seed=seed)

# %% [markdown]
# Above: energies per atom relative to isolated atoms, a point for each frame. Below: force
# components, a point for each atom and direction. On the line a prediction is exact. A cloud
# along the line looks convincing because vibrations make most of the force, so the next figure
# takes the force apart.

# %% [markdown]
# ## The part that makes the liquid
#
# The force $f$ on an atom of a molecule splits exactly [3] into what moves the molecule as a whole
# (*translation*), what turns it (*rotation*), and the rest, which deforms it (*vibration*):
#
# $$f^\mathrm{trans} = \frac{m}{M} F , \qquad f^\mathrm{rot} = m \, (I^{-1} \tau) \times r , \qquad
# f^\mathrm{vib} = f - f^\mathrm{trans} - f^\mathrm{rot}$$
#
# with the atom's mass $m$ and place $r$ from the centre of mass, and the molecule's mass $M$, force
# $F$, torque $\tau$ and inertia tensor $I$. The first two can only come from other molecules; the
# third is mostly the molecule's own.

# %%
parts = {n: summaries.component_errors(said[n, test]["frames"], said[n, test]) for n in models}
fig, ax = plt.subplots(figsize=(7, 3.8))
plots.component_bars(ax, parts)
plots.architecture_legend(ax, labels)
lab.save(fig, "force_components", training_set=training_set, seed=seed)

# %% [markdown]
# On the first test set, with standard errors. At the dotted line the error is as large as the
# component itself: the model knows no more about it than if it had said zero. Compare the left
# half, what moves and turns molecules, with the vibrations. In numbers, and first how large these
# forces are:

# %%
one = next(result for (_, on), result in said.items() if on == test)
for part, found in summaries.force_errors(one["frames"], one).items():
    size = summaries.in_digits(1e3 * found.rmse / found.relative)
    print(f"{part}: {size} meV/Å RMS in the reference, over all frames of {test}")
shown = {
    labels[name]: {f"{key} / %": estimate for key, estimate in part.items() if key != RATIO}
    for name, part in parts.items()
}
summaries.error_table(shown)

# %% [markdown]
# ## The worst frames
#
# One number hides where a model fails. These are the test frames with the largest force errors of
# each architecture, the atom with the largest error ringed.

# %%
fig, axes = plt.subplots(len(models), 3, figsize=(11, 3.8 * len(models)), squeeze=False)
for name, row in zip(models, axes, strict=True):
    result = said[name, test]
    labelled = [frame.arrays[FORCES] for frame in result["frames"]]
    size = measure_errors.frame_force_rmse(labelled, result["forces_eV_A"])
    for ax, number in zip(row, measure_errors.worst_frames(size, n_worst=3), strict=False):
        frame = result["frames"][number]
        wrong = np.linalg.norm(result["forces_eV_A"][number] - labelled[number], axis=1)
        worst = int(wrong.argmax())
        views.picture(frame, ax, marked=[(worst, worst)])
        ax.set_title(f"{labels[name]}: {1e3 * size[number]:.0f} meV/Å\n{summaries.about(frame)}")
lab.save(fig, "worst_frames", training_set=training_set, seed=seed)

# %% [markdown]
# A ring marks the atom with the largest force error of the frame. Look at its neighbourhood: is
# it crowded by another molecule, or is its own molecule bent out of shape?

# %% [markdown]
# ## What we found

# %%
rows = {}
for name, model in models.items():
    rows[labels[name]] = {
        "training frames": trained[name]["n_training"],
        "frames seen": trained[name]["learning_curve"][-1]["samples"],
        "core time / min": round(lab.cost(model)["cpu_s"] / 60, 1),
    }
errors = summaries.error_table({labels[name]: rows_of[labels[name], test] for name in models})
pd.DataFrame.from_dict(rows, orient="index").join(errors)

# %%
for name, part in parts.items():
    times = summaries.plus_minus(part[RATIO].value, part[RATIO].error)
    print(f"{labels[name]}: the relative error between molecules is {times} times", end=" ")
    print(f"that of the vibrations, on {test}.")

# %% [markdown] tags=["findings"]
# **In words**, of the results stored for `laptop`: one training of each architecture on the same
# 137 frames, 21.0 min for Deep Potential and 18.0 for MACE. Errors are those of the test frames;
# the scatter of seeds is not in them. *What do they make of the set?* On frames of its own kind
# MACE errs less: 81.64 ± 0.99 against 143.1 ± 1.3 meV/Å in the force, 1.773 ± 0.084 against 3.13 ±
# 0.17 meV per atom in the energy. Far from the set the lead is less sure: 153 ± 25 against 211 ± 21
# meV/Å on volume scans, 550 ± 76 against 586 ± 54 on strained molecules.
#
# Both know the vibrations best: 5.928 ± 0.088 % of this part of the force is wrong with MACE, 10.44
# ± 0.14 % with Deep Potential. Of the force between molecules, which makes the liquid, it is 51.2 ±
# 1.3 and 72.02 ± 0.85 %: in this part neither is good. Twice the time improves both (force error on
# the first test set -19.39 ± 0.81 % with MACE, -15.72 ± 0.16 % with Deep Potential); but Deep
# Potential's liquid still ended early, at 7.29 and 7.67 of 10 ps, and MACE's, whole before, in one
# of two runs, at 1.28 ps.

# %% [markdown]
# ## Limits
#
# Core time is the stored record of one training on one machine. One seed of each is shown; how much
# seeds differ is seen in notebooks [04](04_run_liquid_dynamics.ipynb) and
# [08](08_read_the_transfer_matrix.ipynb).
# Settings fit a small budget; larger networks may shift both models, and perhaps not by the same
# amount. Above all, whether an error on a fixed set tells of the liquid is not asked here but in
# notebooks [05](05_score_models.ipynb) and [08](08_read_the_transfer_matrix.ipynb).
#
# **Try it.** Write a file `mine.yml` with `extends: smoke`, a `name`, a `store` below `runs/`, and
# under `training`, `architectures`, `deep_potential: {steps: 1600}`, twice as many; give its path
# as `profile`, and find the frames seen at which both have the same force error.
#
# ## Next
#
# [04_run_liquid_dynamics](04_run_liquid_dynamics.ipynb): what the models do when they are left
# alone.
#
# ## References
#
# 1. L. Zhang, J. Han, H. Wang, W. Saidi, R. Car, W. E, *NeurIPS* 2018: Deep Potential.
# 2. I. Batatia, D. P. Kovács, G. Simm, C. Ortner, G. Csányi, *NeurIPS* 2022: MACE.
# 3. I.-B. Magdău et al., *npj Comput. Mater.* 2023, 9, 146: the decomposition of the forces.

# %% [markdown]
# ## Colophon

# %% tags=["hide-output"]
lab.colophon()
