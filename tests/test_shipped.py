"""The shipped sets: whole, described, and labelled by the method they name."""

import json
import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from crosstrain import paths, shipped
from crosstrain.data import frames as fr
from crosstrain.run.store import sha256
from crosstrain.study import Study

LABEL_AGAIN = """
import json, sys
from pathlib import Path
from crosstrain.data import frames as fr, reference
frame = fr.read(Path(sys.argv[1]), labelled=True)[int(sys.argv[2])]
again = reference.label(frame, frame.info["method"])
print(json.dumps([again.info[fr.ENERGY], again.arrays[fr.FORCES].tolist()]))
"""


@pytest.fixture(scope="module")
def study():
    return Study("laptop", announce=False)


@pytest.fixture(scope="module")
def sets(study):
    names = (*study.profile.blocks, *study.profile.tests)
    return {name: study.store.verify(study.block(name)) for name in names}


def test_every_set_of_the_profile_is_shipped_with_all_its_frames(study, sets):
    known = study.profile.blocks | study.profile.tests
    for name, folder in sets.items():
        frames = fr.read(folder / "frames.extxyz.gz", labelled=True)
        failures = json.loads((folder / "failures.json").read_text())
        assert len(frames) + len(failures) == known[name].frames
        assert len({frame.info["seed"] for frame in frames}) == len(frames)


def test_sets_share_no_frame(sets):
    seen = {}
    for name, folder in sets.items():
        for frame in fr.read(folder / "frames.extxyz.gz"):
            key = frame.positions.tobytes()
            assert key not in seen, f"{name} and {seen[key]}"
            seen[key] = name


@pytest.mark.parametrize("architecture", ["deep_potential", "mace"])
def test_a_model_is_scored_from_what_is_shipped_and_no_number_lacks_its_error(
    crosstrain, tmp_path, architecture
):
    """Of runs and models: name, state, time and engine; of all else value, error and samples."""
    environment = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path)}
    said = crosstrain("score", f"{architecture}-classical-s1", env=environment)
    assert said.returncode == 0, said.stderr
    assert "to compute" not in said.stderr
    *lines, picture = said.stdout.splitlines()
    assert Path(picture).stat().st_size > 10_000
    measured = [
        line for line in lines if re.search(r"(density|error|term|score|survival|force)", line)
    ]
    for line in lines:
        if line.startswith(f"{architecture}-classical-s1:") or " ps, by " in line:
            continue
        if re.search(r"\d\.\d", line) and "not available" not in line:
            assert re.search(r"± \S+ \(n = \d+|a single sample, no error|\(\S+ to \S+", line), line
    assert len(measured) > 10


def test_ase_reads_a_set_as_it_is(sets):
    import ase.io

    frames = ase.io.read(sets["classical"] / "frames.extxyz.gz", ":")
    assert frames[0].info["REF_energy"] < 0
    assert frames[0].arrays["REF_forces"].shape == (len(frames[0]), 3)


def test_a_label_chosen_at_random_is_had_again(sets, apart):
    choice = random.SystemRandom()
    name = choice.choice(sorted(sets))
    file = sets[name] / "frames.extxyz.gz"
    frames = fr.read(file, labelled=True)
    number = choice.randrange(len(frames))
    energy, forces = apart(LABEL_AGAIN, file, number)
    stored = frames[number]
    assert energy == pytest.approx(stored.info[fr.ENERGY], abs=1e-4), (name, number)
    np.testing.assert_allclose(forces, stored.arrays[fr.FORCES], atol=1e-3, err_msg=name)


def test_the_registry_names_every_file_with_its_hash(study):
    registry = yaml.safe_load((paths.data() / shipped.REGISTRY).read_text())
    for name, entry in registry.items():
        assert sha256(paths.data() / name) == entry["sha256"], name
    described = {paths.data() / name for name in registry}
    there = {
        path
        for room in ("sets", "models", "results")
        for path in (paths.data() / room).glob("*/*")
        if path.name != "provenance.json"
    }
    assert there == described


def test_cards_and_registry_are_current(study):
    assert shipped.problems(study) == []
