# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Build liquids from SMILES
#
# **Question.** What kinds of training configuration can be made before any quantum mechanics,
# and what does each kind know of the liquid?
#
# **What you will do.** Turn SMILES strings into conformers, shake the conformers as heat would,
# pack them into periodic boxes, let a classical force field move them, scan their volume, tear at
# single molecules; then look at the stored sets of each kind, all in one map.
#
# **What you will learn.** Why one shape per molecule is not enough, what temperature means for a
# molecule that was never simulated, how far a random packing is from a liquid, and which corners
# of configuration space each set leaves empty.
#
# **You need** notebook [00](00_start_here.ipynb) for the map.
#
# **Run time.** `laptop`: two minutes. The molecules and one box of each kind are built while you
# watch; the sets with their labels are stored. Those of `smoke` are computed on first use, in
# minutes.
#
# **Files made.** Figures `01_build_liquids__conformers`, `__boxes`, `__kinds`, `__where`,
# `__structure` and `__map`.

# %%
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before the reference method loads its runtime

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crosstrain.build import boxes, molecules
from crosstrain.build.classical import classical_md, mmff_energies, mmff_energies_between
from crosstrain.data import cards, figures, plots, reference, summaries, views
from crosstrain.measure import overlap
from crosstrain.study import Study, labelled_set
from scipy import stats

# %% tags=["parameters"]
profile: str = "laptop"  # budget of the study: laptop, smoke, or the path of a .yml file
seed: int = 7  # of everything that is built live in this notebook
n_conformers: int = 12  # at most, of each molecule

# %%
figures.use_style()
lab = Study(profile, notebook="01_build_liquids")
block = lab.profile.blocks["packed"]
composition = dict(lab.profile.liquid.composition)
method = lab.profile.reference.method
DENSITY = "density / g cm$^{-3}$"

# %% [markdown]
# ## From SMILES to conformers
#
# A SMILES string says which atoms are bonded, not where they are. RDKit embeds each graph in
# space many times [1]; what remains after relaxation and removal of duplicates are its
# **conformers**: the shapes between which the molecule turns about its single bonds.

# %%
shapes = {
    name: molecules.conformers(name, n=n_conformers, seed=seed) for name in sorted(composition)
}
pd.DataFrame(
    {
        "SMILES": {name: molecules.NAMED.get(name, name) for name in shapes},
        "atoms": {name: len(found[0]) for name, found in shapes.items()},
        "bonds": {name: len(found[0].info["bonds"]) for name, found in shapes.items()},
        "distinct conformers": {name: len(found) for name, found in shapes.items()},
    }
)

# %% [markdown]
# The number of conformers is counted by the code above; a shape and its mirror image count as two
# (the ring of EC has one twist, to either side). A set that holds
# only the most stable shape of each molecule leaves a model free to invent the others.

# %%
fig, axes = plt.subplots(len(shapes), 4, figsize=(10, 2.6 * len(shapes)), squeeze=False)
for row, (name, found) in zip(axes, shapes.items(), strict=True):
    for ax in row:
        ax.axis("off")
    for number, (ax, shape) in enumerate(zip(row, found, strict=False)):
        views.picture(shape, ax, rotation="0x", half_width_A=4.5)
        ax.set_title(f"{name}, conformer {number}", fontsize=10)
lab.save(fig, "conformers", seed=seed, n_conformers=n_conformers)

# %% [markdown]
# At most four of each are drawn, the most stable (by the MMFF94 force field) first.

# %% [markdown]
# ## Heat without dynamics
#
# A relaxed conformer is a molecule at rest. Its **normal modes** [2], from second derivatives of
# the reference energy, say how far each vibration carries it at a temperature. Displacements are
# drawn from that harmonic distribution: the coordinate $Q$ of each mode, weighted by mass, is
# Gaussian with $\langle Q^2 \rangle = kT/\omega^2$, $\omega$ being its angular frequency, classical
# as the dynamics will be (equipartition: the energy $\omega^2 Q^2 / 2$ of a mode is $kT/2$ on
# average). The set of the potential ANI-1 was made by a similar sampling along modes [3]. Here for
# one molecule:

# %%
name = min(composition)
calculator = reference.calculator(method)
relaxed = molecules.relax(shapes[name][0], calculator)
frequencies, modes = molecules.normal_modes(relaxed, calculator)
print(f"{name}: {len(frequencies)} modes, {frequencies[0]:.0f} to {frequencies[-1]:.0f} cm⁻¹")

# %%
rows = {}
for temperature_K in np.linspace(*block.options["temperature_K"], 3):
    rng = np.random.default_rng(seed)
    draws = [
        molecules.thermal_displacement(frequencies, modes, temperature_K=temperature_K, rng=rng)
        for _ in range(200)
    ]
    squares = [np.square(draws)[:, relaxed.symbols == e].mean(axis=(1, 2)) for e in "COH"]
    sizes = [(of_draws.mean() ** 0.5, stats.sem(of_draws)) for of_draws in squares]
    rows[f"{temperature_K:.0f}"] = [summaries.plus_minus(s, e / (2 * s)) for s, e in sizes]
heat = pd.DataFrame.from_dict(rows, orient="index", columns=["C / Å", "O / Å", "H / Å"])
heat.rename_axis("temperature / K")

# %% [markdown]
# Root mean square displacement along one axis, over 200 draws with its standard error, the same
# random numbers in every row: by the formula it grows with the square root of the temperature. The
# light atoms move most. The temperature range is that of the profile's `packed` block. Modes softer
# than 300 cm⁻¹ are drawn as if they had 300 cm⁻¹: along a straight line a large turn would tear
# bonds, and turning is what the conformers are for.

# %% [markdown]
# ## Packing
#
# Packmol [4] finds places where no two atoms of different molecules touch; Monte Carlo moves [5],
# random shifts and turns of one molecule at a time, kept only if it still touches no other, then
# make the molecules forget the walls that Packmol works with. Three densities, built now:

# %%
low, high = block.options["density_g_cm3"]
densities = np.round(np.linspace(low, high, 3), 2)
mixed = boxes.mixture(composition, seed=seed, ensembles=shapes)
live = [boxes.pack(mixed, density_g_cm3=density, seed=seed) for density in densities]
assert all(molecules.intact(box) and not len(boxes.threaded(box)) for box in live)

# %%
fig, axes = plt.subplots(1, 3, figsize=(11, 4))
for ax, box in zip(axes, live, strict=True):
    views.picture(box, ax, colour_by="molecule")
    ax.set_title(f"{boxes.density_g_cm3(box):.2f} g cm$^{{-3}}$")
lab.save(fig, "boxes", seed=seed)

# %% [markdown]
# The same molecules from an expanded fluid to a compressed liquid, each box drawn to the size of
# its panel. The `assert` above checked that every molecule is whole and that none is threaded
# through the ring of another.
#
# Turn the densest one:

# %%
views.view(live[-1])

# %% [markdown]
# ## Classical dynamics
#
# Packed molecules do not attract each other. A classical force field (MMFF94 [6], its parameters
# from RDKit, moved by OpenMM) makes a liquid of them at the cost of seconds. Its bond lengths and
# its density are its own, not those of the reference method: it only has to lead to useful places.
# The middle box is moved for one picosecond at 600 K; then the terms of its energy are listed, and
# beside them what is left when each molecule alone, of the same shape, is subtracted.

# %%
moved = classical_md(
    live[1], temperature_K=600, n_steps=1000, save_every=1000, timestep_fs=1.0, seed=seed
)[-1]
cutoff_A = 0.45 * moved.cell.lengths().min()
terms = {
    "MMFF94 energy / eV": mmff_energies(moved, cutoff_A=cutoff_A),
    "between molecules / eV": mmff_energies_between(moved, cutoff_A=cutoff_A),
}
pd.DataFrame(terms).round(2) + 0.0  # no minus before a zero

# %% [markdown]
# Most of the electrostatic energy lies within the molecules. What holds the box together is the
# right column: the terms of bonds, angles and torsions cancel, and two are left. The box itself is
# drawn below.
#
# ## Scans and strained molecules
#
# The other two kinds come from human intuition. A **volume scan** moves the rigid molecules apart
# or together with the box, so that only what is *between* them changes: it shows a model what
# pressure is. **Isolated molecules**, stretched, bent and twisted, show it what holds a molecule
# together.

# %%
rng = np.random.default_rng(seed)
gallery = {
    "packed, not heated": live[1],
    "classical, 600 K": moved,
    "scan, 0.40 g cm$^{-3}$": boxes.scaled(moved, 0.4),
    "scan, 1.10 g cm$^{-3}$": boxes.scaled(moved, 1.1),
    f"molecule, strained ({name})": molecules.distorted(relaxed, rng=rng),
}
fig, axes = plt.subplots(2, 3, figsize=(10.5, 7.4))
axes[1, 2].set_axis_off()
for ax, (title, frame) in zip(axes.flat, gallery.items(), strict=False):
    views.picture(frame, ax, **({"colour_by": "molecule"} if frame.pbc.all() else {}))
    ax.set_title(title)
lab.save(fig, "kinds", seed=seed)

# %% [markdown]
# One of each kind, boxes drawn to the size of their panel. In the scan every molecule keeps its
# shape; only the distances between molecules differ.
#
# ## The stored sets
#
# The blocks of this profile were made in these ways and labelled. They are drawn from disjoint
# random streams, so they can be joined: `classical+scan` is both together. The sets whose names
# end in `_test` are never trained on.

# %%
sets = {name: lab.frames(name) for name in (*lab.profile.blocks, *lab.profile.tests)}
summaries.sets(sets)

# %% [markdown]
# Each set that is shipped has a page in `data/sets`, its *data card*: recipe, ranges, failures.
# Every frame of every set must be sound: molecules intact, none interlocked.

# %%
frames = [frame for members in sets.values() for frame in members]
broken = sum(not molecules.intact(frame) for frame in frames)
interlocked = sum(len(boxes.threaded(frame)) > 0 for frame in frames if frame.pbc.all())
assert broken == interlocked == 0
print(f"{len(frames)} frames: {broken} with a broken molecule, {interlocked} interlocked")

# %% [markdown]
# Where do they lie?

# %%
where = summaries.preparation({name: sets[name] for name in lab.profile.blocks})
fig, axes = plt.subplots(1, 2, figsize=(11, 4))
for ax, quantity in zip(axes, ("temperature / K", "nearest contact / Å"), strict=True):
    for name, rows in where.groupby("set", sort=False):
        plots.cloud(ax, rows[[DENSITY, quantity]].to_numpy(), name=name)
    ax.set(xlabel=DENSITY, ylabel=quantity)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
lab.save(fig, "where")

# %% [markdown]
# Left: the temperature at which a frame was prepared, against its density. In `classical` the two
# rise together, as in the published set (notebook [11](11_train_on_published_dft.ipynb)), so that
# contacts become closer along the line and the cold dense and the hot thin corner stay empty;
# `packed` fills the plane, but its temperature is that of the vibrations alone; `scan` leaves the
# line along the density. Right: the smallest distance between atoms of different molecules.
# Isolated molecules have neither density nor neighbours and are not shown.
#
# ## Structure
#
# A **radial distribution function** g(r) counts the neighbours of an atom at distance r, relative
# to an even spread. It is 1 for an ideal gas. Only pairs of *different* molecules are counted;
# the mean is over all frames of the set, up to half the width of the smallest box.

# %%
liquids = {name: sets[name] for name in ("packed", "classical") if name in sets}
pairs = lab.profile.liquid.rdf.pairs
fig, axes = plt.subplots(1, len(pairs), figsize=(4 * len(pairs), 3.6), sharey=True)
curves = {title: summaries.mean_rdfs(members, pairs) for title, members in liquids.items()}
for title, found in curves.items():
    for ax, (pair, (r, g)) in zip(axes, found.items(), strict=True):
        plots.radial_distribution(ax, r, g, label=title, colour=figures.set_colour(title))
        ax.set_title(pair)
axes[0].legend()
lab.save(fig, "structure")

# %% [markdown]
# Green: packed at random, with a hole whose edge is the shortest contact (about 2 Å) that the
# packing allows, the same for all pairs. Pink: moved by the force field, which tells pairs apart.
# Where each curve leaves zero:

# %%
edges = {
    (title, pair): round(float(r[np.argmax(g > 0)]), 1)
    for title, found in curves.items()
    for pair, (r, g) in found.items()
}
pd.Series(edges).unstack(sort=False).rename_axis(index="closest pair / Å")

# %% [markdown]
# In the liquid of the force field oxygen and hydrogen of different molecules come as close as in a
# random packing, but seldom; O-O and C-O stay farther apart, by almost half an ångström. Whether it
# matters for a model is seen in notebooks
# [06](06_improve_by_intuition.ipynb) and [08](08_read_the_transfer_matrix.ipynb).
#
# ## One map of all frames
#
# Each atom's neighbourhood can be written as a vector that does not change when the frame is
# turned or its atoms are renumbered: here the QUESTS descriptor, damped inverse distances (Å⁻¹) to
# the nearest neighbours and among them [7], which knows nothing of any potential. Averaged over the
# atoms of each element of a frame, each component scaled to the same spread, and projected on the
# two directions of largest spread, it makes a map: near points are alike.

# %%
described = {name: overlap.descriptors(members) for name, members in sets.items()}
points, explained = overlap.embed(described)
fig, ax = plt.subplots(figsize=(8, 5.2))
for title, where_they_lie in points.items():
    plots.cloud(ax, where_they_lie, name=title)
ax.set_xlabel(f"first component ({100 * explained[0]:.0f} % of the spread)")
ax.set_ylabel(f"second component ({100 * explained[1]:.0f} %)")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
lab.save(fig, "map")

# %% [markdown]
# A point for each frame. Isolated molecules lie at the left, in groups, the most distorted ones
# above all liquids; the thinnest scans reach down to them. `classical` and `classical_more`, two
# draws of one kind, fill the same band. `packed` lies along it but reaches above it, and `scan`
# goes on beyond both of its ends. Hollow: the test sets.
#
# How much of one set is known to another, atom by atom?

# %%
rng = np.random.default_rng(seed)
names = list(lab.profile.blocks)
blocks = {name: described[name] for name in names}
covers = np.array([overlap.overlap_matrix(blocks, rng=rng) for _ in range(5)])
cover, scatter = 100 * covers.mean(axis=0), 100 * covers.std(axis=0, ddof=1)
pd.DataFrame(
    [list(map(summaries.plus_minus, *pair)) for pair in zip(cover, scatter, strict=True)],
    index=names,
    columns=names,
)

# %% [markdown]
# In percent: the part of the atoms of the set on the left whose neighbourhood $x$ is *covered* by
# those, $Y$, of the set above. QUESTS [7] calls it covered if
#
# $$\sum_{y \in Y} \exp\left(-\frac{|x - y|^2}{2 h^2}\right) \geq 1 ,$$
#
# that is, if one neighbourhood is the same or several are near. The width $h$ is our choice, 0.04
# Å⁻¹: at QUESTS' own, 0.015 Å⁻¹, not even two draws of one kind of hot liquid overlap. So the
# percentages depend on it, and only comparing them tells something. Sets are compared at equal
# numbers of atoms, a random choice of at most a thousand of each element: the mean of five draws,
# and how much one draw scatters. Atoms are compared with those of their own element; the descriptor
# does not tell the elements of their neighbours apart. The measure to read it by is `classical` and
# `classical_more`, where the profile has both: two draws of one kind show the most that can be
# expected.
#
# ## Your own liquid
#
# Any molecule of hydrogen, carbon and oxygen will do. Here propylene carbonate and dimethyl
# carbonate, 1:1 at 1.1 g/cm³, from SMILES to labelled frames (on the command line:
# `crosstrain build`):

# %%
mine = labelled_set(
    "pc_dmc", kind="packed", frames=2, seed=seed, profile=profile,
    compositions=[{"CC1COC(=O)O1": 2, "COC(=O)OC": 2}],
    density_g_cm3=(1.1, 1.1), temperature_K=(300, 300), conformers=3,
)  # fmt: skip
pd.Series(cards.contents(mine.frames("pc_dmc"))).rename("pc_dmc").to_frame()

# %%
views.view(mine.frames("pc_dmc")[0])

# %% [markdown]
# ## What we found

# %%
base = names.index("classical") if "classical" in names else 0
for number, name in enumerate(names):
    if number != base:
        share = summaries.plus_minus(cover[base, number], scatter[base, number])
        print(f"{name} covers {share} % of the atoms of {names[base]}")
contact = where.groupby("set")["nearest contact / Å"].min()
for name, shortest in contact.items():
    print(f"{name}: molecules come as close as {shortest:.2f} Å")
spread = {name: np.ptp(where_they_lie, axis=0).prod() for name, where_they_lie in points.items()}
widest, next_one, *_ = sorted(lab.profile.blocks, key=spread.get, reverse=True)
print(f"The training block that spreads widest over the map: {widest}", end="")
print(f", over {spread[widest] / spread[next_one]:.1f} times the area of the next, {next_one}")

# %% [markdown] tags=["findings"]
# **In words**, of the sets of `laptop`. *What can be made?* Random packings, liquids of a classical
# force field, rigid volume scans, and strained molecules. Two of the four ask the reference a
# little beforehand: `packed` and `molecules` start from its relaxed shapes of single molecules.
#
# *What does each kind know of the liquid?* The only liquid at hand is that of the force field. Of
# the atoms of `classical` a second draw of the same kind covers 50.0 ± 1.9 %, `packed` 32.1 ± 1.6
# %, `scan` 33.5 ± 1.4 %, and `molecules` 4.46 ± 0.37 % (± scatter between random choices of atoms).
# `packed` has densities from 0.40 to 1.29 g/cm³, but its molecules stand where no force put them:
# O-H, O-O and C-O all begin at 2.0 Å, where the packing stops, while in `classical` they begin at
# 1.9, 2.4 and 2.5 Å. `scan` reaches farthest, from 0.22 to 1.50 g/cm³ and down to contacts of 1.11
# Å (`classical`: from 0.48 to 1.30, and 1.62), over 1.4 times the area of the next set, `packed`,
# on the map (of the rectangle around all its points). `molecules` knows single molecules only, but
# under strain: forces of 2.96 eV/Å (RMS per component) against 1.40 in `classical`. Ranges,
# contacts and areas are extremes of one set each and have no error, and what a set covers is not
# yet what a model learns from it.

# %% [markdown]
# ## Limits
#
# The vibrations of `packed` are harmonic and those of isolated molecules; a liquid bends them.
# MMFF94 was made for molecules, not for liquids: left to choose its density at 1 bar, it makes EC
# and EMC too light. By how much is not measured here; a test of the library fails unless EC is 10
# to 30 % and EMC 15 to 40 % lighter than in experiment. The liquids of its alkanes are known to be
# far off, too [8]. So the density is always given. The scans start from every few frames of their
# source, and so from some of its compositions only (the table of sets says how many). Their ranges
# and those of temperature are our choice, as is everything about these sets: those of the paper
# that this project follows (notebook [00](00_start_here.ipynb)) are not known to us in detail.
#
# **Try it.** Set `n_conformers` to 3, then to 30, run again, and look at the first table: which
# molecule has shapes left to find, and which has none?
#
# ## Next
#
# [02_label_with_a_reference](02_label_with_a_reference.ipynb): what the reference method says of
# these boxes.
#
# ## References
#
# 1. S. Wang, J. Witek, G. A. Landrum, S. Riniker, *J. Chem. Inf. Model.* 2020, 60, 2044:
#    embedding.
# 2. E. B. Wilson, J. C. Decius, P. C. Cross, *Molecular Vibrations*, McGraw-Hill 1955: normal
#    modes.
# 3. J. S. Smith, O. Isayev, A. E. Roitberg, *Chem. Sci.* 2017, 8, 3192: sampling along modes.
# 4. L. Martínez, R. Andrade, E. G. Birgin, J. M. Martínez, *J. Comput. Chem.* 2009, 30, 2157:
#    Packmol.
# 5. N. Metropolis, A. W. Rosenbluth, M. N. Rosenbluth, A. H. Teller, E. Teller, *J. Chem. Phys.*
#    1953, 21, 1087: Monte Carlo moves.
# 6. T. A. Halgren, *J. Comput. Chem.* 1996, 17, 490: MMFF94.
# 7. D. Schwalbe-Koda, S. Hamel, B. Sadigh, F. Zhou, V. Lordi, *Nat. Commun.* 2025, 16, 4014:
#    QUESTS.
# 8. B. Chen, M. G. Martin, J. I. Siepmann, *J. Phys. Chem. B* 1998, 102, 2578: alkanes by MMFF94.

# %% [markdown]
# ## Colophon

# %% tags=["hide-output"]
lab.colophon()
