"""The study as a whole: its profiles declare a campaign without computing anything."""

import pytest
from crosstrain.data import profiles
from crosstrain.run.store import upstream
from crosstrain.study import Study


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_declares_a_whole_campaign(name):
    study = Study(name)
    steps = upstream(study.campaign())
    assert len({step.folder_name for step in steps}) == len(steps)
    trained = {step.params["architecture"] for step in steps if step.kind == "train"}
    assert trained == {"deep_potential", "mace"}
    assert {step.name for step in steps if step.kind == "reference"} == set(
        study.profile.liquid.states
    )
    assert all(step.estimate_s > 0 for step in steps)


def test_the_paper_profile_holds_the_published_settings():
    # Svahn et al., J. Chem. Theory Comput. 2026, 22, 3660
    study = Study("paper")
    liquid, dynamics = study.profile.liquid, study.profile.dynamics
    (state,) = liquid.states.values()
    assert (state.temperature_K, state.pressure_bar) == (500, pytest.approx(1.01325))
    start = study.start("published", 1)
    n_atoms = {"EC": 10, "EMC": 15}
    assert sum(n_atoms[name] * n for name, n in start.params["composition"].items()) == 640
    assert liquid.composition["EC"] * 2 == liquid.composition["EMC"]
    assert (dynamics.timestep_fs, dynamics.duration_ps) == (1.0, 500)
    settings = study.model("mace", "packed", 1).params["settings"]
    published = {
        "num_interactions": 2,
        "correlation": 3,
        "max_ell": 3,
        "num_channels": 128,
        "max_L": 1,
        "r_max": 6.0,
        "lr": 0.01,
        "batch_size": 20,
        "ema_decay": 0.99,
        "energy_weight": 1.0,
        "forces_weight": 100.0,
        "max_num_epochs": 1600,
        "patience": 50,
    }
    assert {name: settings[name] for name in published} == published


def test_unknown_names_list_what_there_is():
    study = Study("smoke")
    with pytest.raises(ValueError, match=r"'nope'.*packed, packed_test"):
        study.block("nope")
    with pytest.raises(ValueError, match=r"'nope'.*deep_potential, mace"):
        study.model("nope", "packed", 1)
    with pytest.raises(ValueError, match=r"'nope'.*mace-packed-s1"):
        study.named_model("nope")


def test_a_changed_setting_changes_the_keys_downstream_only():
    before = Study("smoke")
    dynamics = before.profile.dynamics.model_copy(update={"timestep_fs": 0.25})
    after = Study(before.profile.model_copy(update={"dynamics": dynamics}))
    assert before.block("packed").key == after.block("packed").key
    for one, other in zip(before.models(), after.models(), strict=True):
        assert one.key == other.key
        assert before.liquid(one, "hot", 1).key != after.liquid(other, "hot", 1).key


def test_a_default_of_an_architecture_is_part_of_the_key():
    step = Study("smoke").model("mace", "packed", 1)
    assert step.params["settings"]["lr"] == 0.01  # not named by the profile
