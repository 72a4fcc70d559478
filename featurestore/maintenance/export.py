"""All documents of a store, or those of one corpus in its order, as one plain file for other programs.

h5, npz     the datasets of a shard under the same names, offsets joined; `recipe`, what recipe.json holds; and of a
            corpus corpus/id, split, group, label and label_offsets, which cut the labels into documents
parquet     the columns of arrow.py, and of a corpus id, split, group, label

Numbers are kept as they are, but bfloat16, for which NumPy and Parquet have no type, is float32 there; in h5 it is
uint16 and has the attribute number_type.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data.atomic_write import open_atomically
from data.errors import CallError, UnknownName, suggest_name
from featurestore.shards.hdf5_streaming import ReservedArray, reserve_arrays
from featurestore.shards.layout import ALIGNMENT
from featurestore.shards.selection import OFFSET_NAMES, Selection
from featurestore.store.corpora import CorpusTable
from featurestore.store.inspection import Progress
from featurestore.vectors.number_types import numpy_dtype, widen

if TYPE_CHECKING:
    from featurestore.store.store import FeatureStore

__all__ = ["Format", "export_store"]

Format = Literal["npz", "parquet", "h5"]
BLOCK_BYTES = 32 * 2**20
Texts = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class _Array:
    """One array of the file, and what gives its content a block at a time. bfloat16: uint16 stands for it."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    blocks: Callable[[], Iterator[NDArray[Any]]]
    bfloat16: bool = False

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=object))


def export_store(
    store: "FeatureStore",
    path: Path,
    format: str,
    *,
    corpus: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Write the store's documents, or a corpus's with ids, splits, groups and labels; returns how many they are.

    The file appears once it is whole. Memory holds some tens of MB of vectors at a time, whatever the store's size.
    progress: told bytes done and bytes in all.

    Raises UnknownName for a format or corpus, CallError for a file that is there and may not be replaced, BadData when
    documents of the corpus have no features, ExtraMissing without pyarrow, StoreDamaged, StorageFailed.
    """
    if format not in get_args(Format):
        raise UnknownName(f"There is no export to '{format}'.{suggest_name(format, get_args(Format))}")
    table = None if corpus is None else store.corpus(corpus)
    chosen = store.select(None if table is None else table.keys)
    _refuse(path, overwrite=overwrite)
    with open_atomically(path, next_step="Make room, or name another file.") as file:
        total, steps = _parquet(file, chosen, table) if format == "parquet" else _plain(file, format, chosen, table)
        done = 0
        for step in steps:
            done += step
            if progress is not None:
                progress(done, total)
        _refuse(path, overwrite=overwrite)
    return len(chosen)


def _parquet(file: BinaryIO, chosen: Selection, table: CorpusTable | None) -> tuple[int, Iterator[int]]:
    """Bytes of all documents, and those of each block as it is written."""
    from featurestore.shards.arrow import write_parquet

    beside: dict[str, Sequence[Any]] = {}
    if table is not None:
        beside = {"id": _shown(table.ids), "split": _shown(table.splits), "group": _shown(table.groups)}
        beside["label"] = [_shown(labels) for labels in table.labels]
    return chosen.nbytes, write_parquet(file, chosen.blocks(BLOCK_BYTES), beside)


def _plain(file: BinaryIO, format: str, chosen: Selection, table: CorpusTable | None) -> tuple[int, Iterator[int]]:
    """Bytes of all arrays, and those of each piece as it is written."""
    arrays = _arrays([*chosen.blocks(BLOCK_BYTES)], widen=format == "npz")
    texts: dict[str, str | Sequence[str]] = {"recipe": chosen.recipe_json}
    if table is not None:
        texts |= {f"corpus/{name}": [text or "" for text in _shown(column)] for name, column in _columns(table)}
        offsets = np.cumsum([0, *map(len, table.labels)], dtype=np.int64)
        arrays["corpus/label_offsets"] = _Array(offsets.dtype, offsets.shape, lambda: iter([offsets]))
    write = _write_npz if format == "npz" else _write_h5
    return sum(array.nbytes for array in arrays.values()), write(file, arrays, texts)


def _columns(table: CorpusTable) -> Iterator[tuple[str, Sequence[str | None]]]:
    yield "id", table.ids
    yield "split", table.splits
    yield "group", table.groups
    yield "label", [label for labels in table.labels for label in labels]


def _shown(texts: Sequence[str | None]) -> list[str | None]:
    """Half a surrogate pair as \\ud800, which UTF-8 cannot hold, and NUL, which ends a string elsewhere, as \\x00."""
    return [
        None if text is None else text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
        for text in texts
    ]


def _arrays(blocks: Sequence[Selection], *, widen: bool) -> dict[str, _Array]:
    """Every dataset by its name, joined over `blocks`. widen: bfloat16 to float32."""
    documents, arrays = sum(map(len, blocks)), {}
    for name in blocks[0].names:
        if name in OFFSET_NAMES:
            arrays[name] = _Array(np.dtype("<i8"), (documents + 1,), partial(_joined_offsets, blocks, name))
            continue
        kept, item = blocks[0].item_type(name)
        bfloat16 = blocks[0].bfloat16(name)
        dtype = numpy_dtype(kept, bfloat16=bfloat16) if widen else kept
        shape = (sum(int(block.lengths(name).sum()) for block in blocks), *item)
        arrays[name] = _Array(dtype, shape, partial(_joined, blocks, name, dtype), bfloat16 and not widen)
    return arrays


def _joined(blocks: Sequence[Selection], name: str, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    for block in blocks:
        values = block.values(name)
        yield np.ascontiguousarray(widen(values, dtype, bfloat16=values.dtype != dtype))


def _joined_offsets(blocks: Sequence[Selection], name: str) -> Iterator[NDArray[np.int64]]:
    end = np.zeros(1, dtype=np.int64)
    yield end
    for block in blocks:
        offsets = end[-1] + block.values(name)
        yield offsets[1:]
        end = offsets


def _write_npz(file: BinaryIO, arrays: Mapping[str, _Array], texts: Texts) -> Iterator[int]:
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in texts.items():
            with _member(archive, name) as member:
                np.lib.format.write_array(member, np.asarray(text, dtype=np.str_), allow_pickle=False)
        for name, array in arrays.items():
            with _member(archive, name) as member:
                about = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
                np.lib.format.write_array_header_1_0(member, about)
                for block in array.blocks():
                    member.write(block.data)
                    yield block.nbytes


def _member(archive: zipfile.ZipFile, name: str) -> Any:
    # a ZipInfo has no time of its own, so the same documents give the same file
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _write_h5(file: BinaryIO, arrays: Mapping[str, _Array], texts: Texts) -> Iterator[int]:
    wanted = {
        name: ReservedArray(array.dtype, array.shape, {"number_type": "bfloat16"} if array.bfloat16 else {})
        for name, array in arrays.items()
    }
    offsets = reserve_arrays(file, wanted, texts, ALIGNMENT)
    for name, array in arrays.items():
        file.seek(offsets[name])
        for block in array.blocks():
            file.write(block.data)
            yield block.nbytes


def _refuse(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise CallError(f"{path} is there already. Name another file, or give --overwrite to replace it.")
