"""Published files: only the very bytes, from the nearest place, and in the project's form."""

import hashlib
import json
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from crosstrain import steps
from crosstrain.build import boxes
from crosstrain.build.molecules import molecule
from crosstrain.data import frames as fr
from crosstrain.data import published

CONTENT = b"1\n\nH 0 0 0\n"


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server on this machine with one file, an empty cache, and no folder of the user's."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "some.xyz").write_bytes(CONTENT)
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "site")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/some.xyz"
    files = {"some.xyz": (address, hashlib.sha256(CONTENT).hexdigest())}
    monkeypatch.setattr(published, "FILES", files)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("CROSSTRAIN_PUBLISHED", raising=False)
    yield server
    server.shutdown()
    server.server_close()


def test_download_then_cache(served, tmp_path):
    with pytest.raises(published.NotAvailable, match="not asked to download"):
        published.path("some.xyz", download=False)
    path = published.path("some.xyz")
    assert path.read_bytes() == CONTENT
    served.shutdown()
    served.server_close()
    assert published.path("some.xyz") == path  # without the server
    assert published.path("some.xyz", download=False) == path


def test_nowhere_to_be_had(served):
    served.shutdown()
    served.server_close()
    message = r"^skipped: published data not available: some\.xyz .*CROSSTRAIN_PUBLISHED.*http://"
    with pytest.raises(published.NotAvailable, match=message):
        published.path("some.xyz")


def test_the_folder_of_the_user_comes_first(served, tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("CROSSTRAIN_PUBLISHED", str(folder))
    assert published.path("some.xyz").parent != folder  # it is not there
    (folder / "some.xyz").write_bytes(CONTENT)
    assert published.path("some.xyz") == folder / "some.xyz"
    (folder / "some.xyz").write_bytes(CONTENT + b"\n")
    with pytest.raises(ValueError, match=r"is not the published file .*get it from http"):
        published.path("some.xyz")


def test_another_file_at_the_address(served, tmp_path):
    (tmp_path / "site" / "some.xyz").write_bytes(b"other")
    with pytest.raises(ValueError, match="hash"):
        published.path("some.xyz")


def test_unknown_names():
    with pytest.raises(ValueError, match=r"published file 'x'; allowed are ECEMC\.xyz"):
        published.path("x")
    with pytest.raises(ValueError, match=r"published file 'x'; allowed are ECEMC\.xyz"):
        published.atom_energies_eV("x")
    with pytest.raises(ValueError, match=r"published file 'x'; allowed are ECEMC\.xyz"):
        published.read("x")


ATOMS_eV = {"H": -12.0, "C": -148.0, "O": -431.0}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Write frames, after isolated atoms, in the place of a published file."""
    monkeypatch.setenv("CROSSTRAIN_PUBLISHED", str(tmp_path))

    def write(name, frames, energy_key):
        atoms = [Atoms(e, info={energy_key: energy}) for e, energy in ATOMS_eV.items()]
        ase.io.write(tmp_path / name, [*atoms, *frames], format="extxyz")
        sha256 = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        monkeypatch.setitem(published.FILES, name, ("nowhere", sha256))

    return write


def made_up(name, rng):
    """A molecule in a form of its own, with an energy and forces that could be its labels."""
    frame = molecule(name, 0)
    frame = Atoms(frame.symbols, frame.positions)
    frame.rattle(0.02, rng=rng)
    energy = sum(ATOMS_eV[symbol] for symbol in frame.symbols) - 4.0 * len(frame)
    forces = rng.normal(0, 0.5, (len(frame), 3))
    return frame, energy + rng.normal(0, 0.1), forces - forces.mean(axis=0)


def test_dft_frames_get_their_labels_and_the_place_in_the_set(stand_in):
    """Two blocks of which the second has a single frame."""
    rng, given = np.random.default_rng(0), []
    for number in range(published.BLOCK_FRAMES + 1):
        frame, energy, forces = made_up("EC", rng)
        virial = np.array([[1, 4, 5], [4, 2, 6], [5, 6, 3]]) * rng.uniform(0.1, 0.2)
        frame.info = {"energy": energy, "virial": virial, "density": 0.28}
        frame.info["temperature"] = 300 if number < published.BLOCK_FRAMES else 350
        frame.arrays["forces"] = forces
        frame.set_cell([8.0, 8.0, 9.0])
        frame.pbc = True
        given.append(frame)
    stand_in("ECEMC.xyz", given, "energy")
    frames = published.read("ECEMC.xyz", download=False)
    assert [frame.info["block"] for frame in frames] == [0] * published.BLOCK_FRAMES + [1]
    assert [frame.info["temperature_K"] for frame in frames[-2:]] == [300.0, 350.0]
    for frame, raw in zip(frames, given, strict=True):
        fr.check(frame, labelled=True)
        assert frame.info[fr.ENERGY] == pytest.approx(raw.info["energy"])
        assert frame.arrays[fr.FORCES] == pytest.approx(raw.arrays["forces"], abs=1e-7)
        scale = raw.info["virial"][0, 0] / 576.0  # 8 Å · 8 Å · 9 Å; yz, xz, xy come last
        assert frame.info[fr.STRESS] == pytest.approx(-scale * np.array([1, 2, 3, 6, 5, 4]))
        assert (frame.info["composition"], frame.info["method"]) == ("EC:1", published.DFT_METHOD)
        assert "density" not in frame.info and "temperature" not in frame.info
    assert published.atom_energies_eV("ECEMC.xyz", download=False) == ATOMS_eV


def test_clusters_get_their_labels_and_broken_ones_are_left_out(stand_in):
    rng, given = np.random.default_rng(0), []
    for name in ("EC", "DMC", "DMC"):
        frame, energy, forces = made_up(name, rng)
        frame.info = {"energy_xtb": energy, "Nmols": 1, "Comp": f"{name}(1)"}
        frame.arrays["forces_xtb"] = forces
        given.append(frame)
    hydrogen = int(np.flatnonzero(given[2].numbers == 1)[0])
    given[2].positions[hydrogen] += 3 * (given[2].positions[hydrogen] - given[2].positions.mean(0))
    stand_in("solvent_xtb_train_200.xyz", given, "energy_xtb")
    frames = published.read("solvent_xtb_train_200.xyz", download=False)
    assert [frame.info["composition"] for frame in frames] == ["EC:1", "DMC:1"]
    for frame, raw in zip(frames, given[:2], strict=True):
        fr.check(frame, labelled=True)
        assert not frame.pbc.any() and fr.STRESS not in frame.info
        assert frame.info[fr.ENERGY] == pytest.approx(raw.info["energy_xtb"])
        assert frame.arrays[fr.FORCES] == pytest.approx(raw.arrays["forces_xtb"], abs=1e-7)
        assert frame.info["method"] == "GFN2-xTB"
        assert not {"Nmols", "Comp"} & set(frame.info)
    energies = published.atom_energies_eV("solvent_xtb_train_200.xyz", download=False)
    assert energies == ATOMS_eV


def test_dft_set(published_file):
    path = published_file("ECEMC.xyz")
    frames = published.read_dft(download=False)
    assert len(frames) == 200
    for frame in frames:
        fr.check(frame, labelled=True)
    assert {frame.info["composition"] for frame in frames} == {"EC:4 EMC:8"}
    assert {frame.info["method"] for frame in frames} == {"PBE-D2 (CASTEP, likely)"}
    assert all(len(np.unique(frame.arrays["molecule"])) == 12 for frame in frames)
    assert np.bincount([frame.info["block"] for frame in frames]).tolist() == [20] * 10
    temperatures = [frame.info["temperature_K"] for frame in frames[::20]]
    assert temperatures == [300, 350, 400, 500, 500, 600, 750, 900, 1050, 1200]
    densities = [boxes.density_g_cm3(frame) for frame in frames]
    assert (min(densities), max(densities)) == pytest.approx((0.48, 1.30), abs=0.01)
    raw = ase.io.read(path, 3)
    assert frames[0].info[fr.ENERGY] == raw.get_potential_energy()
    assert np.array_equal(frames[0].arrays[fr.FORCES], raw.get_forces())
    virial = full_3x3_to_voigt_6_stress(raw.info["virial"])
    assert frames[0].info[fr.STRESS] == pytest.approx(-virial / 16.0**3)
    pressures = [-frame.info[fr.STRESS][:3].mean() for frame in frames]
    assert np.corrcoef(densities, pressures)[0, 1] > 0.7  # compressed: pushes outwards


def test_clusters(published_file):
    path = published_file("solvent_xtb_train_200.xyz")
    frames = published.read_clusters(download=False)
    assert len(frames) == 191
    raw = {frame.info["energy_xtb"]: frame for frame in ase.io.read(path, "3:")}
    for frame in frames:
        fr.check(frame, labelled=True)
        assert not frame.pbc.any()
        assert frame.info["method"] == "GFN2-xTB"
        given = raw[frame.info[fr.ENERGY]]
        assert np.array_equal(frame.arrays[fr.FORCES], given.arrays["forces_xtb"])
        # molecules and their names found from positions are those that the file gives
        pairs = set(zip(frame.arrays["molecule"], given.arrays["molID"], strict=True))
        assert len(pairs) == given.info["Nmols"]
        named = given.info["Comp"].replace("(", ":").replace("):", " ").replace(")", "")
        assert boxes.composition_counts(frame.info["composition"]) == boxes.composition_counts(
            named
        )


def test_isolated_atoms(published_file):
    published_file("solvent_xtb_train_200.xyz")
    energies = published.atom_energies_eV("solvent_xtb_train_200.xyz", download=False)
    assert energies == pytest.approx({"H": -10.70721, "C": -48.84745, "O": -102.57117}, abs=1e-5)


def test_steps_take_frames_by_number_with_either_labels(published_file, tmp_path):
    published_file("ECEMC.xyz")
    file = {"file": "ECEMC.xyz", "sha256": published.FILES["ECEMC.xyz"][1]}
    take = steps.KINDS["published"].function
    outs = {name: tmp_path / name for name in ("dft", "other", "labels")}
    for out in outs.values():
        out.mkdir()
    take({**file, "numbers": [0, 20]}, {}, outs["dft"], tmp_path)
    frames = fr.read(outs["dft"] / steps.FRAMES, labelled=True)
    assert [frame.info["block"] for frame in frames] == [0, 1]
    assert json.loads((outs["dft"] / "energies_eV.json").read_text())["H"] < 0
    np.savez(
        outs["labels"] / "labels.npz",
        number=[20],
        energy_eV=[-5.0],
        forces_eV_A=np.zeros((1, 160, 3)),
        stress_eV_A3=np.zeros((1, 6)),
        method=np.array("GFN2-xTB"),
    )
    inputs = {"labels0": outs["labels"]}
    take({**file, "numbers": [0, 20]}, inputs, outs["other"], tmp_path)
    (frame,) = fr.read(outs["other"] / steps.FRAMES, labelled=True)
    assert (frame.info["seed"], frame.info[fr.ENERGY]) == (20, -5.0)
    assert np.array_equal(frame.positions, frames[1].positions)
    with pytest.raises(ValueError, match="none of the asked frames"):
        take({**file, "numbers": [0]}, inputs, outs["other"], tmp_path)
    with pytest.raises(ValueError, match=r"ECEMC\.xyz is another file"):
        take({**file, "sha256": "0"}, {}, outs["dft"], tmp_path)
