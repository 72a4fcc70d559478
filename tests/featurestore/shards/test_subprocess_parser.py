"""A shard of unknown origin is parsed in another process: what happens to that one is told, and this one goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from featurestore import FeatureStore, Recipe
from featurestore.shards import subprocess_parser
from featurestore.shards.subprocess_parser import ShardParser
from tests.featurestore.made import ALL_KEPT, RECIPE, content


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    store = FeatureStore.create(tmp_path / "store", RECIPE)
    names = [store.commit(content([text], seed=seed)) for seed, text in enumerate(["one", "two", "three"])]
    return [store.folder / "shards" / name for name in sorted(names)]


def find_faults(paths: list[Path], recipe: Recipe, seconds: float = subprocess_parser.SECONDS) -> list[str | None]:
    with ShardParser(recipe, seconds) as parser:
        return [parser.find_fault(path) for path in paths]


def child_that(body: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have the child answer as usual but run `body` when it is asked for a path that ends in what `bad` says."""
    package = tmp_path / "stand-in" / "featurestore" / "shards"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").write_text("")
    (package / "subprocess_parser.py").write_text(
        "import json, os, signal, sys, time\nsys.stdin.readline()\n"
        "for line in sys.stdin:\n"
        "    if json.loads(line).endswith(os.environ['BAD']):\n"
        f"        {body}\n"
        "    print('null', flush=True)\n"
    )
    monkeypatch.setattr(subprocess_parser, "ROOT", tmp_path / "stand-in")


def test_good_shards_have_no_fault(paths: list[Path]) -> None:
    assert find_faults(paths, RECIPE) == [None, None, None]


def test_no_shards_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess_parser, "_Child", None)
    assert find_faults([], RECIPE) == []


def test_a_shard_of_another_recipe_is_reported_by_the_child(paths: list[Path]) -> None:
    fault, *_ = find_faults(paths, ALL_KEPT)
    assert fault is not None and "has features of another recipe than its store" in fault


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", f"HDF5 ended with code {-signal.SIGSEGV} on it"),
        ("os._exit(3)", "HDF5 ended with code 3 on it"),
        ("time.sleep(60)", "it took more than 2 seconds"),
    ],
    ids=["crash", "exit", "hang"],
)
def test_a_shard_that_ends_the_child_is_named_and_the_next_is_parsed(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str, sentence: str
) -> None:
    child_that(body, monkeypatch, tmp_path)
    monkeypatch.setenv("BAD", paths[1].name)
    first, second, third = find_faults(paths, RECIPE, seconds=2)
    assert (first, third) == (None, None)
    assert second is not None and sentence in second and paths[1].name in second


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this system has no such limit")
def test_the_child_may_not_take_more_memory_than_the_file_explains() -> None:
    module = "featurestore.shards.subprocess_parser"
    code = f"import {module} as p; p._limit_address_space(p._address_space() + 64 * 2**20); bytearray(2**30)"
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=subprocess_parser.ROOT, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1 and ended.stderr.endswith("MemoryError\n")


def test_only_shards_that_were_never_read_here_are_parsed_in_a_subprocess(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(ShardParser, "find_fault", lambda _, path: asked.append(path))
    folder = paths[0].parent.parent
    for _ in range(2):
        assert FeatureStore.open(folder).verify() == []
    assert asked == paths
