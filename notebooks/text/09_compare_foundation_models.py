# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Compare foundation models with bespoke ones
#
# **Question.** Does a model that others have trained on far more data make the liquid as well as
# one trained on a few frames of it, and how many labels does fine-tuning save?
#
# **What you will do.** Run published models as they are, on the same test sets and in the same
# liquid as the bespoke ones, then fine-tune one on growing parts of the same training set.
#
# **What you will learn.** What can be compared between levels of theory and what cannot, what
# accuracy costs per step, and whether system-specific data are still needed.
#
# **You need** notebooks [03](03_train_two_architectures.ipynb), [04](04_run_liquid_dynamics.ipynb)
# and [05](05_score_models.ipynb), and a profile with a section `foundation`; with another one this
# page says *skipped* and holds the text alone. The weights of SO3LR and CHGNet come with their
# packages. Those of MACE-MP-0 and MACE-OFF23 are optional: without them their rows say *not run*,
# and how to provide them.
#
# **Run time.** `laptop` and `smoke`: under a minute from stored results. To compute them takes
# minutes for `smoke` and about half an hour per model for `laptop`.
#
# **Files made.** Figures `09_compare_foundation_models__densities`, `__terms`, `__cost` and
# `__sizes`.

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crosstrain import judge
from crosstrain.data import figures, foundation, plots, summaries
from crosstrain.plan import atoms_in, set_of
from crosstrain.potentials import protocol
from crosstrain.study import Study

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
density_tolerance_g_cm3: float = 0.02  # deviation at which the density term is one half
rdf_tolerance: float = 0.05  # overlap error at which an RDF term is one half
seed: int = 0  # of the bootstrap behind the intervals

# %%
figures.use_style()
pd.set_option("display.max_colwidth", None)
lab = Study(profile, notebook="09_compare_foundation_models")
if lab.profile.foundation is None:
    print(f"skipped: profile {profile!r} does not ask for them (section 'foundation')")
    raise SystemExit(0)
tuning, states = lab.profile.foundation.fine_tuning, lab.profile.liquid.states
tests, method = list(lab.profile.tests), lab.profile.reference.method
tolerances = {"density": density_tolerance_g_cm3, "rdf": rdf_tolerance}
found, not_run = lab.foundation_models()
published = {name: step for name, step in found.items() if step.kind == "pretrained"}
bespoke = {step.name: step for step in lab.bespoke_models()}
models = found | bespoke
trained_on = {n: set_of(n) for n, s in models.items() if s.kind == "train"}

# %% [markdown]
# ## Why make a training set at all?
#
# All training sets so far were made for this one liquid. **Foundation models** come trained on far
# more data, by people who never thought of it, and cost nothing but a download: here SO3LR [1],
# CHGNet [2], MACE-MP-0 [3] and MACE-OFF23 [4], as far as the profile asks for them. If one of them
# made the liquid as well, or with a few labels more (**fine-tuning**), there would be no need of
# blocks, iterations and transfer. So they are run on the same tests and in the same liquid.
#
# ## The models, and what they were taught
#
# The comparison has a trap. A foundation model learnt from labels of its own **level of theory**:
# a density functional, or another method. Ours are of GFN2-xTB, and where the table says *differs*
# part of each deviation is the theory, not the model. Absolute energies of two methods cannot be
# compared at all. With $n_Z$ atoms of element $Z$ in a frame, the offset
#
# $$E_\mathrm{model} - E_\mathrm{label} \approx \sum_Z c_Z \, n_Z$$
#
# is fitted over the frames and removed before energies are shown, and the judgement rests on forces
# and on the liquid.

# %%
theory = {name: lab.level_of_theory(step) for name, step in models.items()}
notes = {name: foundation.theory_note(theory[name], method) for name in models}
shown = {name: foundation.marked(name, notes[name]) for name in models}
rows = {
    name: {
        "model": protocol.published(name).label,
        "trained on": theory[name],
        "labels here": method,
        "SHA-256 of the weights": step.params["sha256"][:12],
    }
    for name, step in published.items()
}
absent = {name: why for name, why in not_run.items() if name in lab.profile.foundation.models}
foundation.table(rows, absent)

# %% [markdown]
# A row for each published model of this profile: the model, what it was trained on, and the hash of
# the weights that were used, so that another download can be told from this one. A model whose
# weights are missing says so; that is no failure of the model.

# %% [markdown]
# ## Errors on fixed test sets
#
# Published models as they are (*zero-shot*: not one frame of this liquid was shown to them), beside
# models that were trained, or fine-tuned, on the largest set of the learning curves below.

# %%
largest = tuning.sizes[-1]
compared = [name for name in models if trained_on.get(name, largest) == largest]
evaluated = {
    (name, test): lab.evaluated(step, lab.block(test))
    for name, step in models.items()
    for test in tests
}
said = lab.each(list(evaluated.values()), lab.predicted)
fixed = {
    (name, test): foundation.error_row(said[step.name], theory[name])
    for (name, test), step in evaluated.items()
}
foundation.table({key: row for key, row in fixed.items() if key[0] in compared}, absent)

# %% [markdown]
# *Intermolecular* and *vibration* are force errors relative to the forces of that kind: 100 % would
# be had by always saying zero. A model can be good at the shape of a molecule and poor at the
# neighbourhood that makes the liquid, or the other way round. Look at the *level of theory* before
# comparing two rows: only models of the same theory as the labels compete on equal terms.

# %% [markdown]
# ## The liquid
#
# Forces are one thing; does the liquid live, and at which density? One replica per model and state,
# from the same start as the bespoke models', and each is judged by the planned time of the table.

# %%
runs = {(n, state): run for n, s in models.items() for state, run in lab.single_runs(s).items()}
records = lab.each(list(runs.values()), lambda run: lab.read(run, "run.json"))
n_atoms = atoms_in(lab.profile.liquid.composition)
step_s = {
    name: foundation.seconds_per_step(step.params, n_atoms, lab.measured)
    for name, step in models.items()
}
lived = summaries.runs({key: records[run.name] for key, run in runs.items()})
each_ms = {key: summaries.in_digits(1e3 * step_s[key[0]]) for key in runs}
rows = lived.assign(**{"ms per step": pd.Series(each_ms)}).to_dict("index")
foundation.table(rows, not_run)

# %% [markdown]
# How each run ended, and what a step of dynamics costs on one core in a box of this size: from a
# benchmark of all of them on one machine (`make bench`), since stored runs hold the start of a
# process, too. *nan*: not measured.

# %%
seen = lab.each(
    [lab.observed(run) for run in runs.values()], lambda s: lab.read(s, "observed.json")
)
references = lab.each([lab.reference(s) for s in states], lambda s: lab.read(s, "reference.json"))
for state, reference in references.items():
    verdict = summaries.reference_verdict(reference, "density")
    print(f"density at {state} / g cm⁻³: reference {verdict}")

# %%
fig, axes = plt.subplots(1, len(states), figsize=(6.4 * len(states), 4.6), squeeze=False)
shades = {name: plots.distinct(number) for number, name in enumerate(compared)}
shades |= {name: figures.colour(step.params["architecture"]) for name, step in bespoke.items()}
for ax, state in zip(axes[0], states, strict=True):
    for name in (name for name in compared if (name, state) in runs):
        run = runs[name, state]
        moved = lab.trajectory(run)
        trace = moved.thermo["time_ps"], summaries.densities_g_cm3(moved)
        ended = records[run.name]["status"] != "completed"
        plots.density_trace(ax, *trace, colour=shades[name], ended=ended)
        ax.plot([], [], color=shades[name], label=shown[name])
    ax.set(title=f"{states[state].temperature_K:g} K", xlabel="time / ps")
    ax.legend(fontsize=8)
axes[0, 0].set_ylabel("density / g cm$^{-3}$")
foundation.footnote(fig, absent)
lab.save(fig, "densities")

# %% [markdown]
# A trace for each model; a cross marks a run that ended before its time. A density beside the
# reference's is a verdict on model *and* theory together where a star stands.

# %% [markdown]
# ## Errors where the models go
#
# Frames of each model's own run, labelled by our reference method (notebook
# [05](05_score_models.ipynb)). A model of another theory goes where *its* theory leads, so that its
# errors there hold both, the theory and the model:

# %%
relabelled = {key: lab.evaluated(models[key[0]], lab.relabelled(run)) for key, run in runs.items()}
visited = lab.each(list(relabelled.values()), lab.predicted)
own = {
    (name, state): foundation.error_row(visited[step.name], theory[name])
    for (name, state), step in relabelled.items()
}
foundation.table(own, not_run)

# %% [markdown]
# ## The liquid score
#
# As in notebook [05](05_score_models.ipynb): the part of the planned time that the run lived, times
# the mean of $1 / (1 + (\Delta/\tau)^2)$ over density and radial distribution functions, each with
# its deviation $\Delta$ from the liquid of the method that made our labels and its tolerance
# $\tau$. From one replica each.

# %%
scores = {
    (name, state): judge.liquid_score(
        [seen[run.name]],
        references[state],
        rng=np.random.default_rng(seed),
        tolerances=tolerances,
    )
    for (name, state), run in runs.items()
}
scored = summaries.scores(scores).to_dict("index")
for (name, _), row in scored.items():
    row[foundation.THEORY] = notes[name] or foundation.SAME_THEORY
foundation.table(scored, not_run)

# %%
fig, ax = plt.subplots(figsize=(8, 1.6 + 0.4 * len(scores)))
plots.score_terms(ax, {(shown[name], state): score for (name, state), score in scores.items()})
foundation.footnote(fig, not_run)
lab.save(fig, "terms", density_tolerance_g_cm3=density_tolerance_g_cm3, rdf_tolerance=rdf_tolerance)

# %% [markdown]
# The parts of the score, a row for each model and state. Dark is good, a grey cell has no reference
# value. A model of another theory can lose here without being a worse model of its own.

# %% [markdown]
# ## Accuracy and its price
#
# What is paid once, for training, a foundation model saves. What is paid at every step of every
# simulation it may well not: it is built for far more than this liquid.

# %%
test, state = tests[0], tuning.states[0]
fig, ax = plt.subplots(figsize=(6.4, 4.4))
points = {
    shown[n]: (
        models[n].params["architecture"],
        step_s[n],
        fixed[n, test][foundation.INTER],
    )
    for n in compared
    if (n, state) in runs
}
foundation.price(ax, points)
ax.set_ylabel(f"intermolecular force error / %\non {test}")
foundation.footnote(fig, absent)
lab.save(fig, "cost")

# %% [markdown]
# Error between molecules against the core time of one step, both logarithmic. Lower left is best:
# accurate and cheap. With a star, part of the error is theory.

# %% [markdown]
# ## How many labels does fine-tuning save?
#
# A published model need not be used as it is: training can go on from its weights. It then knows
# what a bond is before the first frame, and the frames only have to tell it of this liquid and of
# our method. The same frames, in the same order, for training from nothing and for fine-tuning,
# each with the same budget of core time where the profile sets one. Both learn our labels, so here
# no theories are mixed.

# %%
trained = lab.each([models[n] for n in trained_on], lambda s: lab.read(s, "training.json"))
learnt, variant = {}, {name: name.partition("-")[0] for name in trained_on}
for name, sets in trained_on.items():
    if sets in tuning.sizes:
        n_frames = trained[name]["n_training"] + trained[name]["n_validation"]
        learnt.setdefault(variant[name], {})[n_frames] = name
curves = {
    (way, quantity): {n: fixed[name, test][quantity] for n, name in by_size.items()}
    for way, by_size in learnt.items()
    for quantity in (foundation.FORCE, foundation.INTER)
}

# %%
architecture = {way: tuning.architectures.get(way, way) for way in learnt}
labels = {
    way: protocol.architecture(name).LABEL + ("" if way == name else f" ({way})")
    for way, name in architecture.items()
}
fig, axes = plt.subplots(1, 3, figsize=(14, 4))
for way, by_size in learnt.items():
    style = {"architecture": architecture[way], "label": labels[way]}
    for ax, quantity in zip(axes, (foundation.FORCE, foundation.INTER), strict=False):
        curve = curves[way, quantity]
        foundation.size_curve(ax, list(curve), list(curve.values()), **style)
    found_scores = [scores[name, state] for name in by_size.values()]
    foundation.score_curve(axes[2], list(by_size), found_scores, **style)
axes[0].set(title=f"on {test}", ylabel="force RMSE / meV Å$^{-1}$")
axes[1].set(title=f"on {test}", ylabel="intermolecular force error / %")
axes[2].set_title(f"liquid at {state}")
axes[0].legend(fontsize=9)
foundation.footnote(fig, {name: why for name, why in not_run.items() if name not in absent})
lab.save(fig, "sizes")

# %% [markdown]
# Error and score against the number of frames; each point is one training. Follow a horizontal
# line from the right end of a bespoke curve to the left: where it meets the fine-tuned one, as much
# is known from fewer labels. Hollow points have no score.

# %% [markdown]
# ## Do the same blocks help?
#
# Another column of the transfer matrix: what each training set makes of a bespoke architecture and
# of a fine-tuned model.

# %%
cells = {}
for name, sets in trained_on.items():
    score = scores[name, state]
    cells[sets, labels[variant[name]]] = {
        "force / meV Å⁻¹": fixed[name, test][foundation.FORCE],
        "intermolecular / %": fixed[name, test][foundation.INTER],
        f"liquid at {state}": summaries.score_sentence(score),
    }
foundation.table(cells, {name: why for name, why in not_run.items() if name not in absent})

# %% [markdown]
# A block *transfers* to fine-tuning if it gains more than `classical_more`, the control, where the
# profile has it. Their numbers of frames need not be equal (see the table of frames of notebook
# [08](08_read_the_transfer_matrix.ipynb)). One training each, so no interval can be given:
# differences are hints.

# %% [markdown]
# ## What we found
#
# The paper's abstract [5] says that system-specific data are usually needed. Our rule: a published
# model is *worse* than the best bespoke one if the interval of its score lies wholly below,
# *better* if wholly above, else *alike*; without a score the question is *open*.

# %%
verdicts = {}
for name, at in ((key[0], key[1]) for key in runs if key[0] in published):
    rivals = {n: s for (n, where), s in scores.items() if n in bespoke and where == at}
    verdicts[f"{shown[name]} at {at}"] = foundation.verdict(scores[name, at], rivals)
for name, word in (verdicts | absent).items():
    print(f"{name}: {word}")
print(f"{foundation.MIXED}.")
print(f"Foundation models as they are need system-specific data: {foundation.claim(verdicts)}.")

# %% [markdown]
# Where the liquid leaves it open, and beside it in any case, forces speak:

# %%
for name in published:
    mine, rivals = fixed[name, test][foundation.INTER], [n for n in compared if n in bespoke]
    rival = min(rivals, key=lambda n: fixed[n, test][foundation.INTER])
    best = fixed[rival, test][foundation.INTER]
    print(
        f"{name}: intermolecular force error {mine:.0f} % on {test}, against {best:.0f} % of "
        f"{rival}. Level of theory: {notes[name] or foundation.SAME_THEORY}."
    )

# %%
judged = product(lab.profile.training.architectures, (foundation.FORCE, foundation.INTER))
for bespoke_one, quantity in judged:
    size, target = max(curves[bespoke_one, quantity].items())
    for tuned in (name for name in tuning.variants if name in learnt):
        n_frames = foundation.frames_to_match(curves[tuned, quantity], target)
        enough = f"{n_frames} frames are enough" if n_frames else "no size is enough"
        print(
            f"{quantity} of {labels[bespoke_one]} with {size} frames: {target:.0f}; for "
            f"fine-tuned {labels[tuned]} {enough}."
        )

# %% [markdown]
# ## Limits
#
# The paper's abstract compares two pretrained models; which ones is not known to us, so this is a
# test of its claim, not of its numbers. Our labels are GFN2-xTB: a published model that is nearer
# to nature than our labels would still be marked down here, and agreement would prove no more than
# that two theories agree. One replica and one seed of each; the liquid is small and the runs are
# short. Fine-tuned SO3LR learns no stress, because its trainer
# does not; bespoke models do. Its learning rate and weights were chosen once, by the validation
# error of short trainings. Equal core time is not equal effort: the published weights cost their
# makers far more than any budget here.
#
# **Try it.** Set `profile = "smoke"` (the numbers mean nothing, but every step runs). Then put the
# weights of MACE-OFF23 into a folder, name it in `CROSSTRAIN_WEIGHTS`, and run again: does a model
# made for organic molecules do better than one made for crystals?
#
# ## Next
#
# [10_meet_unseen_molecules](10_meet_unseen_molecules.ipynb): bespoke models among molecules that
# they were never shown.
#
# ## References
#
# 1. A. Kabylda et al., *J. Am. Chem. Soc.* 2025, doi 10.1021/jacs.5c09558: SO3LR.
# 2. B. Deng et al., *Nat. Mach. Intell.* 2023, 5, 1031: CHGNet.
# 3. I. Batatia et al., arXiv:2401.00096: MACE-MP-0.
# 4. D. P. Kovács et al., *J. Am. Chem. Soc.* 2025, 147, 17598: MACE-OFF23.
# 5. S. P. Niblett et al., *J. Chem. Theory Comput.* 2025, 21, 6096: the claim.

# %% [markdown]
# ## Colophon

# %% tags=["hide-output"]
lab.colophon()
