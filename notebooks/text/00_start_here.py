# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Start here: can training data change hands?
#
# **Question.** Does a training set made for one machine-learned interatomic potential help
# another one, and how would we know?
#
# **What you will do.** See the whole study on one page, find the notebook that you need, and look
# at the liquid that everything is about.
#
# **What you will learn.** What is judged and by what; how to read, run and change these
# notebooks.
#
# **You need** nothing but the installed environment (`make lab`). Some chemistry helps; every
# term of machine learning is explained where it first occurs or in the
# [glossary](glossary.md).
#
# **Run time.** With the profile `laptop` (a profile holds all sizes, see below) under a minute: all
# results that it shows are stored with the project. Those of the tiny profile `smoke` are computed
# on first use, which takes minutes; then under a minute, too.
#
# **Files made.** Figures `00_start_here__study_map`, `__summary` and `__the_liquid`.

# %%
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crosstrain import matrix
from crosstrain.data import figures, plots, transfer_plots, views
from crosstrain.measure import transfer
from crosstrain.potentials import protocol
from crosstrain.run import notebooks
from crosstrain.study import Study
from IPython.display import Markdown

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
control: str = "classical+classical_more.100"  # as many frames of the old kind
seed: int = 0  # of the bootstrap behind the scores

# %%
figures.use_style()
pd.set_option("display.max_colwidth", None)
lab = Study(profile, notebook="00_start_here")

# %% [markdown]
# ## The question
#
# A **machine-learned interatomic potential** is a function with many fitted numbers that takes
# the positions of atoms and returns energy and forces. It is fitted to *labels*: energies, forces
# and stresses of a quantum-mechanical *reference method*. It answers so much faster than the
# reference that a liquid can be simulated. Two things decide whether it answers
# well: its **architecture** (the kind of function) and its **training set** (the configurations
# it has seen).
#
# Labels are expensive, so one would like to hand a training set from one architecture to the
# next. Niblett and others [1] asked whether that works, for the electrolyte solvent of ethylene
# carbonate (EC) and ethyl methyl carbonate (EMC), with Deep Potential and MACE; the parent data set
# had been made with a third architecture, GAP [2]. This project asks
# the question again, small enough for two processor cores, with every step open. Sets, sizes, the
# reference method and the score are **our choice**; where a number comes from the literature, its
# source stands beside it.
#
# The liquid is looked at in two states: *cold*, at 300 K and 1 bar, near which there are
# experiments (but no score: the liquid of the reference method is not known there), and *hot*, at
# 500 K, where molecules move fast enough to tell much in little time. EMC boils near 380 K [3], so
# that a small box at 500 K and 1 bar would become a gas: that state is under 1000 bar.

# %% [markdown]
# ## The map
#
# One figure to keep in mind. The number in each box is that of its notebook.

# %%
fig, ax = plt.subplots(figsize=(11, 6))
plots.study_map(ax)
lab.save(fig, "study_map")

# %% [markdown]
# Read from left to right. Molecules become configurations of several kinds, the reference labels
# them, both architectures learn from the same labels, each runs its own liquid, and the liquid is
# scored. The dashed arrow is the part that is easily left out: frames of a model's *own* simulation
# go back to the reference. They show errors that no fixed test set contains. Below, what is asked
# of such models: which data serve which of them, what pretrained ones add, how they do on molecules
# they have not seen and on DFT labels, and what a liquid of your own needs.

# %% [markdown]
# ## The study at a glance
#
# The **liquid score** is one number from 0 to 1: the part of the planned time that a model's liquid
# lived, times how close its density and structure are to those of the reference's liquid (notebook
# [05](05_score_models.ipynb)).
#
# Everything that is stored of it so far: each row is a training set, each column an architecture,
# each cell the liquids of its models, one per seed. Where the reference method's own liquid is not
# known well enough to score against, the error of the forces between molecules on the models' own
# runs is shown instead, and the bar beside the panels says so.

# %%
training, liquid = lab.profile.training, lab.profile.liquid
columns = {name: protocol.architecture(name).LABEL for name in training.architectures}
cells = {state: matrix.read(lab, state, seed=seed) for state in liquid.states}
rows, shown = lab.rows(), {state: matrix.chosen(found, "auto") for state, found in cells.items()}

# %%
fig, axes = plt.subplots(1, len(cells), figsize=(9.5, 1.6 + 0.45 * len(rows)), sharey=True)
panels = dict(zip(cells, np.atleast_1d(axes), strict=True))
for quantity in dict.fromkeys(shown.values()):
    about, mine = matrix.QUANTITIES[quantity], [s for s in cells if shown[s] == quantity]
    found = {state: cells[state][quantity] for state in mine}
    options = {"form": about.form, "better": about.better}
    options |= {"scale": transfer_plots.colour_scale([*found.values()], about.better)}
    for state, values in found.items():
        image = transfer_plots.heat_map(panels[state], values, rows, columns, **options)
        at = liquid.states[state]
        panels[state].set_title(f"{at.temperature_K:g} K, {at.pressure_bar:g} bar")
    transfer_plots.colour_bar(image, [panels[s] for s in mine], about.label.replace("\n", " "))
lab.save(fig, "summary")

# %% [markdown]
# Blue is a score, and dark is good; orange is an error, and dark is bad. Panels that share a bar
# share its colours, and those of errors are logarithmic: equal steps of colour are equal factors.
# Hatched cells hold models whose liquids broke down, white cells were not run (rows that this
# profile does not ask for are among them), dark grey ones failed. A number stands with its standard
# error, the scatter of the seeds; that of a score is never taken smaller than the runs' own errors
# say. Value less error may be below zero, though no score is. Two seeds may agree by chance, and
# then an error is too small. The error of a score does not hold that of the reference's liquid,
# which moves all rows together (notebook [05](05_score_models.ipynb) gives intervals with it). A
# number without an error comes from one seed. Notebook [08](08_read_the_transfer_matrix.ipynb)
# reads this matrix in full.

# %% [markdown]
# ## The notebooks
#
# The table is read from the notebooks themselves.

# %%
lines = [f"| [{name}]({name}.ipynb) | {question} |" for name, _, question in notebooks.contents()]
Markdown("\n".join(["| notebook | its question |", "|:--|:--|", *lines]))

# %% [markdown]
# Read them in this order the first time; later each stands alone. Words that are not explained
# where they stand are in the [glossary](glossary.md).

# %% [markdown]
# ## What this profile asks for
#
# A **profile** is one readable file with every size, budget and hyperparameter. The next cell
# shows the one that is in use.

# %%
settings = lab.profile
states = {n: f"{s.temperature_K:g} K, {s.pressure_bar:g} bar" for n, s in liquid.states.items()}
overview = {
    "purpose": settings.purpose,
    "reference method": settings.reference.method,
    "training sets": "; ".join(settings.training.sets),
    "architectures": "; ".join(columns.values()),
    "molecules of the scoring liquid": ", ".join(
        f"{n} {name}" for name, n in liquid.composition.items()
    ),
    "states": "; ".join(states.values()),
    "length of a run / ps": f"{settings.dynamics.duration_ps:g}",
}
pd.DataFrame({"this profile": overview})

# %% [markdown]
# Every number in the notebooks that follow belongs to this profile. Results of `smoke` only show
# that the machinery works; they say nothing about the models.

# %% [markdown]
# ## The training blocks
#
# The *kind* of configuration is the subject. Each block holds one kind, drawn from a random stream
# of its own, so that blocks can be joined into training sets. `classical_more` is the control: more
# of the same kind. A number after a name means its first frames only, such as the first 100 in
# `classical_more.100`: so a control can have as many as the block that it is compared with.
#
# Two more blocks are made while the study runs: `dp_iterated` and `mace_iterated`, frames that a
# committee of Deep Potential, or of MACE models did not know (notebook
# [07](07_improve_by_iteration.ipynb)). `everything` is all blocks together.

# %%
blocks = {
    name: {"kind": block.kind, "frames": block.frames, "purpose": block.purpose}
    for name, block in (settings.blocks | settings.tests).items()
}
pd.DataFrame.from_dict(blocks, orient="index")

# %% [markdown]
# ## The liquid
#
# Something to look at before any statistics: a box of the scoring liquid, as simulations start
# from it. Run this notebook in JupyterLab to turn the widget with the mouse; the picture below it
# is the same box for readers on paper.

# %%
first_state = next(iter(liquid.states))
box = lab.frames_of(lab.start(first_state, liquid.states[first_state].replicas[0]))[0]
views.view(box)

# %%
fig, axes = plt.subplots(1, 2, figsize=(10, 4.6))
for ax, colour_by in zip(axes, ("element", "molecule"), strict=True):
    views.picture(box, ax, colour_by=colour_by)
    ax.set_title(f"coloured by {colour_by}")
lab.save(fig, "the_liquid")

# %% [markdown]
# Left: carbon dark, oxygen red, hydrogen white. Right: a colour for each molecule. The rings of
# five are EC, the chains EMC. The box is periodic: what leaves it on one side enters on the other.
# It was packed at random and then mixed by classical dynamics, so that every model starts from the
# same liquid and none from its own.

# %% [markdown]
# ## What we found
#
# In a few lines, written by the code; how sure we are is said in the notebooks. The inventory:

# %%
inside = len(set(box.arrays["molecule"]))
assert inside == sum(liquid.composition.values())
edge_A = box.cell.lengths()[0]
print(f"The scoring liquid: {inside} molecules, {len(box)} atoms, a box of {edge_A:.2f} Å.")
for name, found in cells.items():
    lived = [run.value for runs in found["survival"].values() for run in runs]
    ran = f"{sum(value is not None for value in lived)} models are stored, of {len(lived)} that the"
    print(f"{states[name]}: liquids of {ran} full matrix has (rows, architectures, seeds).")

# %% [markdown]
# The first thing that is asked of a liquid is that it lives. Training sets with which all runs of
# an architecture reached the planned time:

# %%
for (state, found), (architecture, label) in product(cells.items(), columns.items()):
    lived = {row: found["survival"][row, architecture] for row in rows}
    ran = [row for row, runs in lived.items() if all(run.value is not None for run in runs)]
    whole = [row for row in ran if all(run.value == 1 for run in lived[row])]
    print(f"{label}, {liquid.states[state].temperature_K:g} K: {len(whole)} of {len(ran)} sets")
    print(f"  {'; '.join(whole) or 'none'}")

# %% [markdown]
# And the question itself. Frames that one architecture chose, in the liquid of the other: do they
# help it more than as many frames of the old kind (the `control` of the parameters cell), and as
# much as frames of its own choice?

# %%
makers = lab.profile.iteration.blocks if lab.profile.iteration else {}
start = lab.profile.iteration.start if makers else ""
sets = {f"{start}+{block}": f"frames chosen by {columns[a]}" for block, a in makers.items()}
sets[control] = "as many of the old kind"
for (state, found), (architecture, label) in product(cells.items(), columns.items()):
    print(f"{label}, {liquid.states[state].temperature_K:g} K:")
    for row, words in sets.items():
        one = transfer.cell(found["score"], row, architecture)
        ends = [run.value for run in found["survival"].get((row, architecture), ())]
        lived = [f"{end:.2f}" for end in ends if end is not None]
        score = "not known"
        if one.mean is not None:
            score = f"{one.mean:.2f}" + ("" if one.error is None else f" ± {one.error:.2f}")
        said = f"lived {' and '.join(lived)} of the time, liquid score {score}"
        print(f"  {words}: {said if lived else 'not run'}")

# %% [markdown]
# A number for each model that lived, as a part of the planned time, and the mean score of the
# models with its error. What differs by less than its errors is not told apart; notebook
# [08](08_read_the_transfer_matrix.ipynb) says what is clear.

# %% [markdown] tags=["findings"]
# **In words**, of the results stored for `laptop`. *Does a set made for one architecture help the
# other?* One way it does: with frames that MACE chose, the liquids of Deep Potential reach the end
# at 500 K (lived 1.00 and 1.00 of the time, against 0.14 and 0.17 with as many frames of the old
# kind), and the liquid score is 0.76 ± 0.17 against 0.06 ± 0.03. Whether frames of its own choice
# (0.60 ± 0.13) serve it better or worse than those of MACE is not told. The other way nothing is
# told: MACE scores 0.62 ± 0.17 with frames that Deep Potential chose, 0.49 ± 0.12 with its own,
# 0.50 ± 0.19 with the old kind; its liquids lived with 9 of 9 sets, those of Deep Potential with 3
# of 9. At 300 K all liquids with chosen frames lived, but there is no score, and the control with
# as many frames of the old kind was not run: the question is open there. Behind each number stand
# two models, so an error may be too small by chance; notebook
# [08](08_read_the_transfer_matrix.ipynb) gives the differences with intervals and comes to the
# same. The chosen frames are of other states than the old ones, too (notebook
# [07](07_improve_by_iteration.ipynb)): that they help need not be due to the choice.
#
# *How would we know?* By running the liquid. Errors on fixed frames do not tell how long it lives
# (notebook [05](05_score_models.ipynb)).

# %% [markdown]
# ## How to read, run and change this
#
# - **Read.** The committed notebooks hold their outputs, so GitHub is enough.
# - **Run.** `make lab` opens JupyterLab. Results that are stored are verified and loaded (each
#   says `loaded: ...` with its parameters); what is missing is computed first. `crosstrain plan`
#   tells beforehand how long that takes. Of the steps that are named there `simulate` runs a
#   liquid, `observe` measures density and structure of the run, `relabel` labels frames of it with
#   the reference method, `evaluate` compares a model with labelled frames, and `diffuse` runs at
#   constant volume.
# - **Change.** Edit the parameters cell and run again, or start all notebooks with other
#   settings: `crosstrain run --profile smoke`. The text twins in `notebooks/text` are what is
#   edited and reviewed; with jupytext installed JupyterLab keeps both together.
#
# **Try it.** Run `crosstrain run --profile smoke 00_start_here` and compare the table of the
# profile with the one above. Then write a file `mine.yml` with `extends: smoke`, a `name`, a
# `store` below `runs/`, and under `liquid` another `composition` of EC and EMC, and give its path
# as `profile`.
#
# ## Limits
#
# The boxes are small, the runs short, and the reference is a semi-empirical method (notebook
# [02](02_label_with_a_reference.ipynb) says why). What holds here need not hold for larger models
# with larger budgets.
#
# ## Next
#
# [01_build_liquids](01_build_liquids.ipynb): from SMILES to boxes of liquid.
#
# ## References
#
# 1. S. P. Niblett, P. Kourtis, I.-B. Magdău, C. P. Grey, G. Csányi, *J. Chem. Theory Comput.*
#    2025, 21, 6096 (arXiv:2409.05590).
# 2. I.-B. Magdău et al., *npj Comput. Mater.* 2023, 9, 146: the parent data set.
# 3. K. Xu, *Chem. Rev.* 2004, 104, 4303: properties of the solvents (EMC: 110 °C).

# %% [markdown]
# ## Colophon

# %% tags=["hide-output"]
lab.colophon()
