"""A tree as a table: the nodes in the first column, wrapped to the width of the terminal, and numbers next to them."""

from collections.abc import Mapping, Sequence

from commandline.output import table, terminal_width
from data.taxonomy import Taxonomy
from data.text_format import join_words, plural
from stages.taxonomy.outline import OutlineRow

__all__ = ["describe_row", "tree_table"]

FEWEST_COLUMNS = 16  # of a name, however deep its node and narrow the terminal
_GAP = 3  # columns between two columns of a table


def tree_table(
    rows: Sequence[tuple[OutlineRow, str]],
    columns: Mapping[str, Sequence[str]],
    *,
    heading: str = "node",
    optional: Sequence[str] = (),
) -> None:
    """Print a tree.

    Args:
        rows: the rows of the tree, each with the text of its node.
        columns: heading -> one number per row, as text.
        heading: of the nodes.
        optional: headings of columns that are left out, the last first, if the terminal is too narrow.
    """
    widths = [max(map(len, (*name.split("\n"), *cells))) for name, cells in columns.items()]
    room = terminal_width() - 2 - sum(_GAP + width for width in widths)
    names = [_draw(row, text, room) for row, text in rows]
    table([heading, *columns], zip(names, *columns.values(), strict=True), optional=optional)


def describe_row(taxonomy: Taxonomy, row: OutlineRow, marks: Sequence[str] = ()) -> str:
    """What a reader of a drawn node must know, in parentheses: `marks`, its other parents, what is not drawn below."""
    others = [taxonomy.short_name(parent) for parent in taxonomy.parents[row.node]]
    marks = [
        *marks,
        *([f"below {join_words(others)}"] if len(others) > 1 else []),
        *(["drawn above"] if row.is_repeated and taxonomy.children[row.node] else []),
        *([f"{plural(row.hidden, 'node')} below"] if row.hidden else []),
    ]
    return f" ({'; '.join(marks)})" if marks else ""


def _draw(row: OutlineRow, text: str, room: int) -> str:
    """The text of a node behind the lines of the tree; lines that continue the text are behind them too."""
    *above, last = row.continues
    guides = "".join("│  " if continues else "   " for continues in above[1:])
    first = f"{guides}{'├─ ' if last else '└─ '}" if above else ""
    further = f"{guides}{'│  ' if last else '   '}" if above else "  "
    lines = _wrap(text, max(FEWEST_COLUMNS, room - max(len(first), len(further))))
    return "\n".join([f"{first}{lines[0]}", *(f"{further}{line}" for line in lines[1:])])


def _wrap(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` columns, divided between words, or within one that is too long."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    if cell_len(text) <= width:
        return [text]
    return [line.plain.rstrip() for line in Text(text).wrap(Console(width=width), width, overflow="fold")]
