"""The study as a whole: its profiles declare a campaign without computing anything."""

import dataclasses
import hashlib
import json
import re
import threading
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from crosstrain import outlook, paths
from crosstrain.data import figures, profiles, published
from crosstrain.data.profiles import Budget
from crosstrain.plan import atoms_in
from crosstrain.run import campaign
from crosstrain.run.campaign import Status
from crosstrain.run.store import upstream
from crosstrain.study import Study, labelled_set, store_of


@pytest.mark.parametrize("name", profiles.names())
def test_every_profile_declares_a_whole_campaign(name):
    study = Study(name)
    steps = upstream(study.campaign())
    assert len({step.folder_name for step in steps}) == len(steps)
    trained = {step.params["architecture"] for step in steps if step.kind == "train"}
    foundation = study.profile.foundation
    others = set(foundation.fine_tuning.architectures.values() if foundation else ())
    if study.profile.third:
        others.add(study.profile.third.architecture)
    assert {"deep_potential", "mace"} <= trained <= {"deep_potential", "mace", *others}
    assert {step.name for step in steps if step.kind == "reference"} == set(
        study.profile.liquid.states
    )
    assert all(step.estimate_s > 0 for step in steps)


def test_the_paper_profile_holds_the_published_settings():
    # Svahn et al., J. Chem. Theory Comput. 2026, 22, 3660
    study = Study("paper")
    liquid, dynamics = study.profile.liquid, study.profile.dynamics
    state = liquid.states["published"]
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
    with pytest.raises(ValueError, match=r"'nope'.*packed, classical"):
        study.block("nope")
    with pytest.raises(ValueError, match=r"'nope'.*deep_potential, mace"):
        study.model("nope", "packed", 1)
    with pytest.raises(ValueError, match=r"'nope'.*mace-classical-s1"):
        study.named_model("nope")


def test_a_changed_setting_changes_the_keys_downstream_only():
    before = Study("smoke")
    dynamics = before.profile.dynamics.model_copy(update={"timestep_fs": 0.25})
    after = Study(before.profile.model_copy(update={"dynamics": dynamics}))
    assert before.block("packed").key == after.block("packed").key
    for one, other in zip(before.models(), after.models(), strict=True):
        assert one.key == other.key
        assert before.liquid(one, "hot", 1).key != after.liquid(other, "hot", 1).key


def with_training(study, **changes):
    training = study.profile.training.model_copy(update=changes)
    return Study(study.profile.model_copy(update={"training": training}))


def test_a_budget_is_the_same_time_for_every_set():
    budget = Budget(core_s=100, frame_cost_s={"mace": (0.01, 0.001), "deep_potential": (0, 0.01)})
    study = with_training(Study("smoke"), budget=budget)
    # 18 of 20 classical frames train; EC + EMC has 25 atoms, 2 EC 20, 2 EMC 30
    small = study.model("deep_potential", "classical", 1).params["settings"]
    assert small["steps"] == round(100 / (0.01 * 25))
    mixed = study.model("deep_potential", "classical+molecules", 1).params["settings"]
    n_atoms = (20 * 25 + 6 * 12.5) / 26
    assert mixed["steps"] == round(100 / (0.01 * n_atoms))
    settings = study.model("mace", "classical", 1).params["settings"]
    assert settings["max_num_epochs"] == round(100 / (0.01 + 0.001 * 25) / 18)
    share = settings["start_stage_two"] / settings["max_num_epochs"]
    assert share == pytest.approx(30 / 45, abs=0.01)


def test_a_number_takes_the_first_frames_of_a_block():
    study = Study("smoke")
    part, whole = (study.model("mace", sets, 1) for sets in ("classical.15", "classical"))
    assert part.params["first_frames"] == {"classical": 15}
    assert part.inputs["classical"].key == whole.inputs["classical"].key
    assert part.key != whole.key
    with pytest.raises(ValueError, match=r"'classical\.x'; allowed is the name of a block"):
        study.model("mace", "classical.x", 1)


def test_a_short_name_is_a_set_wherever_one_is_named():
    study = with_training(Study("smoke"), names={"both": "classical+scan"}, rows=["both"])
    short, written = (study.model("mace", sets, 1) for sets in ("both", "classical+scan"))
    assert short.name == "mace-both-s1"
    assert short.folder_name == written.folder_name
    assert short.key == Study("smoke").model("mace", "classical+scan", 1).key
    assert [model.key for model in study.models(["both"])][1] == short.key
    more = study.model("mace", "both+molecules", 1)
    assert set(more.inputs) == {"classical", "scan", "molecules", "atoms"}
    liquid = study.profile.liquid
    at = {"hot": liquid.states["hot"].model_copy(update={"sets": ["classical+scan"]})}
    liquid = liquid.model_copy(update={"states": at})
    study = Study(study.profile.model_copy(update={"liquid": liquid}))
    assert study.states_of(study.model("mace", "both", 1)) == ["hot"]
    assert study.states_of(study.model("mace", "classical", 1)) == []


def test_rows_may_name_blocks_that_are_to_come():
    study = with_training(Study("smoke"), rows=["classical", "classical+lost", "all"])
    assert study.rows() == ["classical", "classical+lost", "all"]
    assert [study.can_train(row) for row in study.rows()] == [True, False, False]
    assert study.can_train("classical.5+dp_iterated_g1")
    assert Study("laptop").rows()[-1] == "everything"


def test_what_is_stored_of_work_under_way_belongs_to_the_study():
    study, later = (Study(name, announce=False) for name in ("laptop", "campaign"))
    known = {step.folder_name for step in study.known()}
    assert {step.folder_name for step in upstream(study.campaign())} <= known
    assert {step.folder_name for step in upstream(later.campaign())} <= known
    shared = {model.key for model in study.models()} & {model.key for model in later.models()}
    assert len(shared) == len(study.models())


def test_profiles_that_share_a_store_share_its_locks(tiny):
    one = Study(str(tiny), announce=False)
    other = Study(one.profile.model_copy(update={"name": "other"}), announce=False)
    step = one.atoms()
    assert (one.store.root, one.store.work(step)) == (other.store.root, other.store.work(step))

    def hold() -> None:
        with other.store.lock(step):
            pass

    waiting = threading.Thread(target=hold)
    with one.store.lock(step):
        waiting.start()
        (standing,) = campaign.standings([step], other.store)
        assert standing.status == Status.RUNNING
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join(10)
    assert not waiting.is_alive()


def test_the_scratch_of_a_store_is_named_by_the_store(tiny, tmp_path):
    profile = profiles.load("laptop")
    (tmp_path / "link").symlink_to(paths.data())

    def scratch(store: str | Path) -> str:
        found = store_of(profile.model_copy(update={"store": str(store)})).scratch
        assert found.parent == tmp_path / "runs" / "scratch"
        return found.name

    assert store_of(profiles.load("campaign")).scratch == store_of(profile).scratch
    assert {scratch(place) for place in ("data", paths.data(), tmp_path / "link")} == {"data"}
    assert scratch("runs/own/thf/data") == "runs-own-thf-data"
    assert scratch(tmp_path / "runs" / "x") == scratch("runs/x") == "runs-x"
    assert scratch("/nowhere/data") == "nowhere-data"


def test_an_iterated_block_is_made_by_committees_that_know_all_generations_before():
    study = Study("paper")
    last = study.committee("dp_iterated", 3)
    assert [model.params["seed"] for model in last] == [1, 2, 3]
    assert {model.params["architecture"] for model in last} == {"deep_potential"}
    known = last[0].inputs
    assert set(known) == {"classical", "dp_iterated_g2", "atoms"}
    assert len(known["dp_iterated_g2"].inputs) == 2
    first = study.committee("dp_iterated", 1)
    assert [m.key for m in first] == [
        study.model("deep_potential", "classical", seed).key for seed in (1, 2, 3)
    ]
    assert {model.kind for model in first} == {"train"}
    assert not any(model.is_shipped for model in last)
    chosen = study.generation("dp_iterated", 3)
    assert {"known000", "known001", "member0", "member1", "member2"} < set(chosen.inputs)
    assert sum(name.startswith("run") for name in chosen.inputs) == study.profile.iteration.runs


def test_a_committee_needs_enough_frames_to_know_something():
    study = with_training(Study("smoke"))
    study.profile.blocks["classical"] = study.profile.blocks["classical"].model_copy(
        update={"frames": 19}
    )
    with pytest.raises(ValueError, match=r"iteration.start 'classical' has 19 frames; .* 20 or"):
        study.block("dp_iterated")


def test_a_default_of_an_architecture_is_part_of_the_key():
    step = Study("smoke").model("mace", "packed", 1)
    assert step.params["settings"]["lr"] == 0.01  # not named by the profile


def test_a_notebook_shows_what_is_asked_for_or_stored_and_nothing_else(tiny):
    study = with_training(Study("smoke"), seeds=[1, 2])
    asked = study.shown("classical")
    assert [model.name for model in asked] == [model.name for model in study.models(["classical"])]
    empty = study.profile.model_copy(update={"store": "runs/empty/data"})  # below a test's folder
    assert Study(empty).shown("packed") == []
    with pytest.raises(ValueError, match="'nope'"):
        study.shown("nope")


def test_generations_are_shown_if_a_training_set_asks_for_their_block(tiny):
    study = Study("smoke")
    empty = study.profile.model_copy(update={"store": "runs/empty/data"})
    assert list(Study(empty).generations("dp_iterated")) == [1]
    assert with_training(Study(empty), sets=["classical"]).generations("dp_iterated") == {}


def test_a_figure_names_what_it_was_made_from_but_no_scratch(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTRAIN_FIGURES", str(tmp_path))
    study = Study(str(tiny), notebook="01_test", announce=False)
    (study.store.root / "results" / "kept-0").mkdir(parents=True)
    study.used = {"kept-0": "1a", "scratch-0": "2b"}
    study.save(plt.figure(), "line")
    assert figures.read_manifest(tmp_path)["01_test__line"]["inputs"] == {"kept-0": "1a"}
    plt.close("all")


# --- unseen molecules -------------------------------------------------------------------------


def test_the_larger_box_differs_by_its_molecules_alone():
    study = Study("smoke")
    pairs = study.enlarged()
    assert list(pairs) == [model.name for model in study.models(["classical"])][:2]
    for name, boxes in pairs.items():
        small, large = (box[0].inputs["trajectory"] for box in boxes)
        assert (small.name, large.name) == (f"{name}-hot-r1", f"{name}-hot_x2-r1")
        assert small.params == large.params
        assert small.inputs["model"].key == large.inputs["model"].key
        few, many = (dict(run.inputs["start"].params) for run in (small, large))
        assert (few.pop("composition"), many.pop("composition")) == (
            {"EC": 1, "EMC": 2},
            {"EC": 2, "EMC": 4},
        )
        assert few == many
    steps = {step.folder_name for step in study.campaign()}
    assert {step.folder_name for boxes in pairs.values() for box in boxes for step in box} <= steps
    boxes = Study("laptop").enlarged()["mace-classical+scan+molecules-s1"]
    assert [len(box) for box in boxes] == [2, 2]
    without = study.profile.model_copy(update={"larger_box": None})
    assert Study(without).enlarged() == {}


def test_a_third_architecture_is_tried_briefly_on_some_rows():
    study = Study("smoke", announce=False)
    third = study.third()
    (model,) = third.models()
    assert model.name == "gap-classical-s1"
    assert not model.is_shipped
    (run,) = third.liquids(model, "hot")
    assert run.is_shipped
    own = study.liquids(study.models()[0], "hot")[0]
    assert run.params["dynamics"]["n_steps"] * 4 == own.params["dynamics"]["n_steps"]
    assert run.inputs["start"].key == own.inputs["start"].key
    campaign = {step.folder_name for step in study.campaign()}
    assert {step.folder_name for step in third.results(model)} <= campaign
    samplers = study.reference("hot").params["samplers"]
    assert run.name not in samplers
    without = study.profile.model_copy(update={"third": None})
    assert Study(without, announce=False).third() is None


def sampled_by(names):
    """The study with its reference liquid at the hot state from runs of some models."""
    study = Study("laptop", announce=False)
    at = study.profile.liquid.states["hot"].model_copy(update={"reference_models": names})
    liquid = study.profile.liquid.model_copy(update={"states": {"hot": at}})
    return Study(study.profile.model_copy(update={"liquid": liquid}), announce=False)


def test_the_reference_liquid_can_be_sampled_by_models_that_the_matrix_does_not_judge():
    study = sampled_by({"so3lr-classical.25-s1": [1, 2], "so3lr-classical-s1": [2, 5]})
    reference, (found, _) = study.reference("hot"), study.foundation_models()
    tuned = [found[name] for name in ("so3lr-classical.25-s1", "so3lr-classical-s1")]
    runs = [study.liquid(model, "hot", n) for model, n in zip(tuned * 2, (1, 2, 2, 5), strict=True)]
    runs = {run.name: run for run in runs}
    assert reference.params["samplers"] == {n: r.inputs["model"].name for n, r in runs.items()}
    assert len(runs) == 4
    for name, run in runs.items():
        assert reference.inputs[f"{name}.frames"].key == study.relabelled(run).key
    everyone = sampled_by(None).reference("hot").params["samplers"].values()
    assert set(everyone) == {model.name for model in study.models()}


def test_a_sampler_that_the_profile_does_not_have_is_named():
    said = r"hot\.reference_models: 'mace-classical-s1'; allowed are so3lr"
    with pytest.raises(ValueError, match=said):
        sampled_by({"mace-classical-s1": [1]}).reference("hot")


def test_unseen_molecules_are_pure_liquids_at_the_state_that_the_profile_names():
    study = Study("smoke")
    unseen, state = study.profile.unseen, study.profile.liquid.states["hot"]
    assert unseen.groups == {"EC": "known", "DMC": "shape", "ethanol": "chemistry"}
    model = study.unseen_models()[0]
    run = study.unseen_run(model, "ethanol")
    start = run.inputs["start"].params
    assert start["composition"] == {"ethanol": 3}  # 9 atoms each, about 30 in all
    assert start["density_g_cm3"] == unseen.chemistry["ethanol"]
    assert start["temperature_K"] == state.temperature_K
    dynamics = run.params["dynamics"]
    assert dynamics["n_steps"] * dynamics["timestep_fs"] == 1e3 * unseen.duration_ps
    assert dynamics["pressure_bar"] == state.pressure_bar
    block = study.recipe("unseen_ethanol")
    assert block.options["compositions"] == [{"ethanol": 3}]
    known = {step.folder_name for step in upstream(study.campaign())}
    assert {step.folder_name for step in study.generalised()} <= known


def test_published_clusters_are_asked_for_where_they_are_and_never_shipped(tiny, monkeypatch):
    monkeypatch.delenv("CROSSTRAIN_PUBLISHED", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tiny.parent))
    study = Study("smoke")  # with the store of this test
    assert not study.clusters().is_shipped
    assert [step for step in study.generalised() if reads(step, study.clusters())] == []
    monkeypatch.setattr(published, "path", lambda file, *, download: file)
    asked = [step for step in study.generalised() if reads(step, study.clusters())]
    assert [step.inputs["model"].key for step in asked] == [m.key for m in study.unseen_models()]


def reads(step, source):
    return source.key in {known.key for known in step.inputs.values()}


def test_a_profile_need_not_ask_for_unseen_molecules():
    study = Study("smoke")
    study = Study(study.profile.model_copy(update={"unseen": None}))
    assert (study.generalised(), study.unseen_blocks()) == ([], {})
    with pytest.raises(ValueError, match=r"'unseen_DMC'; the profile has"):
        study.block("unseen_DMC")


# --- published DFT data -----------------------------------------------------------------------


def test_published_blocks_are_never_divided_between_training_and_test():
    study = Study("smoke")
    split = study.profile.published.splits["low"]
    assert list(study.dft_models()) == [
        ("deep_potential", "dft", "low", None),
        ("mace", "dft", "low", None),
        ("deep_potential", "reference", "low", None),
        ("mace", "reference", "low", None),
        ("deep_potential", "dft", "low", 3),
        ("mace", "dft", "low", 3),
    ]
    for model in study.dft_models().values():
        numbers = {
            name: model.inputs[name].params["numbers"] for name in ("training", "validation")
        }
        assert {n // 20 for n in numbers["training"]} <= set(split.train)
        assert {n // 20 for n in numbers["validation"]} == set(split.validate_on)
    fewer = study.dft_model("mace", "dft", "low", size=3)
    assert fewer.inputs["training"].params["numbers"] == [0, 40, 100]
    with pytest.raises(ValueError, match="size 6; allowed are up to 5 frames"):
        study.dft_model("mace", "dft", "low", size=6)


def test_trainings_on_published_frames_may_have_a_budget():
    study = Study("smoke")
    asked = study.profile.published.model_copy(update={"core_s": 16.0, "longer_times": 3})
    study = Study(study.profile.model_copy(update={"published": asked}))
    with pytest.raises(ValueError, match=r"core_s needs training\.budget"):
        study.dft_models()
    settings = study.profile.training.architectures
    budget = Budget(core_s=1, frame_cost_s=dict.fromkeys(settings, (0, 0.01)))
    study = with_training(study, budget=budget)
    model = study.dft_model("deep_potential", "dft", "low")
    assert model.params["settings"]["steps"] == 10  # of a frame of 160 atoms each
    longer = study.dft_longer()
    assert list(longer) == ["deep_potential", "mace"]
    assert longer["deep_potential"].params["settings"]["steps"] == 30
    assert longer["deep_potential"].name == "deep_potential-dft_low-x3-s1"
    assert {key: run.kind for key, run in study.dft_longer_runs().items()} == {
        (name, "cold"): "observe" for name in longer
    }


def test_a_longer_training_on_published_frames_is_a_multiple_of_a_known_time():
    asked = profiles.load("smoke").published.model_dump()
    with pytest.raises(ValueError, match="longer_times: needs core_s"):
        profiles.PublishedData.model_validate(asked | {"longer_times": 3})
    with pytest.raises(ValueError, match="greater than 1"):
        profiles.PublishedData.model_validate(asked | {"core_s": 10, "longer_times": 1})
    assert Study("smoke").dft_longer() == {}


def test_labels_and_atoms_of_two_methods_are_not_mixed():
    study = Study("smoke")
    dft, reference = (study.dft_model("mace", labels, "low") for labels in ("dft", "reference"))
    assert dft.inputs["atoms"].kind == "published"
    assert reference.inputs["atoms"].key == study.atoms().key
    assert not dft.inputs["training"].inputs
    assert {s.kind for s in reference.inputs["training"].inputs.values()} == {"label_published"}
    for step in upstream([dft, reference]):
        assert step.is_shipped == (step.kind != "published")


def test_without_published_data_nothing_of_them_is_asked_for(tiny, monkeypatch):
    monkeypatch.delenv("CROSSTRAIN_PUBLISHED", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tiny.parent))
    study = Study("smoke")  # with the store of this test
    assert study.dft_runs()
    assert study.dft_campaign() == []
    without = study.profile.model_copy(update={"published": None})
    assert Study(without).dft_models() == {}


# --- foundation models ------------------------------------------------------------------------


@pytest.fixture
def no_weights(monkeypatch, tmp_path):
    """No folder of weights, and an empty cache."""
    monkeypatch.delenv("CROSSTRAIN_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_models_without_weights_are_named_with_the_reason_and_no_step(no_weights):
    study = Study("paper")
    found, not_run = study.foundation_models()
    assert {"so3lr", "chgnet", "so3lr-classical.100-s1"} <= set(found)
    published = {"mace_mp_0", "mace_mp_0_d3", "mace_off23"}
    tuned = {"mace_off23, fine-tuned", "mace_off23_replay, fine-tuned"}
    assert set(not_run) == published | tuned
    for reason in not_run.values():
        assert reason.startswith("not run: weights not found (put ")
        assert "CROSSTRAIN_WEIGHTS" in reason
    known = {step.params.get("name") for step in upstream(study.compared())}
    assert known & {"so3lr", "chgnet", *not_run} == {"so3lr", "chgnet"}


def test_the_hash_of_the_weights_is_in_the_key(no_weights, monkeypatch, tmp_path):
    from crosstrain.potentials.mace_foundation import OFF_SMALL, PRETRAINED

    stand_in = dataclasses.replace(PRETRAINED["mace_off23"], sha256="")
    monkeypatch.setitem(PRETRAINED, "mace_off23", stand_in)
    keys = []
    for content in (b"one", b"other"):
        (tmp_path / OFF_SMALL).write_bytes(content)
        monkeypatch.setenv("CROSSTRAIN_WEIGHTS", str(tmp_path))
        step = Study("smoke").pretrained("mace_off23")
        assert step.params["sha256"] == hashlib.sha256(content).hexdigest()
        assert str(tmp_path) not in json.dumps(step.to_json())
        keys.append(step.key)
    assert keys[0] != keys[1]
    tuned = Study("smoke").fine_tuned("so3lr", "classical")
    assert (
        tuned.params["settings"]["base_sha256"]
        == Study("smoke").pretrained("so3lr").params["sha256"]
    )


def test_the_hash_of_the_weights_is_in_the_key_of_any_training_that_reads_them():
    """Also where a published model stands among the architectures of a profile."""
    study = Study("smoke")
    known = study.pretrained("so3lr").params["sha256"]
    trained = study.trained("so3lr", {}, "classical", 1)
    for step in (trained, study.fine_tuned("so3lr", "classical")):
        assert step.params["settings"]["base_sha256"] == known
    with pytest.raises(ValueError, match="expected is 00"):
        study.trained("so3lr", {"base_sha256": "00"}, "classical", 1)


def test_a_molecule_by_its_smiles_gives_steps_a_name_for_folders():
    profile = profiles.load("smoke")
    unseen = profile.unseen.model_copy(update={"shape": {"CC(C)=O": 0.8}})
    study = Study(profile.model_copy(update={"unseen": unseen}), announce=False)
    model = study.unseen_models()[0]
    assert "CC_C__O" in study.unseen_run(model, "CC(C)=O").name
    assert study.block("unseen_CC(C)=O").inputs


def test_the_hash_of_replayed_frames_is_in_the_key(no_weights, monkeypatch, tmp_path):
    from crosstrain.potentials.mace_foundation import OFF_SMALL, PRETRAINED

    stand_in = dataclasses.replace(PRETRAINED["mace_off23"], sha256="")
    monkeypatch.setitem(PRETRAINED, "mace_off23", stand_in)
    monkeypatch.setenv("CROSSTRAIN_WEIGHTS", str(tmp_path))
    (tmp_path / OFF_SMALL).write_bytes(b"weights")
    found, not_run = Study("paper").foundation_models()
    assert "mace_off23-classical-s1" in found
    assert "frames to replay not found" in not_run["mace_off23_replay, fine-tuned"]
    (tmp_path / "replay.extxyz").write_text("an error page")
    _, not_run = Study("paper").foundation_models()
    assert "replay.extxyz is no extended XYZ file" in not_run["mace_off23_replay, fine-tuned"]
    keys = set()
    for content in (b"1\n\nH 0 0 0\n", b"1\n\nC 0 0 0\n"):
        (tmp_path / "replay.extxyz").write_bytes(content)
        step = Study("paper").fine_tuned("mace_off23_replay", "classical")
        sha256 = hashlib.sha256(content).hexdigest()
        assert step.params["settings"]["replay_sha256"] == sha256
        keys.add(step.key)
    tuning = Study("paper").profile.foundation.fine_tuning
    told = tuning.variants["mace_off23_replay"].settings | {"replay_sha256": "00"}
    with pytest.raises(ValueError, match="expected is 00"):
        Study("paper").trained("mace_foundation", told, "classical", 1, frame_cost_s=(0, 1e-3))
    plain = Study("paper").fine_tuned("mace_off23", "classical")
    assert len(keys | {plain.key}) == 3 and plain.name != step.name


def test_a_published_model_is_run_for_its_own_time():
    study = Study("paper")
    liquid = study.profile.foundation.models["chgnet"].duration_ps
    runs = study.compared_runs(study.pretrained("chgnet"))
    assert set(runs) == set(study.profile.liquid.states)
    for step in (step for each in runs.values() for step in each):
        dynamics = step.params["dynamics"]
        assert dynamics["n_steps"] * dynamics["timestep_fs"] == pytest.approx(1e3 * liquid)
    bespoke = study.model("mace", "classical", 1)
    first = study.compared_runs(bespoke)["published"][0]
    assert first.key == study.liquid(bespoke, "published", 1).key
    assert set(study.compared_runs(study.fine_tuned("so3lr", "classical"))) == {"published"}


def test_what_is_not_declared_is_refused():
    study = Study("smoke")
    with pytest.raises(ValueError, match=r"pretrained model 'gap'; allowed are chgnet, mace_mp_0"):
        study.pretrained("gap")
    with pytest.raises(ValueError, match=r"fine-tuned model 'mace'; allowed are so3lr"):
        study.fine_tuned("mace", "classical")
    bare = Study(study.profile.model_copy(update={"foundation": None}))
    assert bare.compared() == []
    with pytest.raises(ValueError, match="no section 'foundation'"):
        bare.foundation_models()


def test_what_a_result_holds_is_frames_times_atoms():
    study = Study("laptop", announce=False)
    classical, chosen = study.block("classical"), study.block("dp_iterated")
    parts = list(classical.inputs.values())
    whole = outlook.content(study, classical)
    assert whole == 150 * study.atoms_per_frame(study.recipe("classical"))
    assert sum(outlook.content(study, part) for part in parts) == pytest.approx(whole)
    builds = [part.inputs["frames"] for part in parts]
    assert sum(outlook.content(study, step) for step in builds) == pytest.approx(whole)
    each = [outlook.content(study, part) for part in chosen.inputs.values()]
    assert sum(each) == pytest.approx(outlook.content(study, chosen))
    (run, *_) = study.explored("dp_iterated", 1)
    n_atoms = atoms_in(run.params["start"]["composition"])
    assert outlook.content(study, run) == n_atoms * 2000 / 20


def test_the_plan_of_the_paper_profile_names_hours_storage_and_what_they_rest_on():
    study = Study("paper", announce=False)
    *lines, storage, summary = outlook.lines(study, gpu_cores=50)
    (label,) = [line for line in lines if line.startswith("a label by GFN2-xTB: ")]
    assert "(measured from 25 to 200 atoms)" in label
    (gpu,) = [line for line in lines if "steps for a GPU" in line]
    of_gpu, total = float(gpu.split()[0]), float(summary.split("about ")[1].split()[0])
    assert 0 < of_gpu < total
    assert f"{of_gpu / 50:.1f} GPU hours where a GPU is worth 50 cores" in gpu
    found = re.fullmatch(r"storage of all results: (\S+) GB; .* not counted: (.*)", storage)
    n_models = sum(step.kind in ("train", "member") for step in upstream(study.campaign()))
    assert float(found[1]) > 2e-3 * n_models  # of at least 2 MB each
    assert not {"build", "label", "member", "explore"} & set(found[2].split(", "))
    wall = (total - of_gpu + of_gpu / 50) / study.profile.compute.workers
    said = float(re.search(r" (\S+) hours with ", summary)[1])
    assert said == pytest.approx(wall, abs=0.2)  # of hours that are rounded
    assert summary.endswith(" workers where a GPU is worth 50 cores")
    unknown, _, on_cores = outlook.lines(study)[-3:]
    assert "GPU hours: not known; say with --gpu-cores" in unknown
    assert on_cores.endswith(" workers, all on cores")


def test_a_longer_training_is_the_study_s_own_with_more_time():
    study = Study("laptop")
    longer, asked = study.longer(), study.profile.longer_training
    assert list(longer) == [(name, sets) for sets, chosen in asked.sets.items() for name in chosen]
    assert {name for name, _ in longer} == set(study.profile.training.architectures)
    for (architecture, sets), model in longer.items():
        own = study.model(architecture, sets, asked.seed)
        assert model.name == own.name.replace(sets, f"{sets}-x2")
        assert {n: s.key for n, s in model.inputs.items()} == {
            n: s.key for n, s in own.inputs.items()
        }
        changed = {k for k, v in model.params["settings"].items() if own.params["settings"][k] != v}
        lengths = {"steps", "max_num_epochs", "start_stage_two", "report_every", "eval_interval"}
        assert changed and changed <= lengths
        assert model.estimate_s == pytest.approx(2 * own.estimate_s, rel=0.02)
    campaign = {step.key for step in study.campaign()}
    assert {m.key for m in longer.values()} <= {s.key for s in upstream(study.campaign())}
    assert {s.key for m in longer.values() for s in study.tested(m)} <= campaign


def test_a_longer_training_needs_a_budget():
    asked = Study("laptop").profile.longer_training
    study = Study(Study("smoke").profile.model_copy(update={"longer_training": asked}))
    with pytest.raises(ValueError, match=r"longer_training needs training\.budget"):
        study.longer()
    assert Study("smoke").longer() == {}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"kind": "packed", "temprature_K": (1, 2)}, "'temprature_K'; allowed are"),
        ({"kind": "scan"}, "'temperature_K'; allowed are source"),
    ],
)
def test_a_set_of_ones_own_refuses_what_is_no_option(given, named):
    ranges = {"density_g_cm3": (1.0, 1.1), "temperature_K": (300, 400)}
    with pytest.raises(ValueError, match=named):
        labelled_set("mine", compositions=[{"EC": 1}], frames=1, seed=1, **ranges, **given)


@pytest.mark.parametrize("name", ["../mine", "a.5", "a+b", ""])
def test_a_set_of_ones_own_has_a_name_of_one_word(name):
    ranges = {"density_g_cm3": (1.0, 1.1), "temperature_K": (300, 400)}
    with pytest.raises(ValueError, match=r"set_name .*; allowed are letters, digits and _"):
        labelled_set(name, kind="packed", compositions=[{"O": 1}], frames=1, seed=1, **ranges)


def test_a_pretrained_model_that_the_profile_does_not_compare_runs_as_long_as_others():
    study = Study("smoke", announce=False)
    chgnet = study.pretrained("chgnet")
    assert "chgnet" not in study.profile.foundation.models
    for profile in (study.profile, study.profile.model_copy(update={"foundation": None})):
        run = Study(profile, announce=False).liquid(chgnet, "hot", 1)
        dynamics = profile.dynamics
        planned = run.params["dynamics"]["n_steps"] * dynamics.timestep_fs
        assert planned == pytest.approx(1e3 * dynamics.duration_ps)
