"""`embedonce compare --differences` in the terminal."""

from typing import TYPE_CHECKING

from commandline.output import note, show, table

if TYPE_CHECKING:
    from stages.comparing.disagreement import Disagreement, LabelDifference

MOST_LABELS = 10
MOST_DOCUMENTS = 10
SPLITS = {"train": "documents out of fold", "validation": "validation documents", "test": "test documents"}


def print_differences(found: "Disagreement") -> None:
    """Print two sentences, a table of labels and a table of documents."""
    first, second = found.first, found.second
    show(
        f"{first} and {second} on {found.scored:,} {SPLITS[found.split]}: both are right on {found.both:,}, only "
        f"{first} on {found.only_first:,}, only {second} on {found.only_second:,}, none on {found.neither:,}."
    )
    difference, kappa = found.accuracy_difference, found.kappa
    of_kappa = "" if kappa is None else f" (kappa {kappa.value:.3f}, {kappa.low:.3f} to {kappa.high:.3f})"
    show(
        f"The accuracy of {first} minus that of {second} is {difference.value:+.3f} ({difference.low:+.3f} to "
        f"{difference.high:+.3f}), p = {found.p_value:.2g} by McNemar's test. They predict the same for "
        f"{found.agreement:.1%} of the documents{of_kappa}."
    )
    _print_labels(found)
    _print_documents(found)


def _print_labels(found: "Disagreement") -> None:
    """The labels in which the runs differ most, those that the first run wins at the top."""
    most = sorted(found.labels, key=lambda label: abs(label.only_first - label.only_second), reverse=True)
    shown = [label for label in found.labels if label in most[:MOST_LABELS]]
    if shown:
        names = (found.first, found.second)
        headings = [
            "label",
            "documents",
            *(f"F1 of\n{name}" for name in names),
            *(f"only right\n{name}" for name in names),
            "p",
        ]
        table(headings, [_label_cells(label) for label in shown])
    if clear := sum(label.is_clear for label in found.labels):
        note(f"{clear:,} of {len(found.labels):,} labels with a difference differ by more than chance (p up to 0.05).")
    elif found.labels:
        note("No label differs by more than chance (p above 0.05, adjusted for all labels).")


def _label_cells(label: "LabelDifference") -> list[str]:
    counts = (f"{label.only_first:,}", f"{label.only_second:,}")
    return [
        label.label,
        f"{label.documents:,}",
        f"{label.first_f1:.3f}",
        f"{label.second_f1:.3f}",
        *counts,
        f"{label.p_value:.2g}",
    ]


def _print_documents(found: "Disagreement") -> None:
    shown = found.documents[:MOST_DOCUMENTS]
    has_text = any(document.text for document in shown)
    rows = [[each.id, each.truth, each.first, each.second, *([each.text] if has_text else [])] for each in shown]
    if rows:
        headings = ["id", "true label", found.first, found.second, *(["text"] if has_text else [])]
        table(headings, rows, text_columns=len(headings))
    if len(found.documents) > len(shown):
        note(f"{len(found.documents) - len(shown):,} more documents are in --format csv and in --json.")
