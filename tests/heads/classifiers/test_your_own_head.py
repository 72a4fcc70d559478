"""docs/your-own-head.md: its code, installed as a package of its own, is a head like ours."""

import importlib.util
import json
import os
import re
import tomllib
from pathlib import Path

import pytest

from heads.core.head import Head
from heads.testing import HeadContract
from tests.conftest import started
from tests.small_store import blobs, make_store

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "your-own-head.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The page's one code block of that language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(found)


def from_the_page() -> Head:
    spec = importlib.util.spec_from_loader("gaussian_head", loader=None)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    exec(compile(block("python"), "gaussian_head.py", "exec"), module.__dict__)
    head: Head = module.GaussianHead()
    return head


class TestTheHeadOfThePageKeepsTheContract(HeadContract):
    head = from_the_page()


def test_it_is_forty_lines() -> None:
    body = block("python").partition("class ")[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 40


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as `pip install` leaves it: the module, and a dist-info with its entry point."""
    project = tomllib.loads(block("toml"))["project"]
    folder = tmp_path / "site"
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (folder / "gaussian_head.py").write_text(block("python"), encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["embedonce.heads"]
    lines = "".join(f"{name} = {place}\n" for name, place in points.items())
    (info / "entry_points.txt").write_text(f"[embedonce.heads]\n{lines}", encoding="utf-8")
    return folder


def test_installed_in_a_package_of_its_own_it_is_listed_fitted_and_compared(tmp_path: Path, site: Path) -> None:
    make_store(tmp_path / "features" / "made", *blobs(["a", "b", "c"]))

    def shown(*arguments: str) -> str:
        path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))
        process = started(*arguments, cwd=tmp_path, PYTHONPATH=path)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return out

    assert "gaussian" in {each["name"] for each in json.loads(shown("heads", "--json"))}
    shown("fit-head", "gaussian", "--set", "floor=0.2", "--folds", "2")
    shown("fit-head", "prototype", "--folds", "2")
    rows = json.loads(shown("compare", "--json"))["rows"]
    assert {row["head"] for row in rows} == {"gaussian", "prototype"}
