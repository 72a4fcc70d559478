"""Export of a store's documents, or of one corpus in its order, as one plain file for other programs.

h5, npz     the datasets of a shard under the same names, concatenated; `recipe`, the content of recipe.json; and for a
            corpus corpus/id, split, group, label; label_offsets, which divide the labels into documents; and is_labeled
parquet     the columns of arrow.py, and for a corpus id, split, group, label (null for an unlabeled document)

Numbers are kept as stored, except that bfloat16, for which NumPy and Parquet have no type, becomes float32; in h5 it is
uint16 with the attribute number_type.
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
from featurestore.storage.storage import Progress
from featurestore.store.corpora import CorpusTable
from featurestore.vectors.number_types import numpy_dtype, widen

if TYPE_CHECKING:
    from featurestore.store.store import FeatureStore

__all__ = ["Format", "export_store"]

Format = Literal["npz", "parquet", "h5"]
BLOCK_BYTES = 32 * 2**20
TextDatasets = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True)
class _Array:
    """One array of the file, and an iterator of its blocks. bfloat16: whether its uint16 items are bfloat16 numbers."""

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
    """Write the store's documents, or those of a corpus with ids, splits, groups and labels, into one file.

    The file appears once it is complete. At most some tens of MB of vectors are in memory at a time.

    Args:
        store: The store.
        path: The file to write.
        format: "npz", "parquet" or "h5".
        corpus: The name of a corpus; None exports every document of the store.
        overwrite: Whether an existing file may be replaced.
        progress: Called with the bytes done and the total bytes.

    Returns:
        The number of documents.

    Raises:
        UnknownName: There is no such format or corpus.
        CallError: The file exists and may not be replaced.
        BadData: Documents of the corpus have no features.
        ExtraMissing: pyarrow is not installed.
        StoreDamaged: A shard cannot be read.
        StorageFailed: The file cannot be written.
    """
    if format not in get_args(Format):
        raise UnknownName(f"There is no export to '{format}'.{suggest_name(format, get_args(Format))}")
    table = None if corpus is None else store.corpus(corpus)
    selection = store.select(None if table is None else table.keys)
    _refuse_existing(path, overwrite=overwrite)
    with open_atomically(path, next_step=", or name another file.") as file:
        total, sizes = (
            _write_parquet(file, selection, table)
            if format == "parquet"
            else _write_arrays(file, format, selection, table)
        )
        done = 0
        for size in sizes:
            done += size
            if progress is not None:
                progress(done, total)
        _refuse_existing(path, overwrite=overwrite)
    return len(selection)


def _write_parquet(file: BinaryIO, selection: Selection, table: CorpusTable | None) -> tuple[int, Iterator[int]]:
    """Return the total bytes, and an iterator that writes block by block and yields the bytes of each."""
    from featurestore.shards.arrow import write_parquet

    extra_columns: dict[str, Sequence[Any]] = {}
    if table is not None:
        extra_columns = {"id": _escape(table.ids), "split": _escape(table.splits), "group": _escape(table.groups)}
        extra_columns["label"] = [labels if labels is None else _escape(labels) for labels in table.labels]
    return selection.nbytes, write_parquet(file, selection.blocks(BLOCK_BYTES), extra_columns)


def _write_arrays(
    file: BinaryIO, format: str, selection: Selection, table: CorpusTable | None
) -> tuple[int, Iterator[int]]:
    """Return the total bytes, and an iterator that writes piece by piece and yields the bytes of each."""
    arrays = _arrays([*selection.blocks(BLOCK_BYTES)], as_float32=format == "npz")
    texts: dict[str, str | Sequence[str]] = {"recipe": selection.recipe_json}
    if table is not None:
        texts |= {f"corpus/{name}": [text or "" for text in _escape(column)] for name, column in _text_columns(table)}
        offsets = np.cumsum([0, *(len(labels or ()) for labels in table.labels)], dtype=np.int64)
        arrays["corpus/label_offsets"] = _Array(offsets.dtype, offsets.shape, lambda: iter([offsets]))
        is_labeled = np.array([labels is not None for labels in table.labels], dtype=np.uint8)
        arrays["corpus/is_labeled"] = _Array(is_labeled.dtype, is_labeled.shape, lambda: iter([is_labeled]))
    write = _write_npz if format == "npz" else _write_h5
    return sum(array.nbytes for array in arrays.values()), write(file, arrays, texts)


def _text_columns(table: CorpusTable) -> Iterator[tuple[str, Sequence[str | None]]]:
    yield "id", table.ids
    yield "split", table.splits
    yield "group", table.groups
    yield "label", [label for labels in table.labels for label in labels or ()]


def _escape(texts: Sequence[str | None]) -> list[str | None]:
    """Escape half of a surrogate pair as \\ud800, invalid in UTF-8, and NUL as \\x00, which ends strings elsewhere."""
    return [
        None if text is None else text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()
        for text in texts
    ]


def _arrays(blocks: Sequence[Selection], *, as_float32: bool) -> dict[str, _Array]:
    """Return every dataset by name, concatenated over blocks. as_float32: convert bfloat16."""
    documents, arrays = sum(map(len, blocks)), {}
    for name in blocks[0].names:
        if name in OFFSET_NAMES:
            arrays[name] = _Array(np.dtype("<i8"), (documents + 1,), partial(_concatenate_offsets, blocks, name))
            continue
        kept, item = blocks[0].item_type(name)
        bfloat16 = blocks[0].bfloat16(name)
        dtype = numpy_dtype(kept, bfloat16=bfloat16) if as_float32 else kept
        shape = (sum(int(block.lengths(name).sum()) for block in blocks), *item)
        arrays[name] = _Array(
            dtype, shape, partial(_concatenate_blocks, blocks, name, dtype), bfloat16 and not as_float32
        )
    return arrays


def _concatenate_blocks(blocks: Sequence[Selection], name: str, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    for block in blocks:
        values = block.values(name)
        yield np.ascontiguousarray(widen(values, dtype, bfloat16=values.dtype != dtype))


def _concatenate_offsets(blocks: Sequence[Selection], name: str) -> Iterator[NDArray[np.int64]]:
    end = np.zeros(1, dtype=np.int64)
    yield end
    for block in blocks:
        offsets = end[-1] + block.values(name)
        yield offsets[1:]
        end = offsets


def _write_npz(file: BinaryIO, arrays: Mapping[str, _Array], texts: TextDatasets) -> Iterator[int]:
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in texts.items():
            with _open_member(archive, name) as member:
                np.lib.format.write_array(member, np.asarray(text, dtype=np.str_), allow_pickle=False)
        for name, array in arrays.items():
            with _open_member(archive, name) as member:
                about = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
                np.lib.format.write_array_header_1_0(member, about)
                for block in array.blocks():
                    member.write(block.data)
                    yield block.nbytes


def _open_member(archive: zipfile.ZipFile, name: str) -> Any:
    # a ZipInfo has no modification time, so the same documents give the same file
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _write_h5(file: BinaryIO, arrays: Mapping[str, _Array], texts: TextDatasets) -> Iterator[int]:
    reserved = {
        name: ReservedArray(array.dtype, array.shape, {"number_type": "bfloat16"} if array.bfloat16 else {})
        for name, array in arrays.items()
    }
    offsets = reserve_arrays(file, reserved, texts, ALIGNMENT)
    for name, array in arrays.items():
        file.seek(offsets[name])
        for block in array.blocks():
            file.write(block.data)
            yield block.nbytes


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise CallError(f"{path} already exists. Name another file, or give --overwrite to replace it.")
