"""Reference labels: derivatives of one energy, periodic, and those that others published.

All labels are computed in processes of their own, because the tests of the potentials load torch.
"""

import itertools
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from crosstrain.data import frames as fr
from crosstrain.data import reference

LIQUID = fr.read(Path(__file__).parent / "data" / "frames.extxyz.gz")
LABEL = """
import json, sys
from ase import Atoms
from crosstrain.data.reference import label
results = []
for frame in json.load(open(sys.argv[1])):
    given = Atoms(**frame)
    done = label(given, sys.argv[2])
    assert "REF_energy" not in given.info  # the given frame is not changed
    results.append([
        done.info["REF_energy"],
        done.arrays["REF_forces"].tolist(),
        list(done.info.get("REF_stress", [])),
        done.info["method"],
    ])
print(json.dumps(results))
"""


@pytest.fixture
def labels(apart, tmp_path):
    """Energies, forces and stresses of frames, from another process."""

    def compute(frames, method="GFN2-xTB"):
        plain = [
            {
                "numbers": frame.numbers.tolist(),
                "positions": frame.positions.tolist(),
                "cell": frame.cell.array.tolist(),
                "pbc": frame.pbc.tolist(),
            }
            for frame in frames
        ]
        (tmp_path / "frames.json").write_text(json.dumps(plain))
        energies, forces, stresses, methods = zip(
            *apart(LABEL, tmp_path / "frames.json", method), strict=True
        )
        assert set(methods) == {method}
        return np.array(energies), [np.array(f) for f in forces], [np.array(s) for s in stresses]

    return compute


# --- derivatives of one energy ----------------------------------------------------------------


def test_forces_are_minus_the_gradient(labels):
    frame, step = LIQUID[0], 5e-3  # EC + EMC, 25 atoms, periodic
    chosen = [(0, 0), (3, 1), (12, 2), (24, 0)]
    moved = []
    for (atom, axis), sign in itertools.product(chosen, (1, -1)):
        moved.append(frame.copy())
        moved[-1].positions[atom, axis] += sign * step
    energies, forces, _ = labels([frame, *moved])
    slopes = (energies[1::2] - energies[2::2]) / (2 * step)
    computed = [forces[0][place] for place in chosen]
    assert np.abs(computed).max() > 0.1
    assert computed == pytest.approx(-slopes, abs=1e-3)
    assert np.abs(forces[0].sum(axis=0)).max() < 1e-3


def test_stress_is_the_gradient_with_strain(labels):
    """tblite before 0.8 fails here."""
    frame, step = LIQUID[0], 2e-3
    places = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    strained = []
    for (i, j), sign in itertools.product(places, (1, -1)):
        strain = np.eye(3)
        strain[i, j] += sign * step / 2
        strain[j, i] += sign * step / 2
        strained.append(frame.copy())
        strained[-1].set_cell(frame.cell.array @ strain, scale_atoms=True)
    energies, _, stresses = labels([frame, *strained])
    numeric = np.zeros((3, 3))
    for (i, j), up, down in zip(places, energies[1::2], energies[2::2], strict=True):
        numeric[i, j] = numeric[j, i] = (up - down) / (2 * step) / frame.get_volume()
    assert np.abs(stresses[0]).max() > 1e-3
    assert stresses[0] == pytest.approx(full_3x3_to_voigt_6_stress(numeric), abs=3e-5)


def test_a_box_agrees_with_its_supercell(labels):
    """Not exactly in boxes of 7 Å: 0.07 meV/atom and 0.008 eV/Å, with GFN1-xTB the same."""
    frame = min(LIQUID, key=len)  # two EC, 20 atoms
    energies, forces, stresses = labels([frame, frame.repeat((2, 1, 1))])
    assert energies[1] / 40 == pytest.approx(energies[0] / 20, abs=2e-4)
    assert forces[1] == pytest.approx(np.tile(forces[0], (2, 1)), abs=0.02)
    assert stresses[1] == pytest.approx(stresses[0], abs=2e-4)


def test_stored_labels_are_reproduced(labels):
    """The frames that the tests of the potentials train on."""
    chosen = LIQUID[:2]
    energies, forces, stresses = labels(chosen)
    for frame, energy, force, stress in zip(chosen, energies, forces, stresses, strict=True):
        assert energy == pytest.approx(frame.info[fr.ENERGY], abs=1e-3)
        assert force == pytest.approx(frame.arrays[fr.FORCES], abs=1e-3)
        assert stress == pytest.approx(frame.info[fr.STRESS], abs=1e-5)


# --- against published labels -----------------------------------------------------------------


def test_published_clusters(published_file, labels):
    everything = ase.io.read(published_file("solvent_xtb_train_200.xyz"), index="3:")
    clusters = sorted(everything, key=len)[::20][:6]
    energies, forces, stresses = labels(clusters)
    for cluster, energy, force in zip(clusters, energies, forces, strict=True):
        assert energy == pytest.approx(cluster.info["energy_xtb"], abs=1e-3)
        assert force == pytest.approx(cluster.arrays["forces_xtb"], abs=1e-3)
    assert all(len(stress) == 0 for stress in stresses)  # not periodic


# --- atoms, methods and failures --------------------------------------------------------------


def test_isolated_atoms(apart):
    code = (
        "import json; from crosstrain.data.reference import isolated_atom_energies as e;"
        "print(json.dumps([e('HCOOH', 'GFN2-xTB'), e('H', 'GFN1-xTB')]))"
    )
    energies, other = apart(code)
    assert list(energies) == ["C", "H", "O"]
    # the published set of clusters has these atoms with the same method, without fixed spin
    assert energies == pytest.approx({"H": -10.7072, "C": -48.8474, "O": -102.5712}, abs=0.06)
    assert energies["H"] == pytest.approx(-10.707211, abs=1e-5)
    assert energies == pytest.approx(
        json.loads((Path(__file__).parent / "data" / "energies_eV.json").read_text()), abs=1e-5
    )
    assert other["H"] != pytest.approx(energies["H"], abs=0.1)


def test_a_cycle_that_does_not_converge_is_a_label_error(apart):
    """Atoms far apart have no gap, and the charges never settle."""
    code = """
import json
import numpy as np
from ase import Atoms
from crosstrain.data.reference import LabelError, label
frame = Atoms("C8H8O8", np.random.default_rng(0).uniform(0, 30, (24, 3)))
try:
    label(frame, "GFN2-xTB")
    print(json.dumps(None))
except LabelError as error:
    print(json.dumps(str(error)))
"""
    assert apart(code) == "GFN2-xTB failed: SCF not converged in 250 cycles"


@pytest.mark.parametrize("trouble", [MemoryError(), OSError(28, "No space left on device")])
def test_trouble_of_the_machine_is_not_a_failed_label(monkeypatch, trouble):
    class Troubled(Calculator):
        implemented_properties = ("energy",)

        def calculate(self, *args) -> None:
            raise trouble

    monkeypatch.setattr(reference, "calculator", lambda *args: Troubled())
    with pytest.raises(type(trouble)):
        reference.label(LIQUID[0], "GFN2-xTB")


@pytest.mark.parametrize("label", ["energy", "forces", "stress"])
def test_a_label_that_is_not_finite_is_a_label_error(monkeypatch, label):
    frame = LIQUID[0]
    found = {"energy": -1.0, "forces": np.zeros((len(frame), 3)), "stress": np.zeros(6)}
    saying = SinglePointCalculator  # what it is given it says of the frame
    monkeypatch.setattr(reference, "calculator", lambda *_: saying(frame, **found))
    assert reference.label(frame, "GFN2-xTB").info[fr.ENERGY] == -1.0
    found[label] = found[label] * np.nan
    with pytest.raises(reference.LabelError, match="GFN2-xTB returned a label that is not finite"):
        reference.label(frame, "GFN2-xTB")


def test_unknown_method_lists_what_there_is():
    message = r"reference method 'PBE'; allowed are GFN2-xTB, GFN1-xTB, PBE-D3"
    with pytest.raises(ValueError, match=message):
        reference.calculator("PBE")


def test_unknown_element_lists_what_there_is():
    with pytest.raises(ValueError, match="element N; allowed are H, C, O"):
        reference.label(Atoms("CN"), "GFN2-xTB")
    with pytest.raises(ValueError, match="element N"):
        reference.isolated_atom_energies(["N"], "GFN2-xTB")


def test_partly_periodic_is_refused():
    frame = Atoms("H", cell=[5, 5, 5], pbc=[True, True, False])
    with pytest.raises(ValueError, match=r"pbc \[True, True, False\]; allowed are all or none"):
        reference.label(frame, "GFN2-xTB")


# --- PBE-D3 through CP2K ----------------------------------------------------------------------


def settings(text: str) -> dict[str, list[str]]:
    """Values of each keyword and section of a CP2K input."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        word, _, value = line.strip().partition(" ")
        found.setdefault(word, []).append(value.strip())
    return found


def test_input_of_a_liquid():
    frame = LIQUID[0]
    given = settings(reference.cp2k_input(frame))
    expected = {
        "&XC_FUNCTIONAL": ["PBE"],
        "TYPE": ["DFTD3(BJ)"],
        "REFERENCE_FUNCTIONAL": ["PBE"],
        "CUTOFF": ["[Ry] 600"],
        "EPS_SCF": ["1.0E-6", "1.0E-6"],
        "STRESS_TENSOR": ["ANALYTICAL"],
        "PERIODIC": ["XYZ", "XYZ"],
        "POISSON_SOLVER": ["PERIODIC"],
        "UKS": ["FALSE"],
        "MULTIPLICITY": ["1"],
        "BASIS_SET": ["DZVP-MOLOPT-SR-GTH"] * 3,
        "POTENTIAL": ["GTH-PBE"] * 3,
        "&KIND": ["C", "H", "O"],
    }
    assert {key: given[key] for key in expected} == expected
    assert "&KPOINTS" not in given  # Γ point
    cell = np.array([given[axis][0].split() for axis in "AB"], dtype=float)
    assert cell == pytest.approx(frame.cell.array[:2])
    text = reference.cp2k_input(frame)
    rows = text.split("&COORD\n")[1].split("    &END COORD")[0].splitlines()
    assert [row.split()[0] for row in rows] == frame.get_chemical_symbols()
    places = np.array([row.split()[1:] for row in rows], dtype=float)
    assert places == pytest.approx(frame.positions)
    opened = [line.split()[0][1:] for line in text.splitlines() if line.strip()[0] == "&"]
    assert opened.count("END") == len(opened) / 2  # every section is closed


def test_input_of_a_molecule_has_no_images():
    molecule = Atoms("CO", [[0, 0, 0], [0, 0, 1.13]])
    given = settings(reference.cp2k_input(molecule))
    assert given["PERIODIC"] == ["NONE", "NONE"]
    assert given["POISSON_SOLVER"] == ["WAVELET"]
    assert given["STRESS_TENSOR"] == ["NONE"]
    boxed = reference.in_box(molecule)
    assert boxed.cell.lengths() == pytest.approx([12, 12, 12])
    assert boxed.get_distance(0, 1) == pytest.approx(1.13)
    assert boxed.positions.min() >= reference.VACUUM_A
    assert (12 - boxed.positions).min() >= reference.VACUUM_A
    assert molecule.cell.rank == 0  # the given frame is not changed


def test_input_of_an_open_shell():
    given = settings(reference.cp2k_input(Atoms("O"), multiplicity=3))
    assert (given["UKS"], given["MULTIPLICITY"]) == (["TRUE"], ["3"])


def test_missing_cp2k_says_what_to_do(monkeypatch):
    monkeypatch.setenv("ASE_CP2K_COMMAND", "no-such-cp2k -s")
    message = "PBE-D3 needs the program CP2K, but there is no 'no-such-cp2k': install .*ASE_CP2K_"
    with pytest.raises(FileNotFoundError, match=message):
        reference.label(LIQUID[0], "PBE-D3")


def test_a_cp2k_that_ends_early_is_a_label_error(monkeypatch, tmp_path):
    """A shell that answers like CP2K's, then ends."""
    shell = tmp_path / "shell"
    shell.write_text(
        "#!/bin/sh\necho '* READY'; read x; echo 'CP2K Shell Version: 6.0'; echo '* READY'\n"
        "read x; echo '* READY'; read x; exit 0\n"
    )
    shell.chmod(0o755)
    monkeypatch.setenv("ASE_CP2K_COMMAND", str(shell))
    with pytest.raises(reference.LabelError, match="PBE-D3 failed: CP2K ended early"):
        reference.label(LIQUID[0], "PBE-D3")


def test_a_cycle_of_cp2k_that_does_not_converge_is_a_label_error(monkeypatch):
    """CP2K warns in its output, and gives numbers all the same."""

    class Unconverged(reference._Cp2k):
        def __init__(self) -> None:
            Calculator.__init__(self)
            self._shell, self._folder = None, TemporaryDirectory()
            self.label = f"{self._folder.name}/cp2k"
            self.said = " *** SCF run converged in 9 steps ***"

        def check_state(self, atoms, tol=1e-15):
            return ["positions"]

    def numbers(self, atoms, *_):
        Path(f"{self.label}.out").write_text(self.said)
        self.results = {"energy": -1.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}

    monkeypatch.setattr(reference.CP2K, "calculate", numbers)
    method = Unconverged()
    monkeypatch.setattr(reference, "calculator", lambda *_: method)
    assert reference.label(LIQUID[0], "PBE-D3").info[fr.ENERGY] == -1.0
    method.said = " *** WARNING in qs_scf.F:598 :: SCF run NOT converged ***"
    with pytest.raises(reference.LabelError, match="PBE-D3 failed: SCF not converged"):
        reference.label(LIQUID[0], "PBE-D3")


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("cp2k.psmp"), reason="skipped: no CP2K (cp2k.psmp) here")
def test_cp2k_forces_are_minus_the_gradient(labels):
    """One oxygen of EC:1 EMC:1 (25 atoms, periodic), moved by ±0.02 Å along y.

    With CP2K 2023.1 (Debian), DZVP-MOLOPT-SR-GTH and 600 Ry, on one of two shared cores of an AMD
    EPYC: 802 s of wall time for the three labels, the machine being busy with other work.
    """
    frame, step = LIQUID[0], 0.02
    moved = [frame.copy() for _ in range(2)]
    for copy, sign in zip(moved, (1, -1), strict=True):
        copy.positions[0, 1] += sign * step
    energies, forces, stresses = labels([frame, *moved], "PBE-D3")
    # measured: 0.03 eV/Å apart
    assert forces[0][0, 1] == pytest.approx(-(energies[1] - energies[2]) / (2 * step), abs=0.06)
    assert stresses[0].shape == (6,)
