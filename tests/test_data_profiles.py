"""Profiles: what ships loads, and what is wrong is named."""

import pytest
import yaml
from crosstrain import paths
from crosstrain.data import profiles


@pytest.fixture
def values():
    return yaml.safe_load((paths.PROFILES / "smoke.yml").read_text())


def load(tmp_path, values):
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump(values))
    return profiles.load(str(path))


@pytest.mark.parametrize("name", profiles.names())
def test_shipped_profiles_load(name):
    profile = profiles.load(name)
    assert profile.name == name
    known = set(profile.blocks) | set(profile.iteration.blocks if profile.iteration else ())
    short = profile.training.names
    written = [short.get(sets, sets) for sets in profile.training.sets]
    blocks = {block.partition(".")[0] for sets in written for block in sets.split("+")}
    assert blocks <= known


@pytest.mark.parametrize(
    ("name", "message"), [("scan", "scan is the name of a block"), ("a+b", "String should match")]
)
def test_a_short_name_is_a_word_of_its_own(tmp_path, values, name, message):
    values["training"]["names"] = {name: "classical+scan"}
    with pytest.raises(profiles.ProfileError, match=message):
        load(tmp_path, values)


def test_a_profile_may_say_only_what_it_changes(tmp_path):
    changes = {"extends": "smoke", "name": "other", "dynamics": {"duration_ps": 9}}
    changes |= {"unseen": None, "blocks": {"packed": {"options": {"conformers": 1}}}}
    other, smoke = load(tmp_path, changes), profiles.load("smoke")
    assert (other.name, other.dynamics.duration_ps, other.unseen) == ("other", 9, None)
    assert other.dynamics.save_every_fs == smoke.dynamics.save_every_fs
    options = smoke.blocks["packed"].options
    assert other.blocks["packed"].options == options | {"conformers": 1}
    assert other.blocks["classical"] == smoke.blocks["classical"]


@pytest.mark.parametrize("base", ["lapdog", "campaign", "../smoke", "mine.yml", 3, ["smoke"], None])
def test_only_a_whole_shipped_profile_is_extended(tmp_path, base):
    message = r"^mine.yml: extends: .*; allowed are laptop, paper, smoke$"
    with pytest.raises(profiles.ProfileError, match=message):
        load(tmp_path, {"extends": base, "name": "mine"})


def test_there_are_profiles():
    assert {"smoke", "laptop"} <= set(profiles.names())
    assert profiles.extending("laptop") == ["campaign"]


def test_a_file_of_ones_own_is_the_same(tmp_path, values):
    assert load(tmp_path, values) == profiles.load("smoke")


def test_unknown_name_lists_what_there_is():
    with pytest.raises(profiles.ProfileError, match=r"profile 'lapdog'; allowed are .*laptop"):
        profiles.load("lapdog")
    with pytest.raises(profiles.ProfileError, match=r"'nowhere.yml'; allowed are .*laptop"):
        profiles.load("nowhere.yml")


@pytest.mark.parametrize(
    ("part", "setting", "value", "message"),
    [
        ("compute", "gpus", 2, "compute.gpus: Extra inputs are not permitted"),
        ("compute", "workers", 0, "compute.workers: .*greater than or equal to 1"),
        ("compute", "device", "tpu", "compute.device: .*'cpu' or 'cuda'"),
        ("compute", "precision", "float16", "compute.precision: .*'float32' or 'float64'"),
        ("reference", "frames_per_piece", 0, "reference.frames_per_piece"),
        ("training", "validate_every", 1, "training.validate_every"),
        ("training", "seeds", ["one"], r"training.seeds.0: .*integer .*\(found 'one'\)"),
        ("dynamics", "timestep_fs", 5, "dynamics.timestep_fs: .*less than or equal to 2"),
        ("dynamics", "duration_ps", -1, "dynamics.duration_ps"),
        ("dynamics", "relabelled_frames", 1, "dynamics.relabelled_frames"),
        ("liquid", "start_density_g_cm3", 0, "liquid.start_density_g_cm3"),
        ("liquid", "composition", {"EC": "some"}, "liquid.composition.EC"),
        (
            *("liquid", "rdf", {"pairs": ["O-H"], "r_max_A": 9, "n_bins": 10}),
            r"liquid.rdf.r_max_A: 9.0; allowed is up to half the edge of the box .*, 4\.\d\d$",
        ),
        ("liquid", "states", {"hot": {"temperature_K": -5, "pressure_bar": 1}}, "temperature_K"),
        (
            *("liquid", "states", {"my state": {"temperature_K": 500, "pressure_bar": 1}}),
            r"liquid.states.my state.*should match pattern",
        ),
    ],
)
def test_wrong_settings_are_named(tmp_path, values, part, setting, value, message):
    values[part][setting] = value
    with pytest.raises(profiles.ProfileError, match=f"^mine.yml: .*{message}") as error:
        load(tmp_path, values)
    assert "\n" not in str(error.value)


def test_missing_and_unknown_parts_are_named(tmp_path, values):
    dynamics = values.pop("dynamics")
    with pytest.raises(profiles.ProfileError, match=r"mine.yml: dynamics: Field required"):
        load(tmp_path, values)
    with pytest.raises(profiles.ProfileError, match=r"mine.yml: dynamic: Extra inputs"):
        load(tmp_path, values | {"dynamics": dynamics, "dynamic": {}})


@pytest.mark.parametrize("content", [b"a: [1, 2", b"a: 1\n  b: 2", b"\xff\xfe\xfa", b"a: @b"])
def test_not_yaml(tmp_path, content):
    path = tmp_path / "mine.yml"
    path.write_bytes(content)
    with pytest.raises(profiles.ProfileError, match=r"^mine.yml is not YAML: ") as error:
        profiles.load(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "just words", "[1, 2]"])
def test_yaml_that_is_no_profile(tmp_path, content):
    path = tmp_path / "mine.yml"
    path.write_text(content)
    with pytest.raises(profiles.ProfileError, match=r"^mine.yml: the whole file: "):
        profiles.load(str(path))


def test_a_loaded_profile_cannot_be_changed_by_accident():
    profile = profiles.load("smoke")
    with pytest.raises(ValueError, match="frozen"):
        profile.compute.workers = 5


@pytest.mark.parametrize("section", ["unseen", "larger_box", "longer_training"])
def test_liquids_are_run_at_a_state_that_there_is(tmp_path, values, section):
    if section == "longer_training":  # smoke has no budget, so it asks for none
        values[section] = {"times": 2, "sets": {"classical": ["mace"]}, "seed": 1}
    values[section]["state"] = "cold"
    with pytest.raises(profiles.ProfileError, match=rf"{section}.state: 'cold'; allowed are hot"):
        load(tmp_path, values)


def test_only_what_the_study_trains_is_trained_longer(tmp_path, values):
    asked = {"times": 2, "sets": {"classical": ["mace", "gap"]}, "seed": 1, "state": "hot"}
    values["longer_training"] = asked
    with pytest.raises(profiles.ProfileError, match=r"classical: gap not trained here; allowed"):
        load(tmp_path, values)


def test_a_published_block_has_one_use(tmp_path, values):
    values["published"]["splits"]["low"]["test"] = [3, 9]
    with pytest.raises(profiles.ProfileError, match=r"published\.splits\.low: .*each once"):
        load(tmp_path, values)
    values["published"]["splits"]["low"]["test"] = [9]
    values["published"]["liquid_split"] = "high"
    with pytest.raises(profiles.ProfileError, match=r"liquid_split: 'high'; allowed are low"):
        load(tmp_path, values)
