"""A folder with one folder per class; train/ and test/ may be above the classes, and nested classes are paths."""

from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from data.documents import Corpus, Document, Kind
from data.errors import BadData
from data.label_notes import label_notes
from data.readers.files import InputFile, open_text, report_unreadable, safe_file_name
from data.splitting.train_test_split import parse_split_name
from data.taxonomy import Taxonomy
from data.text_format import is_blank, join_names, plural

_READ_BYTES = 8192  # of each file, to tell whether it is text
_SYSTEM_FILES = frozenset({"Thumbs.db", "desktop.ini"})
_SIGNATURES = (
    b"%PDF-", b"\x89PNG", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM\x00", b"II*\x00", b"MM\x00*", b"RIFF",  # images
    b"PK\x03\x04", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf", b"Rar!", b"\x28\xb5\x2f\xfd",  # archives
    b"\xd0\xcf\x11\xe0", b"\x7fELF", b"SQLite format 3", b"ID3", b"OggS", b"fLaC", b"PAR1", b"\x89HDF",
)  # fmt: skip
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")  # of UTF-16 and UTF-32
_UNLABELED_FOLDERS = ("unsup", "unsupervised", "unlabeled", "unlabelled")


class _ClassFile(NamedTuple):
    """A file by its path below the folder, with the split and the label that its folders name."""

    path: PurePath
    split: str | None
    label: str | None


def read_folder(path: Path, source: str, paths: Sequence[PurePath], encoding: str | None = None) -> Corpus:
    """Read one document per file, in the order of their paths, which are the ids; a file's folders are its label.

    Files outside the class folders and files that are not text are counted in notes. Without class folders, every file
    is a document without a label.

    Args:
        path: The folder.
        source: The folder as the user wrote it, for messages.
        paths: The files below it.
        encoding: Their encoding, as `open_text` takes it.

    Raises:
        BadData: There are no files of text, or one is in another encoding.
    """
    files = _class_files(paths, source)
    labeled = [file for file in files if file.label]
    texts, others = _divide_by_content(path, labeled or files, source)
    if not texts:
        raise BadData(f"{source} holds no text files, only {join_names([str(file.path) for file in others])}.")
    documents = [_read_document(path, source, file, encoding) for file in texts]
    has_paths = any("/" in file.label for file in labeled if file.label)
    kind: Kind = "path" if has_paths else "single"
    taxonomy = Taxonomy.from_separator((file.label for file in labeled if file.label), "/") if has_paths else None
    notes = (
        *_skipped_notes(len(files) - len(texts) - len(others), others),
        *_blank_notes(documents),
        *_unsup_notes(texts),
        *label_notes({file.label for file in texts if file.label}),
    )
    return Corpus(safe_file_name(path.resolve().name), source, documents, kind, taxonomy, notes)


def list_files(folder: Path, parents: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Yield every file below a folder that is not hidden, by name; links are followed, except back into a parent.

    A link to a file that is gone is yielded as well, so that reading it fails: it may be a document.
    """
    parents |= {folder.resolve()}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_file() or (path.is_symlink() and not path.exists()):
            yield path
        elif path.is_dir() and path.resolve() not in parents:
            yield from list_files(path, parents)


def _divide_by_content(
    folder: Path, files: Sequence[_ClassFile], source: str
) -> tuple[list[_ClassFile], list[_ClassFile]]:
    """The files that hold text, and the others."""
    texts: list[_ClassFile] = []
    others: list[_ClassFile] = []
    for file in files:
        with report_unreadable(_name_in(source, file)), (folder / file.path).open("rb") as content:
            is_text = file.path.name not in _SYSTEM_FILES and not _is_binary(content.read(_READ_BYTES))
        (texts if is_text else others).append(file)
    return texts, others


def _is_binary(start: bytes) -> bool:
    """Whether a file with this start is no text: by its signature, or a NUL byte in what is no Unicode text."""
    if start.startswith(_SIGNATURES):
        return True
    return b"\0" in start and not start.startswith(_BYTE_ORDER_MARKS) and not _is_utf8(start)


def _is_utf8(start: bytes) -> bool:
    try:
        getincrementaldecoder("utf-8")().decode(start)  # the last character may be cut off
    except UnicodeDecodeError:
        return False
    return True


def _skipped_notes(outside: int, others: Sequence[_ClassFile]) -> Iterator[str]:
    if outside:
        yield f"{plural(outside, 'file')} outside the class folders {'is' if outside == 1 else 'are'} not read"
    if others:
        verb, names = "is" if len(others) == 1 else "are", join_names([str(file.path) for file in others], 3)
        yield f"{plural(len(others), 'file')} that {verb} not text {verb} not read ({names})"


def _blank_notes(documents: Sequence[Document]) -> Iterator[str]:
    if count := sum(is_blank(document.text) for document in documents):
        yield f"{count:,} of {len(documents):,} documents have no text"


def _unsup_notes(files: Sequence[_ClassFile]) -> Iterator[str]:
    """A warning about aclImdb, whose folder train/unsup holds documents without a label."""
    counts = Counter(file.label for file in files if file.label in _UNLABELED_FOLDERS)
    for label, count in counts.items():
        yield (
            f"'{label}' ({plural(count, 'document')}) is read as a class like the others; if it holds documents "
            "without a label, as in aclImdb, move it out of the folder"
        )


def _class_files(paths: Sequence[PurePath], source: str) -> list[_ClassFile]:
    if not paths:
        raise BadData(f"{source} holds no files. Put each document into the folder of its class.")
    top_folders = {path.parts[0] for path in paths if len(path.parts) > 1}
    has_splits = bool(top_folders) and all(parse_split_name(name) for name in top_folders)
    files = []
    for path in paths:
        folders = path.parts[:-1]
        split = folders[0] if has_splits and folders else None
        files.append(_ClassFile(path, split, "/".join(folders[1:] if split else folders) or None))
    return files


def _name_in(source: str, file: _ClassFile) -> str:
    """A file as the user would write it, for messages."""
    return f"{source}/{file.path.as_posix()}".replace("//", "/")


def _read_document(folder: Path, source: str, file: _ClassFile, encoding: str | None) -> Document:
    name = file.path.as_posix()
    if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise BadData(f"{source} holds a file whose name is not UTF-8: {name!r}. Rename it.")
    content = InputFile.plain(folder / file.path, _name_in(source, file))
    with open_text(content, "", encoding) as text:
        return Document(name, text.read(), (file.label,) if file.label else None, file.split)
