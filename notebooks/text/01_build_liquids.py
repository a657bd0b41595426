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
# **Question.** What does a training set look like that is made of packed molecules alone, without
# any dynamics?
#
# **What you will do.** Turn SMILES strings into conformers, shake the conformers as heat would,
# pack them into periodic boxes, and check the stored set of such boxes.
#
# **What you will learn.** Why one shape per molecule is not enough, what temperature means for a
# molecule that was never simulated, and how far a random packing is from a liquid.
#
# **You need** notebook [00](00_start_here.ipynb) for the map.
#
# **Run time.** `laptop` and `smoke`: under a minute. The molecules are built while you watch; the
# packed set with its labels is stored.
#
# **Files made.** Figures `01_build_liquids__conformers`, `__boxes`, `__packed_set` and
# `__structure`.

# %%
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before the reference method loads its runtime

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crosstrain.build import boxes, molecules
from crosstrain.data import figures, plots, reference, summaries, views
from crosstrain.study import Study

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

# %% [markdown]
# ## From SMILES to conformers
#
# A SMILES string says which atoms are bonded, not where they are. RDKit embeds each graph in
# space many times; what remains after relaxation and removal of duplicates are its
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
# The number of conformers is counted by the code above, mirror images apart. A set that holds
# only the most stable shape of each molecule leaves a model free to invent the others.

# %%
fig, axes = plt.subplots(len(shapes), 4, figsize=(10, 2.6 * len(shapes)), squeeze=False)
for row, (name, found) in zip(axes, shapes.items(), strict=True):
    for ax in row:
        ax.axis("off")
    for number, (ax, shape) in enumerate(zip(row, found, strict=False)):
        views.picture(shape, ax, rotation="0x")
        ax.set_title(f"{name}, conformer {number}", fontsize=10)
lab.save(fig, "conformers", seed=seed, n_conformers=n_conformers)

# %% [markdown]
# At most four of each are drawn, the most stable (by the MMFF94 force field) first.

# %% [markdown]
# ## Heat without dynamics
#
# A relaxed conformer is a molecule at rest. Its **normal modes**, from second derivatives of the
# reference energy, say how far each vibration carries it at a temperature. Displacements are
# drawn from that harmonic distribution, classical as the dynamics will be. Here for one molecule:

# %%
name = sorted(composition)[0]
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
    by_element = [np.std(np.array(draws)[:, relaxed.symbols == e]) for e in ("C", "O", "H")]
    rows[f"{temperature_K:.0f}"] = np.round(by_element, 3)
heat = pd.DataFrame.from_dict(rows, orient="index", columns=["C / Å", "O / Å", "H / Å"])
heat.rename_axis("temperature / K")

# %% [markdown]
# Root mean square displacement along one axis. It grows with the square root of the temperature,
# and the light atoms move most. The temperature range is that of the profile's `packed` block.
# Soft torsions are held to a floor on purpose: along a straight line a large turn would tear
# bonds, and turning is what the conformers are for.

# %% [markdown]
# ## Packing
#
# Packmol finds places where no two atoms of different molecules touch; Monte Carlo moves then
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
# The same molecules from a thin gas to a compressed liquid. The `assert` above checked that every
# molecule is whole and that none is threaded through the ring of another. Turn the densest one:

# %%
views.view(live[-1])

# %% [markdown]
# ## The stored set
#
# The block `packed` of this profile was made in the same way, with conformers and modes of the
# reference method itself, and labelled. `packed_test` is drawn anew with another seed.

# %%
packed = {name: lab.frames(name) for name in ("packed", "packed_test")}
summaries.sets(packed)

# %% [markdown]
# Every frame of both sets must be sound: molecules intact, none interlocked.

# %%
frames = [frame for members in packed.values() for frame in members]
broken = sum(not molecules.intact(frame) for frame in frames)
interlocked = sum(len(boxes.threaded(frame)) > 0 for frame in frames)
assert broken == interlocked == 0
print(f"{len(frames)} frames: {broken} with a broken molecule, {interlocked} interlocked")

# %% [markdown]
# How do the frames fill the range of densities, and how close do molecules come?

# %%
density = [boxes.density_g_cm3(frame) for frame in packed["packed"]]
nearest = [summaries.nearest_contact_A(frame) for frame in packed["packed"]]
stretch = summaries.bond_lengths_A(packed["packed"])

fig, axes = plt.subplots(1, 3, figsize=(12, 3.6))
axes[0].hist(density, bins=12, range=(low, high), color=figures.PALETTE[0])
axes[0].set(xlabel="density / g cm$^{-3}$", ylabel="frames")
axes[1].scatter(density, nearest, s=14, color=figures.PALETTE[0])
axes[1].set(xlabel="density / g cm$^{-3}$", ylabel="nearest contact / Å")
for number, (pair, lengths) in enumerate(stretch.items()):
    axes[2].hist(lengths, bins=40, histtype="step", label=pair, color=plots.distinct(number))
axes[2].set(xlabel="bond length / Å", ylabel="bonds")
axes[2].legend()
lab.save(fig, "packed_set")

# %% [markdown]
# Left: densities are drawn uniformly between the limits of the profile. Middle: the smallest
# distance between atoms of different molecules. The tolerance of the packing is its lower edge
# (lowered step by step where a dense box cannot be packed otherwise), and nothing attracts.
# Right: the width of each peak is the displacement at the temperatures of the block.

# %% [markdown]
# ## Structure
#
# A **radial distribution function** g(r) counts the neighbours of an atom at distance r, relative
# to an even spread. It is 1 for an ideal gas. Only pairs of *different* molecules are counted;
# the mean is over all frames of the set, up to half the width of the smallest box.

# %%
curves = summaries.mean_rdfs(packed["packed"], lab.profile.liquid.rdf.pairs)
fig, ax = plt.subplots(figsize=(6, 3.8))
for number, (pair, (r, g)) in enumerate(curves.items()):
    plots.radial_distribution(ax, r, g, label=pair, colour=plots.distinct(number))
ax.legend()
lab.save(fig, "structure")

# %% [markdown]
# At short range there is a hole, the tolerance of the packing. Beyond it a relaxed liquid would
# show the shells of its neighbours; random packing knows only where atoms must *not* be. Whether
# that is enough to teach a model a liquid is asked in notebook
# [04](04_run_liquid_dynamics.ipynb).

# %% [markdown]
# ## What we found

# %%
kinds = len({frame.info["composition"] for frame in packed["packed"]})
print(
    f"{len(density)} packed frames of {kinds} compositions, {min(density):.2f} to "
    f"{max(density):.2f} g/cm³."
)
tolerances = {frame.info["tolerance_A"] for frame in packed["packed"]}
print(f"Closest contact of two molecules: {np.nanmin(nearest):.2f} Å.")
print(f"Tolerance of the packing: {min(tolerances):.1f} to {max(tolerances):.1f} Å.")
for pair, lengths in stretch.items():
    print(f"{pair} bonds: {np.mean(lengths):.3f} Å, standard deviation {np.std(lengths):.3f} Å")

# %% [markdown]
# ## Limits
#
# The vibrations are harmonic and those of isolated molecules; a liquid bends them. Every frame is
# independent, so nothing in the set has relaxed towards a neighbour. The ranges of density and
# temperature are our choice.
#
# **Try it.** Set `profile = "smoke"` and `n_conformers = 1`, run again, and look at the first
# figure. Which of the molecules loses the most shapes?
#
# ## Next
#
# [02_label_with_a_reference](02_label_with_a_reference.ipynb): what the reference method says of
# these boxes.
#
# ## References
#
# 1. L. Martínez, R. Andrade, E. G. Birgin, J. M. Martínez, *J. Comput. Chem.* 2009, 30, 2157:
#    Packmol.
# 2. S. Wang, J. Witek, G. A. Landrum, S. Riniker, *J. Chem. Inf. Model.* 2020, 60, 2044:
#    embedding.

# %% [markdown]
# ## Colophon

# %%
lab.colophon()
