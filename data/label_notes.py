"""Notes on labels that may be mistakes: missing values as text, and labels that a person would read as the same."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence

from data.text_format import join_names, join_words

# how pandas, R, Excel, JSON and Python write a missing value
MISSING_WORDS = frozenset({"nan", "NaN", "NAN", "None", "null", "NULL", "NA", "N/A", "#N/A", "<NA>", "NaT"})
_MOST_PAIRS = 3


def label_notes(names: Collection[str]) -> Iterator[str]:
    """Report labels that look like missing values, and labels that look alike. `names` are distinct."""
    if missing := sorted(MISSING_WORDS.intersection(names)):
        kept = f"label {join_names(missing)} is" if len(missing) == 1 else f"labels {join_names(missing)} are"
        yield f"{kept} kept; leave the cell of a document without a label blank"
    if alike := _alike(names):
        shown = ", ".join(join_words(_distinguishable(group)) for group in alike[:_MOST_PAIRS])
        more = f" and {len(alike) - _MOST_PAIRS:,} more" if len(alike) > _MOST_PAIRS else ""
        yield f"labels differ only by case, spaces or invisible characters, and stay different: {shown}{more}"


def _alike(names: Collection[str]) -> list[list[str]]:
    """The names that are equal when folded, by groups of at least two, in the order of names."""
    folded = [_fold(name) for name in names]
    if len(set(folded)) == len(folded):
        return []
    groups: dict[str, list[str]] = {}
    for fold, name in sorted(zip(folded, names, strict=True)):
        groups.setdefault(fold, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def respelling_notes(respelled: Mapping[str, str]) -> Iterator[str]:
    """Report labels that are read in another form than they are written in."""
    pairs = [f"'{word}' as '{label}'" for word, label in sorted(respelled.items())]
    if pairs:
        more = [f"{len(pairs) - _MOST_PAIRS:,} more"] if len(pairs) > _MOST_PAIRS else []
        yield f"labels are read in one form: {join_words([*pairs[:_MOST_PAIRS], *more])}"


def near_path_notes(words: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Report labels without a "/" that keep the others from being read as paths, if most have one."""
    if len(others) < len(words) - len(others):
        verb = "has" if len(others) == 1 else "have"
        yield (
            f"labels are not read as paths, because {join_names(others, 3)} {verb} no '/' (--path-separator / reads "
            "them as paths)"
        )


def _fold(name: str) -> str:
    """What remains of a label without case, Unicode form, invisible characters and kinds of spaces."""
    if name.isascii():
        return "".join(name.casefold().split())
    visible = "".join(letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
    return "".join(unicodedata.normalize("NFKC", visible.casefold()).split())


def _distinguishable(names: Sequence[str]) -> list[str]:
    """The names in quotation marks; with escapes for letters beyond ASCII if names would look alike on a screen."""
    looks = {" ".join(_fold_form(name).split()) for name in names}
    return [f"'{name}'" for name in names] if len(looks) == len(names) else [ascii(name) for name in names]


def _fold_form(name: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKC", name) if unicodedata.category(letter) != "Cf")
