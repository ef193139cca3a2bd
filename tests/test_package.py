"""The shape of the package: quick import, arrows one way, no cycles, small files, pinned needs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "rlhf_tutorial"
FILES = sorted(PACKAGE.rglob("*.py"))
MAXIMUM_LINES = 300
# What takes long to import, or is needed by few: inside functions only.
LAZY = {
    "trl",
    "datasets",
    "matplotlib",
    "PIL",
    "accelerate",
    "IPython",
    "jupyterlab",
    "pandas",
    "scipy",
}
HEAVY = {*LAZY, "torch", "transformers", "numpy", "tokenizers", "tqdm", "safetensors"}
# Rooms that may know the village: it builds, asks and judges. All others get callables.
# `bench` measures them all.
MAY_KNOW_VILLAGE = (
    "village",
    "stages",
    "cli",
    "evaluation",
    "checks",
    "course",
    "widgets",
    "bench",
)
# Rooms that algorithms never lead to, by whatever way. Every other room counts as an algorithm.
ABOVE_ALGORITHMS = (
    *MAY_KNOW_VILLAGE,
    "reward_trust",
    "reporting",
    "reported_artefacts",
    "plotting",
    "__main__",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in MODULES.items()}


def room(module: str) -> str:
    """The room of a module: rlhf_tutorial.village.gold is in village, stages_cache in stages."""
    name = (module.split(".") + [""])[1]
    beginning = name.split("_")[0]
    return beginning if beginning in ABOVE_ALGORITHMS else name


def imported_names(tree: ast.AST, of: str) -> set[str]:
    """All modules that a tree imports, inside functions too, with `from x import y` as x.y."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{of}: write `from rlhf_tutorial…`, not a relative import"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and "import_module" in ast.dump(node.func):
            names.update(a.value for a in node.args if isinstance(a, ast.Constant))
    return names


def own_modules(names: set[str]) -> set[str]:
    """The modules of this package behind imported names: x.y is x where y is not a module."""
    found = set()
    for name in names:
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        found.add(name)
    return found - {""}


ARROWS = {name: own_modules(imported_names(tree, name)) for name, tree in TREES.items()}


def reached_from(module: str) -> set[str]:
    reached, waiting = set(), [module]
    while waiting:
        for target in ARROWS[waiting.pop()]:
            if target not in reached:
                reached.add(target)
                waiting.append(target)
    return reached


def top_level_imports(tree: ast.Module) -> set[str]:
    """First parts of what is imported when the module is: not in functions, not for types only."""
    names: set[str] = set()
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting.extend(c for c in ast.iter_child_nodes(node) if isinstance(c, ast.stmt))
            for handler in getattr(node, "handlers", []):
                waiting.extend(handler.body)
    return names


def test_import_of_the_package_imports_nothing_heavy_and_is_quick():
    code = (
        "import sys, time; start = time.perf_counter(); import rlhf_tutorial; "
        "print(time.perf_counter() - start, *sys.modules)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout.split()
        for _ in range(3)
    ]
    assert not HEAVY & set(runs[0][1:])
    # The best of three: another program may take the processor for a moment.
    assert min(float(run[0]) for run in runs) < 0.3


@pytest.mark.parametrize("name", sorted(MODULES))
def test_seldom_needed_packages_are_imported_only_where_used(name):
    found = top_level_imports(TREES[name]) & LAZY
    assert not found, f"{name} imports {found} on top: move it into the function that needs it"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_some_rooms_know_the_village(name):
    targets = {target for target in ARROWS[name] if room(target) == "village"}
    if room(name) not in MAY_KNOW_VILLAGE:
        assert not targets, f"{name} imports {targets}: hand a callable in instead"


@pytest.mark.parametrize("name", sorted(n for n in MODULES if room(n) not in ABOVE_ALGORITHMS))
def test_algorithms_lead_to_nothing_above_them(name):
    above = {target for target in reached_from(name) if room(target) in ABOVE_ALGORITHMS}
    assert not above, f"{name} leads to {above}"


@pytest.mark.parametrize("name", sorted(n for n in MODULES if room(n) == "village"))
def test_the_village_knows_nothing_of_models(name):
    strangers = {target for target in reached_from(name) if room(target) != "village"}
    # A simulated annotator ranks, so it may write the same records as a person.
    assert all(room(target).startswith("preference") for target in strangers), strangers
    assert not top_level_imports(TREES[name]) & {"torch", "transformers"}


def test_no_cycles():
    for name in MODULES:
        assert name not in reached_from(name), f"{name} imports itself by way of others"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_are_small(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAXIMUM_LINES, f"{lines} lines: find the second thing this file does"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_file_says_what_it_does(name):
    assert ast.get_docstring(TREES[name])


def test_there_is_no_room_without_a_name():
    forbidden = {"utils.py", "helpers.py", "misc.py", "common.py"}
    assert not forbidden & {path.name for path in FILES}


def pinned() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    lines = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert all("==" in line for line in lines), "pin every direct dependency with =="
    return dict(line.split("==") for line in lines)


def test_what_the_package_imports_is_pinned():
    outside = {
        name.split(".")[0]
        for module, tree in TREES.items()
        for name in imported_names(tree, module)
    }
    outside -= {*sys.stdlib_module_names, "rlhf_tutorial", "msvcrt"}
    packages = {"pillow" if name == "PIL" else name for name in outside}
    assert packages <= {*pinned(), "IPython"}, "add it to requirements.txt"


def test_one_list_of_requirements_for_pip_and_conda():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {
        "file": ["requirements.txt"]
    }
    assert "-r requirements.txt" in (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert pinned()["torch"] == "2.13.0"  # a looser pin can pull the CUDA packages


def test_console_script_has_the_name_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"rlhf_tutorial": "rlhf_tutorial.cli:main"}
