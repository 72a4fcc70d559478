"""Makes, writes and encodes augmented copies of the training documents of a corpus.

The copies are a JSON Lines file and a corpus of the same store, whose group column has the origins
(`stages/fitting/copies.py`). Each copy differs from all documents of the corpus and from all other copies.
"""

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from data.atomic_write import check_writable
from data.documents import Corpus, Document
from data.errors import BadData, CallError, FileMissing, ModelUnavailable
from data.readers.files import safe_file_name
from data.readers.inputs import STDIN
from data.source_spec import SourceSpec
from data.splits import Split
from data.text_format import plural
from featurestore import CorpusTable, FeatureStore, text_key
from stages.augment.amounts import count_copies, count_labels
from stages.augment.copied_corpus import AugmentedCorpus, Copy
from stages.augment.keywords import KeywordExchange, KeywordShuffle
from stages.augment.plan import AugmentPlan
from stages.augment.words import Draft, Method, Request, SimpleMethod, delete_words, shuffle_sentences
from stages.embed.model_files.model_lookup import find_model, find_recorded_model
from stages.explain.source_text import read_texts
from stages.fitting.copies import ORIGIN_COLUMN, Origin, format_origins

__all__ = ["AugmentProgress", "augment"]

FOLDER = Path("augmented")
ATTEMPTS = 5  # drafts of a copy that equals a document or another copy
SAMPLE = 32  # copies that a dry run makes with a method that takes long
_REASONS = {
    "deletion": "each has only one word",
    "mlm": "none has a word that is one token",
    "sentences": "none has two sentences that end with a full stop, a question mark or an exclamation mark",
    "keyword-exchange": "no label has two documents with different keywords",
    "keyword-shuffle": "none has two different keywords of its labels",
}


@dataclass(frozen=True)
class AugmentProgress:
    """Copies made so far, of all; seconds_left is None at the start."""

    done: int
    total: int
    seconds_left: float | None


def augment(
    store: FeatureStore,
    table: CorpusTable,
    plan: AugmentPlan,
    *,
    out: Path | None = None,
    source: str | None = None,
    requested: SourceSpec | None = None,
    texts: Mapping[str, str] | None = None,
    sample: bool = False,
    on_progress: Callable[[AugmentProgress], None] = lambda _: None,
) -> AugmentedCorpus:
    """Make copies of the labeled training documents of a corpus, without those of its validation split.

    Args:
        store: the store of the corpus.
        table: the corpus.
        plan: how they are copied.
        out: the file that the copies will be written to; None for augmented/CORPUS-METHOD.jsonl. Its name is that of
            the corpus of copies.
        source: file that has the texts; None for the one that was embedded.
        requested: what the user said about `source`.
        texts: key -> text of the documents, if they are in memory; no source is read then.
        sample: whether a method that takes long makes only some copies.
        on_progress: called after each copy.

    Returns:
        The copies; nothing is written.

    Raises:
        BadData: no document can be copied, no copy differs from the documents, or the source lacks a text.
        CallError: the corpus holds copies, the name of `out` is that of another corpus, and what `count_copies` raises.
        ModelUnavailable: what `open_masked_words` raises.
    """
    file = out or FOLDER / f"{table.name}-{plan.method}.jsonl"
    name = _check_names(store, table, file)
    documents = _read_documents(table, texts, source, requested or SourceSpec())
    labels = [document.labels or () for document in documents]
    counts = count_copies(labels, plan.copies, plan.to)
    wanted = [(row, number) for row, count in enumerate(counts) for number in range(1, count + 1)]
    is_sample = sample and plan.method == "mlm" and len(wanted) > SAMPLE
    chosen = sorted(Random(plan.seed).sample(wanted, SAMPLE)) if is_sample else wanted
    method = _prepare(store, documents, plan)
    started = time.perf_counter()
    made = _make_copies(documents, chosen, method, plan, set(table.keys), on_progress)
    if not made:
        raise BadData(
            f"{plan.method} changes none of {plural(len(documents), 'training document')} of {table.name}: "
            f"{_REASONS[plan.method]}. Choose another --method."
        )
    return AugmentedCorpus(
        corpus=_make_corpus(table, plan, name, file, made),
        file=file,
        made=made,
        planned=len(wanted),
        is_sample=is_sample,
        documents=count_labels(labels),
        copies=count_labels([copy.document.labels or () for copy in made]),
        seconds=time.perf_counter() - started,
    )


def _check_names(store: FeatureStore, table: CorpusTable, file: Path) -> str:
    """The name of the corpus of copies. Raises CallError if it, the file or the corpus cannot be used."""
    name = safe_file_name(file.stem)
    if table.spec.group == ORIGIN_COLUMN:
        raise CallError(f"{table.name} holds copies. Copy the documents that they were made of.")
    if file.suffix != ".jsonl":
        raise CallError(f"The copies are written as JSON Lines: {file} must end in .jsonl.")
    if name in store.corpora() and (name == table.name or store.corpus(name).source != str(file)):
        raise CallError(f"{store.name} has a corpus '{name}' that is not from {file}. Name another file with --out.")
    check_writable(file.parent)
    return name


def _make_corpus(table: CorpusTable, plan: AugmentPlan, name: str, file: Path, made: Sequence[Copy]) -> Corpus:
    return Corpus(
        name=name,
        source=str(file),
        documents=[copy.document for copy in made],
        kind=table.kind,
        taxonomy=table.taxonomy,
        notes=(f"augmented copies of training documents of {table.name} ({plan.method})",),
        spec=_spec(table),
    )


def _spec(table: CorpusTable) -> SourceSpec:
    """How the file of copies is read; separators that are "" keep labels as they are written."""
    separator = "/" if table.kind == "path" and table.spec.path_separator is None else table.spec.path_separator or ""
    return SourceSpec(
        text=("text",), label="label", id="id", split="split", group=ORIGIN_COLUMN, path_separator=separator
    )


def _read_documents(
    table: CorpusTable, texts: Mapping[str, str] | None, source: str | None, requested: SourceSpec
) -> list[Document]:
    """The labeled training documents that are in no validation split, with their texts."""
    held_out = (Split.TEST, Split.VALIDATION)
    rows = [row for row, labels in enumerate(table.labels) if labels is not None and table.splits[row] not in held_out]
    if not rows:
        raise BadData(f"{table.name} has no training document with a label to copy. Embed with labels first.")
    if texts is None:
        texts = _read_texts(table, [table.keys[row] for row in rows], source or table.source, requested)
    return [Document(table.ids[row], texts[table.keys[row]], table.labels[row]) for row in rows]


def _read_texts(table: CorpusTable, keys: Sequence[str], source: str, requested: SourceSpec) -> dict[str, str]:
    if source == STDIN:
        raise CallError(f"{table.name} was read from standard input. Name a file that has its texts with --source.")
    try:
        return read_texts(table, keys, source, requested)
    except (BadData, FileMissing) as error:
        raise type(error)(f"The texts are not available: {error} Name a file that has them with --source.") from None


def _prepare(store: FeatureStore, documents: Sequence[Document], plan: AugmentPlan) -> Method:
    texts, labels = [document.text for document in documents], [document.labels or () for document in documents]
    match plan.method:
        case "deletion":
            return SimpleMethod(texts, lambda text, rng: delete_words(text, plan.share, rng))
        case "sentences":
            return SimpleMethod(texts, shuffle_sentences)
        case "keyword-exchange":
            return KeywordExchange(texts, labels, plan.share, plan.seed)
        case "keyword-shuffle":
            return KeywordShuffle(texts, labels, plan.share)
    from stages.augment.masked_words import open_masked_words

    name = plan.model or store.recipe.encoder
    folder = find_recorded_model(store.recipe) if plan.model is None else find_model(plan.model)
    if folder is None:
        raise ModelUnavailable(f"{name}, the encoder of the store, is not on this machine. Name one with --model.")
    return open_masked_words(texts, folder, name, plan.share, plan.device)


def _make_copies(
    documents: Sequence[Document],
    wanted: Sequence[tuple[int, int]],
    method: Method,
    plan: AugmentPlan,
    known: Collection[str],
    on_progress: Callable[[AugmentProgress], None],
) -> tuple[Copy, ...]:
    """The copies that differ from each other and from the texts with keys in `known`, in the order of their origins."""
    made: dict[tuple[int, int], Copy] = {}
    taken, pending, total, started = set(known), list(wanted), len(wanted), time.perf_counter()
    for attempt in range(ATTEMPTS):
        requests = [Request(row, _generator(plan, documents[row], number, attempt)) for row, number in pending]
        rejected = []
        for (row, number), draft in zip(pending, method.drafts(requests), strict=True):
            if draft is None:
                continue
            if not draft.text.strip() or (key := text_key(draft.text)) in taken:
                rejected.append((row, number))
                continue
            taken.add(key)
            made[row, number] = _make_copy(documents, row, draft, f"{plan.method}-{number}")
            seconds = (time.perf_counter() - started) / len(made) * (total - len(made))
            on_progress(AugmentProgress(len(made), total, seconds))
        pending = rejected
    return tuple(made[place] for place in sorted(made))


def _make_copy(documents: Sequence[Document], row: int, draft: Draft, name: str) -> Copy:
    origin = documents[row]
    origins = [Origin(documents[other].id, text_key(documents[other].text)) for other in (row, *draft.donors)]
    copy = Document(f"{origin.id}~{name}", draft.text, origin.labels, Split.TRAIN.value, format_origins(origins))
    return Copy(copy, origin)


def _generator(plan: AugmentPlan, origin: Document, number: int, attempt: int) -> Random:
    """A generator of its own for each draft, so that a copy does not depend on which others are made."""
    return Random(json.dumps([plan.seed, plan.method, origin.id, number, attempt]))
