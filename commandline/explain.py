"""`embedonce explain`: the evidence for a label, in the text."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commandline.options import STORE, NewFile, json_option, receives, runs_option, stores_option
from commandline.output import download, note, open_output, progress, say, show, show_json, table, terminal_width
from commandline.source_options import TextOptions, text_options

if TYPE_CHECKING:
    from rich.text import Text

    from featurestore import CorpusTable, FeatureStore, Location
    from stages.explain import Attribution, Explanation, ExplanationOptions, SourceTexts
    from stages.fitting.runs import Run

# of a text longer than this, only the surroundings of the strongest evidence are shown
_MOST_CHARACTERS, _CONTEXT_CHARACTERS = 3000, 120
_EXCERPT = 240
# the style of a span, by its share of the largest contribution
_STYLES = ((0.5, "reverse"), (0.2, "bold"), (0.05, ""))


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(TextOptions):
    """The arguments and options of `embedonce explain`."""

    run: str
    documents: tuple[str, ...]
    label: str | None
    against: str | None
    by: str | None
    method: str
    top: int
    source: str | None
    encoder: str | None
    store: "Location | None"
    stores_folder: "Location"
    runs: Path
    html: Path | None
    as_json: bool

    @property
    def explanation(self) -> "ExplanationOptions":
        """What to explain, and how."""
        from stages.explain import ExplanationOptions

        return ExplanationOptions(
            label=self.label, against=self.against, level=self.by, method=self.method, top=self.top
        )


@click.command(short_help="Show the evidence for a document's label in its text.")
@click.argument("run")
@click.argument("documents", nargs=-1, required=True, metavar="DOC...")
@click.option("--for", "label", metavar="LABEL", help="The label to explain.  [the predicted one]")
@click.option("--against", metavar="LABEL", help="Evidence for the label rather than for this one.  [all others]")
@click.option(
    "--by",
    type=click.Choice(["chunks", "segments", "words", "tokens"]),
    help="Unit of the evidence.  [the finest that is read, and words instead of tokens]",
)
@click.option(
    "--method",
    type=click.Choice(["occlusion", "attention", "gradient", "coefficients"]),
    default="occlusion",
    help="occlusion leaves out one unit at a time and suits every head; attention and gradient are for networks, "
    "coefficients for heads over words.",
)
@click.option("--top", type=click.IntRange(1), default=5, help="Rows shown for the label, and against it.")
@click.option("--source", metavar="FILE", help="File with the texts.  [the file that was embedded]")
@text_options
@click.option("--encoder", help="Where the run's encoder is now, if it has moved; only its tokenizer is read.")
@click.option("--store", type=STORE, help="The feature store.  [the run's own, in --stores]")
@stores_option
@runs_option
@click.option("--html", type=NewFile(), help="Also write a page with the highlighted texts.")
@json_option
@receives(ExplainOptions)
def explain(options: ExplainOptions) -> None:
    """Show which chunks, segments, words or tokens of each DOC are evidence for the label that RUN predicts.

    DOC is a document id of the corpus that RUN was fitted on.

    \b
    embedonce explain lstm-7c2e41b0 test-17
    embedonce explain lstm-7c2e41b0 test-17 test-23 --for grain --against wheat --html why.html
    """
    from stages.comparing.selection import find_run
    from stages.explain import check_explainable, render_page

    run = find_run(options.run, options.runs)
    check_explainable(run)
    explanations = _explain_documents(run, options)
    if options.html is not None:
        with open_output(options.html) as out:
            out.write(render_page(explanations, run.name, options.top))
        say(f"The page is {options.html}.")
    if options.as_json:
        show_json({"run": run.name, "documents": [explanation.to_json() for explanation in explanations]})
        return
    for explanation in explanations:
        show_explanation(explanation, options.top)


def _explain_documents(run: "Run", options: ExplainOptions) -> "list[Explanation]":
    from stages.explain import describe_corpus_change, explain_documents
    from stages.stores import open_corpus, open_store

    store = open_store(options.store or Path(run.record.store), options.stores_folder)
    corpus = open_corpus(store, run.record.corpus)
    say(f"Explaining {run.name} on {store.name}, corpus {corpus.name}.")
    if change := describe_corpus_change(run, store, corpus):
        note(change)
    texts = _read_texts(corpus, store, options)
    for sentence in texts.notes:
        note(sentence)
    download([store])
    with progress("explaining") as bar:

        def show(done: int, total: int) -> None:
            bar(done, total, f"{done:,} of {total:,} units")

        return list(explain_documents(run, store, corpus, options.documents, options.explanation, texts, show))


def _read_texts(corpus: "CorpusTable", store: "FeatureStore", options: ExplainOptions) -> "SourceTexts":
    from stages.explain import read_source_texts

    keys = corpus.keys_of(options.documents)
    with progress("reading the text"):
        return read_source_texts(
            corpus, keys, store.recipe, source=options.source, requested=options.text_spec, encoder=options.encoder
        )


def show_explanation(explanation: "Explanation", top: int) -> None:
    """Print a document's labels, its strongest evidence, and its highlighted text."""
    predicted = ", ".join(explanation.predicted_labels) or "none"
    true = "unlabeled" if explanation.true_labels is None else ", ".join(explanation.true_labels) or "none"
    probabilities = ", ".join(f"{name} {share:.3f}" for name, share in explanation.probabilities[:3])
    show(f"{explanation.id}: labeled {true}, predicted {predicted} ({probabilities})")
    if explanation.attributions:
        show(f"{explanation.title}\n  {explanation.meaning}")
        if explanation.summary_without_strongest:
            show(f"  {explanation.summary_without_strongest}")
        positive, negative = explanation.strongest(top)
        strongest = [*positive, *reversed(negative)]
        unit = "tokens" if explanation.is_decoded else "text"
        table(["contribution", "location", unit], [_row(attribution) for attribution in strongest], text_columns=3)
        if explanation.text:
            _show_highlighted(explanation.text, explanation.attributions, strongest)
    for sentence in explanation.notes:
        note(sentence)


def _row(attribution: "Attribution") -> tuple[str, str, str]:
    from stages.report.formatting import shorten

    start, stop = attribution.span or (0, 0)
    text = " ".join(attribution.text.split()) or (f"characters {start:,} to {stop:,}" if attribution.span else "")
    return f"{attribution.contribution:+.3f}", attribution.location, shorten(text, _EXCERPT)


def _show_highlighted(text: str, attributions: "Sequence[Attribution]", strongest: "Sequence[Attribution]") -> None:
    """Print the text to stdout; without colors, the strongest evidence is in brackets."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=terminal_width(), markup=False, highlight=False)
    use_colors = console.is_terminal and not console.no_color
    console.print(highlight(text, attributions, strongest, use_colors=use_colors))
    click.echo()


def highlight(
    text: str, attributions: "Sequence[Attribution]", strongest: "Sequence[Attribution]", *, use_colors: bool
) -> "Text":
    """The text with its evidence highlighted; of a long text, only the surroundings of the strongest evidence."""
    from rich.text import Text

    from stages.explain import split_into_spans

    output, done = Text(), 0
    for start, stop in _shown_ranges(len(text), [item.span for item in strongest if item.span]):
        _append_gap(output, start - done)
        position = 0
        for piece in split_into_spans(text, attributions):
            shown = piece.text[max(start - position, 0) : max(stop - position, 0)]
            position += len(piece.text)
            if use_colors:
                output.append(shown, _style(piece.share))
            else:
                evidence = next((item for item in strongest if shown and item is piece.attribution), None)
                output.append(shown if evidence is None else f"[{evidence.contribution:+.2f}: {shown}]")
        done = stop
    _append_gap(output, len(text) - done)
    return output


def _shown_ranges(length: int, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges of characters to show, in order."""
    if length <= _MOST_CHARACTERS:
        return [(0, length)]
    ranges: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        start, stop = max(start - _CONTEXT_CHARACTERS, 0), min(stop + _CONTEXT_CHARACTERS, length)
        if ranges and start <= ranges[-1][1]:
            ranges[-1] = ranges[-1][0], max(stop, ranges[-1][1])
        else:
            ranges.append((start, stop))
    return ranges


def _append_gap(output: "Text", characters: int) -> None:
    if characters:
        output.append(f" [{characters:,} characters left out] ", "dim")


def _style(share: float) -> str:
    """The style of a contribution: readable on light and dark, and without telling green from red."""
    color = "green" if share > 0 else "magenta"
    return next((f"{style} {color}".strip() for minimum, style in _STYLES if abs(share) > minimum), "")
