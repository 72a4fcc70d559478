"""Options that say how a source is read, with the dataclasses that hold their values."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import click

from commandline.options import combine_options, split_names
from data.source_spec import SourceSpec
from data.text_format import plural

# further files of one corpus, as a shell makes of a pattern
files_argument = click.argument("files", nargs=-1, metavar="[FILE]...")
text_option = click.option(
    "--text",
    multiple=True,
    metavar="COLUMN",
    help="Column of the text; repeat it to join several.  [guessed by name]",
)
template_option = click.option(
    "--template",
    metavar="TEXT",
    help='How several columns make the text, as in "{subject}\\n{body}".  [each --text is a line]',
)
id_option = click.option("--id", "id_", metavar="COLUMN", help="Column of the document ids.  [guessed, or row numbers]")
table_options = combine_options(
    click.option("--delimiter", metavar="SIGN", help="What ends a cell of a CSV file; tab for a tab.  [guessed]"),
    click.option(
        "--quoting",
        type=click.Choice(["standard", "none"]),
        help="Whether double quotes enclose cells or are text.  [standard; guessed if tabs end the cells]",
    ),
    click.option(
        "--header",
        type=click.Choice(["first", "none"]),
        help="none if the first row is a document; the columns are then called 1, 2, ...  [first]",
    ),
    click.option(
        "--encoding", "encoding_", metavar="NAME", help="Encoding of text files.  [utf-8, or utf-16 if it is]"
    ),
)
text_options = combine_options(text_option, template_option, table_options)
source_options = combine_options(
    files_argument,
    text_option,
    template_option,
    click.option(
        "--label",
        metavar="COLUMN",
        help="Column of the label, or columns of 0 and 1, one per label, as in toxic,insult.  [guessed by name]",
    ),
    click.option(
        "--levels",
        metavar="COLUMNS",
        help="Columns of the levels of the label, the top one first, as in area,topic; a blank cell ends a path.",
    ),
    click.option(
        "--taxonomy",
        metavar="FILE",
        help="File with the nodes above the labels: columns child and parent, or a JSON object of node: parents.",
    ),
    id_option,
    click.option("--split", metavar="COLUMN", help="Column with train or test.  [guessed, or drawn at random]"),
    click.option("--test-file", metavar="FILE", help="File of the test split, if the source has no test documents."),
    click.option("--validation-file", metavar="FILE", help="File of the validation split."),
    click.option("--group", metavar="COLUMN", help="Column of groups; a group is never divided between splits."),
    click.option(
        "--tabular",
        multiple=True,
        metavar="COLUMNS",
        help="Further inputs of linear, mlp and lightgbm, as in price,country. The kind (number, date or category) is "
        "guessed, or named as in zip:category.",
    ),
    click.option("--separator", metavar="TEXT", help="Separator of the labels in one cell, for multi-label documents."),
    click.option("--path-separator", metavar="TEXT", help="Separator of the levels of a label, as in rec/sport."),
    click.option(
        "--label-names",
        metavar="NAMES",
        help="Names of labels that are numbers from 0, or lists such as [1, 0, 1], as in red,green,blue.",
    ),
    table_options,
)


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """The values of `table_options`: the notation of a file."""

    delimiter: str | None
    quoting: str | None
    header: str | None
    encoding_: str | None

    def with_notation(self, spec: SourceSpec) -> SourceSpec:
        """The spec with the notation that these options say, as far as they do."""
        return replace(
            spec,
            delimiter=self.delimiter or spec.delimiter,
            quoting=self.quoting or spec.quoting,
            header=self.header or spec.header,
            encoding=self.encoding_ or spec.encoding,
        )


@dataclass(frozen=True, kw_only=True)
class TextOptions(TableOptions):
    """The values of `text_options`: what a further file with texts needs besides what its corpus says."""

    text: tuple[str, ...]
    template: str | None

    @property
    def text_spec(self) -> SourceSpec:
        """How the options say to read the texts."""
        return self.with_notation(SourceSpec(text=self.text or None, template=unescape_template(self.template)))


@dataclass(frozen=True, kw_only=True)
class SourceOptions(TextOptions):
    """The values of `source_options`."""

    files: tuple[str, ...]
    label: str | None
    levels: str | None
    taxonomy: str | None
    id_: str | None
    split: str | None
    test_file: str | None
    validation_file: str | None
    group: str | None
    tabular: tuple[str, ...]
    separator: str | None
    path_separator: str | None
    label_names: str | None

    @property
    def spec(self) -> SourceSpec:
        """How the options say to read the source."""
        return replace(
            self.text_spec,
            files=self.files or None,
            label=self.label,
            levels=split_names(self.levels),
            taxonomy=self.taxonomy,
            id=self.id_,
            split=self.split,
            test_file=self.test_file,
            validation_file=self.validation_file,
            group=self.group,
            tabular=tuple(name for names in self.tabular for name in split_names(names) or ()) or None,
            separator=self.separator,
            path_separator=self.path_separator,
            label_names=split_names(self.label_names),
        )


def describe_source(source: str, files: Sequence[str]) -> str:
    """The first name that the user gave, and how many more: "a.csv and 3 more files"."""
    return f"{source} and {plural(len(files), 'more file')}" if files else source


def unescape_template(template: str | None) -> str | None:
    """The value of `--template`: in a shell, a line end is written as \\n, a tab as \\t and a backslash as \\\\."""
    escaped = {"n": "\n", "t": "\t", "\\": "\\"}
    return template and re.sub(r"\\([nt\\])", lambda match: escaped[match[1]], template)
