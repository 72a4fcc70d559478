"""How many copies each document gets."""

from collections import Counter
from collections.abc import Sequence

from data.errors import CallError
from data.ranges import MAX_COUNT, check_whole_number

__all__ = ["count_copies", "count_labels"]

DEFAULT_COPIES = 1


def count_labels(document_labels: Sequence[tuple[str, ...]]) -> Counter[str]:
    """The number of documents of each label."""
    return Counter(label for labels in document_labels for label in labels)


def count_copies(document_labels: Sequence[tuple[str, ...]], copies: int | None, to: int | None) -> list[int]:
    """Count the copies of each document.

    Labels are filled up from the rarest on. The documents of a label are copied in turn, those with the fewest labels
    first, so that a copy of a multi-label document adds to as few other labels as possible.

    Args:
        document_labels: the labels of each document.
        copies: copies of every document; None for 1, or for 0 if `to` is given.
        to: a label with fewer documents gets copies until it has this many; None for no such number.

    Returns:
        One number per document.

    Raises:
        CallError: a number is out of range, or no label has fewer documents than `to`.
    """
    if copies is not None:
        check_whole_number("copies", copies, 1, MAX_COUNT)
    if to is not None:
        check_whole_number("to", to, 2, MAX_COUNT)
    counts = [(DEFAULT_COPIES if to is None else 0) if copies is None else copies] * len(document_labels)
    if to is None:
        return counts
    totals, before = count_labels(document_labels), count_labels(document_labels)
    for labels, count in zip(document_labels, counts, strict=True):
        totals.update(dict.fromkeys(labels, count))
    rows_of: dict[str, list[int]] = {label: [] for label in totals}
    for row in sorted(range(len(document_labels)), key=lambda row: len(document_labels[row])):
        for label in document_labels[row]:
            rows_of[label].append(row)
    for label in sorted(totals, key=lambda label: (before[label], label)):
        for turn in range(to - totals[label]):
            if totals[label] >= to:
                break
            row = rows_of[label][turn % len(rows_of[label])]
            counts[row] += 1
            totals.update(document_labels[row])
    if not any(counts):
        raise CallError(f"to is {to}, and every label has at least as many training documents. Raise it.")
    return counts
