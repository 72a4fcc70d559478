"""`embedonce init`: write embedonce.toml."""

from dataclasses import asdict, dataclass

import click

from commandline.config_file import CONFIG_FILE, write_config
from commandline.options import receives
from commandline.output import note, say
from commandline.source_options import SourceOptions, source_options
from data.errors import CallError


@dataclass(frozen=True, kw_only=True)
class InitOptions(SourceOptions):
    """The arguments and options of `embedonce init`."""

    source: str


@click.command(short_help="Write embedonce.toml, the defaults of this folder.")
@click.argument("source")
@source_options
@receives(InitOptions)
def init(options: InitOptions) -> None:
    """Write embedonce.toml for SOURCE, so that the other commands need no options in this folder.

    Keys of that file are the names of arguments and options. A key above the tables is for every command with an option
    that takes the value, one in a table for the command of its name; source and model of `explain` and `augment` are in
    their tables alone. The command line counts more than the file.

    \b
    source = "tickets.csv"
    label = "queue"
    [fit-head]
    heads = ["linear", "mlp"]
    class-weight = "effective"
    [store.export]
    overwrite = true
    """
    from data.readers import read_corpus

    if options.files:
        raise CallError(f"{CONFIG_FILE} holds one source. Name the files by a pattern in quotes, as in 'data/*.csv'.")
    corpus = read_corpus(options.source, options.spec)
    for sentence in corpus.notes:
        note(sentence)
    unlabeled = sum(document.labels is None for document in corpus.documents)
    if unlabeled == len(corpus.documents):
        raise CallError(f"{options.source} has no column of labels, which heads learn from. Name it with --label.")
    columns = {
        name: value
        for name, value in asdict(options).items()
        if name not in ("source", "files") and value not in (None, ())
    }
    write_config(options.source, columns)
    fit = f"embedonce fit-head linear{' --skip-unlabeled' if unlabeled else ''}"
    say(f"Wrote {CONFIG_FILE}. Next: `embedonce embed`, `{fit}`, `embedonce compare`.")
