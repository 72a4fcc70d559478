"""Documents as an Arrow table and as Parquet, by pyarrow, an optional dependency that is imported on use.

    key                            string: 64 hex digits
    cls, mean, max                 large_list<fixed_size_list<float>[dim]>, one list per document; views that are kept
    segments, tokens               the same
    token_ids                      large_list<int32>

Numbers are halffloat or float as stored, bfloat16 as float. If several layers are kept, there is one column per layer,
called cls_layer_-1. The schema's metadata has the content of recipe.json under `recipe`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from data.errors import ExtraMissing
from featurestore.shards.layout import VIEWS, offsets_name
from featurestore.shards.mapped import MAX_MAPS
from featurestore.shards.selection import Selection
from featurestore.vectors.number_types import numpy_dtype, widen

if TYPE_CHECKING:
    import pyarrow


def to_table(selections: Sequence[Selection]) -> "pyarrow.Table":
    """Return the documents of one or more selections as a table; each selection becomes one chunk of every column.

    The arrays of a whole shard are mapped, not copied, unless they hold several layers or bfloat16, or there are too
    many shards to keep open. Raises ExtraMissing without pyarrow, StoreDamaged.
    """
    pa = _import_pyarrow()
    copied = len(selections) > MAX_MAPS // 2
    table = pa.concat_tables([pa.table(dict(_columns(pa, selection, copied=copied))) for selection in selections])
    return table.replace_schema_metadata({"recipe": selections[0].recipe_json})


def write_parquet(
    file: BinaryIO, blocks: Iterable[Selection], extra_columns: Mapping[str, Sequence[Any]]
) -> Iterator[int]:
    """Write one row group per block, and yield the bytes of each block once it is written.

    Args:
        file: Open for writing.
        blocks: At least one.
        extra_columns: Further columns of all documents: strings, lists of strings, or None.

    Raises:
        ExtraMissing: pyarrow is not installed.
        StoreDamaged: A shard cannot be read.
        OSError: The file cannot be written.
    """
    pa = _import_pyarrow()
    from pyarrow.parquet import ParquetWriter

    writer, done = None, 0
    with ExitStack() as closed:
        for block in blocks:
            table, rows = to_table([block]), slice(done, done + len(block))
            for name, values in extra_columns.items():
                kind = pa.list_(pa.string()) if name == "label" else pa.string()
                table = table.append_column(name, pa.array(values[rows], kind))
            if writer is None:  # vectors rarely repeat and do not compress
                options = {"use_dictionary": False, "compression": "none"}
                writer = closed.enter_context(ParquetWriter(file, table.schema, **options))
            writer.write_table(table, row_group_size=max(len(block), 1))
            done += len(block)
            yield block.nbytes


def _columns(pa: Any, selection: Selection, *, copied: bool) -> Iterator[tuple[str, Any]]:
    def read(name: str) -> NDArray[Any]:
        values = selection.values(name)
        return values.copy() if copied else values

    yield "key", pa.array(selection.hex_keys(), pa.string())
    layers = selection.recipe.layers
    for view, name in VIEWS.items():
        if name not in selection.names:
            continue
        values, offsets = read(name), pa.array(read(offsets_name(name)))
        has_layers = len(layers) > 1 and view != "token_ids"
        for position, layer in enumerate(layers) if has_layers else [(0, layers[0])]:
            layer_values = values[:, position] if has_layers else values
            lists = pa.LargeListArray.from_arrays(offsets, _items(pa, layer_values, bfloat16=selection.bfloat16(name)))
            yield f"{view}_layer_{layer}" if has_layers else view, lists


def _items(pa: Any, values: NDArray[Any], *, bfloat16: bool) -> Any:
    values = np.ascontiguousarray(widen(values, numpy_dtype(values.dtype, bfloat16=bfloat16), bfloat16=bfloat16))
    flat = pa.array(values.reshape(-1))
    if values.ndim == 1:
        return flat
    # FixedSizeListArray.from_arrays would divide by the dim, which is 0 for an empty store
    kind = pa.list_(flat.type, values.shape[1])
    return pa.Array.from_buffers(kind, len(values), [None], children=[flat])


def _import_pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise ExtraMissing(
            'Arrow tables are made by pyarrow, which is missing: pip install "embedonce[parquet]".'
        ) from error
    return pyarrow
