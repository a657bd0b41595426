"""The command line of crosstrain."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from math import inf
from pathlib import Path
from typing import Any

EXIT_FAILED, EXIT_BAD_INPUT = 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 something failed, 2 bad input."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that workers are stopped too
    try:
        return options.function(options)
    except (ValueError, FileNotFoundError) as error:
        print(f"crosstrain: {_in_a_line(error)}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except ModuleNotFoundError as error:
        said = f"needs the package {error.name}, which is not installed: see environment.yml"
        print(f"crosstrain: {said}", file=sys.stderr)
        return EXIT_FAILED
    except (RuntimeError, OSError) as error:  # such as a full or a read-only disk
        print(f"crosstrain: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("crosstrain: interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _in_a_line(error: Exception) -> str:
    from pydantic import ValidationError

    from crosstrain.data.profiles import first_fault

    return first_fault(error) if isinstance(error, ValidationError) else str(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crosstrain",
        description="Does training data made for one machine-learned potential help another?",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name, function, text, *, profile=True):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        if profile:
            sub.add_argument("--profile", default="laptop", help="name or .yml file (laptop)")
        return sub

    plan = command("plan", _plan, "show what is done, running, failed and to do, and what is left")
    plan.add_argument("--gpu-cores", type=float, metavar="N", help="cores that a GPU is worth")
    plan.add_argument("--workers", type=int, metavar="N", help="steps at a time (the profile's)")
    study = command("study", _study, "compute everything that is missing, in parallel")
    study.add_argument("--only", choices=["sets", "models"], help="stop after these")
    study.add_argument(
        "--engine", help="serial, local, slurm, slurm_gpu, or a Python file with a Parsl config"
    )
    study.add_argument("--workers", type=int, metavar="N", help="steps at a time (the profile's)")
    study.add_argument("--dry-run", action="store_true", help="only tell what would be computed")
    run = command("run", _run, "fill the store, then execute the notebooks of notebooks/runs.yml")
    run.add_argument("notebooks", nargs="*", help="only these (default: all of runs.yml)")
    run.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--output", type=Path, help="folder of this run (runs/PROFILE)")
    render = command(
        "render", _render, "execute the text twins into notebooks/ and figures/", profile=False
    )
    render.add_argument("notebooks", nargs="*", help="only these (default: all)")
    command("book", _book, "build the executed notebooks as static pages", profile=False)
    build = command("build", _build, "build and label a set of frames of any H/C/O liquid")
    build.add_argument("name", help="of the set")
    build.add_argument(
        "--kind",
        choices=["classical", "packed", "molecules"],
        default="classical",
        help="snapshots of classical dynamics, boxes packed at random, or isolated molecules far "
        "from equilibrium (classical)",
    )
    build.add_argument(
        "--composition",
        action="append",
        required=True,
        help="molecules of a box, by name or SMILES, such as 'PC:4 DMC:4'; may be given again",
    )
    for name, default, unit in (("density", 1.0, "G_CM3"), ("temperature", 300.0, "K")):
        build.add_argument(
            f"--{name}",
            nargs="+",
            type=float,
            default=[default],
            metavar=unit,
            help=f"one value, or the low and the high end ({default:g})",
        )
    build.add_argument("--frames", type=int, default=20, help="how many (20)")
    build.add_argument("--seed", type=int, default=1, help="another one draws other frames (1)")
    inspect = command(
        "inspect", _inspect, "say what is wrong with an extxyz file of your own", profile=False
    )
    inspect.add_argument("file", type=Path)
    inspect.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="LABEL=NAME",
        help="the file's name of energy, forces, stress or virial; may be given again",
    )
    inspect.add_argument(
        "--molecule",
        action="append",
        default=[],
        help="that may occur, by name or SMILES, where not most frames hold it; may be given again",
    )
    inspect.add_argument("--periodic", action="store_true", help="every frame must be periodic")
    inspect.add_argument("--method", help="level of theory, where the file does not tell it")
    inspect.add_argument("--output", type=Path, help="write the sound frames in the project's form")
    score = command("score", _score, "run a model's liquid and report how good it is")
    score.add_argument(
        "model", help="of the profile (mace-packed-s1), pretrained (so3lr), or a file"
    )
    score.add_argument("--trust", action="store_true", help="load a model file of your own")
    score.add_argument("--composition", help="of the liquid, by name or SMILES: 'EC:2 EMC:4'")
    score.add_argument("--temperature", type=float, metavar="K")
    score.add_argument("--pressure", type=float, metavar="BAR", help="(1)")
    new = command(
        "new", _new, "a liquid of your own: train, run, judge, say what is lacking", profile=False
    )
    new.add_argument(
        "--profile", default="smoke", help="of these sizes (smoke); a reference needs laptop's"
    )
    new.add_argument("name", help="of the liquid; its profile is written to runs/own/NAME.yml")
    new.add_argument(
        "--composition", required=True, help="of its box, by name or SMILES: 'C1CCOC1:3'"
    )
    new.add_argument("--temperature", type=float, required=True, metavar="K")
    new.add_argument("--pressure", type=float, default=1.0, metavar="BAR", help="(1)")
    new.add_argument("--density", type=float, required=True, metavar="G_CM3", help="a guess")
    new.add_argument(
        "--duration", type=float, metavar="PS", help="of each run (the profile's, 3 at least)"
    )
    new.add_argument(
        "--architecture", action="append", default=[], help="may be given again (the profile's)"
    )
    new.add_argument("--data", type=Path, help="an extxyz of your own, to train on its frames too")
    improve = command(
        "improve", _improve, "add what a liquid of your own lacks, and score again", profile=False
    )
    improve.add_argument("name", help="of the liquid, as given to 'new'")
    improve.add_argument("--add", metavar="BLOCK", help="this instead: scan, molecules, iterated")
    command("lighten", _lighten, "leave out of data/ the files that are not shipped", profile=False)
    command("check", _check, "verify stored results, rendered notebooks and figures")
    step = command("step", _step, "compute one step (used by the engine)", profile=False)
    step.add_argument("file", type=Path)
    return parser


def _plan(options: argparse.Namespace) -> int:
    from crosstrain import outlook
    from crosstrain.study import Study

    if options.gpu_cores is not None and not 0 < options.gpu_cores < inf:
        raise ValueError(f"--gpu-cores {options.gpu_cores:g}; allowed are values above 0")
    study = Study(options.profile)
    study.use_engine(workers=options.workers)
    print("\n".join([*outlook.lines(study, options.gpu_cores), *study.left_out()]))
    return 0


def _study(options: argparse.Namespace) -> int:
    from crosstrain import outlook
    from crosstrain.run import engine
    from crosstrain.study import Study

    study = Study(options.profile)
    study.use_engine(options.engine, options.workers)
    steps = study.sets() if options.only else study.campaign()
    if options.only == "models":
        steps += [step for model in study.models() for step in study.tested(model)]
    if options.dry_run:
        asked = outlook.part(study, steps) if options.only else outlook.lines(study)
        warning = engine.without_gpu(study.store.to_compute(steps), study.profile.compute)
        print("\n".join([*asked, *study.left_out(), *study.places(), *warning]))
        return 0
    done = study.fill(steps)
    print(f"{done} steps computed; {len(steps)} results are up to date")
    print("\n".join([*study.left_out(), *study.costs()]))
    return 0


def _build(options: argparse.Namespace) -> int:
    from crosstrain.build.boxes import composition_counts
    from crosstrain.data import cards
    from crosstrain.steps import FRAMES
    from crosstrain.study import labelled_set

    study = labelled_set(
        options.name,
        kind=options.kind,
        compositions=[composition_counts(text) for text in options.composition],
        density_g_cm3=_range("density", options.density),
        temperature_K=_range("temperature", options.temperature),
        frames=options.frames,
        seed=options.seed,
        profile=options.profile,
    )
    step = study.block(options.name)
    for heading, text in cards.contents(study.frames(options.name)).items():
        print(f"{heading}: {text}")
    print(study.store.folder(step) / FRAMES)
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from crosstrain.data import cards, frames, intake

    output = options.output
    if output and output.resolve() == options.file.resolve():
        raise ValueError(f"--output {output}: would overwrite the file itself; give another name")
    if output and not output.resolve().parent.is_dir():
        raise ValueError(f"--output {output}: there is no folder {output.parent}; make it first")
    found = intake.examine(
        options.file,
        keys=_keys(options.key),
        periodic=options.periodic or None,
        method=options.method,
        also=options.molecule,
    )
    for note in found.notes:
        print(f"note: {note}")
    for problem in found.problems:
        print(problem, file=sys.stderr)
    if found.frames:
        for heading, text in cards.contents(found.frames).items():
            print(f"{heading}: {text}")
    if output and not found.problems:
        frames.write(output, found.frames)
        print(f"written: {output}")
        if atoms := ", ".join(found.atom_energies_eV):
            print(f"note: isolated atoms are not written: {atoms}")
    print(f"{len(found.problems)} problem(s), {len(found.frames)} sound frame(s)")
    return EXIT_BAD_INPUT if found.problems else 0


def _range(name: str, values: list[float]) -> tuple[float, float]:
    if len(values) > 2:
        raise ValueError(f"--{name} {values}; allowed are one value, or the low and the high end")
    return values[0], values[-1]


def _run(options: argparse.Namespace) -> int:
    from crosstrain import paths
    from crosstrain.run import notebooks
    from crosstrain.study import Study

    study = Study(options.profile)
    extra = dict(_assignment(text) for text in options.parameter)
    if "profile" in extra:
        raise ValueError(f"parameter profile = {extra['profile']!r}; say it with --profile")
    extra["profile"] = _absolute(options)
    notebooks.check_once(options.notebooks)
    wanted = [notebooks.Run(name) for name in options.notebooks] or notebooks.matrix()
    for run in wanted:
        notebooks.check_parameters(run.notebook, {**run.parameters, **extra})
    study.fill()
    output = options.output or paths.runs() / study.profile.name
    outcomes = {}
    for run in wanted:
        target = output / f"{run.notebook}.ipynb"
        outcomes[run.notebook] = _attempt(
            run.notebook, {**run.parameters, **extra}, target, output / "figures"
        )
    for line in study.costs():
        print(line)
    return _report(outcomes)


def _absolute(options: argparse.Namespace) -> str:
    """Return the profile as notebooks, which run in a folder of their own, can find it."""
    is_file = options.profile.endswith((".yml", ".yaml"))
    return str(Path(options.profile).resolve()) if is_file else options.profile


def _render(options: argparse.Namespace) -> int:
    from crosstrain import paths, shipped
    from crosstrain.run import notebooks
    from crosstrain.study import Study

    notebooks.check_once(options.notebooks)
    wanted = options.notebooks or notebooks.names()
    for name in wanted:
        notebooks.check_parameters(name, {})
    outcomes = {
        name: _attempt(name, {}, paths.notebooks() / f"{name}.ipynb", paths.root() / "figures")
        for name in wanted
    }
    code = _report(outcomes)  # first: a fault of the store must not hide it
    paths.write_atomically(paths.root() / "README.md", notebooks.readme().encode())
    shipped.write(Study(announce=False))
    return code


def _lighten(options: argparse.Namespace) -> int:
    from crosstrain import shipped
    from crosstrain.study import Study

    study = Study(announce=False)
    for name in shipped.lighten(study):
        print(f"lighter: {name}")
    shipped.write(study)
    return 0


def _book(options: argparse.Namespace) -> int:
    from crosstrain import book

    print(book.build())
    return 0


def _attempt(name: str, parameters: dict[str, Any], target: Path, figures: Path) -> str:
    """Execute a notebook; return '' or the first line of its error."""
    from crosstrain.run import notebooks

    print(f"{name} ...", file=sys.stderr, flush=True)
    try:
        notebooks.execute(name, parameters, target=target, figures=figures)
    except notebooks.NotebookFailed as error:
        return str(error).splitlines()[0]
    return ""


def _report(outcomes: dict[str, str]) -> int:
    for name, reason in outcomes.items():
        print(f"{name:40s} {'FAILED  ' + reason if reason else 'done'}")
    return EXIT_FAILED if any(outcomes.values()) else 0


def _assignment(text: str) -> tuple[str, Any]:
    """Return name and value of NAME=VALUE; the value is read as YAML, so lists are lists."""
    import yaml

    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ValueError(f"parameter {text!r}; allowed is NAME=VALUE")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"parameter {text!r}: the value is not YAML") from None


def _keys(texts: list[str]) -> dict[str, str]:
    """Return the file's names of labels, each from LABEL=NAME."""
    keys: dict[str, str] = {}
    for text in texts:
        label, _, name = text.partition("=")
        if not label or not name:
            raise ValueError(f"key {text!r}; allowed is LABEL=NAME, such as energy=dft_energy")
        if label in keys:
            raise ValueError(f"key {text!r}: {label} is {keys[label]!r} already; give each once")
        keys[label] = name
    return keys


def _score(options: argparse.Namespace) -> int:
    from crosstrain import report
    from crosstrain.build.boxes import composition_counts
    from crosstrain.data.profiles import State
    from crosstrain.study import Study

    state = None
    if options.temperature is not None:
        if not 0 < options.temperature < inf:
            raise ValueError(f"--temperature {options.temperature:g}; allowed are values above 0")
        pressure = 1.0 if options.pressure is None else options.pressure
        state = State(temperature_K=options.temperature, pressure_bar=pressure)
    elif options.pressure is not None:
        raise ValueError("--pressure: needs --temperature too")
    base = Study(options.profile, announce=False)
    composition = None
    if options.composition is not None:
        composition = composition_counts(options.composition)
    study, model = report.study_of(
        base,
        options.model,
        composition=composition,
        state=state,
        is_trusted=options.trust,
    )
    states = study.states_of(model)
    if not states:
        raise ValueError(
            f"{model.name}: the profile runs models of its set at no state (liquid.states: sets); "
            "give --temperature"
        )
    for name in states:
        print("\n".join(report.lines(base, study, model, name)))
    print(report.picture(base, study, model))
    return 0


def _new(options: argparse.Namespace) -> int:
    from crosstrain import own
    from crosstrain.build.boxes import composition_counts
    from crosstrain.data import profiles
    from crosstrain.study import Study

    path, base = own.path_of(options.name), profiles.load(options.profile)
    usual_ps = max(base.dynamics.duration_ps, own.LEAST_PS)
    profile = own.profile_for(
        options.name,
        composition=composition_counts(options.composition),
        temperature_K=options.temperature,
        pressure_bar=options.pressure,
        density_g_cm3=options.density,
        base=base,
        architectures=options.architecture,
        data=options.data,
        duration_ps=usual_ps if options.duration is None else options.duration,
    )
    if path.exists() and (kept := own.load(options.name)) != profile:
        raise ValueError(
            f"{path} is of another liquid, or improved: {own.difference(kept, profile)}; choose "
            f"another name, go on with 'crosstrain improve {options.name}', or delete the file to "
            "begin anew"
        )
    own.needed(Study(profile, announce=False))  # refuses what cannot be before a file is written
    own.write(profile, path)
    return _judged(options.name)


def _improve(options: argparse.Namespace) -> int:
    from crosstrain import own
    from crosstrain.study import Study

    profile = own.load(options.name)
    study, block = Study(profile, announce=False), options.add
    if block is None:
        needed = own.needed(study)
        if len(profile.training.sets) > 1 and not all(map(study.has, needed)):
            return _judged(options.name)  # what was interrupted goes on, and nothing is added
        study.fill(needed)
        block = own.to_add(study, profile.training.sets[-1])
        if block is None:
            raise ValueError(
                f"{options.name} lacks nothing that is known of and not in its set; --add says "
                "what to add"
            )
    if options.add is None or not own.was_added(profile, block):
        own.write(own.with_block(profile, block), own.path_of(options.name))
    return _judged(options.name)


def _judged(name: str) -> int:
    """Compute what a liquid of one's own needs, and report on its last training set."""
    from crosstrain import own, report
    from crosstrain.study import Study

    study = Study(own.load(name), announce=False)
    print(f"{own.path_of(name)}: about {own.core_hours(study):.1f} core hours from nothing")
    study.fill(own.needed(study))
    sets = study.profile.training.sets[-1]
    for model in study.models([sets]):
        print("\n".join(report.lines(study, study, model, own.STATE)))
    print("\n".join(own.advice(study, sets)))
    return 0


def _check(options: argparse.Namespace) -> int:
    from crosstrain.check import problems
    from crosstrain.study import Study

    found = problems(Study(options.profile, announce=False))
    for problem in found:
        print(problem)
    print(f"{len(found)} problem(s)" if found else "everything is as it was stored and rendered")
    return EXIT_FAILED if found else 0


def _step(options: argparse.Namespace) -> int:
    from crosstrain import steps
    from crosstrain.run.store import FAILURE

    steps.read_order(options.file)  # no reason is left beside what is no order
    try:
        steps.run(options.file)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):  # no room even for that: it is in the log
            options.file.with_name(FAILURE).write_text(text)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
