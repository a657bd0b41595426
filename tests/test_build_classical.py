"""MMFF94 in OpenMM: terms against RDKit, lattice sums against a plain Ewald sum, dynamics."""

from itertools import combinations

import numpy as np
import pytest
from ase import units
from crosstrain.build.boxes import density_g_cm3, mixture, pack
from crosstrain.build.classical import (
    classical_md,
    mmff_energies,
    mmff_energies_between,
    mmff_system,
)
from crosstrain.build.molecules import (
    NAMED,
    conformers,
    distorted,
    intact,
    molecule,
    rdkit_molecule,
)
from crosstrain.measure.statistics import mean_with_error
from scipy.special import erfc

KCAL = units.kcal / units.mol
RDKIT_TERMS = {
    "bond": "Bond",
    "angle": "Angle",
    "stretch-bend": "StretchBend",
    "out-of-plane": "Oop",
    "torsion": "Torsion",
    "van der Waals": "VdW",
    "electrostatic": "Ele",
}
OTHERS = ["O", "CC#CC", "C=C=C", "CC(=O)O", "C1CO1", "OO", "Oc1ccccc1", "O=C1C=CC(=O)O1"]


def rdkit_energies(mol, positions):
    """RDKit's MMFF94 energy (kcal/mol) of one or several molecules, each term by itself."""
    from rdkit.Chem import Conformer
    from rdkit.Chem import rdForceFieldHelpers as helpers

    conformer = Conformer(len(positions))
    conformer.SetPositions(np.array(positions, dtype=float))
    mol.RemoveAllConformers()
    mol.AddConformer(conformer)
    energies = {}
    for name in RDKIT_TERMS:
        mmff = helpers.MMFFGetMoleculeProperties(mol)
        for other, switch in RDKIT_TERMS.items():
            getattr(mmff, f"SetMMFF{switch}Term")(other == name)
        field = helpers.MMFFGetMoleculeForceField(
            mol, mmff, nonBondedThresh=1e4, ignoreInterfragInteractions=False
        )
        energies[name] = field.CalcEnergy()
    return energies


def assert_same_terms(atoms, expected):
    found = mmff_energies(atoms)
    assert set(found) <= set(expected)
    for name, energy in expected.items():
        assert found.get(name, 0.0) / KCAL == pytest.approx(energy, abs=1e-6), name


@pytest.mark.parametrize("name", [*NAMED, *OTHERS])
def test_every_term_is_rdkits(name):
    mol = rdkit_molecule(name)
    shapes = conformers(name, n=2, seed=0)
    rng = np.random.default_rng(0)
    shapes += [distorted(shapes[0], rng=rng) for _ in range(2)]
    for atoms in shapes:
        assert_same_terms(atoms, rdkit_energies(mol, atoms.positions))


@pytest.mark.parametrize("names", [("EC", "EMC"), ("ethanol", "acetone"), ("O", "ethanol", "EC")])
def test_energy_between_molecules_is_rdkits(names):
    # with hydrogen bonds, whose donors and acceptors have parameters of their own
    from functools import reduce

    from rdkit.Chem import CombineMols, SanitizeMol

    mol = reduce(CombineMols, [rdkit_molecule(name) for name in names])
    SanitizeMol(mol)
    for seed in range(3):
        parts = [molecule(name, 0) for name in names]
        cluster = pack(parts, density_g_cm3=0.9, seed=seed)
        cluster.pbc, cluster.cell = False, None
        assert_same_terms(cluster, rdkit_energies(mol, cluster.positions))


@pytest.fixture(scope="module")
def liquid():
    return pack(mixture({"EC": 2, "EMC": 2, "ethanol": 1}, seed=0), density_g_cm3=0.9, seed=0)


def repeated(frame):
    """2 x 2 x 2 supercell that keeps the conventions of a frame."""
    big = frame.repeat(2)
    big.arrays["molecule"] = np.concatenate(
        [frame.arrays["molecule"] + k * (frame.arrays["molecule"].max() + 1) for k in range(8)]
    )
    big.info["bonds"] = np.concatenate([frame.info["bonds"] + k * len(frame) for k in range(8)])
    return big


def test_supercell_has_eight_times_the_energy(liquid):
    cutoff_A = 0.49 * liquid.cell[0, 0]
    one = mmff_energies(liquid, cutoff_A=cutoff_A)
    eight = mmff_energies(repeated(liquid), cutoff_A=cutoff_A)
    for name, energy in one.items():
        # OpenMM's correction beyond the cutoff depends a little on the number of atoms
        allowed = 5e-3 if name == "van der Waals" else 1e-4
        assert eight[name] == pytest.approx(8 * energy, rel=allowed, abs=1e-4), name


def test_bonded_terms_ignore_the_box_and_the_atom_order(liquid):
    order = np.random.default_rng(0).permutation(len(liquid))
    mixed = liquid[order]
    mixed.info["bonds"] = np.argsort(order)[liquid.info["bonds"]]
    mixed.wrap()
    cutoff_A = 0.49 * liquid.cell[0, 0]
    expected = mmff_energies(liquid, cutoff_A=cutoff_A)
    found = mmff_energies(mixed, cutoff_A=cutoff_A)
    assert found == pytest.approx(expected, rel=1e-5)


def test_energy_between_molecules_is_what_each_alone_has_not(liquid):
    cutoff_A = 0.49 * liquid.cell[0, 0]
    together = mmff_energies(liquid, cutoff_A=cutoff_A)
    between = mmff_energies_between(liquid, cutoff_A=cutoff_A)
    assert set(between) == set(together)
    for name in set(between) - {"van der Waals", "electrostatic"}:
        assert between[name] == pytest.approx(0, abs=1e-6), name
    assert abs(between["electrostatic"]) < 0.2 * abs(together["electrostatic"])


def test_molecules_far_apart_have_no_energy_between_them():
    pair = pack(mixture({"EC": 1, "EMC": 1}, seed=0), density_g_cm3=0.9, seed=0)
    pair.pbc, pair.cell = False, None
    assert abs(mmff_energies_between(pair)["van der Waals"]) > 1e-3
    pair.positions[pair.arrays["molecule"] == 1] += 1e4
    nothing = dict.fromkeys(mmff_energies(pair), 0.0)
    assert mmff_energies_between(pair) == pytest.approx(nothing, abs=1e-9)


def ewald(charges, positions, edge, alpha=0.55):
    """Energy of point charges in a cubic lattice, e²/Å."""
    gaps = positions[:, None] - positions
    products = np.outer(charges, charges)
    total = 0.0
    for shift in np.ndindex(3, 3, 3):
        image = (np.array(shift) - 1) * edge
        r = np.linalg.norm(gaps + image, axis=-1)
        if not image.any():
            np.fill_diagonal(r, np.inf)
        total += np.sum(products * erfc(alpha * r) / r) / 2
    for index in np.ndindex(19, 19, 19):
        k = 2 * np.pi * (np.array(index) - 9) / edge
        k2 = k @ k
        if k2 > 0:
            structure = np.abs(np.sum(charges * np.exp(1j * positions @ k))) ** 2
            total += 2 * np.pi / edge**3 * np.exp(-k2 / (4 * alpha**2)) / k2 * structure
    return total - alpha / np.sqrt(np.pi) * np.sum(charges**2)


def test_lattice_electrostatics_against_a_plain_ewald_sum():
    from rdkit.Chem import GetDistanceMatrix
    from rdkit.Chem.rdForceFieldHelpers import MMFFGetMoleculeProperties

    coulomb, buffer = 332.0716, 0.05
    frame = pack([molecule("EMC", 0)] * 3, density_g_cm3=0.8, seed=0)
    edge, mol = frame.cell[0, 0], rdkit_molecule("EMC")
    mmff = MMFFGetMoleculeProperties(mol)
    charges = np.tile([mmff.GetMMFFPartialCharge(k) for k in range(15)], 3)
    paths = np.full((45, 45), 99)
    for k in range(3):
        paths[15 * k : 15 * k + 15, 15 * k : 15 * k + 15] = GetDistanceMatrix(mol)
    cutoff_A = 0.49 * edge
    expected = ewald(charges, frame.positions, edge)
    for i, j in combinations(range(45), 2):
        product = charges[i] * charges[j]
        gap = frame.positions[i] - frame.positions[j]
        r = np.linalg.norm(gap)
        if paths[i, j] <= 3:
            expected -= product / r
            expected += 0.75 * product / (r + buffer) if paths[i, j] == 3 else 0.0
            continue
        r = np.linalg.norm(gap - edge * np.round(gap / edge))
        if r < cutoff_A:
            x = max(0.0, (r / cutoff_A - 0.9) / 0.1)
            switch = 1 - 6 * x**5 + 15 * x**4 - 10 * x**3
            expected += switch * product * (1 / (r + buffer) - 1 / r)
    found = mmff_energies(frame, cutoff_A=cutoff_A)["electrostatic"] / KCAL
    assert found == pytest.approx(coulomb * expected, abs=0.01)


@pytest.mark.parametrize("name", ["EC", "EMC", "O"])
def test_openmm_sees_whole_molecules(name):
    # the barostat moves what it takes for a molecule: pieces would give a wrong density
    import openmm

    frame = pack([molecule(name, 0)] * 3, density_g_cm3=0.8, seed=0)
    system = mmff_system(frame, cutoff_A=0.4 * frame.cell[0, 0])
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    found = sorted(sorted(members) for members in context.getMolecules())
    assert found == [np.flatnonzero(frame.arrays["molecule"] == k).tolist() for k in range(3)]


def test_forces_are_the_derivative_of_the_energy(liquid):
    import openmm

    cutoff_A = 0.45 * liquid.cell[0, 0]
    system = mmff_system(liquid, cutoff_A=cutoff_A)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(liquid.positions / 10)
    forces = context.getState(getForces=True).getForces(asNumpy=True)._value
    for atom, axis in [(0, 0), (3, 1), (25, 2), (len(liquid) - 1, 0)]:
        energies = []
        for step in (1e-4, -1e-4):
            moved = liquid.positions / 10
            moved[atom, axis] += step
            context.setPositions(moved)
            energies.append(context.getState(getEnergy=True).getPotentialEnergy()._value)
        expected = (energies[1] - energies[0]) / 2e-4
        assert forces[atom, axis] == pytest.approx(expected, rel=2e-3, abs=2.0)


def test_dynamics_repeat_bit_by_bit_and_keep_the_conventions(liquid):
    settings = {"temperature_K": 500, "n_steps": 60, "save_every": 20}
    first, second = (classical_md(liquid, seed=3, **settings) for _ in range(2))
    assert len(first) == 3
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a.positions, b.positions)
        assert np.array_equal(a.arrays["molecule"], liquid.arrays["molecule"])
        assert np.array_equal(a.info["bonds"], liquid.info["bonds"])
        assert a.info["composition"] == liquid.info["composition"]
        assert np.allclose(a.cell, liquid.cell, rtol=1e-12)
        assert intact(a)
    assert [a.info["time_fs"] for a in first] == [10, 20, 30]
    other = classical_md(liquid, seed=4, **settings)
    assert not np.allclose(other[-1].positions, first[-1].positions)


def test_constant_pressure_repeats_and_moves_the_cell(liquid):
    settings = {"temperature_K": 300, "pressure_bar": 1.0, "n_steps": 200, "save_every": 100}
    first, second = (classical_md(liquid, seed=1, **settings)[-1] for _ in range(2))
    assert np.array_equal(first.positions, second.positions)
    assert np.array_equal(first.cell, second.cell)
    assert not np.allclose(first.cell, liquid.cell)


@pytest.mark.parametrize("density", [0.5, 1.3])
def test_constant_volume_at_the_density_asked_for(liquid, density):
    snapshot = classical_md(
        liquid, temperature_K=800, density_g_cm3=density, n_steps=200, save_every=200, seed=0
    )[0]
    assert density_g_cm3(snapshot) == pytest.approx(density, rel=1e-6)
    assert intact(snapshot)


def test_bonds_vibrate_at_the_temperature_asked_for():
    # <(r - <r>)²> = kT/k for a stiff bond; MMFF94 gives its C-H stretch 4.766 mdyn/Å
    frame = pack([molecule("EMC", 0)] * 6, density_g_cm3=0.9, seed=0)
    snapshots = classical_md(
        frame,
        temperature_K=600,
        n_steps=2000,
        save_every=25,
        equilibration_steps=1000,
        friction_per_ps=20.0,
        seed=0,
    )
    symbols = np.array(frame.get_chemical_symbols())
    bonds = np.array([pair for pair in frame.info["bonds"] if "H" in symbols[pair]])
    lengths = np.array(
        [
            np.linalg.norm(a.positions[bonds[:, 0]] - a.positions[bonds[:, 1]], axis=1)
            for a in snapshots
        ]
    )
    variance = lengths.var(axis=0).mean() * len(snapshots) / (len(snapshots) - 1)
    expected = units.kB * 600 / (143.9325 * 4.766 * KCAL)
    assert variance == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize(
    "bad",
    [
        {"temperature_K": 0},
        {"timestep_fs": 2.0},
        {"save_every": 0},
        {"n_steps": -1},
        {"seed": -1},
        {"pressure_bar": 1.0, "density_g_cm3": 1.0},
    ],
)
def test_dynamics_check_their_arguments(liquid, bad):
    settings = {"temperature_K": 300, "n_steps": 1, "save_every": 1, "seed": 0}
    with pytest.raises(ValueError, match=next(iter(bad))):
        classical_md(liquid, **{**settings, **bad})


def test_system_checks_its_frame(liquid):
    with pytest.raises(ValueError, match="cutoff_A=9"):
        mmff_system(liquid, cutoff_A=9.0)
    skewed = liquid.copy()
    skewed.cell = [[12, 0, 0], [3, 12, 0], [0, 0, 12]]
    with pytest.raises(ValueError, match="right angles"):
        mmff_system(skewed, cutoff_A=4.0)
    renamed = liquid.copy()
    renamed.info["composition"] = "EC:2 EMC:3"
    with pytest.raises(ValueError, match="molecule 4 is none of"):
        mmff_system(renamed)
    exotic = molecule("O=O", 0)
    with pytest.raises(ValueError, match="'O=O' has no MMFF94 parameters"):
        mmff_system(exotic)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "temperature_K", "start_g_cm3", "experiment_g_cm3", "low", "high"),
    [("EMC", 298, 0.85, 1.006, -0.40, -0.15), ("EC", 313, 1.15, 1.321, -0.30, -0.10)],
)
def test_density_of_the_liquid(name, temperature_K, start_g_cm3, experiment_g_cm3, low, high):
    """MMFF94, made for molecules in vacuum, makes both liquids too light; this says by how much.

    The energies themselves are RDKit's (above), so the deviation is the force field's. That its
    liquids are far off is known of n-alkanes (Chen, Martin, Siepmann, J. Phys. Chem. B 1998, 102,
    2578).
    """
    frame = pack([molecule(name, 0)] * 32, density_g_cm3=start_g_cm3, seed=0)
    snapshots = classical_md(
        frame,
        temperature_K=temperature_K,
        pressure_bar=1.0,
        n_steps=60_000,
        save_every=100,
        timestep_fs=1.0,
        seed=1,
    )
    density = mean_with_error([density_g_cm3(snapshot) for snapshot in snapshots])
    deviation = density.value / experiment_g_cm3 - 1
    print(
        f"\n{name}, {temperature_K} K: {density.value:.3f} ± {density.error:.3f} g/cm³ "
        f"(n = {density.n_effective:.0f}), {deviation:+.0%} of the experiment"
    )
    assert low < deviation < high
