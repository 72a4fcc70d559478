"""The heads of docs/howto/your-own-head.md, installed and fitted as the page says."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from heads.core.head import Head
from heads.testing import MINI_BATCHES, HeadContract
from tests.conftest import ROOT
from tests.heads.planted import QUICK
from tests.small_store import blobs, make_store

PAGE = (ROOT / "docs" / "howto" / "your-own-head.md").read_text(encoding="utf-8")
# the page's heads, in its order
MODULES = ("gaussian_head", "convolution_head")


def code_blocks(language: str) -> list[str]:
    """The code blocks of the page in that language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


SOURCES = dict(zip(MODULES, code_blocks("python"), strict=True))


def import_from_page(name: str) -> ModuleType:
    spec = importlib.util.spec_from_loader(name, loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look up the module of a class
    sys.modules[name] = module
    exec(compile(SOURCES[name], f"{name}.py", "exec"), module.__dict__)
    return module


class TestThePooledHeadOfThePageKeepsTheContract(HeadContract):
    head: ClassVar[Head] = import_from_page("gaussian_head").GaussianHead()


class TestTheNetworkOfThePageKeepsTheContract(HeadContract):
    head: ClassVar[Head] = import_from_page("convolution_head").ConvolutionHead(filters=16, training=QUICK)
    exceptions: ClassVar = MINI_BATCHES


@pytest.mark.parametrize("name", MODULES)
def test_a_head_of_the_page_has_at_most_forty_lines_of_code(name: str) -> None:
    code = re.sub(r'"""(.*?)"""', "", SOURCES[name], flags=re.DOTALL)
    lines = [line for line in code.splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) <= 40


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as `pip install` leaves it: the modules, and a dist-info with their entry points."""
    project = tomllib.loads(*code_blocks("toml"))["project"]
    folder = tmp_path / "site"
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    for name, source in SOURCES.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["embedonce.heads"]
    lines = "".join(f"{name} = {target}\n" for name, target in points.items())
    (info / "entry_points.txt").write_text(f"[embedonce.heads]\n{lines}", encoding="utf-8")
    return folder


# a new process, because heads are registered when it starts; one for all commands, because each would import torch
COMMANDS = """
import sys, cli
for number, line in enumerate(sys.stdin.read().splitlines()):
    if number:
        print(end="\\x1e")
    sys.argv = ["embedonce", *line.split()]
    try:
        cli.main()
    except SystemExit as left:
        assert not left.code
"""


def test_heads_of_an_installed_package_are_listed_fitted_and_compared(tmp_path: Path, site: Path) -> None:
    make_store(tmp_path / "stores" / "made", *blobs(["a", "b", "c"]))
    lines = [
        "heads --json",
        "fit-head gaussian --set floor=0.2 --folds 2",
        "fit-head convolution --set epochs=2 --set filters=8 --folds 2",
        "compare --json",
    ]
    path = os.pathsep.join(filter(None, [str(ROOT), str(site), os.environ.get("PYTHONPATH")]))
    process = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input="\n".join(lines),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    listed, _, _, compared = process.stdout.split("\x1e")
    assert {"gaussian", "convolution"} <= {head["name"] for head in json.loads(listed)}
    assert {row["head"] for row in json.loads(compared)["rows"]} == {"gaussian", "convolution"}
