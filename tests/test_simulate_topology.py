"""Bond events against the known graph: chemistry by hand, and hot intact liquids."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.io import read
from crosstrain.build import molecules as build
from crosstrain.simulate.topology import (
    BondEvent,
    BondMonitor,
    bond_cutoffs,
    bond_events,
    describe_event,
)
from crosstrain.study import Study

NO_BONDS = np.empty((0, 2), dtype=int)


def graph_of(atoms: Atoms) -> np.ndarray:
    """Bonds of an undistorted frame: against an empty graph all of them are new."""
    return bond_events(atoms, NO_BONDS)[0]


def liquid(*names: str, spacing: float = 6.0) -> tuple[Atoms, np.ndarray]:
    """Molecules in a row in a periodic box, and their graph."""
    box = Atoms(cell=[spacing * (len(names) + 1)] * 3, pbc=True)
    labels: list[int] = []
    for index, name in enumerate(names):
        one = molecule(name)
        one.translate([spacing * (index + 0.5), spacing, spacing])
        box += one
        labels += [index] * len(one)
    box.set_array("molecule", np.array(labels))
    return box, graph_of(box)


def put_atom(atoms: Atoms, index: int, near: int, distance: float, away_from: int) -> Atoms:
    """Move an atom to `distance` of `near`, on the side opposite to `away_from`."""
    moved = atoms.copy()
    direction = atoms.positions[near] - atoms.positions[away_from]
    moved.positions[index] = atoms.positions[near] + distance * direction / np.linalg.norm(
        direction
    )
    return moved


def pair(bonds: np.ndarray, atoms: Atoms, symbols: str) -> tuple[int, int]:
    """First bond between two elements, in the order of `symbols`."""
    for i, j in bonds:
        if atoms.symbols[i] + atoms.symbols[j] == symbols:
            return int(i), int(j)
        if atoms.symbols[j] + atoms.symbols[i] == symbols:
            return int(j), int(i)
    raise LookupError(symbols)


def test_graph_of_known_molecules():
    assert len(graph_of(molecule("CH3CH2OH"))) == 8
    assert len(graph_of(molecule("C4H4O"))) == 9  # furan: ring


@pytest.mark.parametrize("wrap", [False, True])
def test_intact_liquid_is_silent_wherever_the_box_is_cut(wrap):
    atoms, bonds = liquid("CH3CH2OH", "C4H4O")
    atoms.positions += [3.1, -5.9, 100.0]
    if wrap:
        atoms.wrap()
    formed, broken = bond_events(atoms, bonds)
    assert formed.shape == broken.shape == (0, 2)


def test_scission_of_a_carbon_oxygen_bond():
    atoms, bonds = liquid("CH3OCH3")
    carbon, oxygen = pair(bonds, atoms, "CO")
    partners = bonds[(bonds == carbon).any(1)].ravel()
    moved = np.unique(partners[partners != oxygen])  # the whole methyl group
    direction = atoms.positions[carbon] - atoms.positions[oxygen]
    atoms.positions[moved] += 1.0 * direction / np.linalg.norm(direction)
    formed, broken = bond_events(atoms, bonds)
    assert formed.size == 0
    assert broken.tolist() == [sorted((carbon, oxygen))]


def test_proton_transfer_breaks_one_bond_and_forms_another():
    atoms, bonds = liquid("CH3CH2OH", "H2CO")
    oxygen, hydrogen = pair(bonds, atoms, "OH")
    carbon, acceptor = (i for i in pair(bonds[bonds.min(1) > 8], atoms, "CO"))
    atoms = put_atom(atoms, hydrogen, acceptor, 0.97, away_from=carbon)
    formed, broken = bond_events(atoms, bonds)
    assert formed.tolist() == [sorted((hydrogen, acceptor))]
    assert broken.tolist() == [sorted((hydrogen, oxygen))]


def test_opened_ring():
    """The O of ethylene carbonate turns away about the bond of the two CH2, and takes its H along.

    All other bonds keep their lengths.
    """
    frame = build.molecule("EC", 0)
    bonds = frame.info["bonds"]
    (carbonyl,) = (i for i in range(10) if frame.numbers[i] == 6 and 1 not in near(frame, bonds, i))
    leaving = next(i for i in partners(bonds, carbonyl) if len(partners(bonds, i)) == 2)
    (own,) = set(partners(bonds, leaving)) - {carbonyl}
    hydrogens = [i for i in partners(bonds, own) if frame.numbers[i] == 1]
    (other,) = (i for i in partners(bonds, own) if frame.numbers[i] == 6)
    (staying,) = (i for i in partners(bonds, other) if frame.numbers[i] == 8)
    frame.set_dihedral(staying, other, own, leaving, 180, indices=[leaving, *hydrogens])
    formed, broken = bond_events(frame, bonds)
    assert formed.size == 0
    assert broken.tolist() == [sorted((carbonyl, leaving))]
    gap = frame.get_distance(carbonyl, leaving)
    event = BondEvent("broken", tuple(sorted((carbonyl, leaving))), 0.0, gap)
    assert describe_event(event, frame, bonds).endswith("ring opened")


def partners(bonds: np.ndarray, atom: int) -> list[int]:
    return [int(i + j - atom) for i, j in bonds if atom in (i, j)]


def near(atoms: Atoms, bonds: np.ndarray, atom: int) -> set[int]:
    """Elements that an atom is bound to."""
    return {int(atoms.numbers[i]) for i in partners(bonds, atom)}


def test_ring_opening_and_split_are_told_apart():
    atoms, bonds = liquid("C4H4O", "CH3OCH3")
    ring = sorted(pair(bonds, atoms, "CO"))
    chain = sorted(pair(bonds[bonds.min(1) > 8], atoms, "CO"))
    ring_event = BondEvent("broken", tuple(ring), 1.2, 2.14)
    words = describe_event(ring_event, atoms, bonds)
    assert words.endswith("of molecule 0 (C4H4O) broken at 1.200 ps (2.14 Å): ring opened")
    chain_event = BondEvent("broken", tuple(chain), 1.2, 2.14)
    assert describe_event(chain_event, atoms, bonds).endswith("molecule split")
    del atoms.arrays["molecule"]
    assert describe_event(chain_event, atoms, bonds).startswith("bond C9-O10 broken at")


def test_names_come_from_the_composition_only_if_it_fits():
    atoms, bonds = liquid("C4H4O", "CH3OCH3", "CH3OCH3")
    event = BondEvent("formed", (0, 9), 0.5, 1.3)
    atoms.info["composition"] = "furan:1 DME:2"
    assert "between molecule 0 (furan) and molecule 1 (DME) formed" in describe_event(
        event, atoms, bonds
    )
    for unfit in ("DME:2 furan:1", "furan:1", "no numbers"):
        atoms.info["composition"] = unfit
        assert "molecule 0 (C4H4O) and molecule 1 (C2H6O)" in describe_event(event, atoms, bonds)


def test_new_bond_between_molecules_across_the_boundary():
    atoms, bonds = liquid("H2CO", "H2CO")
    oxygens = np.flatnonzero(atoms.numbers == 8)
    second = np.flatnonzero(atoms.arrays["molecule"] == 1)
    # Turn the second molecule round, so that the two oxygens meet head on, some boxes away.
    outside = atoms.positions[oxygens[0]] + [0.0, 0.0, 1.4]
    atoms.positions[second] = outside + atoms.positions[oxygens[1]] - atoms.positions[second]
    atoms.positions[second] += 3 * atoms.cell[0] - 2 * atoms.cell[2]
    formed, broken = bond_events(atoms, bonds)
    assert formed.tolist() == [oxygens.tolist()]
    assert broken.size == 0


def test_skewed_cell_agrees_with_ase():
    rng = np.random.default_rng(3)
    atoms = Atoms("C12H12O12", pbc=True, cell=[[9, 0, 0], [4.4, 9, 0], [4.4, -4.4, 9]])
    atoms.positions = rng.normal(scale=40, size=(36, 3))
    distances = atoms.get_all_distances(mic=True)
    expected = np.argwhere(np.triu(distances < bond_cutoffs(atoms.numbers)[0], 1))
    assert len(expected) > 3
    assert graph_of(atoms).tolist() == expected.tolist()


def test_open_boundaries_are_not_wrapped():
    atoms = Atoms("H2", positions=[[0, 0, 0], [0, 0, 9.3]], cell=[10, 10, 10], pbc=[1, 1, 0])
    assert len(graph_of(atoms)) == 0
    atoms.pbc = True
    assert len(graph_of(atoms)) == 1


def events_along(frames, bonds, *, times_ps, persistence_ps: float) -> list[BondEvent]:
    """All events along a trajectory, in order of confirmation."""
    frames = list(frames)
    monitor = BondMonitor(frames[0].numbers, bonds, persistence_ps=persistence_ps)
    watched = zip(frames, times_ps, strict=True)
    return [event for frame, time in watched for event in monitor.update(frame, time_ps=time)]


def dimer(distance_A: float) -> Atoms:
    return Atoms("CH", positions=[[0, 0, 0], [distance_A, 0, 0]])


def test_persistence_forgives_a_short_excursion():
    # 0.1 ps apart, 0.2 ps wanted: two frames beyond the cutoff are not enough, three are.
    distances = [1.1, 1.8, 1.8, 1.1, 1.8, 1.8, 1.8, 1.8, 1.1]
    events = events_along(
        map(dimer, distances),
        [[0, 1]],
        times_ps=0.1 * np.arange(len(distances)),
        persistence_ps=0.2,
    )
    assert [(event.kind, event.atoms) for event in events] == [("broken", (0, 1))]
    assert events[0].time_ps == pytest.approx(0.4)
    assert events[0].distance_A == pytest.approx(1.8)


def test_hysteresis_keeps_the_state_between_the_cutoffs():
    times = 0.1 * np.arange(6)
    hovering = [1.1, 1.8, 1.6, 1.6, 1.6, 1.6]  # broke, never came back below 1.40
    never_out = [1.1, 1.6, 1.65, 1.6, 1.69, 1.6]

    def events(distances, bonds):
        return events_along(map(dimer, distances), bonds, times_ps=times, persistence_ps=0.3)

    assert [event.time_ps for event in events(hovering, [[0, 1]])] == [pytest.approx(0.1)]
    assert events(never_out, [[0, 1]]) == []
    approaching = [1.8, 1.35, 1.5, 1.65, 1.5, 1.5]
    assert [event.kind for event in events(approaching, NO_BONDS)] == ["formed"]
    assert events([*never_out[1:], 1.6], NO_BONDS) == []


def test_event_is_told_once_and_again_after_healing():
    distances = [1.8, 1.8, 1.8, 1.1, 1.8, 1.8]
    events = events_along(map(dimer, distances), [[0, 1]], times_ps=range(6), persistence_ps=1.0)
    assert [event.time_ps for event in events] == [0.0, 4.0]


def test_monitor_continues_from_its_state():
    def watch(interrupted: bool) -> list[BondEvent]:
        monitor = BondMonitor([6, 1], [[0, 1]], persistence_ps=0.2)
        events = []
        for step, distance in enumerate([1.1, 1.8, 1.6, 1.7, 1.8]):
            if interrupted:
                state = monitor.state()
                monitor = BondMonitor([6, 1], [[0, 1]], persistence_ps=0.2)
                monitor.restore(state)
            events += monitor.update(dimer(distance), time_ps=0.1 * step)
        return events

    assert len(watch(False)) == 1
    assert watch(True) == watch(False)


def test_cutoffs_of_other_elements():
    formed, broken = bond_cutoffs([9, 6, 8])
    assert formed[0, 1] == pytest.approx(1.2 * (0.57 + 0.76))
    assert broken[0, 1] == pytest.approx(1.5 * (0.57 + 0.76))
    assert (formed == formed.T).all() and (formed < broken).all()


@pytest.mark.parametrize(
    ("bonds", "message"),
    [
        ([[0, 2]], "allowed: 0 to 1"),
        ([[-1, 0]], "-1"),
        ([[1, 1]], "themselves"),
        ([[0, 1], [1, 0]], "twice"),
    ],
)
def test_bad_graphs(bonds, message):
    with pytest.raises(ValueError, match=message):
        bond_events(dimer(1.1), bonds)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"persistence_ps is -1"):
        BondMonitor([6, 1], [[0, 1]], persistence_ps=-1)
    narrow = dimer(1.1)
    narrow.set_cell([3.0, 9.0, 9.0])
    narrow.pbc = True
    with pytest.raises(ValueError, match=r"3\.00 Å wide"):
        bond_events(narrow, [[0, 1]])


@pytest.fixture(scope="module")
def hot_liquids(published_file) -> list[Atoms]:
    return read(published_file("ECEMC.xyz"), "3:")


def test_hot_intact_liquids_raise_no_alarm(hot_liquids):
    """Not even without persistence: 200 frames at 300 to 1200 K, 0.48 to 1.30 g/cm³."""
    bonds = graph_of(hot_liquids[0])
    assert len(bonds) == 4 * 10 + 8 * 14  # EC is a ring, EMC a chain
    assert all((frame.numbers == hot_liquids[0].numbers).all() for frame in hot_liquids)
    assert (
        events_along(hot_liquids, bonds, times_ps=range(len(hot_liquids)), persistence_ps=0.0) == []
    )
    assert all(np.array_equal(graph_of(frame), bonds) for frame in hot_liquids)


@pytest.mark.parametrize("name", ["classical", "hot_test"])
def test_hot_intact_liquids_of_the_project_raise_no_alarm(name):
    """Frames of one graph each, up to 1200 K: as the published ones, and always here."""
    study = Study("laptop", announce=False)
    frames = study.frames(name)
    assert max(frame.info["temperature_K"] for frame in frames) > 1100
    for frame in frames:
        assert [len(events) for events in bond_events(frame, frame.info["bonds"])] == [0, 0]


def test_one_broken_bond_in_a_hot_liquid_is_found(hot_liquids):
    bonds = graph_of(hot_liquids[0])
    atoms = hot_liquids[-1].copy()
    index = next(n for n, (i, j) in enumerate(bonds) if set(atoms.numbers[[i, j]]) == {1, 6})
    carbon, hydrogen = sorted(bonds[index], key=lambda i: -atoms.numbers[i])
    atoms.positions[hydrogen] += 0.9 * atoms.get_distance(carbon, hydrogen, mic=True, vector=True)
    assert bond_events(atoms, bonds)[1].tolist() == [sorted((carbon, hydrogen))]
