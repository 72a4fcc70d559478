"""Which store and which corpus a command works on."""

from collections.abc import Sequence
from pathlib import Path

from data.errors import BadData, CallError, FileMissing, UnknownName, suggest_name
from featurestore import CorpusTable, FeatureSource, FeatureStore, JoinedStores, Location, is_store, newest_store
from stages.fitting.copies import ORIGIN_COLUMN

__all__ = ["open_corpus", "open_store", "open_stores"]


def open_store(location: Location | None, folder: Location, corpus: str | None = None) -> FeatureStore:
    """The store at `location`, or the newest store in `folder`: of those that have a corpus of this name, if any do.

    Raises FileMissing if there is none, BucketFailed.
    """
    if isinstance(location, Path):
        return FeatureStore.open(_find_store(location, folder))
    if location is not None:
        return FeatureStore.open(location)
    store = newest_store(folder, corpus) or newest_store(folder)
    if store is None:
        raise FileMissing(f"{folder} holds no feature store. Make one with `embedonce embed FILE`.")
    return store


def _find_store(path: Path, folder: Location) -> Location:
    """`path`, or if that is no folder, the store of this name in `folder`."""
    if path.is_dir():
        return path
    inside = folder / path
    exists = inside.is_dir() if isinstance(inside, Path) else not path.is_absolute() and is_store(inside)
    return inside if exists else path


def open_stores(
    paths: Sequence[Location], folder: Location, corpus: str | None = None
) -> tuple[FeatureSource, FeatureStore]:
    """The stores at `paths` joined into one, or one of `folder`; and the first of them, which has the corpus.

    Without paths, `open_store` chooses the store in `folder`. Raises what that raises, and CallError for a store that
    is named twice.
    """
    stores = [open_store(path, folder) for path in paths] or [open_store(None, folder, corpus)]
    names = [store.name for store in stores]
    for name in names:
        if names.count(name) > 1:
            raise CallError(f"{name} is named twice: joining a store with itself adds nothing. Name it once.")
    return (stores[0] if len(stores) == 1 else JoinedStores(tuple(stores))), stores[0]


def open_corpus(store: FeatureStore, name: str | None, *, copies: Sequence[str] = ()) -> CorpusTable:
    """The corpus of that name, or the only one of `store` that holds no copies; the largest sample if it has no other.

    copies: names of some that hold copies.
    """
    names = [known for known in store.corpora() if known not in copies or known == name]
    if name is None and len(names) > 1:
        names = [known for known in names if store.corpus(known).spec.group != ORIGIN_COLUMN] or names
        names = _without_smaller_samples([store.corpus(known) for known in names])
    if name is not None and name not in names:
        raise UnknownName(f"{store.name} has no corpus '{name}'.{suggest_name(name, names)}")
    if not names:
        raise BadData(f"{store.name} has no corpus: its documents lack labels. Run `embedonce embed FILE` again.")
    if name is None and len(names) > 1:
        raise CallError(f"{store.name} has {len(names)} corpora: {', '.join(names)}. Choose one with --corpus.")
    return store.corpus(name or names[0])


def _without_smaller_samples(corpora: Sequence[CorpusTable]) -> list[str]:
    """The names of corpora, except for samples of which the whole corpus or a larger sample is among them."""
    largest: dict[str, CorpusTable] = {}
    for corpus in corpora:
        whole = corpus.name if corpus.sample_of is None else corpus.sample_of.corpus
        known = largest.setdefault(whole, corpus)
        if known.sample_of is not None and (corpus.sample_of is None or len(corpus.ids) > len(known.ids)):
            largest[whole] = corpus
    return [corpus.name for corpus in largest.values()]
