"""A folder of tables that are named for splits: one corpus, one or more files per split."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import NamedTuple

from data.errors import BadData
from data.readers.joined_tables import JoinedTable, join_tables
from data.splits import Split
from data.splitting.train_test_split import parse_split_name
from data.table import Table
from data.text_format import join_names, join_words, plural

_SHARD = re.compile(
    r"[-_.]?\d+[-_]of[-_]\d+([-_][0-9a-f]{8,})?$"
)  # train-00000-of-00003, as the `datasets` library writes
_NEUTRAL_FOLDERS = frozenset({"data", "default"})  # of repositories on the Hugging Face hub
_WEAK_ENDINGS = frozenset({".json", ".txt", ".zip"})  # of many other files too: only a split's name makes it a table


class SplitFile(NamedTuple):
    """A table of one split. corpus: what its name says besides the split and the number of a shard."""

    path: PurePath
    split: Split | None
    corpus: str
    is_shard: bool
    named_by_folder: bool


def find_split_files(files: Sequence[PurePath], source: str, endings: Collection[str]) -> list[SplitFile]:
    """Find the tables of a folder that are named for splits; none if the folder holds texts.

    The name of a file names its split as one of its words (train.csv, tickets_dev.csv, test-00000-of-00003.parquet), or
    else the folder that it is in does. The splits come in the order train, validation, test.

    Args:
        files: The paths of all files below the folder.
        source: The folder, for messages.
        endings: The endings of tables, ".csv" and so on.

    Raises:
        BadData: The folder holds tables, but not those of one corpus in one format.
    """
    tables = [file for path in files if (file := _parse_name(path, endings))]
    folders = {file.path.parent for file in tables}
    known = {file.path for file in tables}
    has_texts = any(path not in known and len(path.parts) > 1 and path.parent not in folders for path in files)
    if has_texts and any(file.split is None or file.named_by_folder for file in tables):
        return []
    if tables:
        _check_one_corpus(tables, source, endings)
    order = list(Split)
    return sorted(tables, key=lambda file: (order.index(file.split or Split.TRAIN), file.path))


def _parse_name(path: PurePath, endings: Collection[str]) -> SplitFile | None:
    """What the path of a table says, None for another file."""
    ending = table_ending(path, endings)
    if ending is None:
        return None
    stem = path.name[: -len(ending)]
    name = _SHARD.sub("", stem)
    words = re.split(r"[-_.\s]+", name)
    splits = {split for word in words if (split := parse_split_name(word))}
    folders = [folder for folder in path.parts[:-1] if folder not in _NEUTRAL_FOLDERS]
    rest = "_".join((*folders, *(word for word in words if not parse_split_name(word))))
    if len(splits) == 1:
        return SplitFile(path, splits.pop(), rest, name != stem, named_by_folder=False)
    by_folder = {split for folder in folders if (split := parse_split_name(folder))}
    if not splits and len(by_folder) == 1:
        rest = "_".join(folder for folder in folders if not parse_split_name(folder))
        return SplitFile(path, by_folder.pop(), rest, is_shard=True, named_by_folder=True)
    if ending in _WEAK_ENDINGS:
        return None
    return SplitFile(path, None, rest, is_shard=False, named_by_folder=False)


def table_ending(path: PurePath, endings: Collection[str]) -> str | None:
    """The ending of a table's name, as it is written (".csv", ".CSV.gz"); None for another file."""
    for ending in ("".join(path.suffixes[-2:]), path.suffix):
        if ending and ending.lower() in endings:
            return ending
    return None


def _check_one_corpus(tables: Sequence[SplitFile], source: str, endings: Collection[str]) -> None:
    if others := [str(file.path) for file in tables if file.split is None]:
        verb = "is" if len(others) == 1 else "are"
        raise BadData(
            f"{source} is a folder of tables, and {join_names(others)} {verb} not named for a split (train, validation "
            f"or test). {_NAME_FILES}"
        )
    _check_alike({file.corpus: file for file in tables}, source, "the files of several corpora")
    _check_alike({str(table_ending(file.path, endings)).lower(): file for file in tables}, source, "several formats")
    for split in Split:
        files = [file for file in tables if file.split == split]
        if not all(file.is_shard for file in files):
            _check_alike({str(file.path): file for file in files}, source, f"several files of the {split} split")


def _check_alike(examples: Mapping[str, SplitFile], source: str, problem: str) -> None:
    """Raise BadData if there is more than one example."""
    if len(examples) > 1:
        names = join_names([str(file.path) for file in examples.values()])
        raise BadData(f"{source} holds {problem}: {names}. {_NAME_FILES}")


_NAME_FILES = (
    "Name the files instead, as in `embedonce embed train.csv --test-file test.csv`, or `embedonce embed '*.csv'` if "
    "they are one corpus without splits."
)


def read_split_files(source: str, files: Sequence[SplitFile], count: int, read: Callable[[str], Table]) -> JoinedTable:
    """Read the tables that `find_split_files` found in a folder, and join them; a note says what was read.

    Args:
        source: The folder.
        files: The tables.
        count: The number of all files in the folder.
        read: Reads one table.
    """
    folder = source.rstrip("/\\") or source
    tables = (read(f"{folder}/{file.path.as_posix()}") for file in files)
    table = join_tables(source, [file.split or Split.TRAIN for file in files], tables)
    others = count - len(files)
    rest = f"; {plural(others, 'other file')} {'is' if others == 1 else 'are'} not read" if others else ""
    note = f"one corpus is read from {_describe_splits(files)}, with the splits that the files are named for{rest}"
    return replace(table, notes=(note, *table.notes))


def _describe_splits(files: Sequence[SplitFile]) -> str:
    names = {split: [file.path.as_posix() for file in files if file.split == split] for split in Split}
    return join_words([each[0] if len(each) == 1 else f"{each[0]} to {each[-1]}" for each in names.values() if each])
