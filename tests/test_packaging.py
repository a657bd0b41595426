"""The environment holds together, and the library's rooms depend on each other one way only."""

import ast
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from crosstrain.run.versions import MORE, PACKAGES
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "lib" / "crosstrain"
BENCHMARKS = sorted((ROOT / "tests" / "benchmarks").glob("bench_*.py"))
PROJECT = tomllib.loads((ROOT / "lib" / "pyproject.toml").read_text())["project"]
LINUX = {"platform_system": "Linux", "sys_platform": "linux", "platform_machine": "x86_64"}
MAC = {"platform_system": "Darwin", "sys_platform": "darwin", "platform_machine": "arm64"}
NAMED = ("jupyterlab", "papermill", "ase", "mace-torch", "deepmd-kit", "nglview", "seaborn")


def required() -> list[Requirement]:
    """Everything pyproject.toml asks for, extras included."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    everything = [Requirement(line) for lines in lists for line in lines]
    return [r for r in everything if r.name != PROJECT["name"]]


def locked() -> list[Requirement]:
    lines = (ROOT / "lib" / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]


def versions() -> dict[str, str]:
    """Name and version of each line of the lock."""
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in locked()}


# --- requirements -----------------------------------------------------------------------------


def test_the_lock_pins_each_package_once():
    lines = locked()
    assert all(str(r.specifier).startswith("==") for r in lines)
    assert len(versions()) == len(lines)


@pytest.mark.parametrize("requirement", required(), ids=str)
def test_the_lock_satisfies_what_the_library_asks_for(requirement):
    assert requirement.specifier.contains(versions()[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("platform", [LINUX, MAC], ids=["Linux", "macOS"])
def test_the_lock_holds_all_that_its_packages_need(platform):
    """Follow the requirements of the installed packages, from those of the library."""
    there = [r.name for r in locked() if not r.marker or r.marker.evaluate(platform)]
    pinned = {name: versions()[name] for name in map(canonicalize_name, there)}
    seen, todo = set(), [r for r in required() if not r.marker or r.marker.evaluate(platform)]
    while todo:
        requirement = todo.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        assert name in pinned, f"{name} is needed but not in the lock"
        assert requirement.specifier.contains(pinned[name], prereleases=True), str(requirement)
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for needed in map(Requirement, lines):
            environments = [platform | {"extra": extra} for extra in extras | {""}]
            if not needed.marker or any(needed.marker.evaluate(e) for e in environments):
                todo.append(needed)
    assert len(seen) > 100


def test_what_is_installed_is_what_is_locked():
    installed = {canonicalize_name(d.name): d.version for d in metadata.distributions()}
    pinned = versions()
    wrong = {n: (v, pinned[n]) for n, v in installed.items() if n in pinned and v != pinned[n]}
    assert wrong == {}
    assert len(installed.keys() & pinned.keys()) > 100


def test_packages_of_one_platform_say_so():
    cuda = [r for r in locked() if r.name.startswith(("nvidia-", "triton", "cuda-bindings"))]
    cuda = [r for r in cuda if r.name != "nvidia-ml-py3"]  # pure Python
    assert len(cuda) > 10
    for requirement in cuda:
        assert requirement.marker is not None, requirement.name
        assert requirement.marker.evaluate(LINUX)
        assert not requirement.marker.evaluate(MAC)


def test_environment_names_the_packages_as_pyproject_does():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    given = {r.name: r for r in (Requirement(line) for line in pip if not line.startswith("-e"))}
    asked = {r.name: r for r in required()}
    assert set(given) == set(NAMED)
    for name in NAMED:
        assert given[name].specifier == asked[name].specifier
        assert given[name].extras == asked[name].extras
    assert "-e ./lib[all,test]" in pip
    assert "python=3.11" in environment["dependencies"]
    assert PROJECT["requires-python"] == ">=3.11,<3.12"


def test_the_extra_all_is_all_but_the_tests():
    (everything,) = map(Requirement, PROJECT["optional-dependencies"]["all"])
    assert everything.extras == set(PROJECT["optional-dependencies"]) - {"all", "test"}


def test_results_name_the_packages_that_compute_them():
    lists = PROJECT["optional-dependencies"]
    computing = {"build", "reference", "potentials", "measure"}
    asked = {Requirement(line).name for extra in computing for line in lists[extra]}
    assert asked <= {*PACKAGES, *MORE}


def test_profiles_are_packaged():
    setuptools = tomllib.loads((ROOT / "lib" / "pyproject.toml").read_text())["tool"]["setuptools"]
    pattern, _ = setuptools["package-data"]["crosstrain.data"]
    assert list((LIBRARY / "data").glob(pattern))


# --- the one-way house ------------------------------------------------------------------------

BASE = {"build", "measure", "simulate"}
PLAN = {"plan", "plan_trials", "plan_unseen", "plan_foundation", "plan_published", "plan_reference"}
TOP = PLAN | {
    *("study", "steps", "check", "judge", "compare", "iterate", "matrix", "outlook", "own"),
    *("report", "shipped", "book", "__main__"),
}
MAY_IMPORT = {
    **{room: {room} for room in BASE},
    "paths": set(),
    "data": {"paths", "data"} | BASE,
    "potentials": {"paths", "data", "potentials"} | BASE,
    "run": {"paths", "data", "run"} | BASE,
    **{part: {"paths", "data", "potentials", "run"} | BASE | TOP for part in TOP},
    **{part: {"data", "potentials", "run", "steps"} | BASE | PLAN for part in PLAN},
    "__init__": set(),
}


def part(path: Path) -> str:
    """First name below crosstrain: a room or a module."""
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Parts of crosstrain that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    names = [name.split(".") for name in found]
    return {name[1] for name in names if name[0] == "crosstrain" and len(name) > 1}


@pytest.mark.parametrize("path", sorted(LIBRARY.rglob("*.py")), ids=lambda p: p.stem)
def test_rooms_import_one_way(path):
    assert imported(path) <= MAY_IMPORT[part(path)]


def test_the_reading_of_imports_sees_them():
    assert {"data", "run", "paths", "steps"} <= imported(LIBRARY / "study.py")
    assert "potentials" in imported(LIBRARY / "steps.py")  # inside a function


# --- benchmarks -------------------------------------------------------------------------------


@pytest.mark.parametrize("file", BENCHMARKS, ids=lambda file: file.stem)
def test_benchmarks_fit_the_library(file, apart):
    """They are not run here; a name that is gone from the library would be found too late."""
    code = "import json, runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2])"
    assert apart(code + "; print(json.dumps(1))", file.parent, file) == 1
    assert ast.get_docstring(ast.parse(file.read_text()))


def test_every_benchmark_has_its_table():
    table = (BENCHMARKS[0].parent / "table.md").read_text()
    said = [line.removeprefix("## ") for line in table.splitlines() if line.startswith("## ")]
    assert said == [file.stem.removeprefix("bench_") for file in BENCHMARKS]
    assert "failed with code" not in table
