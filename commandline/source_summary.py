"""What `embed --dry-run` shows of a source before it is encoded."""

import json
from typing import TYPE_CHECKING

from commandline.output import table

if TYPE_CHECKING:
    from data.corpus_summary import CorpusSummary
    from data.documents import Document, Kind

MOST_LABELS = 20  # in the table of labels
MOST_CHARACTERS = 60  # of a text or of a document's labels
_KINDS = {"single": "one per document", "multilabel": "any number per document", "path": "one node per document"}


def show_summary(summary: "CorpusSummary") -> None:
    """Print how the source was read, its first documents, and the documents of each label."""
    table(["source", summary.source], [(name, value) for name, value in _rows(summary) if value], text_columns=2)
    first = [_row(document, summary.kind) for document in summary.first_documents]
    table(["first documents", "split", "labels", "text"], first, text_columns=4)
    _show_labels(summary)


def _rows(summary: "CorpusSummary") -> list[tuple[str, str]]:
    lengths, splits = summary.characters, summary.splits.items()
    return [
        ("columns", "; ".join(f"{role}: {name}" for role, name in summary.columns)),
        ("format", "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in summary.notation)),
        ("documents", f"{summary.documents:,} ({', '.join(f'{count:,} {split}' for split, count in splits)})"),
        ("groups", f"{summary.groups:,}" if summary.groups else ""),
        (
            "text length",
            f"{lengths['shortest']:,} to {lengths['longest']:,} characters, median {lengths['median']:,}, "
            f"95% have at most {lengths['p95']:,}",
        ),
        ("duplicate texts", f"{summary.duplicate_texts:,}"),
        ("blank texts", f"{summary.blank_texts:,}"),
        ("labels", f"{len(summary.labels):,}, {_KINDS[summary.kind]}"),
        ("taxonomy", "" if summary.taxonomy is None else str(summary.taxonomy)),
        ("unlabeled", f"{summary.unlabeled:,}"),
        ("no label applies", f"{summary.no_label_applies:,}" if summary.kind == "multilabel" else ""),
    ]


def _row(document: "Document", kind: "Kind") -> tuple[str, ...]:
    labels = document.labels
    named = "–" if labels is None else json.dumps(labels, ensure_ascii=False) if kind == "multilabel" else labels[0]
    return document.id, str(document.split), _shorten(named), _shorten(" ".join(document.text.split()))


def _shorten(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def _show_labels(summary: "CorpusSummary") -> None:
    """Print the documents of the most and the least frequent labels, per split."""
    names, splits = list(summary.labels), list(summary.splits)
    if not names:
        return
    skipped = max(len(names) - MOST_LABELS, 0)
    shown = names if not skipped else names[: MOST_LABELS // 2] + names[-(MOST_LABELS // 2) :]
    rows = [(name, *(f"{summary.labels[name].get(split, 0):,}" for split in splits)) for name in shown]
    if skipped:
        rows.insert(MOST_LABELS // 2, (f"({skipped:,} more)", *("" for _ in splits)))
    table(["label", *splits], rows)
