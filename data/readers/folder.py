"""A folder with a folder a class: train/ and test/ may stand above the classes, and classes below classes are paths."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from data.documents import Corpus, Document, Kind
from data.errors import BadData
from data.readers.files import open_text, report_unreadable, safe_file_name
from data.taxonomy import Taxonomy
from data.train_test_split import is_split_name


class _Found(NamedTuple):
    """A file by its path below the folder, cut into what the folders say."""

    path: PurePath
    split: str | None
    label: str | None


def read_folder(path: Path, source: str) -> Corpus:
    """A document a file, in the order of their names, which are the ids; a file's folders are its label.

    Hidden files are passed over; files beside the class folders are counted in a note. Without class folders, every
    file is a document without a label. Raises BadData for a folder without files and a file that is not UTF-8.
    """
    with report_unreadable(source):
        found = _placed([file.relative_to(path) for file in _files(path)], source)
    labelled = [file for file in found if file.label]
    documents = [_document(path, source, file) for file in labelled or found]
    paths = any("/" in file.label for file in labelled if file.label)
    kind: Kind = "path" if paths else "single"
    taxonomy = Taxonomy.from_separator((file.label for file in labelled if file.label), "/") if paths else None
    left = len(found) - len(documents)
    files = "1 file beside the class folders is" if left == 1 else f"{left:,} files beside the class folders are"
    notes = (f"{files} not read",) if left else ()
    return Corpus(safe_file_name(path.resolve().name), source, documents, kind, taxonomy, notes)


def _files(folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Every file below, by name; links are followed, but not in a circle."""
    above |= {folder.resolve()}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and path.resolve() not in above:
            yield from _files(path, above)


def _placed(files: Sequence[PurePath], source: str) -> list[_Found]:
    if not files:
        raise BadData(f"{source} holds no files. Put each document into the folder of its class.")
    tops = {file.parts[0] for file in files if len(file.parts) > 1}
    split = bool(tops) and all(is_split_name(top) for top in tops)
    found = []
    for file in files:
        above = file.parts[:-1]
        cut = 1 if split and above else 0
        found.append(_Found(file, above[0] if cut else None, "/".join(above[cut:]) or None))
    return found


def _document(folder: Path, source: str, file: _Found) -> Document:
    name = file.path.as_posix()
    if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise BadData(f"{source} holds a file whose name is not UTF-8: {name!r}. Rename it.")
    with open_text(folder / file.path, f"{source}/{name}".replace("//", "/"), newline="") as text:
        return Document(name, text.read(), (file.label,) if file.label else (), file.split)
