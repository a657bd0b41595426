"""The guard at the door: real frames pass, and each way to spoil them is named, once."""

import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from crosstrain import paths
from crosstrain.build import boxes, molecules
from crosstrain.data import frames as fr
from crosstrain.data import intake, intake_units
from crosstrain.data.intake_findings import Findings

FILE = Path(__file__).parent / "data" / "frames.extxyz.gz"
GFN2_ATOMS = {"C": -48.79808, "H": -10.70721, "O": -102.52181}
SETS = sorted((paths.data() / "sets").glob("*/frames.extxyz.gz"))
DFT_KEYS = {"energy": "energy", "forces": "forces", "virial": "virial"}
GRAPH = ("bonds", "composition", "molecule")


@pytest.fixture
def frames() -> list[Atoms]:
    """Twelve labelled liquids of 20 to 30 atoms."""
    return fr.read(FILE)


@pytest.fixture
def examine(tmp_path):
    """Write frames as they are and examine the file."""

    def run(given, **options) -> intake.Intake:
        ase.io.write(tmp_path / "user.xyz", given, format="extxyz")
        return intake.examine(tmp_path / "user.xyz", **options)

    return run


def atoms() -> list[Atoms]:
    """Isolated atoms of the method of the frames."""
    return [Atoms(e, info={fr.ENERGY: energy}) for e, energy in GFN2_ATOMS.items()]


def only(found: intake.Intake) -> str:
    """The one problem of a file."""
    assert len(found.problems) == 1, found.problems
    return found.problems[0]


# --- what is right passes ---------------------------------------------------------------------


def test_own_frames_pass(frames):
    found = intake.examine(FILE)
    assert found.problems == []
    assert fr.dumps(found.frames) == fr.dumps(frames)
    assert found.atom_energies_eV == {}
    assert [note for note in found.notes if "unit of energy not checked" in note]


def test_there_are_shipped_sets():
    """Without any, the test below is not run."""
    assert SETS


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.parent.name)
def test_no_false_alarm_on_shipped_sets(path, tmp_path):
    chosen = fr.read(path)[::5]
    fr.write(tmp_path / "some.xyz", chosen)
    found = intake.examine(tmp_path / "some.xyz")
    assert found.problems == []
    assert len(found.frames) == len(chosen)


def test_what_is_missing_is_assigned(frames, examine):
    bare = [frame.copy() for frame in frames]
    for frame in bare:
        del frame.info["bonds"], frame.info["composition"], frame.arrays["molecule"]
    found = examine(bare)
    assert found.problems == []
    for frame, known in zip(found.frames, frames, strict=True):
        assert np.array_equal(frame.info["bonds"], known.info["bonds"])
        assert np.array_equal(frame.arrays["molecule"], known.arrays["molecule"])
        assert frame.info["composition"] == known.info["composition"]
        fr.check(frame, labelled=True)


def test_isolated_atoms_come_apart(frames, examine):
    found = examine([*atoms(), *frames])
    assert found.problems == []
    assert found.atom_energies_eV == pytest.approx(GFN2_ATOMS)
    assert len(found.frames) == len(frames)
    assert not [note for note in found.notes if "energy" in note]
    other = Atoms("H", info={fr.ENERGY: -13.6})
    assert "frame 3: isolated H at -13.600 eV, before -10.707 eV" in only(
        examine([*atoms(), other, *frames])
    )


def test_names_are_mapped_by_keys_only(frames, examine):
    renamed = [frame.copy() for frame in frames]
    for frame in renamed:
        frame.info["dft_energy"] = frame.info.pop(fr.ENERGY)
        frame.arrays["force"] = frame.arrays.pop(fr.FORCES)
        tensor = voigt_6_to_full_3x3_stress(frame.info.pop(fr.STRESS))
        frame.info["virial"] = -tensor * frame.get_volume()
    problem = only(examine(renamed))
    assert "0, 1, 2, 3, 4 and 7 more: no energy under 'REF_energy'" in problem
    keys = {"energy": "dft_energy", "forces": "force", "virial": "virial"}
    said = "--key energy=dft_energy --key forces=force --key virial=virial"
    assert f"{said} (keys={keys})" in problem
    del keys["virial"]
    assert "(keys={'virial': 'virial'})" in only(examine(renamed, keys=keys))
    found = examine(renamed, keys=keys | {"virial": "virial"})
    assert found.problems == []
    assert found.frames[0].info[fr.STRESS] == pytest.approx(frames[0].info[fr.STRESS], abs=1e-7)


def test_labels_that_ase_took(frames, examine):
    from ase.calculators.singlepoint import SinglePointCalculator as Known

    for frame in frames:
        values = [
            frame.info.pop(fr.ENERGY),
            frame.arrays.pop(fr.FORCES),
            frame.info.pop(fr.STRESS),
        ]
        frame.calc = Known(frame, **dict(zip(("energy", "forces", "stress"), values, strict=True)))
    assert "--key energy=energy --key forces=forces --key stress=stress" in only(examine(frames))
    keys = {name: name for name in ("energy", "forces", "stress")}
    assert examine(frames, keys=keys).problems == []


@pytest.fixture
def liquids() -> list[Atoms]:
    """Twenty shipped liquids of 60 to 120 atoms."""
    (path,) = (path for path in SETS if path.parent.name.startswith("set-classical-"))
    return fr.read(path)[:20]


def test_frames_with_forces_of_their_own_kind_are_named(liquids):
    def odd() -> list[str]:
        findings = Findings("mine.xyz")
        bonds = {number: intake_units._stretches(frame) for number, frame in enumerate(liquids)}
        intake_units._find_odd_forces(bonds, findings)
        return sorted(findings.lines())

    for number in (3, 7):
        liquids[number].arrays[fr.FORCES] *= -1
    liquids[5].arrays[fr.FORCES] *= units.mol / units.kcal
    liquids[11].arrays[fr.FORCES] *= 0
    none, converted, flipped = odd()
    assert none.startswith("mine.xyz, frame 11: forces do not follow the stretch")
    assert converted.startswith("mine.xyz, frame 5: forces look like kcal/mol/Å")
    assert flipped.startswith("mine.xyz, frames 3, 7: forces drive C-H bonds away")
    for frame in liquids:  # where most are wrong, all are judged together
        frame.arrays[fr.FORCES] *= -1
    assert odd() == []


def test_one_flipped_frame_of_a_file_is_refused(liquids, tmp_path):
    liquids[4].arrays[fr.FORCES] *= -1
    fr.write(tmp_path / "some.xyz", liquids)
    assert "frame 4: forces drive C-H bonds away" in only(intake.examine(tmp_path / "some.xyz"))


# --- units and signs --------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "length"), [("nm", 10.0), ("bohr", units.Bohr)])
def test_unit_of_length(frames, examine, unit, length):
    for frame in frames:
        frame.positions /= length
        frame.cell = frame.cell.array / length
    assert f"positions look like {unit}; convert positions and cell" in only(examine(frames))


@pytest.mark.parametrize("unit", list(intake_units.FORCE_UNITS)[1:])
def test_unit_of_forces(frames, examine, unit):
    for frame in frames:
        frame.arrays[fr.FORCES] = frame.arrays[fr.FORCES] / intake_units.FORCE_UNITS[unit]
    assert f"forces look like {unit}; convert" in only(examine(frames))


@pytest.mark.parametrize("value", ["hot", [300.0, 310.0], float("nan"), -1.0])
def test_temperature_of_preparation_is_one_number(frames, examine, value):
    frames[1].info["temperature_K"] = value
    assert "frame 1: temperature_K is" in only(examine(frames))
    frames[1].info["temperature_K"] = 300
    assert examine(frames).problems == []


def test_sign_of_forces(frames, examine):
    for frame in frames:
        frame.arrays[fr.FORCES] = -frame.arrays[fr.FORCES]
    assert "their sign is wrong (gradients?)" in only(examine(frames))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("unit", list(intake_units.STRESSES))
def test_unit_and_sign_of_stress(frames, examine, unit, sign):
    for frame in frames:
        frame.info[fr.STRESS] = sign * frame.info[fr.STRESS] / intake_units.STRESSES[unit]
    if (unit, sign) == ("eV/Å³", 1):
        assert examine(frames).problems == []
        return
    problem = only(examine(frames))
    assert (f"looks like {unit}" in problem) == (unit != "eV/Å³")
    assert ("wrong sign" in problem) == (sign < 0)


def test_a_virial_is_no_stress(frames, examine):
    for frame in frames:
        frame.info[fr.STRESS] = -frame.info[fr.STRESS] * frame.get_volume()
    assert "looks like a virial (eV), not divided by the volume and has the wrong sign" in only(
        examine(frames)
    )


@pytest.mark.parametrize("unit", list(intake_units.ENERGIES)[1:])
def test_unit_of_energy_from_isolated_atoms(frames, examine, unit):
    given = [*atoms(), *frames]
    for frame in given:
        frame.info[fr.ENERGY] /= intake_units.ENERGIES[unit]
    assert any(f"energies look like {unit}" in line for line in examine(given).problems)


@pytest.mark.parametrize("unit", list(intake_units.ENERGIES)[1:])
@pytest.mark.parametrize("name", ["classical", "packed", "scan", "molecules"])
def test_unit_of_energy_of_shipped_sets_is_named_or_among_those_named(name, unit, examine):
    """Each fifth frame: none is close to another, so that only the size of the forces tells."""
    (path,) = (paths.data() / "sets").glob(f"set-{name}-*/frames.extxyz.gz")
    given = fr.read(path)[::5]
    for frame in given:
        frame.info[fr.ENERGY] /= intake_units.ENERGIES[unit]
    (line,) = (line for line in examine(given).problems if "energies look like" in line)
    assert "growth with the size of the forces" in line
    named = line.partition("energies look like ")[2].partition(";")[0].partition(",")[0]
    assert unit in named.split(" or ")
    assert ("cannot be told apart" in line) == (" or " in named)


@pytest.mark.parametrize("name", ["scan", "scan_test"])
def test_unit_of_energy_of_a_shipped_scan_from_close_frames(name, examine):
    """Volumes next to each other tell Hartree from Rydberg."""
    (path,) = (paths.data() / "sets").glob(f"set-{name}-*/frames.extxyz.gz")
    for unit in ("Hartree", "Rydberg"):
        given = fr.read(path)
        for frame in given:
            frame.info[fr.ENERGY] /= intake_units.ENERGIES[unit]
        (line,) = (line for line in examine(given).problems if "energies look like" in line)
        assert f"energies look like {unit};" in line


@pytest.mark.parametrize(
    "cell", [np.zeros((3, 3)), [[0, 0, 0], [0, 9, 0], [0, 0, 9]], [[9, 0, 0], [0, 9, 0], [9, 9, 0]]]
)
def test_a_lattice_without_a_volume_is_no_unit_of_length(frames, examine, cell):
    frames[7].cell = cell
    assert "frame 7: periodic, but the cell has no volume; leave the frame out" in only(
        examine(frames)
    )


def springs_and_repulsion(frame: Atoms) -> None:
    """Label with harmonic bonds (30 eV/Å², 1.2 Å; 1.05 Å to H) and ``100 exp(-r / 0.3 Å)`` eV."""
    bonded = {tuple(pair) for pair in frame.info["bonds"].tolist()}
    i, j, vectors, r = neighbor_list("ijDd", frame, 4.0)
    same = np.array([tuple(sorted(p)) in bonded for p in zip(i.tolist(), j.tolist(), strict=True)])
    other = frame.arrays["molecule"][i] != frame.arrays["molecule"][j]
    near = r < 2.0
    stretch = r - np.where((frame.numbers[i] == 1) | (frame.numbers[j] == 1), 1.05, 1.2)
    repulsion = 100 * np.exp(-r / 0.3) * other
    energy = (15 * stretch**2 * (same & near) + repulsion).sum() / 2
    pull = 30 * stretch * (same & near) - repulsion / 0.3  # on i towards j
    along = (pull / r)[:, None] * vectors
    forces = np.zeros((len(frame), 3))
    np.add.at(forces, i, along)
    frame.info[fr.ENERGY], frame.arrays[fr.FORCES] = energy, forces
    frame.info[fr.STRESS] = full_3x3_to_voigt_6_stress(vectors.T @ along / 2 / frame.get_volume())


@pytest.fixture
def scan(frames) -> list[Atoms]:
    """A rigid volume scan with labels that are derivatives of one another."""
    made = [boxes.scaled(frames[0], density) for density in np.linspace(0.75, 1.0, 13)]
    for frame in made:
        springs_and_repulsion(frame)
    return made


def test_a_rigid_scan_tells_unit_of_energy_and_sign_of_stress(scan, examine):
    assert np.ptp([frame.info[fr.ENERGY] for frame in scan]) > 0.5
    found = examine(scan)
    assert found.problems == []
    assert found.notes == [note for note in found.notes if "of theory" in note]
    energy, stress = intake_units.pair_factors(found.frames)
    assert energy == pytest.approx(1.0, abs=0.05)
    assert stress == pytest.approx(1.0, abs=0.05)
    for frame in scan:
        frame.info[fr.ENERGY] /= units.Hartree
    assert "energies look like Hartree" in only(examine(scan))
    for frame in scan:
        frame.info[fr.ENERGY] *= units.Hartree
        frame.info[fr.STRESS] = -frame.info[fr.STRESS]
    assert "has the wrong sign" in only(examine(scan))


def test_what_cannot_be_seen_is_not_checked(frames, examine):
    found = examine(frames[:2])
    assert found.problems == []
    text = "\n".join(found.notes)
    for what in (
        "levels of theory by their energies",
        "unit of energy",
        "sign of stress",
    ):
        assert f"{what} not checked: " in text


# --- damaged and foreign frames ---------------------------------------------------------------


def spoiled(name: str):
    """One frame with one fault."""

    def number(frame):
        frame.arrays[fr.FORCES][3, 1] = np.nan

    def energy(frame):
        frame.info[fr.ENERGY] = np.inf

    def place(frame):
        frame.positions[2, 0] = np.nan

    def partial(frame):
        frame.pbc = [True, True, False]

    def element(frame):
        frame.symbols[-1] = "F"

    def overlap(frame):
        frame.positions[-1] = frame.positions[0] + [0.2, 0, 0]

    def torn(frame):
        carbon, hydrogen = frame.info["bonds"][-1]
        frame.positions[hydrogen] += 0.6 * frame.get_distance(
            carbon, hydrogen, mic=True, vector=True
        )

    def torn_unknown(frame):
        torn(frame)
        for key in GRAPH:
            frame.info.pop(key, None)
            frame.arrays.pop(key, None)

    def mislabelled(frame):
        frame.info["composition"] = "EC:7"

    def mixed(frame):
        frame.arrays["molecule"][:] = 0

    def level(frame):
        frame.info["method"] = "PBE-D3"

    def offset(frame):
        frame.info[fr.ENERGY] -= 60.0 * len(frame)

    return locals()[name]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "REF_forces is not finite; label the frame again"),
        ("energy", "REF_energy is not finite; label the frame again"),
        ("place", "positions or cell are not finite; leave the frame out"),
        ("partial", r"pbc \[True, True, False\]: periodic in part; write pbc"),
        ("element", "element F; allowed are H, C, O: leave"),
        ("overlap", "two atoms are 0.20 Å apart; at least 0.5 Å is allowed; leave"),
        ("torn", r"bonds differ from info\['bonds'\]: a molecule is broken"),
        (
            "torn_unknown",
            "a molecule .*H.* that is none of .*EC, EMC.*: broken, or not expected",
        ),
        ("mislabelled", "composition is 'EC:7', the bonds say 'EC:"),
        ("mixed", "molecule indices do not fit the bonds"),
        ("level", "method is 'PBE-D3', elsewhere GFN2-xTB: levels of theory are mixed"),
        ("offset", "eV/atom from those of the other frames, whatever the composition"),
    ],
)
def test_a_fault_of_one_frame_is_named_once(frames, examine, name, message):
    spoiled(name)(frames[7])
    found = examine(frames)
    assert re.search(f"^user.xyz, frame 7: .*{message}", only(found))
    assert len(found.frames) == len(frames) - 1


def test_molecules_are_counted_from_zero(frames, examine):
    for frame in frames:
        frame.arrays["molecule"] = frame.arrays["molecule"] + 1
    found = examine(frames)
    assert not found.problems
    assert {frame.arrays["molecule"].min() for frame in found.frames} == {0}


def test_left_out_only_when_asked(frames, examine, tmp_path):
    spoiled("number")(frames[7])
    examine(frames)
    with pytest.raises(fr.BadFrames, match="frame 7: REF_forces is not finite"):
        intake.read(tmp_path / "user.xyz")
    kept = intake.read(tmp_path / "user.xyz", leave_out=True)
    assert len(kept.frames) == len(frames) - 1
    assert "left out: user.xyz, frame 7: REF_forces is not finite" in "\n".join(kept.notes)
    with pytest.raises(fr.BadFrames, match="no energy under 'other'"):  # none would be left
        intake.read(tmp_path / "user.xyz", keys={"energy": "other"}, leave_out=True)


def test_duplicates_are_found_wherever_they_lie(frames, examine):
    copy = frames[2].copy()
    copy.positions += [3.0, -2.0, 5.0]
    copy.wrap()
    assert "frame 12: the same structure as frame 2; keep one" in only(examine([*frames, copy]))
    copy.rattle(0.02, seed=1)
    assert not any("same structure" in line for line in examine([*frames, copy]).problems)


@pytest.mark.parametrize("keep", [0.999, 0.6])
def test_truncated(frames, tmp_path, keep):
    text = fr.dumps(frames)
    (tmp_path / "cut.xyz").write_bytes(text[: int(keep * len(text))])
    found = intake.examine(tmp_path / "cut.xyz")
    assert "the file is cut off or damaged here; correct the frame or get" in only(found)
    assert f"frame {len(found.frames)}: " in only(found)
    (tmp_path / "cut.xyz.gz").write_bytes(FILE.read_bytes()[:-50])
    problem = intake.examine(tmp_path / "cut.xyz.gz").problems[0]
    assert "not a whole text file" in problem


def test_periodic_where_it_must_be(frames, examine):
    lost = frames[4]
    lost.pbc = False
    assert "frame 4: not periodic, but frames must be periodic" in only(
        examine(frames, periodic=True)
    )
    assert "and 6 more: periodic, but frames must be not periodic" in only(
        examine(frames, periodic=False)
    )


def test_methods_are_compared_with_what_is_said(frames, examine):
    assert "method is 'GFN2-xTB', not 'PBE-D3'" in only(examine(frames, method="PBE-D3"))
    for frame in frames:
        del frame.info["method"]
    assert "level of theory not known" in "\n".join(examine(frames).notes)
    assert examine(frames, method="GFN2-xTB").frames[0].info["method"] == "GFN2-xTB"


def molecules_without_names(name: str, count: int) -> list[Atoms]:
    """Frames of one molecule each, from which nothing tells what they hold."""
    made = []
    for seed in range(count):
        frame = molecules.molecule(name, 1)
        frame.rattle(0.04, seed=seed)
        springs_and_repulsion_free(frame)
        for key in GRAPH:
            frame.info.pop(key, None)
            frame.arrays.pop(key, None)
        made.append(frame)
    return made


def test_molecules_not_known_by_name(examine):
    """Most frames have them: named by SMILES. The user may say what is allowed."""
    made = molecules_without_names("CO", 10)
    found = examine(made)
    assert found.problems == []
    assert {frame.info["composition"] for frame in found.frames} == {"CO:1"}
    assert examine(made, molecules=["CO"]).problems == []
    assert "a molecule CH4O that is none of EC, EMC" in only(examine(made, molecules=["EC", "EMC"]))


def test_a_rare_molecule_is_named_and_the_usual_one_learned(examine):
    made = [*molecules_without_names("CO", 10), *molecules_without_names("CCCO", 2)]
    assert "a molecule C3H8O that is none of" in only(examine(made))
    assert "--molecule" not in only(examine(made, molecules=["CO"]))
    found = examine(made, also=["CCCO"])
    assert found.problems == []
    assert {frame.info["composition"] for frame in found.frames} == {"CO:1", "CCCO:1"}


def springs_and_repulsion_free(frame: Atoms) -> None:
    """The same labels for one molecule without a box."""
    boxed = frame.copy()
    boxed.cell, boxed.pbc = np.eye(3) * 20, True
    springs_and_repulsion(boxed)
    frame.info[fr.ENERGY] = boxed.info[fr.ENERGY]
    frame.arrays[fr.FORCES] = boxed.arrays[fr.FORCES]


def test_arguments(tmp_path):
    with pytest.raises(ValueError, match="allowed are names for energy, forces and one of"):
        intake.examine(FILE, keys={"dipole": "mu"})
    with pytest.raises(ValueError, match="allowed are names for energy, forces and one of"):
        intake.examine(FILE, keys={"stress": "s", "virial": "v"})
    with pytest.raises(ValueError, match="neither a known name nor a valid SMILES"):
        intake.examine(FILE, molecules=["ECC EMC"])
    with pytest.raises(fr.BadFrames, match=r"none\.xyz: no such file"):
        intake.examine(tmp_path / "none.xyz")


# --- published files --------------------------------------------------------------------------


def test_published_liquids(published_file):
    path = published_file("ECEMC.xyz")
    found = intake.read(path, keys=DFT_KEYS, periodic=True)
    assert len(found.frames) == 200
    assert found.atom_energies_eV == pytest.approx(
        {"H": -12.353708, "C": -148.179482, "O": -431.463158}
    )
    assert {frame.info["composition"] for frame in found.frames} == {"EC:4 EMC:8"}
    assert found.notes == ["ECEMC.xyz: level of theory not known; give --method, or method='...'"]
    wrong = intake.examine(path, keys={"energy": "energy", "forces": "forces", "stress": "virial"})
    assert "looks like a virial (eV), not divided by the volume and has the wrong sign" in only(
        wrong
    )


def test_published_clusters(published_file):
    keys = {"energy": "energy_xtb", "forces": "forces_xtb"}
    found = intake.examine(published_file("solvent_xtb_train_200.xyz"), keys=keys)
    assert len(found.frames) == 191
    assert all("broken, or not expected" in line for line in found.problems)
