"""The explanation of a prediction: the contributions of a document's units to a label, by the head of a run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.documents import Labels
from data.errors import CallError, RecipeMismatch, UnknownName, suggest_name
from featurestore import Bags, CorpusTable, FeatureStore, Location
from heads.core.head import Head
from heads.evaluation.score_matrix import align_scores
from stages.deciding.features import compared_vectors
from stages.explain.attribution import METHODS, AttributionInput, check_method
from stages.explain.caveats import list_caveats
from stages.explain.document import Span, StoredDocument, stored_document
from stages.explain.levels import LEVELS, WORDS, finest_level
from stages.explain.source_text import SourceTexts
from stages.fitting.predictions import abstention_reason, predicted_codes
from stages.fitting.runs import Run
from stages.fitting.task import hash_documents
from stages.report.formatting import replace_unprintable

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class ExplanationOptions:
    """What to explain, and how.

    Attributes:
        label: the label; None for the predicted one.
        against: another label, which the evidence distinguishes it from; None for all others.
        level: one of LEVELS, or WORDS; None for the finest one of LEVELS that the head reads, or WORDS if these are
            tokens whose words are known.
        method: one of METHODS.
        top: number of the strongest units that are left out together at the end.
    """

    label: str | None = None
    against: str | None = None
    level: str | None = None
    method: str = "occlusion"
    top: int = 5


@dataclass(frozen=True)
class Attribution:
    """A unit of a document (a chunk, segment, word or token) and its contribution to a label.

    Attributes:
        level: one of LEVELS, or WORDS.
        chunk: number of the chunk, counted from 1.
        number: number of the unit within the chunk, counted from 1; None for a chunk.
        span: its first character and the one after its last; None if unknown.
        text: these characters; without the text, its decoded tokens; else "".
        contribution: evidence for the label if positive, against it if negative.
    """

    level: str
    chunk: int
    number: int | None
    span: Span | None
    text: str
    contribution: float

    @property
    def location(self) -> str:
        """Where it is in the document: "chunk 2, segment 5"."""
        within = "" if self.number is None else f", {self.level.removesuffix('s')} {self.number}"
        return f"chunk {self.chunk}{within}"


@dataclass(frozen=True)
class Explanation:
    """The evidence for a label of one document.

    Attributes:
        id: id of the document.
        split: its split.
        true_labels: its labels; None if it is unlabeled.
        predicted_labels: the labels that the run predicts, or a node of its taxonomy that is above labels.
        probabilities: all labels with their probabilities, the highest first.
        label: the label that is explained.
        against: the label that it is compared with; None for all others.
        margin: log-odds of the label, or log-odds against the other label; for a multi-label run, minus those of it.
        is_multilabel: whether documents may have several labels.
        method: one of METHODS.
        level: one of LEVELS, or WORDS.
        attributions: one per unit, in the order of the text; empty if the head reads the document as a single unit.
        removed: number of the strongest units that were left out together.
        probability_without_strongest: probability of the label without these; None if none was left out.
        text: the text, if available.
        is_decoded: whether the texts of the attributions are decoded tokens, because the text is not available.
        notes: caveats.
    """

    id: str
    split: str | None
    true_labels: Labels
    predicted_labels: tuple[str, ...]
    probabilities: tuple[tuple[str, float], ...]
    label: str
    against: str | None
    margin: float
    is_multilabel: bool
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
        """The probability of the label that is explained."""
        return dict(self.probabilities)[self.label]

    def strongest(self, limit: int) -> tuple[list[Attribution], list[Attribution]]:
        """At most `limit` attributions for the label, and at most `limit` against it, the strongest first."""
        ranked = sorted(self.attributions, key=lambda attribution: -attribution.contribution)
        positive = [attribution for attribution in ranked if attribution.contribution > 0]
        negative = [attribution for attribution in reversed(ranked) if attribution.contribution < 0]
        return positive[:limit], negative[:limit]

    @property
    def largest_contribution(self) -> float:
        """The largest contribution for or against the label; 0 without attributions."""
        return max((abs(attribution.contribution) for attribution in self.attributions), default=0.0)

    @property
    def title(self) -> str:
        """The title of the attributions."""
        if self.method == "attention":
            return f"Attention of the head, by {self.level}"
        other = "" if self.against is None else f" rather than '{self.against}'"
        return f"Evidence for '{self.label}'{other}, by {self.level}"

    @property
    def meaning(self) -> str:
        """What a contribution is, in one sentence."""
        unit = self.level.removesuffix("s")
        relation = "minus those of" if self.is_multilabel else "against"
        odds = "log-odds" if self.against is None else f"log-odds {relation} '{self.against}'"
        return {
            "occlusion": f"Decrease of the label's {odds} ({self.margin:+.2f}) when the {unit} is left out.",
            "gradient": f"Gradient of the label's {odds} ({self.margin:+.2f}) times the input of the {unit}.",
            "coefficients": f"Contribution of the {unit}'s n-grams to the label's {odds} ({self.margin:+.2f}).",
            "attention": f"Share of the head's attention that the {unit} gets. It does not depend on the label.",
        }[self.method]

    @property
    def summary_without_strongest(self) -> str:
        """The probability of the label without its strongest evidence, in one sentence; "" if none was left out."""
        if self.probability_without_strongest is None:
            return ""
        unit = self.level.removesuffix("s")
        strongest = f"strongest {unit}" if self.removed == 1 else f"{self.removed} strongest {self.level}"
        return (
            f"Without the {strongest}, the probability of '{self.label}' is "
            f"{self.probability_without_strongest:.3f} instead of {self.probability:.3f}."
        )

    def to_json(self) -> dict[str, Any]:
        """The explanation as plain values."""
        return asdict(self) | {"probabilities": dict(self.probabilities)}


def check_explainable(run: Run) -> None:
    """Raise CallError for a run that reads other runs, or several stores."""
    if run.record.base_runs:
        raise CallError(
            f"{run.name} combines the scores of other runs and does not read the text. "
            f"Explain one of them: {', '.join(run.record.base_runs)}."
        )
    if len(run.recipes) > 1:
        raise CallError(
            f"{run.name} reads the stores {run.record.store}, one vector per document from each, so its evidence has "
            "no location in the text. Explain a run on a single store."
        )


def describe_corpus_change(run: Run, store: FeatureStore, table: CorpusTable) -> str | None:
    """A sentence if `table` differs from the corpus that the run was fitted on, else None. store: its features."""
    if hash_documents(store, table) == run.record.documents_hash:
        return None
    return (
        f"{table.name} has changed since {run.name} was fitted: its documents, labels or splits differ. Explanations "
        "show the current documents, which the head may not have been fitted on."
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
    """Explain the prediction for each document, with the run's own head and decision rule.

    Args:
        run: the run.
        store: the store that it was fitted on.
        table: the corpus.
        ids: ids of the documents.
        options: what to explain, and how.
        texts: texts and tokenizer, as far as they are available.
        report: called with the number of units of a document that are done, and that it has.

    Returns:
        One explanation per document.

    Raises:
        UnknownName: a label or an id does not exist.
        CallError: the method or the level does not work for the head.
        RecipeMismatch: the store has other features than the run was fitted on.
        BadData: the store lacks a document.
    """
    check_explainable(run)
    head, recipe = run.head(), run.recipes[0]
    if store.recipe.fingerprint != recipe.fingerprint:
        differences = "; ".join(store.recipe.differences(recipe))
        raise RecipeMismatch(
            f"{run.name} was fitted on other features than those of {store.name}: {differences}. Name its store with "
            "`explain --store`."
        )
    check_method(head, options.method)
    for identifier in ids:
        document = stored_document(store, table, identifier, texts, run.record.layer)
        yield _explain(run, store.location, head, document, options, report)


def _explain(
    run: Run,
    location: Location,
    head: Head,
    document: StoredDocument,
    options: ExplanationOptions,
    report: Report | None,
) -> Explanation:
    bags, labels = document.bags.select_views(head.reads), run.record.labels
    scores = align_scores(head.decision_function(bags), head.classes_, labels)
    decision = run.decision.without_shift  # the documents are those of the corpus
    probabilities = decision.probabilities(scores)[0]
    decided = decision.decide(scores, compared_vectors(run, document.bags))[0]
    predicted = predicted_codes(decided)
    most_probable = max(_labels_below(run, predicted), key=probabilities.item)
    label = labels[most_probable] if options.label is None else options.label
    inputs = _attribution_input(run, head, document, label, options)
    contributions = METHODS[options.method](inputs, report) if inputs.count > 1 else np.zeros(0)
    removed, remaining = _remove_strongest(run, inputs, contributions, options.top, labels.index(label))
    return Explanation(
        id=document.id,
        split=document.split,
        true_labels=document.labels,
        predicted_labels=tuple(run.record.node_names[code] for code in predicted),
        probabilities=tuple(sorted(zip(labels, probabilities.tolist(), strict=True), key=lambda pair: -pair[1])),
        label=label,
        against=options.against,
        margin=float(inputs.margins(bags)[0]),
        is_multilabel=head.multilabel_,
        method=options.method,
        level=inputs.level,
        attributions=_attributions(document, inputs.level, contributions),
        removed=removed,
        probability_without_strongest=remaining,
        text=None if document.text is None else replace_unprintable(document.text),
        is_decoded=document.text is None and document.tokenizer is not None,
        notes=(
            *_abstention_notes(run, abstention_reason(decided)),
            *_node_notes(run, predicted, label, options),
            *list_caveats(document, inputs, run, location),
        ),
    )


def _attribution_input(
    run: Run, head: Head, document: StoredDocument, label: str, options: ExplanationOptions
) -> AttributionInput:
    labels = run.record.labels
    # the classes of a multi-label head are column numbers
    classes = [name if isinstance(name, str) else labels[name] for name in head.classes_]
    for name in filter(None, (label, options.against)):
        if name not in labels:
            raise UnknownName(f"{run.name} has no label '{name}'.{suggest_name(name, labels)}")
        if name not in classes:
            raise CallError(f"No training document of {run.name} has the label '{name}': there is no evidence for it.")
    if options.against == label:
        raise CallError(f"'{label}' cannot be compared with itself. Name another label with --against.")
    if options.method == "occlusion" and _has_shared_tokens(head, document.bags):
        raise CallError(
            f"{head.name} reads each token once, and the chunks of this store share tokens: no unit can be left out "
            "alone. Use --method coefficients."
        )
    level = options.level or _finest_level(head, document)
    if level == WORDS and document.layout.word_starts is None:
        raise CallError(
            f"The words of '{document.id}' follow from its text and the tokenizer of its encoder, and one of them is "
            "missing. Name it with --source or --encoder, or use --by tokens."
        )
    if level == "segments" and not document.layout.segment:
        raise CallError("This store has no segments: use --by chunks or --by tokens, or embed with --keep segments.")
    bags, owners = document.bags.select_views(head.reads), document.layout.owners_of(head.reads, level)
    if all(owner is None for owner in owners.values()):
        raise CallError(f"{head.name} reads {', '.join(head.reads)}, nothing as fine as {level}. Omit --by.")
    against = None if options.against is None else classes.index(options.against)
    return AttributionInput(head, bags, level, owners, document.layout.count(level), classes.index(label), against)


def _finest_level(head: Head, document: StoredDocument) -> str:
    level = finest_level(head.reads) or LEVELS[0]
    return WORDS if level == "tokens" and document.layout.word_starts is not None else level


def _has_shared_tokens(head: Head, bags: Bags) -> bool:
    """Whether the head reads tokens of overlapping chunks: what is left out of one chunk remains in another."""
    return "token_ids" in head.reads and bags.chunk_layout is not None and bags.chunk_layout.differs_from_text


def _labels_below(run: Run, predicted: list[int]) -> list[int]:
    """The predicted labels; those below a predicted node that is no label; or all labels if none is predicted."""
    hierarchy, labels = run.record.hierarchy, len(run.record.labels)
    if hierarchy is not None and any(code >= labels for code in predicted):
        below: list[int] = np.flatnonzero(hierarchy.closure[:labels][:, predicted].sum(axis=1)).tolist()
        return below
    return predicted or list(range(labels))


def _node_notes(run: Run, predicted: list[int], label: str, options: ExplanationOptions) -> list[str]:
    """What an explanation of a node that is no label explains."""
    if options.label is not None or all(code < len(run.record.labels) for code in predicted):
        return []
    node = run.record.node_names[predicted[0]]
    return [
        f"The prediction '{node}' is above labels and no label itself: the evidence is for '{label}', the most "
        "probable label below it."
    ]


def _abstention_notes(run: Run, reason: str) -> list[str]:
    return [f"{run.name} leaves this document undecided: {reason}."] if reason else []


def _attributions(document: StoredDocument, level: str, contributions: NDArray[np.float64]) -> tuple[Attribution, ...]:
    if not len(contributions):
        return ()
    chunks, numbers = ((1 + counts(level)).tolist() for counts in (document.layout.chunks, document.layout.numbers))
    numbers = [None] * len(contributions) if level == LEVELS[0] else numbers
    texts = map(replace_unprintable, document.excerpts(level))
    rows = zip(chunks, numbers, document.spans(level), texts, contributions.tolist(), strict=True)
    return tuple(Attribution(level, *row) for row in rows)


def _remove_strongest(
    run: Run, inputs: AttributionInput, contributions: NDArray[np.float64], top: int, column: int
) -> tuple[int, float | None]:
    """Leave out the strongest evidence for the label, at most `top` units.

    Returns:
        The number of these units, and the probability of the label without them; 0 and None if there is no evidence
        for the label, or if nothing would remain.
    """
    ranked = np.argsort(-contributions, kind="stable")[:top]
    strongest = ranked[contributions[ranked] > 0]
    if len(strongest) in (0, len(contributions)) or _has_shared_tokens(inputs.head, inputs.bags):
        return 0, None
    mask = np.isin(np.arange(len(contributions)), strongest)[None]
    head = inputs.head
    scores = align_scores(head.decision_function(inputs.remove_units(mask)), head.classes_, run.record.labels)
    return len(strongest), float(run.decision.without_shift.probabilities(scores)[0, column])
