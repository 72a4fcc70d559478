"""One document, one label, and what spoke for it: a run's head options about the features that it reads."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, RecipeMismatch, UnknownName, suggest_name
from featurestore import Bags, CorpusTable, FeatureStore
from heads.core.head import Head
from heads.evaluation.score_matrix import align_scores, scores_to_probabilities
from stages.explain.attribution import METHODS, AttributionInput, check_method
from stages.explain.caveats import list_caveats
from stages.explain.document import Span, StoredDocument, stored_document
from stages.explain.levels import LEVELS, finest_level
from stages.explain.source_text import SourceTexts
from stages.fitting.runs import Run
from stages.fitting.task import hash_documents
from stages.report.formatting import replace_unprintable

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class ExplanationOptions:
    """What to explain, and how.

    label: None for the predicted one. against: another label, or None for all others. by: of LEVELS, or None for the
    finest that the head reads. top: how many of the strongest are left out together at the end.
    """

    label: str | None = None
    against: str | None = None
    level: str | None = None
    method: str = "occlusion"
    top: int = 5


@dataclass(frozen=True)
class Attribution:
    """A chunk, a segment or a token, and how much it spoke for the label; below 0, against it.

    level: of LEVELS. chunk, number: counted from 1; number is that within the chunk, None for a chunk. span: its
    characters, where they are known. words: these characters, or what its tokens decode to, or "".
    """

    level: str
    chunk: int
    number: int | None
    span: Span | None
    text: str
    contribution: float

    @property
    def location(self) -> str:
        """Its place as a reader says it: "chunk 2, segment 5"."""
        inside = "" if self.number is None else f", {self.level.removesuffix('s')} {self.number}"
        return f"chunk {self.chunk}{inside}"


@dataclass(frozen=True)
class Explanation:
    """What spoke for a label of one document.

    probabilities: of all labels, highest first. margin: log-odds of the label, or against the other one.
    items: in the order of the text, of level `by`; none where the head reads the document as one.
    without_strongest: probability of the label once the `left_out` items that spoke for it most are left out together.
    decoded: whether words are what tokens decode to, the text not being at hand.
    """

    id: str
    split: str | None
    true_labels: tuple[str, ...]
    predicted_labels: tuple[str, ...]
    probabilities: tuple[tuple[str, float], ...]
    label: str
    against: str | None
    margin: float
    method: str
    level: str
    attributions: tuple[Attribution, ...]
    removed: int
    probability_without_strongest: float | None
    text: str | None
    is_decoded: bool
    notes: tuple[str, ...]

    @property
    def probability(self) -> float:
        """Of the label that is explained."""
        return dict(self.probabilities)[self.label]

    def strongest(self, most: int) -> tuple[list[Attribution], list[Attribution]]:
        """At most so many items that spoke for the label, and against it, strongest first."""
        ranked = sorted(self.attributions, key=lambda item: -item.contribution)
        speaking = [item for item in ranked if item.contribution > 0]
        return speaking[:most], [item for item in reversed(ranked) if item.contribution < 0][:most]

    @property
    def largest_contribution(self) -> float:
        """The largest contribution for or against, 0 without items."""
        return max((abs(item.contribution) for item in self.attributions), default=0.0)

    @property
    def title(self) -> str:
        """What the table below it shows."""
        if self.method == "attention":
            return f"Where the head looks, by {self.level}"
        other = "" if self.against is None else f" and not '{self.against}'"
        return f"What spoke for '{self.label}'{other}, by {self.level}"

    @property
    def meaning(self) -> str:
        """What a contribution is, in a sentence."""
        what = "log-odds" if self.against is None else f"log-odds against '{self.against}'"
        return {
            "occlusion": f"What the label's {what} of {self.margin:+.2f} loses when that is left out.",
            "gradient": f"What that adds to the label's {what} of {self.margin:+.2f}, by its slope there.",
            "coefficients": f"What the coefficients of its n-grams add to the label's {what} of {self.margin:+.2f}.",
            "attention": "The share of the attention that it gets, whatever the label.",
        }[self.method]

    @property
    def summary_without_strongest(self) -> str:
        """What is left of the label without its strongest evidence, in a sentence; "" where there is none."""
        if self.probability_without_strongest is None:
            return ""
        strongest = "the strongest" if self.removed == 1 else f"the strongest {self.removed} together"
        return (
            f"Without {strongest} the probability of '{self.label}' is "
            f"{self.probability_without_strongest:.3f}, not {self.probability:.3f}."
        )

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self) | {"probabilities": dict(self.probabilities)}


def check_explainable(run: Run) -> None:
    """Raise CallError for a run that reads other runs, or several stores side by side."""
    if run.record.base_runs:
        raise CallError(
            f"{run.name} weighs the scores of other runs and reads no text itself. "
            f"Explain one of them: {', '.join(run.record.base_runs)}."
        )
    if len(run.recipes) > 1:
        raise CallError(
            f"{run.name} reads {run.record.store} side by side, a vector each: nothing in the text is told apart. "
            "Explain a run on one store."
        )


def describe_corpus_change(run: Run, table: CorpusTable) -> str | None:
    """A sentence where `table` is not what the run was fitted on, else None."""
    if hash_documents(table) == run.record.documents_hash:
        return None
    return (
        f"{table.name} was changed after {run.name} was fitted: other documents, labels or splits. What is said of a "
        "document is of now, and the head may never have seen it."
    )


def explain_documents(
    run: Run,
    store: FeatureStore,
    table: CorpusTable,
    ids: Sequence[str],
    options: ExplanationOptions,
    texts: SourceTexts,
    report: Report | None = None,
) -> Iterator[Explanation]:
    """What spoke for a label of each document of `ids`, by the run's own head and rule.

    report: told how many items of a document are done, and how many it has.

    Raises UnknownName for a label or an id that does not exist, CallError for a method or a level that the head has
    nothing for, RecipeMismatch where other features are in `store`, BadData where these lack the documents.
    """
    check_explainable(run)
    head, recipe = run.head(), run.recipes[0]
    if store.recipe.fingerprint != recipe.fingerprint:
        different = "; ".join(store.recipe.differences(recipe))
        raise RecipeMismatch(f"{run.name} was fitted on other features: {different}. Name its own with --store.")
    check_method(head, options.method)
    for identifier in ids:
        document = stored_document(store, table, identifier, texts, run.record.layer)
        yield _explained(run, head, document, options, report)


def _explained(
    run: Run, head: Head, document: StoredDocument, options: ExplanationOptions, report: Report | None
) -> Explanation:
    bags, labels = document.bags.select_views(head.reads), run.record.labels
    scores = align_scores(head.decision_function(bags), head.classes_, labels)
    shares = scores_to_probabilities(scores, multilabel=head.multilabel_)[0]
    predicted = _decided(run, scores)
    label = (
        options.label if options.label is not None else labels[max(predicted or range(len(labels)), key=shares.item)]
    )
    question = _question(run, head, document, label, options)
    found = METHODS[options.method](question, report) if question.count > 1 else np.zeros(0)
    left_out, rest = _without_strongest(run, question, found, options.top, labels.index(label))
    return Explanation(
        id=document.id,
        split=document.split,
        true_labels=document.labels,
        predicted_labels=tuple(labels[code] for code in predicted),
        probabilities=tuple(sorted(zip(labels, shares.tolist(), strict=True), key=lambda each: -each[1])),
        label=label,
        against=options.against,
        margin=float(question.margins(bags)[0]),
        method=options.method,
        level=question.level,
        attributions=_attributions(document, question.level, found),
        removed=left_out,
        probability_without_strongest=rest,
        text=None if document.text is None else replace_unprintable(document.text),
        is_decoded=document.text is None and document.tokenizer is not None,
        notes=tuple(list_caveats(document, question)),
    )


def _question(
    run: Run, head: Head, document: StoredDocument, label: str, options: ExplanationOptions
) -> AttributionInput:
    labels = run.record.labels
    # columns of a head that takes several labels have numbers for names
    classes = [name if isinstance(name, str) else labels[name] for name in head.classes_]
    for name in filter(None, (label, options.against)):
        if name not in labels:
            raise UnknownName(f"{run.name} knows no label '{name}'.{suggest_name(name, labels)}")
        if name not in classes:
            raise CallError(f"No training document of {run.name} was '{name}': it cannot tell what speaks for that.")
    if options.against == label:
        raise CallError(f"'{label}' cannot stand against itself. Name another label with --against.")
    if options.method == "occlusion" and _overlaps(head, document.bags):
        raise CallError(
            f"{head.name} reads each token once, and in this store chunks share tokens: none can be left out alone. "
            "Take --method coefficients."
        )
    by = options.level or finest_level(head.reads) or LEVELS[0]
    if by == "segments" and not document.layout.segment:
        raise CallError("This store keeps no segments: take --by chunks or --by tokens, or embed with --keep segments.")
    bags, owners = document.bags.select_views(head.reads), document.layout.owners_of(head.reads, by)
    if all(owner is None for owner in owners.values()):
        raise CallError(f"{head.name} reads {', '.join(head.reads)}, nothing as fine as {by}. Leave --by out.")
    against = None if options.against is None else classes.index(options.against)
    return AttributionInput(head, bags, by, owners, document.layout.count(by), classes.index(label), against)


def _overlaps(head: Head, bags: Bags) -> bool:
    """Whether the head reads words of chunks that share some, so that what is left out of one stays in another."""
    return "token_ids" in head.reads and bags.chunk_layout is not None and bags.chunk_layout.differs_from_text


def _decided(run: Run, scores: NDArray[np.float32]) -> list[int]:
    """Columns of the labels that the run's rule gives."""
    codes = run.decision.rule.decide(scores)[0]
    return np.flatnonzero(codes).tolist() if np.ndim(codes) else [int(codes)]


def _attributions(document: StoredDocument, by: str, found: NDArray[np.float64]) -> tuple[Attribution, ...]:
    if not len(found):
        return ()
    chunks, numbers = ((1 + each).tolist() for each in (document.layout.chunks(by), document.layout.numbers(by)))
    numbers = [None] * len(found) if by == LEVELS[0] else numbers
    words = map(replace_unprintable, document.excerpts(by))
    places = zip(chunks, numbers, document.spans(by), words, found.tolist(), strict=True)
    return tuple(Attribution(by, *place) for place in places)


def _without_strongest(
    run: Run, question: AttributionInput, found: NDArray[np.float64], top: int, column: int
) -> tuple[int, float | None]:
    """How many items spoke for the label most, `top` at most, and its probability without all of them.

    0 and None where no item did, or where nothing would be left.
    """
    ranked = np.argsort(-found, kind="stable")[:top]
    strongest = ranked[found[ranked] > 0]
    if len(strongest) in (0, len(found)) or _overlaps(question.head, question.bags):
        return 0, None
    left_out = np.isin(np.arange(len(found)), strongest)[None]
    head = question.head
    scores = align_scores(head.decision_function(question.without(left_out)), head.classes_, run.record.labels)
    return len(strongest), float(scores_to_probabilities(scores, multilabel=head.multilabel_)[0, column])
