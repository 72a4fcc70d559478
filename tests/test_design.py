"""The house holds: imports go one way, folders say what lives in them, and help is quick."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).resolve().parent.parent
FLOORS = ("data", "featurestore", "heads", "stages", "commandline")  # from the ground up; cli.py is on the top one
HEAVY = ("torch", "transformers", "sklearn", "scipy", "lightgbm", "optuna", "pyarrow", "h5py", "rich")
FILES = [path for floor in FLOORS for path in sorted((ROOT / floor).rglob("*.py"))] + [ROOT / "cli.py"]


def imported(path: Path) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]


def floor_of(path: Path) -> str:
    top = path.relative_to(ROOT).parts[0]
    return "commandline" if top == "cli.py" else top


def floors_imported(path: Path) -> set[str]:
    names = {alias.name for node in imported(path) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in imported(path) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names} & set(FLOORS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_floor_knows_no_floor_above_it(path: Path) -> None:
    own = FLOORS.index(floor_of(path))
    assert [name for name in floors_imported(path) if FLOORS.index(name) > own] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_is_relative(path: Path) -> None:
    assert [node for node in imported(path) if isinstance(node, ast.ImportFrom) and node.level] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("folder", FLOORS)
def test_what_a_folder_hands_on_exists(folder: str) -> None:
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
        [sys.executable, "-m", "commandline.reference"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert (ROOT / "docs" / "commands.md").read_text() == shown.stdout, "run `make docs`"


def test_every_command_stands_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in cli.embedonce.commands if f"embedonce {name}" not in readme] == []
