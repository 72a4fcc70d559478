"""The structure holds: imports go one way, folders say what is in them, and help is quick."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("data", "featurestore", "heads", "stages", "commandline")  # from the lowest up; cli.py is in the highest one
HEAVY = ("torch", "transformers", "sklearn", "scipy", "lightgbm", "optuna", "pyarrow", "h5py", "rich")
FILES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))] + [ROOT / "cli.py"]
FOLDERS = sorted({path.parent for path in FILES} - {ROOT})
MOST_FILES = 25  # in one folder; commandline/ has one module per command
Import = ast.Import | ast.ImportFrom


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def imports_of(path: Path) -> list[Import]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Import)]


def layer_of(path: Path) -> str:
    top = path.relative_to(ROOT).parts[0]
    return "commandline" if top == "cli.py" else top


def imported_layers(path: Path) -> set[str]:
    names = {alias.name for node in imports_of(path) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in imports_of(path) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names} & set(LAYERS)


def home_of(module: str, name: str) -> Path | None:
    """The folder of the file that `from module import name` reads, through a package's re-exports; None if not ours."""
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path / f"{name}.py", path / name / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate.parent
    if not (path / "__init__.py").is_file():
        return None
    for node in imports_of(path / "__init__.py"):
        if isinstance(node, ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return home_of(node.module or "", name)
    return path


def imported_folders(path: Path) -> Iterator[Path]:
    for node in imports_of(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LAYERS:
            yield from (home for alias in node.names if (home := home_of(node.module or "", alias.name)))


def imported_files(path: Path) -> set[Path]:
    """The files that a file imports, also for types alone, without `__init__.py` files."""
    modules = [node for node in imports_of(path) if isinstance(node, ast.ImportFrom) and node.module]
    names = {f"{node.module}.{alias.name}" for node in modules for alias in node.names}
    names |= {node.module or "" for node in modules}
    return {file for name in names if (file := ROOT.joinpath(*name.split(".")).with_suffix(".py")) in FILES}


def folder_cycles() -> list[str]:
    """Folders that reach themselves by imports; re-exports in an `__init__.py` are not imports of its folder."""
    arrows = {
        folder: {
            home
            for path in folder.glob("*.py")
            if path.name != "__init__.py"
            for home in imported_folders(path)
            if home != folder
        }
        for folder in FOLDERS
    }
    return in_cycles(arrows)


def in_cycles(arrows: Mapping[Path, set[Path]]) -> list[str]:
    """The names of those that reach themselves."""

    def reached(start: Path) -> set[Path]:
        seen: set[Path] = set()
        waiting = [start]
        while waiting:
            new = arrows.get(waiting.pop(), set()) - seen
            seen |= new
            waiting.extend(new)
        return seen

    return sorted(name_of(path) for path in arrows if path in reached(path))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_layer_imports_no_layer_above_it(path: Path) -> None:
    own = LAYERS.index(layer_of(path))
    assert [name for name in imported_layers(path) if LAYERS.index(name) > own] == []


def test_imports_between_folders_form_no_cycle() -> None:
    assert folder_cycles() == []


def test_imports_between_files_form_no_cycle() -> None:
    assert in_cycles({path: imported_files(path) for path in FILES}) == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_import_is_relative(path: Path) -> None:
    assert [node for node in imports_of(path) if isinstance(node, ast.ImportFrom) and node.level] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_says_what_is_in_it(folder: Path) -> None:
    assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if folder.name != "commandline"], ids=name_of)
def test_a_folder_has_few_enough_files_to_read(folder: Path) -> None:
    assert len(list(folder.glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize("folder", LAYERS)
def test_the_names_that_a_layer_exports_exist(folder: str) -> None:
    module = importlib.import_module(folder)
    assert [name for name in getattr(module, "__all__", []) if not hasattr(module, name)] == []


def test_help_loads_no_heavy_library() -> None:
    code = (
        "import cli, sys; cli.embedonce.main(['fit-head', '--help'], standalone_mode=False); "
        f"print(sorted(set({HEAVY}) & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert shown.splitlines()[-1] == "[]"


def test_the_store_reads_without_torch() -> None:
    code = "import featurestore, data, sys; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert shown.split() == ["False", "False"]


def test_the_page_of_commands_is_what_the_program_says() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "commandline.reference", "commands"], cwd=ROOT, check=True, capture_output=True
    )
    assert (ROOT / "docs" / "reference" / "commands.md").read_bytes() == shown.stdout, "run `make docs`"


def test_every_command_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [
        name for name in cli.embedonce.commands if f"embedonce {name}" not in readme and f"`{name}`" not in readme
    ] == []
