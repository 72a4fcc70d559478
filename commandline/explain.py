"""`embedonce explain`: what spoke for a label."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline.options import NewFile, json_option, runs_option, stores_option
from commandline.output import note, progress, say, show_json, table, whole_file

if TYPE_CHECKING:
    from rich.text import Text

    from stages.explain import Attribution, Explanation

# a longer text is shown around the strongest evidence alone, with so many characters on either side
_WHOLE, _AROUND = 3000, 120
_EXCERPT = 240
# from which part of the largest contribution on
_LOOKS = ((0.5, "reverse"), (0.2, "bold"), (0.05, ""))


@click.command()
@click.argument("run")
@click.argument("documents", nargs=-1, required=True, metavar="DOC...")
@click.option("--for", "label", metavar="LABEL", help="Whose evidence is shown.  [the predicted one]")
@click.option("--against", metavar="LABEL", help="What spoke for it rather than for this one.  [all others]")
@click.option("--by", type=click.Choice(["chunks", "segments", "tokens"]), help="What is weighed.  [the finest read]")
@click.option(
    "--method",
    type=click.Choice(["occlusion", "attention", "gradient", "coefficients"]),
    default="occlusion",
    help="Leave each out in turn, which asks any head; read a network's own weights or slopes, or words' coefficients.",
)
@click.option("--top", type=click.IntRange(1), default=5, help="Rows shown for the label, and against it.")
@click.option("--source", metavar="FILE", help="Where the texts are.  [the file that was embedded]")
@click.option("--text", metavar="COLUMN", help="Column of the text.  [guessed by name]")
@click.option("--encoder", help="Where the run's encoder is now, if it has moved; its tokenizer alone is read.")
@click.option("--store", type=click.Path(path_type=Path), help="The feature store.  [the run's own, in --stores]")
@stores_option
@runs_option
@click.option("--html", type=NewFile(), help="Also write a page of the texts with marks.")
@json_option
def explain(run: str, documents: tuple[str, ...], html: Path | None, as_json: bool, **asked: Any) -> None:
    """Show which chunks, segments or tokens of documents DOC spoke for the label that RUN gives them.

    DOC is an id of the corpus that RUN was fitted on.

    \b
    embedonce explain lstm-7c2e41b0 test-17
    embedonce explain lstm-7c2e41b0 test-17 test-23 --for grain --against wheat --html why.html
    """
    from stages.compare import find_run
    from stages.explain import (
        ExplanationOptions,
        check_explainable,
        describe_corpus_change,
        explain_documents,
        read_source_texts,
        render_page,
    )
    from stages.fitting.task import open_corpus, open_store

    found = find_run(run, asked["runs"])
    check_explainable(found)
    store = open_store(asked["store"] or Path(found.record.store), asked["stores_folder"])
    corpus = open_corpus(store, found.record.corpus)
    say(f"Explaining {found.name} on {store.name}, corpus {corpus.name}.")
    if changed := describe_corpus_change(found, corpus):
        note(changed)
    keys = corpus.keys_of(documents)
    with progress("reading the text"):
        words = read_source_texts(
            corpus, keys, store.recipe, source=asked["source"], text=asked["text"], encoder=asked["encoder"]
        )
    for sentence in words.notes:
        note(sentence)
    question = ExplanationOptions(
        label=asked["label"], against=asked["against"], level=asked["by"], method=asked["method"], top=asked["top"]
    )
    with progress("leaving out") as bar:

        def show(done: int, total: int) -> None:
            bar(done, total, f"{done:,} of {total:,} places")

        shown = list(explain_documents(found, store, corpus, documents, question, words, show))
    if html is not None:
        with whole_file(html) as out:
            out.write(render_page(shown, found.name, asked["top"]))
        say(f"The page is {html}.")
    if as_json:
        show_json({"run": found.name, "documents": [each.to_json() for each in shown]})
        return
    for each in shown:
        show_explanation(each, asked["top"])


def show_explanation(explanation: "Explanation", top: int) -> None:
    """A document, its labels, its strongest evidence and its text with marks."""
    from stages.report.formatting import replace_unprintable

    own, predicted = (", ".join(names) or "none" for names in (explanation.true_labels, explanation.predicted_labels))
    shares = ", ".join(f"{name} {share:.3f}" for name, share in explanation.probabilities[:3])
    click.echo(replace_unprintable(f"{explanation.id}: labelled {own}, predicted {predicted} ({shares})"))
    if explanation.attributions:
        click.echo(replace_unprintable(f"{explanation.title}\n  {explanation.meaning}"))
        if explanation.summary_without_strongest:
            click.echo(replace_unprintable(f"  {explanation.summary_without_strongest}"))
        speaking, against = explanation.strongest(top)
        shown = [*speaking, *reversed(against)]
        words = "tokens" if explanation.is_decoded else "text"
        table(["contribution", "where", words], [_row(item) for item in shown], text_columns=3)
        if explanation.text:
            show_marked(explanation.text, explanation.attributions, shown)
    for sentence in explanation.notes:
        note(sentence)


def _row(item: "Attribution") -> tuple[str, str, str]:
    from stages.report.formatting import shorten

    start, stop = item.span or (0, 0)
    words = " ".join(item.text.split()) or (f"characters {start:,} to {stop:,}" if item.span else "")
    return f"{item.contribution:+.3f}", item.location, shorten(words, _EXCERPT)


def show_marked(text: str, items: "Sequence[Attribution]", strongest: "Sequence[Attribution]") -> None:
    """The text on stdout, evidence in colours; without them the strongest stands in brackets."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 400
    console = Console(file=sys.stdout, width=width, markup=False, highlight=False)
    coloured = console.is_terminal and not console.no_color
    console.print(marked(text, items, strongest, coloured=coloured))
    click.echo()


def marked(text: str, items: "Sequence[Attribution]", strongest: "Sequence[Attribution]", *, coloured: bool) -> "Text":
    """The text, or of a long one what stands around the strongest evidence."""
    from rich.text import Text

    from stages.explain import split_into_spans

    drawn, done = Text(), 0
    for start, stop in _shown(len(text), [item.span for item in strongest if item.span]):
        _gap(drawn, start - done)
        place = 0
        for piece in split_into_spans(text, items):
            own = piece.text[max(start - place, 0) : max(stop - place, 0)]
            place += len(piece.text)
            if coloured:
                drawn.append(own, _style(piece.share))
            else:
                named = own and any(piece.attribution is item for item in strongest)
                drawn.append(f"[{piece.attribution.contribution:+.2f}: {own}]" if named and piece.attribution else own)
        done = stop
    _gap(drawn, len(text) - done)
    return drawn


def _shown(length: int, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Which characters are shown, in order."""
    if length <= _WHOLE:
        return [(0, length)]
    kept: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        start, stop = max(start - _AROUND, 0), min(stop + _AROUND, length)
        if kept and start <= kept[-1][1]:
            kept[-1] = kept[-1][0], max(stop, kept[-1][1])
        else:
            kept.append((start, stop))
    return kept


def _gap(drawn: "Text", characters: int) -> None:
    if characters:
        drawn.append(f" [{characters:,} characters left out] ", "dim")


def _style(share: float) -> str:
    """How strongly something spoke, seen on light and on dark ground, and without telling green from red."""
    colour = "green" if share > 0 else "magenta"
    return next((f"{look} {colour}".strip() for least, look in _LOOKS if abs(share) > least), "")
