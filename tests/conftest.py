"""What all tests share: the command line as a person calls it, and a small real corpus."""

import csv
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import cli
from data.atomic_write import cache_folder
from data.documents import Document
from data.readers import read_corpus

ROOT = Path(__file__).resolve().parent.parent

# a machine may be busy with something else: no test fails for being slow
settings.register_profile("embedonce", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("embedonce"), max_examples=200)


def pytest_configure(config: pytest.Config) -> None:
    """Property tests try more examples in `make test-long`."""
    settings.load_profile("thorough" if config.getoption("markexpr") == "long or not long" else "embedonce")


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code, and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is left in the cache of who runs the tests but the benchmarks' corpora, which are fetched once."""
    corpora = cache_folder() / "benchmarks"
    corpora.mkdir(parents=True, exist_ok=True)
    cache = tmp_path_factory.mktemp("cache")
    (cache / "benchmarks").symlink_to(corpora)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EMBEDONCE_CACHE", str(cache))
        yield


@pytest.fixture
def embedonce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Call `embedonce ARGUMENT...` in an empty folder; in this process, because loading torch takes seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")  # whatever terminal the tests run in

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["embedonce", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        code = left.value.code
        assert isinstance(code, int)
        return Result(code, *capfd.readouterr())

    return run


def started(*arguments: object, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """`python cli.py ARGUMENT...` in another process."""
    command = [sys.executable, str(ROOT / "cli.py"), *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=cwd, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment})


def write_csv(path: Path, documents: Sequence[Document]) -> Path:
    """A CSV file of id, text, label and split."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text", "label", "split"])
        rows = ([document.id, document.text, *(document.labels or ()), document.split] for document in documents)
        table.writerows(rows)
    return path


@pytest.fixture(scope="session")
def reuters_sample() -> list[Document]:
    """The beginnings of 240 documents of Reuters-52: six frequent labels and a rare one of three training documents."""
    documents = read_corpus("reuters52").documents
    counts = Counter(document.labels or () for document in documents if document.split == "train")
    wanted = dict.fromkeys([label for label, _ in counts.most_common(6)], 30)
    wanted[min(label for label, count in counts.items() if count == 3)] = 3
    counts_in_sample: Counter[tuple[tuple[str, ...], str | None]] = Counter()
    sample = []
    for document in documents:
        part = (document.labels or (), document.split)
        room = wanted.get(document.labels or (), 0) // (1 if document.split == "train" else 3)
        if counts_in_sample[part] < room:
            counts_in_sample[part] += 1
            sample.append(replace(document, text=document.text[:150]))
    return sample
