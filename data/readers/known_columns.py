"""Columns of a further file, read as those of a corpus were: new text, corrected labels, sample weights."""

from dataclasses import replace

from data.readers.column_roles import label_columns
from data.readers.tabular_columns import parse_tabular
from data.readers.text_template import TextTemplate
from data.source_spec import SourceSpec
from data.table import Table
from data.text_format import join_names


def follow_known(
    requested: SourceSpec, table: Table, known: SourceSpec, *, with_texts: bool = True
) -> tuple[SourceSpec, list[str]]:
    """Take the columns of `known` for the roles that `requested` leaves open, as far as the table has them.

    Args:
        requested: The roles as the user named them.
        table: The table.
        known: How the corpus was read.
        with_texts: Whether texts are read.

    Returns:
        The roles; and a sentence for the text or the ids if the table lacks their columns. Tabular columns that it
        lacks are left out.
    """
    absent: list[str] = []
    spec = requested
    if with_texts and spec.text is None and spec.template is None:
        columns = TextTemplate.of(known).columns
        if missing := [name for name in columns if not table.has_column(name)]:
            names = join_names(missing, most=len(missing))
            absent.append(f"{table.source} has no column {names}, from which the texts of the corpus were read.")
        else:
            spec = replace(spec, text=known.text, template=known.template)
    if with_texts and spec.tabular is None:
        kept = tuple(
            label for label in known.tabular or () if all(map(table.has_column, parse_tabular([label], table)))
        )
        spec = replace(spec, tabular=kept or None)
    if spec.label is None and spec.levels is None and all(map(table.has_column, known.levels or ())):
        spec = replace(spec, levels=known.levels)
    for role in ("label", "id", "split", "group"):
        name = getattr(known, role)
        if getattr(spec, role) is None and name is not None:
            columns = label_columns(name, table) if role == "label" else (name,)
            if not name or all(map(table.has_column, columns)):
                spec = replace(spec, **{role: name})
            elif role == "id":
                absent.append(f"{table.source} has no column '{name}', from which the ids of the corpus were read.")
    return spec, absent
