"""Documents as an Arrow table, and as Parquet; by pyarrow, which is an extra and is imported where it is used.

    key                            string: 64 hex digits
    cls, mean, max                 large_list<fixed_size_list<float>[dim]>, a list a document; those that are kept
    segments, tokens               the same
    token_ids                      large_list<int32>

Numbers are halffloat or float as they are kept, bfloat16 as float. Where several layers are kept, a column holds one
and is called cls_layer_-1. The schema's metadata has what recipe.json holds under `recipe`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from data.errors import ExtraMissing
from featurestore.shards.layout import VIEWS, offsets_name
from featurestore.shards.mapped import MOST_MAPS
from featurestore.shards.selection import Selection
from featurestore.vectors.number_types import numpy_dtype, widen

if TYPE_CHECKING:
    import pyarrow


def to_table(pieces: Sequence[Selection]) -> "pyarrow.Table":
    """The documents of all pieces, one piece at least, each a chunk of every column.

    A whole shard's arrays are not copied but mapped, unless they hold several layers or bfloat16, or there are so many
    shards that too many files would stay open. Raises ExtraMissing without pyarrow, StoreDamaged.
    """
    pa = _pyarrow()
    copied = len(pieces) > MOST_MAPS // 2
    table = pa.concat_tables([pa.table(dict(_columns(pa, piece, copied=copied))) for piece in pieces])
    return table.replace_schema_metadata({"recipe": pieces[0].recipe_json})


def write_parquet(file: BinaryIO, blocks: Iterable[Selection], beside: Mapping[str, Sequence[Any]]) -> Iterator[int]:
    """Write a row group a block, at least one block; gives the bytes of each once it is written.

    beside: other columns, strings or lists of them, or None; of all documents. Raises as `to_table` does, and OSError.
    """
    pa = _pyarrow()
    from pyarrow.parquet import ParquetWriter

    writer, done = None, 0
    with ExitStack() as closed:
        for block in blocks:
            table, rows = to_table([block]), slice(done, done + len(block))
            for name, values in beside.items():
                kind = pa.list_(pa.string()) if name == "label" else pa.string()
                table = table.append_column(name, pa.array(values[rows], kind))
            if writer is None:  # vectors hardly repeat, and do not get smaller
                options = {"use_dictionary": False, "compression": "none"}
                writer = closed.enter_context(ParquetWriter(file, table.schema, **options))
            writer.write_table(table, row_group_size=max(len(block), 1))
            done += len(block)
            yield block.nbytes


def _columns(pa: Any, piece: Selection, *, copied: bool) -> Iterator[tuple[str, Any]]:
    def read(name: str) -> NDArray[Any]:
        values = piece.values(name)
        return values.copy() if copied else values

    yield "key", pa.array(piece.hex_keys(), pa.string())
    layers = piece.recipe.layers
    for view, name in VIEWS.items():
        if name not in piece.names:
            continue
        values, offsets = read(name), pa.array(read(offsets_name(name)))
        multilabel = len(layers) > 1 and view != "token_ids"
        for place, layer in enumerate(layers) if multilabel else [(0, layers[0])]:
            chosen = values[:, place] if multilabel else values
            lists = pa.LargeListArray.from_arrays(offsets, _items(pa, chosen, bfloat16=piece.bfloat16(name)))
            yield f"{view}_layer_{layer}" if multilabel else view, lists


def _items(pa: Any, values: NDArray[Any], *, bfloat16: bool) -> Any:
    values = np.ascontiguousarray(widen(values, numpy_dtype(values.dtype, bfloat16=bfloat16), bfloat16=bfloat16))
    flat = pa.array(values.reshape(-1))
    if values.ndim == 1:
        return flat
    # not by FixedSizeListArray.from_arrays, which divides by a dim that an empty store does not know
    kind = pa.list_(flat.type, values.shape[1])
    return pa.Array.from_buffers(kind, len(values), [None], children=[flat])


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ExtraMissing(
            'Arrow tables are made by pyarrow, which is missing: pip install "embedonce[parquet]".'
        ) from error
    return pyarrow
