"""Frames on disk: what is written is what is read, and nothing damaged passes."""

import gzip

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from crosstrain import paths
from crosstrain.data import frames as fr


def labelled_frame(seed: str = "1/10") -> Atoms:
    """Two water molecules in a box, with made-up labels."""
    rng = np.random.default_rng(3)
    water = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    frame = Atoms("OHHOHH", np.vstack([water, water + 2.5]), cell=[5, 6, 7], pbc=True)
    frame.arrays["molecule"] = np.array([0, 0, 0, 1, 1, 1])
    frame.info["bonds"] = np.array([[0, 1], [0, 2], [3, 4], [3, 5]])
    frame.info |= {"composition": "water:2", "seed": seed}
    frame.info[fr.ENERGY] = -276.123456789012
    frame.info[fr.STRESS] = rng.normal(size=6)
    frame.arrays[fr.FORCES] = rng.normal(size=(6, 3)).round(8)
    return frame


def text() -> str:
    """A file of two labelled frames."""
    return fr.dumps([labelled_frame(), labelled_frame()]).decode()


@pytest.mark.parametrize("name", ["frames.extxyz", "frames.extxyz.gz"])
def test_round_trip(tmp_path, name):
    given = labelled_frame()
    fr.write(tmp_path / name, [given, given])
    read, _ = fr.read(tmp_path / name, labelled=True)
    assert np.array_equal(read.numbers, given.numbers)
    assert np.allclose(read.positions, given.positions, atol=1e-8)
    assert np.array_equal(read.cell.array, given.cell.array)
    assert read.pbc.all()
    assert np.array_equal(read.arrays["molecule"], given.arrays["molecule"])
    assert np.array_equal(read.info["bonds"], given.info["bonds"])
    assert read.info["bonds"].dtype == int
    assert read.info["composition"] == "water:2"
    assert read.info[fr.ENERGY] == given.info[fr.ENERGY]
    assert np.array_equal(read.info[fr.STRESS], given.info[fr.STRESS])
    assert np.array_equal(read.arrays[fr.FORCES], given.arrays[fr.FORCES])
    assert fr.dumps([read]) == fr.dumps([given])


@pytest.mark.parametrize("n_bonds", [0, 1, 2, 3, 9])
def test_bonds_keep_their_shape(tmp_path, n_bonds):
    frame = labelled_frame()
    frame.info["bonds"] = np.arange(2 * n_bonds).reshape(n_bonds, 2) % 6
    fr.write(tmp_path / "f.extxyz", [frame])
    assert np.array_equal(fr.read(tmp_path / "f.extxyz")[0].info["bonds"], frame.info["bonds"])


@pytest.mark.parametrize("seed", ["1/1", "1/10", "1/100", "1001/20"])
def test_the_name_of_a_frame_is_not_a_number(tmp_path, seed):
    path = tmp_path / "f.extxyz"
    fr.write(path, [labelled_frame(seed)])
    assert fr.read(path)[0].info["seed"] == seed
    fr.write(path, fr.read(path))
    assert fr.read(path)[0].info["seed"] == seed


def test_isolated_and_single_atoms(tmp_path):
    atom = Atoms("C")
    atom.info[fr.ENERGY] = -48.0
    atom.arrays[fr.FORCES] = np.zeros((1, 3))
    fr.write(tmp_path / "f.extxyz", [atom])
    (read,) = fr.read(tmp_path / "f.extxyz", labelled=True)
    assert not read.pbc.any()
    assert read.info[fr.ENERGY] == -48.0


@pytest.mark.parametrize("name", ["frames.extxyz", "frames.extxyz.gz"])
def test_same_frames_same_bytes(tmp_path, name):
    fr.write(tmp_path / name, [labelled_frame()])
    first = (tmp_path / name).read_bytes()
    frame = labelled_frame()
    frame.info = dict(reversed(frame.info.items()))
    frame.set_velocities(np.ones((6, 3)))
    frame.calc = EMT()
    fr.write(tmp_path / name, [frame])
    assert (tmp_path / name).read_bytes() == first


def test_ase_reads_the_file_as_it_is(tmp_path):
    path = tmp_path / "frames.extxyz.gz"
    given = labelled_frame()
    fr.write(path, [given])
    read = ase.io.read(path)
    assert read.info["REF_energy"] == given.info[fr.ENERGY]
    assert np.array_equal(read.arrays["REF_forces"], given.arrays[fr.FORCES])
    assert np.array_equal(read.info["REF_stress"], given.info[fr.STRESS])
    assert read.calc is None


def cut_row(t: str) -> str:
    return t[: t.rindex("\n", 0, -1) + 1]


def without(key: str):
    def change(t: str) -> str:
        head, _, tail = t.rpartition(f"{key}=")
        return head + f"other_{key}=" + tail

    return change


def second(old: str, new: str):
    """Replace the last occurrence, which is in frame 1."""

    def change(t: str) -> str:
        head, found, tail = t.rpartition(old)
        assert found
        return head + new + tail

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cut_row, "not all there"),
        (lambda t: t[:-4], "not all there"),  # inside the last number
        (second("6\nLattice", "\n6\nLattice"), "begins with ''; allowed"),
        (second("6\nLattice", "7\nLattice"), "not all there"),
        (second("6\nLattice", "0\nLattice"), "begins with '0'"),
        (second("2.50000000", "NaN"), "positions or cell are not finite"),
        (second("2.50000000", "oops"), "could not convert"),
        (second("7.0", "inf"), "not finite"),
        (without("REF_energy"), "no label REF_energy; present are"),
        (without("REF_stress"), "no label REF_stress"),
        (second("REF_forces", "DFT_forces"), "no label REF_forces"),
        (second("REF_energy=-276.123456789012", "REF_energy=nan"), "REF_energy is not finite"),
        (second('REF_stress="', 'REF_stress="1 '), r"REF_stress has shape \(7,\), not \(6,\)"),
        (second("REF_forces:R:3", "REF_forces:R:2"), r"REF_forces has shape \(6, 2\)"),
    ],
)
def test_damage_is_told_with_file_and_frame(tmp_path, change, message):
    path = tmp_path / "bad.extxyz"
    path.write_text(change(text()))
    with pytest.raises(fr.BadFrames, match=rf"^bad.extxyz, frame 1: .*{message}") as error:
        fr.read(path, labelled=True)
    assert "\n" not in str(error.value)


def test_atoms_on_top_of_each_other(tmp_path):
    frame = labelled_frame()
    frame.positions[5] = frame.positions[4] + [0.1, 0, 0]
    fr.write(tmp_path / "f.extxyz", [labelled_frame(), frame])
    with pytest.raises(fr.BadFrames, match=r"^f.extxyz, frame 1: two atoms are 0.10 Å apart"):
        fr.read(tmp_path / "f.extxyz")


def test_atoms_close_through_the_boundary():
    frame = Atoms("HH", [[0.1, 0, 0], [4.9, 0, 0]], cell=[5, 5, 5], pbc=True)
    with pytest.raises(ValueError, match=r"0\.20 Å apart"):
        fr.check(frame)
    frame.pbc = False
    fr.check(frame)


def test_periodic_without_volume():
    with pytest.raises(ValueError, match="no volume"):
        fr.check(Atoms("H", pbc=True))


def test_any_cut_of_a_file_is_noticed(tmp_path):
    whole = fr.dumps([labelled_frame()])
    path = tmp_path / "cut.extxyz"
    for end in range(1, len(whole), 7):
        path.write_bytes(whole[:end])
        with pytest.raises(fr.BadFrames, match="frame 0"):
            fr.read(path, labelled=True)


def test_files_that_are_no_frames(tmp_path):
    path = tmp_path / "frames.extxyz"
    with pytest.raises(fr.BadFrames, match=r"^frames.extxyz: no such file"):
        fr.read(path)
    for content, message in [
        (b"", "frames.extxyz: holds no frame"),
        (b"\n\n", "frames.extxyz: holds no frame"),
        (b"\xff\xfe\x00", "frames.extxyz: not a whole text file"),
        (b"name: laptop\n", "frames.extxyz, frame 0: "),
    ]:
        path.write_bytes(content)
        with pytest.raises(fr.BadFrames, match=f"^{message}"):
            fr.read(path)
    for content in (b"not gzip", gzip.compress(text().encode())[:-20]):
        path = tmp_path / "frames.extxyz.gz"
        path.write_bytes(content)
        with pytest.raises(fr.BadFrames, match=r"^frames.extxyz.gz: not a whole text file"):
            fr.read(path)


def test_unknown_element_is_named(tmp_path):
    path = tmp_path / "f.extxyz"
    path.write_text(text().replace("O  ", "Qq ", 1))
    with pytest.raises(fr.BadFrames, match=r"frame 0: .*Qq"):
        fr.read(path)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call):
    """The disk is full when the new file is written out, or when it takes the old one's place."""

    def fail(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "f.extxyz"
    fr.write(path, [labelled_frame()])
    before = path.read_bytes()
    monkeypatch.setattr(paths.os, call, fail)
    with pytest.raises(OSError, match="No space left on device"):
        fr.write(path, [labelled_frame(), labelled_frame()])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_split():
    frames = [Atoms("H", [[i, 0, 0]]) for i in range(7)]
    training, validation = fr.split(frames, 3)
    assert [int(f.positions[0, 0]) for f in validation] == [2, 5]
    assert [int(f.positions[0, 0]) for f in training] == [0, 1, 3, 4, 6]
    assert [len(part) for part in fr.split(frames, 7)] == [6, 1]
    assert [len(part) for part in fr.split(frames[:2], 2)] == [1, 1]
    assert [len(part) for part in fr.split(frames[:2], 3)] == [2, 0]  # too few to validate


@pytest.mark.parametrize("every", [1, 0, -3])
def test_split_needs_two_or_more(every):
    with pytest.raises(ValueError, match=f"every={every}; allowed are 2 or more"):
        fr.split([Atoms("H")] * 7, every)
