"""A folder with one folder per class; train/ and test/ may be above the classes, and nested classes are paths."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from data.documents import Corpus, Document, Kind
from data.errors import BadData
from data.readers.files import open_text, report_unreadable, safe_file_name
from data.taxonomy import Taxonomy
from data.train_test_split import is_split_name


class _ClassFile(NamedTuple):
    """A file by its path below the folder, with the split and the label that its folders name."""

    path: PurePath
    split: str | None
    label: str | None


def read_folder(path: Path, source: str) -> Corpus:
    """Read one document per file, in the order of their paths, which are the ids; a file's folders are its label.

    Hidden files are skipped; files outside the class folders are counted in a note. Without class folders, every file
    is a document without a label. Raises BadData for a folder without files and for a file that is not UTF-8.
    """
    with report_unreadable(source):
        files = _class_files([file.relative_to(path) for file in _list_files(path)], source)
    labeled = [file for file in files if file.label]
    documents = [_read_document(path, source, file) for file in labeled or files]
    has_paths = any("/" in file.label for file in labeled if file.label)
    kind: Kind = "path" if has_paths else "single"
    taxonomy = Taxonomy.from_separator((file.label for file in labeled if file.label), "/") if has_paths else None
    skipped = len(files) - len(documents)
    subject = (
        "1 file outside the class folders is" if skipped == 1 else f"{skipped:,} files outside the class folders are"
    )
    notes = (f"{subject} not read",) if skipped else ()
    return Corpus(safe_file_name(path.resolve().name), source, documents, kind, taxonomy, notes)


def _list_files(folder: Path, parents: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield every file below a folder, by name; links are followed, except back into a parent."""
    parents |= {folder.resolve()}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and path.resolve() not in parents:
            yield from _list_files(path, parents)


def _class_files(paths: Sequence[PurePath], source: str) -> list[_ClassFile]:
    if not paths:
        raise BadData(f"{source} holds no files. Put each document into the folder of its class.")
    top_folders = {path.parts[0] for path in paths if len(path.parts) > 1}
    has_splits = bool(top_folders) and all(is_split_name(name) for name in top_folders)
    files = []
    for path in paths:
        folders = path.parts[:-1]
        split = folders[0] if has_splits and folders else None
        files.append(_ClassFile(path, split, "/".join(folders[1:] if split else folders) or None))
    return files


def _read_document(folder: Path, source: str, file: _ClassFile) -> Document:
    name = file.path.as_posix()
    if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise BadData(f"{source} holds a file whose name is not UTF-8: {name!r}. Rename it.")
    with open_text(folder / file.path, f"{source}/{name}".replace("//", "/"), newline="") as text:
        return Document(name, text.read(), (file.label,) if file.label else None, file.split)
