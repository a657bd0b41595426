"""Molecules: chemistry that is let in, conformers, vibrations against known answers, distortion."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes
from crosstrain.build import molecules
from crosstrain.build.molecules import (
    NAMED,
    bonds_by_distance,
    conformers,
    distorted,
    intact,
    label,
    molecule,
    normal_modes,
    relax,
    thermal_displacement,
)

CM1 = 2 * np.pi * units._c * 100 / units.second


class Springs(Calculator):
    """Harmonic springs between all pairs, at rest in a given geometry."""

    implemented_properties = ("energy", "forces")

    def __init__(self, positions, stiffness):
        super().__init__()
        self.rest = np.linalg.norm(positions[:, None] - positions, axis=-1)
        self.stiffness = stiffness

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        gaps = atoms.positions[:, None] - atoms.positions
        lengths = np.linalg.norm(gaps, axis=-1) + np.eye(len(atoms))
        stretch = (lengths - np.eye(len(atoms))) - self.rest
        self.results["energy"] = self.stiffness * np.sum(stretch**2) / 4
        pull = self.stiffness * stretch / lengths
        self.results["forces"] = -np.sum(pull[..., None] * gaps, axis=1)


def with_graph(symbols, positions, bonds):
    atoms = Atoms(symbols, positions)
    atoms.info["bonds"] = np.array(bonds)
    return atoms


@pytest.mark.parametrize("name", NAMED)
def test_named_molecules_are_whole_and_labelled(name):
    atoms = molecule(name, 0)
    assert intact(atoms)
    assert atoms.info["composition"] == f"{name}:1"
    assert np.array_equal(atoms.arrays["molecule"], np.zeros(len(atoms)))
    assert atoms.info["bonds"].shape == (len(bonds_by_distance(atoms)), 2)


def test_formulas():
    formulas = {name: molecule(name, 0).get_chemical_formula() for name in ("EC", "EMC", "GBL")}
    assert formulas == {"EC": "C3H4O3", "EMC": "C4H8O3", "GBL": "C4H6O2"}


def test_smiles_gets_the_known_name_or_its_canonical_form():
    assert label("C1COC(=O)O1") == "EC"
    assert label("C(C)CO") == "CCCO"
    assert molecule("OC", 0).info["composition"] == "CO:1"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "empty"),
        ("not a molecule", "neither a known name"),
        ("CCN", "unsupported element N"),
        ("C.C", "2 separate fragments"),
        ("C[O-]", "charged"),
        ("[CH3]", "radical"),
        ("[2H]O", "isotope"),
    ],
)
def test_other_chemistry_is_refused(bad, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        molecule(bad, 0)
    assert repr(bad) in str(caught.value)
    assert "H, C and O" in str(caught.value)


@pytest.mark.parametrize("arguments", [{"n": 0, "seed": 1}, {"n": 1, "seed": -1}])
def test_conformer_arguments(arguments):
    with pytest.raises(ValueError, match="allowed is"):
        conformers("EC", **arguments)


def test_conformers_repeat_with_the_seed():
    first, second = (conformers("EMC", n=20, seed=3) for _ in range(2))
    assert all(np.array_equal(a.positions, b.positions) for a, b in zip(first, second, strict=True))


# mirror images count: gauche(+), gauche(-) and anti; each of the seeds must find them all
@pytest.mark.parametrize("seed", [0, 1, 2**40])
@pytest.mark.parametrize(("smiles", "number"), [("C", 1), ("CCCC", 3), ("CCO", 3), ("EC", 2)])
def test_number_of_conformers_known_from_textbooks(smiles, number, seed):
    assert len(conformers(smiles, n=10, seed=seed)) == number


def test_carbonate_ensemble_has_the_cis_trans_conformers():
    def ester_torsions(atoms):  # O=C-O-C, atoms in the order of the SMILES CCOC(=O)OC
        return sorted(
            abs((atoms.get_dihedral(4, 3, o, c) + 180) % 360 - 180) for o, c in ((2, 1), (5, 6))
        )

    torsions = np.array([ester_torsions(atoms) for atoms in conformers("EMC", n=50, seed=0)])
    assert torsions[0].max() < 20  # the most stable one is cis-cis
    assert (torsions[:, 1] > 150).any()


def test_intact_sees_formed_and_broken_bonds():
    atoms = molecule("EC", 0)
    hydrogen = int(np.flatnonzero(atoms.numbers == 1)[0])
    carbon = int(next(i + j - hydrogen for i, j in atoms.info["bonds"] if hydrogen in (i, j)))
    broken = atoms.copy()
    broken.positions[hydrogen] += broken.positions[hydrogen] - broken.positions[carbon]
    formed = atoms.copy()
    formed.positions[hydrogen] = formed.positions[0] + (0, 0, 1.0)
    assert intact(atoms)
    assert not intact(broken)
    assert not intact(formed)
    del atoms.info["bonds"]
    with pytest.raises(ValueError, match="bonds"):
        intact(atoms)


def test_relax_finds_the_known_minimum():
    target = molecule("EC", 0)
    start = target.copy()
    start.positions += np.random.default_rng(0).normal(scale=0.05, size=(len(start), 3))
    found = relax(start, Springs(target.positions, 20.0), fmax=1e-3)
    gaps = found.get_all_distances() - target.get_all_distances()
    assert np.abs(gaps).max() < 1e-3
    assert found.calc is None


def test_relax_refuses_another_molecule_and_a_bad_limit():
    start = molecule("O", 0)
    stretched = start.positions * 1.5
    with pytest.raises(RuntimeError, match="formed or broken"):
        relax(start, Springs(stretched, 20.0))
    with pytest.raises(RuntimeError, match="max_steps=1"):
        relax(start, Springs(stretched, 20.0), max_steps=1)
    with pytest.raises(ValueError, match="fmax"):
        relax(start, Springs(stretched, 20.0), fmax=0)


def test_diatomic_frequency():
    atoms = with_graph("CO", [[0, 0, 0], [0.3, 0.4, 1.0]], [[0, 1]])
    frequencies, modes = normal_modes(atoms, Springs(atoms.positions, 100.0), step_A=1e-4)
    reduced = np.prod(atoms.get_masses()) / np.sum(atoms.get_masses())
    assert frequencies == pytest.approx([np.sqrt(100.0 / reduced) / CM1], rel=1e-6)
    assert modes.shape == (1, 2, 3)


def test_equilateral_triangle_frequencies():
    # three equal masses and springs: breathing 3k/m, and twice 3k/2m
    corners = [[0, 0, 0], [1.5, 0, 0], [0.75, 1.5 * np.sqrt(0.75), 0]]
    atoms = with_graph("O3", corners, [[0, 1], [1, 2]])
    frequencies, modes = normal_modes(atoms, Springs(atoms.positions, 30.0), step_A=1e-4)
    expected = np.sqrt(np.array([1.5, 1.5, 3.0]) * 30.0 / atoms.get_masses()[0]) / CM1
    assert frequencies == pytest.approx(expected, rel=1e-6)
    overlap = np.einsum("i,aix,bix->ab", atoms.get_masses(), modes, modes)
    assert np.allclose(overlap, np.eye(3), atol=1e-10)


def test_thermal_variance():
    # a diatomic: <x²> = kT/(μω²)
    atoms = with_graph("CO", [[0, 0, 0], [0, 0, 1.1]], [[0, 1]])
    frequencies, modes = normal_modes(atoms, Springs(atoms.positions, 60.0), step_A=1e-4)
    rng = np.random.default_rng(5)
    draw = [
        thermal_displacement(frequencies, modes, temperature_K=700, rng=rng) for _ in range(20000)
    ]
    stretch = np.array([move[1, 2] - move[0, 2] for move in draw])
    assert stretch.var() == pytest.approx(units.kB * 700 / 60.0, rel=0.04)  # four standard errors


def test_thermal_energy_is_half_kT_per_mode_and_the_frame_stays_put():
    atoms = molecule("EC", 0)
    calculator = Springs(atoms.positions, 5.0)
    frequencies, modes = normal_modes(atoms, calculator, step_A=1e-3)
    rng = np.random.default_rng(1)
    energies = []
    for _ in range(2000):
        move = thermal_displacement(
            frequencies, modes, temperature_K=20, rng=rng, floor_cm1=frequencies[0] / 2
        )
        assert np.allclose(atoms.get_masses() @ move, 0, atol=1e-9)
        spin = np.cross(atoms.positions - atoms.get_center_of_mass(), move)
        assert np.allclose(atoms.get_masses() @ spin, 0, atol=1e-8)
        trial = atoms.copy()
        trial.positions += move
        trial.calc = calculator
        energies.append(trial.get_potential_energy())
    assert np.mean(energies) == pytest.approx(len(frequencies) * units.kB * 20 / 2, rel=0.03)


def test_soft_modes_are_drawn_at_the_floor():
    modes = np.array([[[1.0, 0, 0]], [[0, 1.0, 0]]])
    rng = np.random.default_rng(2)
    draw = np.array(
        [
            thermal_displacement(np.array([-5.0, 80.0]), modes, temperature_K=300, rng=rng)[0]
            for _ in range(20000)
        ]
    )
    expected = units.kB * 300 / (300.0 * CM1) ** 2
    assert draw[:, :2].var(axis=0) == pytest.approx([expected, expected], rel=0.05)


def test_thermal_arguments():
    modes = np.ones((1, 1, 3))
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="temperature_K=-1"):
        thermal_displacement(np.array([500.0]), modes, temperature_K=-1, rng=rng)
    with pytest.raises(ValueError, match="no minimum"):
        thermal_displacement(np.array([-900.0]), modes, temperature_K=300, rng=rng)
    frozen = thermal_displacement(np.array([500.0]), modes, temperature_K=0, rng=rng)
    assert np.array_equal(frozen, np.zeros((1, 3)))


def test_gfn2_vibrations_of_ethylene_carbonate():
    tblite = pytest.importorskip("tblite.ase")
    calculator = tblite.TBLite(method="GFN2-xTB", verbosity=0)
    atoms = relax(molecule("EC", 0), calculator, fmax=0.005)
    frequencies, _ = normal_modes(atoms, calculator)
    assert len(frequencies) == 3 * 10 - 6
    assert frequencies[0] > 20
    # C=O stretch of gaseous EC: 1867 cm⁻¹ in experiment; the highest modes are the C-H stretches
    assert np.abs(frequencies - 1867).min() < 100
    assert 2850 < frequencies[-1] < 3150


@pytest.mark.parametrize("name", ["EC", "EMC", "DME", "O"])
def test_distorted_molecules_keep_their_graph_within_the_stated_bounds(name):
    reference = molecule(name, 0)
    bonds = reference.info["bonds"]
    others = np.triu(np.ones((len(reference),) * 2, dtype=bool), 1)
    others[tuple(bonds.T)] = False
    symbols = reference.get_chemical_symbols()
    limits = np.array(
        [
            [
                molecules.BOND_CUTOFFS_A.get((a, b)) or molecules.BOND_CUTOFFS_A[b, a]
                for b in symbols
            ]
            for a in symbols
        ]
    )
    rng = np.random.default_rng(7)
    ratios = []
    for _ in range(100):
        distances = distorted(reference, rng=rng).get_all_distances()
        ratios.append(distances[tuple(bonds.T)] / reference.get_all_distances()[tuple(bonds.T)])
        assert np.all(distances[others] >= limits[others])
    assert np.min(ratios) >= 0.8
    assert np.max(ratios) <= 1.4
    assert np.min(ratios) < 0.85  # the range is used
    assert np.max(ratios) > 1.3


def test_distortion_turns_torsions_all_the_way_round():
    reference = molecule("EMC", 0)
    rng = np.random.default_rng(0)
    angles = [distorted(reference, rng=rng).get_dihedral(0, 1, 2, 3) for _ in range(200)]
    counts, _ = np.histogram(angles, bins=6, range=(0, 360))
    assert counts.min() > 5


def test_distortion_repeats_with_the_seed_and_checks_its_arguments():
    reference = molecule("EC", 0)
    first, second = (distorted(reference, rng=np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first.positions, second.positions)
    for bad in ({"bond_factor": (1.1, 1.4)}, {"max_bend_deg": 120.0}, {"displacement_A": -0.1}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            distorted(reference, rng=np.random.default_rng(0), **bad)
    with pytest.raises(RuntimeError, match="attempts=3"):
        distorted(reference, rng=np.random.default_rng(0), displacement_A=2.0, attempts=3)
