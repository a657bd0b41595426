"""A liquid of one's own: its profile, what its models lack, and what the study says of that."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from crosstrain import __main__, own, steps
from crosstrain.data import frames as fr
from crosstrain.data import profiles
from crosstrain.data.intake import BadFrames
from crosstrain.measure.transfer import Run, State
from crosstrain.study import Study

FRAMES = Path(__file__).parent / "data" / "frames.extxyz.gz"
ASKED = {"temperature_K": 300.0, "pressure_bar": 1.0, "density_g_cm3": 0.87}
TRUSTED = {"value": 0.9, "error": 0.005, "problems": []}
NO_MODEL_AGREES = {"value": 0.9, "error": 0.005, "problems": ["samplers disagree"]}


def made(name="mine", composition=None, base="smoke", **changes):
    return own.profile_for(
        name,
        composition=composition or {"COCCOC": 3},
        base=profiles.load(base),
        **ASKED | changes,
    )


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path))
    return Study(made(), announce=False)


# --- the profile ------------------------------------------------------------------------------


@pytest.mark.parametrize("base", profiles.names())
def test_a_profile_of_ones_own_declares_a_whole_chain(base, tmp_path):
    profile = made(composition={"CC(C)=O": 4, "EC": 2}, base=base)
    own.write(profile, tmp_path / "mine.yml")
    assert profiles.load(str(tmp_path / "mine.yml")) == profile
    needed = own.needed(Study(profile, announce=False))
    molecules = {name for step in needed for name in step.params.get("composition", {})}
    assert molecules <= {"CC(C)=O", "EC"}
    assert {step.kind for step in needed} >= {"evaluate", "observe", "reference"}
    assert profile.store.startswith("runs/own/mine")
    assert own.core_hours(Study(profile)) > 0


def test_sizes_are_kept_and_ranges_moved():
    base = profiles.load("smoke")
    profile = made(temperature_K=1000.0, density_g_cm3=1.8)  # twice the density of the base
    assert profile.dynamics == base.dynamics
    assert made(duration_ps=7.0).dynamics == base.dynamics.model_copy(update={"duration_ps": 7.0})
    block, known = profile.blocks["classical"], base.blocks["classical"]
    assert (block.frames, block.seed) == (known.frames, known.seed)
    assert block.options["compositions"] == [{"COCCOC": 3}]
    assert block.options["density_g_cm3"] == [2 * end for end in known.options["density_g_cm3"]]
    assert block.options["temperature_K"] == [300, 1000]
    assert profile.blocks["molecules"].options["molecules"] == ["COCCOC"]
    assert profile.iteration.density_g_cm3 == tuple(2 * e for e in base.iteration.density_g_cm3)
    assert profile.iteration.temperature_K == (300, 1000)
    assert profile.training.sets == ["classical"]
    assert profile.training.architectures == base.training.architectures
    assert profile.foundation is None


def test_a_mixture_is_trained_with_its_pure_liquids():
    # 10 atoms each, so that a pure box has as many molecules
    assert own.training_boxes({"EC": 2, "acetone": 1}) == [
        {"EC": 2, "acetone": 1},
        {"EC": 3},
        {"acetone": 3},
    ]
    assert own.training_boxes({"EC": 2}) == [{"EC": 2}]
    scan = made(composition={"EC": 2, "acetone": 1, "CO": 1}, base="laptop").blocks["scan"]
    assert np.gcd(scan.options["every"], 4) == 1  # every composition is scanned


def test_radial_distributions_fit_the_box_and_its_elements():
    base = profiles.load("smoke").liquid
    small = made(composition={"CO": 1}).liquid.rdf
    assert small.r_max_A < 0.6 * base.rdf.r_max_A
    assert made(composition={"COCCOC": 30}).liquid.rdf.r_max_A == base.rdf.r_max_A
    assert made(composition={"CCCCC": 3}).liquid.rdf.pairs == ["C-H", "H-H"]


def test_the_same_liquid_has_the_ranges_of_the_study():
    base = profiles.load("laptop")
    again = made(composition=base.liquid.composition, base="laptop", density_g_cm3=1.0)
    options, known = again.blocks["classical"].options, base.blocks["classical"].options
    assert options["density_g_cm3"] == known["density_g_cm3"]
    assert options["temperature_K"] == known["temperature_K"]
    assert again.liquid.rdf == base.liquid.rdf


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a/b"}, "name 'a/b'; allowed are letters, digits and _"),
        ({"composition": {"EC": 0}}, r"composition {'EC': 0}; allowed are 1 or more"),
        ({"composition": {"[Na+]": 1}}, "unsupported element Na"),
        ({"density_g_cm3": -1.0}, "density_g_cm3 -1"),
        ({"temperature_K": 0.0}, "temperature_K 0"),
        ({"duration_ps": 0.0}, r"duration_ps 0; allowed are 0\.005 to 1e\+06"),
        ({"duration_ps": float("nan")}, "duration_ps nan"),
        ({"duration_ps": 1e300}, r"duration_ps 1e\+300"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        made(**changes)


def test_a_base_without_what_is_needed_is_refused():
    smoke = profiles.load("smoke")
    blocks = {name: block for name, block in smoke.blocks.items() if name != "scan"}
    base = smoke.model_copy(update={"name": "thin", "blocks": blocks, "tests": {}})
    message = "profile 'thin' has no block scan, test classical_test; allowed is one with blocks "
    with pytest.raises(ValueError, match=f"^{message}classical, scan, molecules and test"):
        own.profile_for("mine", composition={"EC": 2}, base=base, **ASKED)


def test_a_third_architecture_takes_the_main_rows():
    laptop = profiles.load("laptop")
    architectures = laptop.training.architectures | {"gap": {"n_sparse": 100}}
    training = laptop.training.model_copy(update={"architectures": architectures})
    study = Study(laptop.model_copy(update={"training": training}), announce=False)
    rows = [row for row in study.rows() if study.can_train(row)]
    assert len(rows) >= 6
    for row in rows:
        model = study.model("gap", row, 1)
        assert model.params["settings"]["n_sparse"] == 100
        assert study.results(model)
    budget = training.budget.model_copy(update={"frame_cost_s": {"mace": (0.0, 1.0)}})
    without = training.model_copy(update={"budget": budget})
    with pytest.raises(ValueError, match="frame_cost_s has no 'gap'; it has mace"):
        Study(laptop.model_copy(update={"training": without})).model("gap", "classical", 1)


# --- frames of one's own ----------------------------------------------------------------------


def test_the_reference_liquid_is_sampled_as_that_of_the_base():
    laptop = profiles.load("laptop")
    profile = made(base="laptop")
    (state,) = profile.liquid.states.values()
    assert state.replicas == laptop.liquid.states["hot"].replicas
    # Of the four tuned on the first set, or a part of it, the last two with eight runs between
    # them: none shares its start and its noise with another, or with a model that is judged.
    one, other = [3, 4, 5, 6], [7, 8, 9, 10]
    assert state.reference_models == {"so3lr-classical.100-s1": one, "so3lr-classical-s1": other}
    assert not {*state.replicas} & {*one, *other}
    study = Study(profile, announce=False)
    sampled = {step.name for step in study.reference(own.STATE).inputs.values()}
    for name, runs in state.reference_models.items():
        for run in runs:
            assert any(step.endswith(f"{name}-{own.STATE}-r{run}") for step in sampled), sampled
    assert profile.foundation.fine_tuning.sizes == ["classical.100", "classical"]
    assert made().foundation is None  # `smoke` has no such models
    (at,) = made(base="campaign").liquid.states.values()
    assert at.reference_models == state.reference_models  # those tuned on the first set alone


def test_frames_of_ones_own_are_labelled_anew(tmp_path):
    profile = made(composition={"EC": 1, "EMC": 1}, data=FRAMES)
    assert profile.training.sets == ["classical+own"]
    assert profile.blocks["own"].frames == 12
    study = Study(profile, announce=False)
    label = study.block("own").inputs["part000"]
    build = label.inputs["frames"]
    (tmp_path / "out").mkdir()
    steps.KINDS["build"].function(build.params, {}, tmp_path / "out", tmp_path)
    frames = fr.read(tmp_path / "out" / steps.FRAMES)
    assert len(frames) == profile.reference.frames_per_piece
    known = fr.read(FRAMES)
    for frame, given in zip(frames, known, strict=False):
        assert np.array_equal(frame.positions, given.positions)
        assert fr.ENERGY not in frame.info
        assert fr.FORCES not in frame.arrays
    assert study.model("mace", "classical+own", 1).estimate_s > 0


def test_frames_of_ones_own_need_no_labels(tmp_path):
    frames = fr.read(FRAMES)
    for frame in frames:
        del frame.info[fr.ENERGY]
        frame.arrays[fr.FORCES] *= np.nan
    fr.write(file := tmp_path / "bare.extxyz", frames)
    profile = made(composition={"EC": 1, "EMC": 1}, data=file)
    (tmp_path / "out").mkdir()
    build = Study(profile, announce=False).block("own").inputs["part000"].inputs["frames"]
    steps.KINDS["build"].function(build.params, {}, tmp_path / "out", tmp_path)
    read = fr.read(tmp_path / "out" / steps.FRAMES)
    assert len(read) == profile.reference.frames_per_piece
    for frame, given in zip(read, frames, strict=False):
        assert np.array_equal(frame.positions, given.positions)
        assert fr.FORCES not in frame.arrays


def test_an_unsound_file_is_refused_and_a_changed_one_too(tmp_path):
    file = tmp_path / "mine.extxyz"
    file.write_text('1\nLattice="9 0 0 0 9 0 0 0 9"\nNa 0 0 0\n')
    with pytest.raises(BadFrames, match=r"mine.extxyz"):
        made(data=file)
    file.write_bytes(FRAMES.read_bytes())
    gz = file.rename(tmp_path / "mine.extxyz.gz")
    profile = made(composition={"EC": 1, "EMC": 1}, data=gz)
    build = Study(profile).block("own").inputs["part000"].inputs["frames"]
    gz.write_bytes(b"")
    with pytest.raises(ValueError, match=r"mine.extxyz.gz has changed since it was named"):
        steps.KINDS["build"].function(build.params, {}, tmp_path, tmp_path)


# --- what is lacking --------------------------------------------------------------------------


def put(study, step, file, value):
    with study.store.lock(step), study.store.publish(step, {}) as out:
        (out / file).write_text(json.dumps(value))


def put_visit(study, visit, factor):
    """Relabelled frames of a run, and forces that are `factor` times those of the labels."""
    frames = [frame for frame in fr.read(FRAMES) if frame.pbc.all()][:3]
    labels = visit.inputs["frames"]
    if not study.has(labels):
        with study.store.lock(labels), study.store.publish(labels, {}) as out:
            fr.write(out / steps.FRAMES, frames)
    with study.store.lock(visit), study.store.publish(visit, {}) as out:
        np.savez(
            out / "predictions.npz",
            energy_eV=[frame.info[fr.ENERGY] for frame in frames],
            forces_eV_A=factor * np.concatenate([frame.arrays[fr.FORCES] for frame in frames]),
            stress_eV_A3=[frame.info[fr.STRESS] for frame in frames],
        )


def put_runs(study, runs, density=NO_MODEL_AGREES, sets="classical", factor=1.1):
    """Runs of each architecture (density, or the reason of an early end), and the reference."""
    for architecture, seen in runs.items():
        whole = isinstance(seen, float)
        record = {
            "status": "completed" if whole else "unstable",
            "reason": "" if whole else seen,
            "time_ps": 0.1,
            "density_g_cm3": {
                "value": seen if whole else 0.5,
                "error": 0.002,
                "n_effective": 9,
            },
        }
        model = study.model(architecture, sets, 1)
        liquid = study.liquid(model, own.STATE, 1)
        put(study, study.observed(liquid), "observed.json", record)
        put_visit(study, study.evaluated(model, study.relabelled(liquid)), factor)
    reference = {"observables": {"density": density} if density else {}, "r_A": []}
    put(study, study.reference(own.STATE), "reference.json", reference)


@pytest.mark.parametrize(
    ("mace", "density", "block", "why"),
    [
        (0.91, TRUSTED, None, ""),
        (0.95, TRUSTED, "scan", "density 0.9500 ± 0.0020 g/cm³, the reference 0.9000 ± 0.0050"),
        (0.95, NO_MODEL_AGREES, "scan", "deep_potential-classical-s1 0.910"),
        (0.92, NO_MODEL_AGREES, None, ""),
        (0.92, None, None, ""),
        ("boil-off", TRUSTED, "scan", "boil-off at 0.1 ps"),
        ("collapse", TRUSTED, "scan", "collapse"),
        ("bond broken", TRUSTED, "molecules", "bond broken"),
        ("temperature blow-up", TRUSTED, "molecules", "blow-up"),
    ],
)
def test_the_rule(study, mace, density, block, why):
    put_runs(study, {"mace": mace, "deep_potential": 0.91}, density)
    found = own.lacks(study, "classical").get("mace-classical-s1")
    assert (found.block if found else None) == block
    assert found is None or why in found.why


def test_a_run_that_ended_early_is_no_measure_for_others(study):
    put_runs(study, {"mace": 0.9, "deep_potential": "bond formed"}, NO_MODEL_AGREES)
    assert list(own.lacks(study, "classical")) == ["deep_potential-classical-s1"]


def test_every_way_to_end_early_has_a_cure():
    from crosstrain.simulate import dynamics

    reasons = {"model error"}  # a run that failed is no result
    text = dynamics.RunResult.__doc__
    named = {part for part in text.split('``"')[1:] for part in [part.split('"``')[0]]}
    assert named - {"completed", "unstable", "failed"} - reasons == set(own.CURES)


def test_what_is_in_the_set_already_did_not_help(study):
    more = Study(own.with_block(study.profile, "scan"), announce=False)
    put_runs(study, {"mace": "boil-off", "deep_potential": 0.9}, TRUSTED)
    put_runs(more, {"mace": "boil-off", "deep_potential": 0.9}, TRUSTED, "classical+scan")
    assert own.lacks(study, "classical")["mace-classical-s1"].block == "scan"
    found = own.lacks(more, "classical+scan")
    assert list(found) == ["mace-classical+scan-s1"]
    assert found["mace-classical+scan-s1"].block == own.ITERATED


@pytest.mark.parametrize(("factor", "is_lost"), [(1.9, False), (2.1, True), (-0.1, True)])
def test_forces_that_are_no_better_than_none_are_a_lack(study, factor, is_lost):
    put_runs(study, {"mace": 0.9, "deep_potential": 0.9}, TRUSTED, factor=factor)
    found = own.lacks(study, "classical")
    assert set(found) == (
        {"mace-classical-s1", "deep_potential-classical-s1"} if is_lost else set()
    )
    for lack in found.values():
        assert lack.block == own.ITERATED
        assert lack.why == "force between molecules 110 % wrong on frames of its own run"


@pytest.mark.parametrize(
    ("runs", "wanted"),
    [
        ({"mace": "boil-off", "deep_potential": "collapse"}, "scan"),
        ({"mace": "boil-off", "deep_potential": "bond broken"}, "molecules"),
        ({"mace": 0.9, "deep_potential": 0.9}, None),
    ],
)
def test_what_most_models_lack_is_added_and_what_keeps_them_whole_first(study, runs, wanted):
    put_runs(study, runs, TRUSTED)
    assert own.to_add(study, "classical") == wanted


def test_what_was_added_is_not_added_again(study, monkeypatch):
    monkeypatch.setattr(Study, "fill", lambda *_: 0)
    monkeypatch.setattr(Study, "has", lambda *_: True)
    profile = own.with_block(study.profile, own.ITERATED)
    own.write(profile, own.path_of("mine"))
    monkeypatch.setattr(own, "lacks", lambda *_: {"a": own.Lack(own.ITERATED, "still wrong")})
    assert own.to_add(Study(profile, announce=False), profile.training.sets[-1]) is None
    with pytest.raises(ValueError, match="mine lacks nothing that is known of and not in its set"):
        __main__._improve(Namespace(name="mine", add=None))


def test_blocks_are_added_to_the_last_set():
    more = own.with_block(own.with_block(made(), "scan"), own.ITERATED)
    assert more.training.sets == [
        "classical",
        "classical+scan",
        "classical+scan+dp_iterated+mace_iterated",
    ]
    assert {s.kind for s in own.needed(Study(more))} >= {"evaluate"}
    with pytest.raises(ValueError, match=r"allowed are molecules$"):
        own.with_block(more, "scan")
    with pytest.raises(ValueError, match="block 'more'; allowed are scan, molecules, dp_iterated"):
        own.with_block(made(), "more")


# --- what the study says ----------------------------------------------------------------------


def of_seeds(*values):
    return [Run(State.DONE, value) for value in values]


def stored_cells(rows):
    """A matrix in which only these rows are stored, of both architectures alike."""
    keys = [(row, a) for row in rows for a in ("mace", "deep_potential")]
    alive = {key: of_seeds(*rows[key[0]]) for key in keys}
    errors = {key: of_seeds(*(20 / v for v in rows[key[0]])) for key in keys}
    nothing = {key: [Run(State.UNSTABLE)] * 2 for key in keys}
    return {"survival": alive, "score": alive, "own_error": errors, "density_deviation": nothing}


TOGETHER = "classical+scan+molecules"
STORED = {
    "classical": (0.1, 0.2),
    "classical+classical_more": (0.2, 0.1),
    "classical+classical_more.100": (0.3, 0.35),
    TOGETHER: (0.8, 0.9),
    "classical+mace_iterated": (0.8, 0.7),
}


def test_guidance_says_what_was_not_run():
    base = Study("smoke", announce=False)
    known = stored_cells({"classical": (0.1, 0.2)})
    for block in ("molecules", own.ITERATED):
        found = own.guidance(base, block, "mace", "hot", known=known)
        assert found == ([f"{block} on mace: nothing stored in the study"], False)
    assert own.guidance(base, "scan", "gap", "hot", known=known).lines[0].startswith("scan on gap")
    assert own.guidance_table(base, "hot", known=known).empty
    assert "EC:1 EMC:2 at 500 K and 1000 bar against GFN2-xTB" in own.reach(base, "hot")


def test_guidance_takes_the_row_that_has_the_block_with_others_and_says_so():
    base, known = Study("laptop", announce=False), stored_cells(STORED)
    found = own.guidance(base, "molecules", "mace", "hot", known=known)
    alone, over_first, over_control = found.lines
    assert alone == "molecules alone is not stored; what follows has scan in it, too"
    assert over_first.startswith(f"{TOGETHER} over classical on mace: survival: +0.70 (")
    assert "force error on own runs: error × 0.16" in over_first
    more = f"{TOGETHER} over classical+classical_more (+180 over +150 frames) on mace: "
    assert over_control.startswith(more)
    assert found.has_gain
    scan = own.guidance(base, "scan", "mace", "hot", known=known)
    assert f"density off the reference: not comparable ({TOGETHER}: unstable)" in scan.lines[1]
    alone = stored_cells(STORED | {"classical+molecules": (0.5, 0.6)})
    (first, _) = own.guidance(base, "molecules", "mace", "hot", known=alone).lines
    assert first.startswith("classical+molecules over classical on mace: survival: +0.40")


def test_an_iterated_block_is_compared_with_as_many_more_frames():
    base, known = Study("laptop", announce=False), stored_cells(STORED)
    (_, line) = own.guidance(base, own.ITERATED, "deep_potential", "hot", known=known).lines
    said = "classical+mace_iterated over classical+classical_more.100 (+100 over +100 frames)"
    assert line.startswith(f"{said} on deep_potential: score: +0.43 (")
    table = own.guidance_table(base, "hot", known=known)
    assert (said, "mace") in table.index and len(table) == 8
    assert set(table.columns) == set(own.IN_WORDS.values())


def test_advice_names_the_lack_and_the_command(study):
    put_runs(study, {"mace": "bond broken", "deep_potential": 0.9}, TRUSTED)
    said = "\n".join(own.advice(study, "classical", base=Study("smoke", announce=False)))
    assert "deep_potential-classical-s1: nothing lacking that these runs could show" in said
    assert (
        f"mace-classical-s1 lacks molecules ({own.MEANS['molecules']}): bond broken at 0.1 ps"
        in said
    )
    assert "crosstrain improve mine" in said
    assert "measured on" not in said  # for nothing is stored
    assert "between the models only" not in said


def test_advice_says_where_a_gain_was_measured(study):
    put_runs(study, {"mace": "bond broken", "deep_potential": 0.9}, TRUSTED)
    base, known = Study("laptop", announce=False), stored_cells(STORED)
    said = own.advice(study, "classical", base=base, known=known)
    assert own.reach(base, "hot") in said


def test_advice_says_when_the_reference_could_not_judge(study):
    put_runs(study, {"mace": 0.9, "deep_potential": 0.9}, NO_MODEL_AGREES)
    said = own.advice(study, "classical", base=Study("smoke", announce=False))
    assert "between the models only; of the reference: samplers disagree" in said[-2]
    assert said[-1].startswith(
        "a score has only its limits at this size, 0 and the survival: at most 20 frames"
    )


@pytest.mark.parametrize("block", [None, "scan"])
def test_an_interrupted_improvement_goes_on(study, monkeypatch, block):
    """Nothing more is added to the training set, and the block it was to add is no error."""
    judged = []
    monkeypatch.setattr(__main__, "_judged", lambda name: judged.append(name) or 0)
    more = own.with_block(study.profile, "scan")
    own.write(more, own.path_of("mine"))
    assert __main__._improve(Namespace(name="mine", add=block)) == 0
    assert judged == ["mine"]
    assert own.load("mine") == more


def test_an_improvement_adds_what_is_lacking(study, monkeypatch):
    put_runs(study, {"mace": "bond broken", "deep_potential": 0.9}, TRUSTED)
    monkeypatch.setattr(__main__, "_judged", lambda name: 0)
    monkeypatch.setattr(Study, "fill", lambda *_: 0)
    own.write(study.profile, own.path_of("mine"))
    assert __main__._improve(Namespace(name="mine", add=None)) == 0
    assert own.load("mine").training.sets == ["classical", "classical+molecules"]
    with pytest.raises(ValueError, match="block 'classical'; allowed are scan, "):
        __main__._improve(Namespace(name="mine", add="classical"))
    assert __main__._improve(Namespace(name="mine", add="iterated")) == 0
    more = own.load("mine")
    assert own.was_added(more, "iterated")
    assert not own.was_added(more, "classical")


def test_the_file_is_found_by_its_name(study, tmp_path):
    with pytest.raises(ValueError, match="liquid 'mine'; allowed are none yet"):
        own.load("mine")
    own.write(study.profile, own.path_of("mine"))
    assert own.load("mine") == study.profile
    own.write(profiles.load("smoke"), own.path_of("other"))
    with pytest.raises(ValueError, match=r"other.yml: allowed is a profile that 'crosstrain new'"):
        own.load("other")
