"""The kinds of training configuration: reproducible frame by frame, sound, and what they claim."""

import numpy as np
import pytest
from crosstrain.build import boxes, molecules, sets

COMPOSITIONS = [{"EC": 1, "EMC": 1}, {"EC": 2}]
CLASSICAL = {
    "compositions": COMPOSITIONS,
    "temperature_K": (300, 900),
    "density_g_cm3": (0.5, 1.0),
    "duration_ps": 0.05,
}


def still(name: str) -> list[sets.Conformer]:
    """Conformers that have one soft mode along x, so that no reference method is needed."""
    atoms = molecules.conformers(name, n=2, seed=1)
    mode = np.zeros((1, len(atoms[0]), 3))
    mode[0, :, 0] = np.linspace(-1, 1, len(atoms[0]))
    mode /= np.linalg.norm(mode)
    return [sets.Conformer(shape, np.array([900.0]), mode) for shape in atoms]


@pytest.fixture(scope="module")
def ensembles():
    return {name: still(name) for name in ("EC", "EMC")}


@pytest.fixture(scope="module")
def liquid():
    return sets.classical(numbers=range(3), seed=3, **CLASSICAL)


def build(kind, numbers, seed, ensembles, liquid):
    options = {
        "packed": (
            sets.packed,
            {
                "compositions": COMPOSITIONS,
                "ensembles": ensembles,
                "density_g_cm3": (0.4, 1.0),
                "temperature_K": (100, 500),
            },
        ),
        "molecules": (sets.isolated, {"ensembles": ensembles}),
        "classical": (sets.classical, CLASSICAL),
        "scan": (sets.scan, {"source": liquid, "points": 2, "density_g_cm3": (0.2, 1.0)}),
    }
    function, arguments = options[kind]
    return function(numbers=numbers, seed=seed, **arguments)


@pytest.mark.parametrize("kind", ["packed", "molecules", "classical", "scan"])
def test_a_frame_does_not_depend_on_the_others(kind, ensembles, liquid):
    together = build(kind, range(2), 7, ensembles, liquid)
    alone = build(kind, [1], 7, ensembles, liquid)[0]
    other_seed = build(kind, [1], 8, ensembles, liquid)[0]
    assert [frame.info["seed"] for frame in together] == ["7/0", "7/1"]
    assert np.array_equal(together[1].positions, alone.positions)
    assert np.array_equal(together[1].cell.array, alone.cell.array)
    assert other_seed.positions.shape != alone.positions.shape or not np.allclose(
        other_seed.positions, alone.positions
    )
    assert all(sets.is_sound(frame) for frame in together)


def test_packed_stays_in_its_ranges_and_takes_compositions_in_turn(ensembles):
    frames = build("packed", range(6), 1, ensembles, [])
    assert [frame.info["composition"] for frame in frames[:2]] == ["EC:1 EMC:1", "EC:2"]
    for frame in frames:
        assert 0.4 <= boxes.density_g_cm3(frame) <= 1.0
        assert 100 <= frame.info["temperature_K"] <= 500


def test_classical_raises_temperature_and_density_together():
    frames = sets.classical(numbers=range(5), seed=5, **CLASSICAL)
    temperature = [frame.info["temperature_K"] for frame in frames]
    density = [boxes.density_g_cm3(frame) for frame in frames]
    assert min(temperature) >= 300
    assert max(temperature) <= 900
    assert min(density) >= 0.5 - 1e-9
    assert max(density) <= 1.0 + 1e-9
    assert np.corrcoef(temperature, density)[0, 1] > 0.8
    assert max(temperature) - min(temperature) > 300  # a few frames cover the range


def test_a_scan_moves_rigid_molecules(liquid):
    (frame,) = sets.scan(numbers=[0], seed=1, source=liquid, points=1, density_g_cm3=(0.3, 0.3))
    assert boxes.density_g_cm3(frame) == pytest.approx(0.3)
    assert frame.info["source"] == "3/0"
    for k in np.unique(frame.arrays["molecule"]):
        members = frame.arrays["molecule"] == k
        before, after = (boxes.whole(f).positions[members] for f in (liquid[0], frame))
        shape = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (before, after)]
        np.testing.assert_allclose(*shape, atol=1e-8)


def test_a_scan_takes_every_nth_frame(liquid):
    frames = sets.scan(
        numbers=range(4), seed=1, source=liquid, points=2, every=2, density_g_cm3=(0.3, 0.4)
    )
    assert [frame.info["source"] for frame in frames] == ["3/0", "3/0", "3/2", "3/2"]


def test_isolated_molecules_are_far_from_rest(ensembles):
    frames = build("molecules", range(6), 2, ensembles, [])
    assert not any(frame.pbc.any() for frame in frames)
    assert {frame.info["composition"] for frame in frames} == {"EC:1", "EMC:1"}
    rest = ensembles["EC"][0].atoms
    bonds = rest.info["bonds"]
    stretched = [
        np.linalg.norm(np.diff(f.positions[bonds], axis=1)[:, 0], axis=1)
        for f in frames
        if f.info["composition"] == "EC:1"
    ]
    at_rest = np.linalg.norm(np.diff(rest.positions[bonds], axis=1)[:, 0], axis=1)
    assert np.std(np.array(stretched) - at_rest) > 0.02  # Å


def test_what_cannot_be_built_says_which_frame(liquid):
    with pytest.raises(RuntimeError, match=r"frame 1/0: no sound one in 30 draws; the last"):
        sets.scan(numbers=[0], seed=1, source=liquid, points=1, density_g_cm3=(20, 21))
