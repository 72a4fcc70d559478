"""A folder of immutable, content-named shards that one recipe made.

    stores/reuters52--all-MiniLM-L6-v2-1f3a9c0e/
      recipe.json            what these features are; written once, before the first shard
      shards/<sha256>.h5     committed by a rename; its name is the hash of its bytes
      corpora/NAME.csv       id, key, split, group, label: what a person may open and edit
      records/               what each run of stage one did

There is no journal, no lock and no manifest: what stands in shards/ under its right name is whole. `.tmp-*` are files
of writers at work, or of dead ones, and are not read.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from data.atomic_write import (
    make_folder,
    open_regular_file,
    sync_folder,
    write_atomically,
    write_if_absent,
    write_under_hash,
)
from data.errors import BadData, FileMissing, RecipeMismatch, StoreDamaged, suggest_name
from featurestore.shards.keys import KeyIndex
from featurestore.shards.layout import FORMAT
from featurestore.shards.selection import Selection
from featurestore.shards.shard import Shard, bags_from_shards
from featurestore.shards.shard_bytes import shard_bytes
from featurestore.shards.shard_content import ShardContent
from featurestore.shards.verified_cache import VerifiedShards
from featurestore.store import corpora
from featurestore.store.corpora import CorpusTable
from featurestore.store.inspection import Progress, count_contents, find_problems, is_shard
from featurestore.vectors.bags import Bags
from featurestore.vectors.recipe import Recipe

if TYPE_CHECKING:
    import pyarrow

_RECIPE = "recipe.json"


class FeatureStore:
    """Features on disk: made by `create`, found by `open`, pickled as their folder.

    Shards are looked at when they are first asked for; those committed later are seen after `refresh` or an own
    `commit`. Where two shards hold one key, the one that comes first by name is read.
    """

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder = folder
        self.recipe = recipe
        self._verified = VerifiedShards(folder)
        self._opened: dict[str, Shard] = {}
        self._keys: KeyIndex | None = None

    @classmethod
    def create(cls, folder: Path, recipe: Recipe) -> Self:
        """The store in `folder`, made if it is not there; of two processes that make it at once, one's recipe stays.

        Raises RecipeMismatch, field by field, when another recipe made the one that is there; StorageFailed.
        """
        path = folder / _RECIPE
        if not path.exists():
            make_folder(folder / "shards")
            content = {"format": FORMAT, "fingerprint": recipe.fingerprint, "recipe": recipe.to_json()}
            write_if_absent(path, (json.dumps(content, indent=1) + "\n").encode())
        store = cls.open(folder)
        if differences := store.recipe.differences(recipe):
            options = store.recipe.options(recipe)
            way = f", or {options} to add to this one" if options else ""
            more = ", which holds all that was asked and more" if store.recipe.covers(recipe) else ""
            raise RecipeMismatch(f"{store.name}: {'; '.join(differences)}. Name another --store{way}{more}.")
        for names in (folder.parent, folder, folder / "shards", folder / "corpora"):
            sync_folder(names)
        return store

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The store in `folder`; no shard is looked at yet.

        Raises FileMissing when there is none, StoreDamaged when its recipe cannot be read, BadData for a newer format.
        """
        return cls(folder, _recipe_in(folder))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.folder,)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The only one, as of several stores side by side each has its own."""
        return (self.recipe,)

    @property
    def documents(self) -> int:
        """How many distinct texts have features."""
        return len(self.keys)

    @property
    def keys(self) -> KeyIndex:
        """The keys of all documents that have features. Raises StoreDamaged when a shard is damaged."""
        known = self._keys
        return self._refreshed() if known is None else known

    def refresh(self) -> None:
        """See the shards that were committed since, by any process. Raises StoreDamaged when one is damaged."""
        self._refreshed()

    def _refreshed(self) -> KeyIndex:
        known = self._keys  # a thread that commits forgets them at any time
        names = sorted(path.name for path in (self.folder / "shards").glob("*.h5") if is_shard(path.name))
        if known is not None and names == list(self._opened):
            return known
        opened = {name: self._opened.get(name) or self._open(name) for name in names}
        self._verified.save()
        self._opened = {name: shard for name, shard in opened.items() if shard is not None}
        self._keys = keys = KeyIndex(shard.keys for shard in self._opened.values())
        return keys

    def _open(self, name: str) -> Shard | None:
        path = self.folder / "shards" / name
        try:
            found = path.lstat()
            shard = Shard.open(path, self.recipe, lambda now: self._verified.is_verified(name, now))
        except FileNotFoundError:  # compacted away since the folder was listed
            return None
        self._verified.add(name, found)
        return shard

    def shards(self) -> list[Shard]:
        """The shards that are read, by name."""
        _ = self.keys
        return list(self._opened.values())

    def missing_keys(self, keys: Sequence[str]) -> list[str]:
        """Those of `keys` that no shard has, in their order."""
        return [keys[row] for row in np.flatnonzero(~self.keys.contains(keys)).tolist()]

    def select(self, keys: Sequence[str] | None = None) -> Selection:
        """The documents of `keys` in their order, or every document, as they are kept; nothing is read yet.

        Raises BadData, saying how many, when some of `keys` have no features.
        """
        if keys is None:
            return Selection.of_all(self.recipe, self.shards(), self.keys)
        there = self.keys.contains(keys)
        if not there.all() or not self._opened:
            missing = int((~there).sum())
            raise BadData(
                f"{self.name}: {missing:,} of {len(keys):,} documents have no features. "
                "Embed the file that they came from again, as you did before."
            )
        return Selection.of_keys(self.recipe, self.shards(), self.keys, keys)

    def bags(self, keys: Sequence[str], keep: str | Iterable[str] | None = None, layer: int | None = -1) -> Bags:
        """The documents of `keys`, in their order; no vector is read before it is asked for.

        keep: the views wanted, one name or several of "cls" "mean" "max" "segments" "tokens" "token_ids"; None is all
        that are kept. layer: None is all, whose items are (layers, dim) in the recipe's order where several are kept.
        Raises BadData, saying how many, when some have no features, UnknownName for a layer or a view not kept.
        """
        chosen = self.select(keys)
        bags = bags_from_shards(chosen.shards, chosen.shard_index, chosen.row, layer)
        return bags if keep is None else bags.select_views(keep)

    def to_arrow(self, keys: Sequence[str] | None = None) -> "pyarrow.Table":
        """The documents of `keys`, or all, as an Arrow table: key, and a column of lists for each view; see arrow.py.

        Raises ExtraMissing without pyarrow, BadData when some of `keys` have no features.
        """
        from featurestore.shards.arrow import to_table

        chosen = self.select(keys)
        return to_table([*chosen.by_shard()] if keys is None else [chosen])

    def commit(self, content: ShardContent) -> Path:
        """Write one shard; returns its path once it is on the disk. Raises StorageFailed; what is there stays whole."""
        folder = self.folder / "shards"
        make_folder(folder)
        path = write_under_hash(folder, shard_bytes(content, self.recipe), ".h5")
        self._keys = None
        return path

    def save_corpus(self, table: CorpusTable) -> None:
        """Keep a corpus; an older one of its name is replaced. Raises StorageFailed."""
        corpora.save(table, self.folder / "corpora")

    def has_corpus(self, table: CorpusTable) -> bool:
        """Whether this very corpus is there."""
        return corpora.is_saved(table, self.folder / "corpora")

    def corpus(self, name: str) -> CorpusTable:
        """One corpus. Raises UnknownName, StoreDamaged when its table cannot be read."""
        return corpora.load(name, self.folder / "corpora")

    def corpora(self) -> list[str]:
        """The names of the corpora, sorted."""
        return corpora.list_names(self.folder / "corpora")

    def save_record(self, name: str, content: Mapping[str, Any]) -> None:
        """Keep what a run did as records/NAME-TIME.json. Raises StorageFailed."""
        make_folder(self.folder / "records")
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_atomically(
            self.folder / "records" / f"{name}-{stamp}-{os.getpid()}.json", text.encode(errors="surrogatepass")
        )

    def info(self) -> dict[str, Any]:
        """What the store is and holds, as plain values. Raises StoreDamaged when a shard is damaged."""
        about = {"store": str(self.folder), "fingerprint": self.recipe.fingerprint, "recipe": self.recipe.to_json()}
        return about | count_contents(self.shards(), self.documents) | {"corpora": self.corpora()}

    def verify(self, progress: Progress | None = None) -> list[str]:
        """A sentence for each thing that is wrong; none when shards are what their names say.

        progress: told bytes done and bytes in all.
        """
        return find_problems(self.folder, self.recipe, self._verified, progress)


def _recipe_in(folder: Path) -> Recipe:
    path = folder / _RECIPE
    try:
        with open_regular_file(path) as file:
            content = json.loads(file.read())
        known, recipe, fingerprint = content["format"], content["recipe"], content["fingerprint"]
    except (FileNotFoundError, NotADirectoryError) as error:
        beside = (store.name for store in list_stores(folder.parent))
        inside = ", ".join(sorted(str(store) for store in list_stores(folder)))
        known_names = f" It holds {inside}." if inside else suggest_name(folder.name, beside)
        known_names = known_names or " Make one with `embedonce embed FILE`."
        raise FileMissing(f"{folder} is not a feature store.{known_names}") from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise StoreDamaged(f"{path} cannot be read ({error}). Embed into a new store.") from error
    if known != FORMAT:
        raise BadData(f"{folder} is of format {known}, which this embedonce does not know. Update embedonce.")
    try:
        found = Recipe.from_json(recipe)
    except BadData as error:
        raise StoreDamaged(f"{path} cannot be read ({str(error).rstrip('.')}). Embed into a new store.") from error
    if found.fingerprint != fingerprint:
        raise StoreDamaged(f"{path} was changed: its fingerprint is that of another recipe. Embed into a new store.")
    return found


def newest_store(folder: Path) -> FeatureStore | None:
    """The store in `folder` with the newest shard, None when it holds no store. Raises as `FeatureStore.open` does."""
    latest = max(list_stores(folder), key=lambda store: (_newest_time(store), store.name), default=None)
    return None if latest is None else FeatureStore.open(latest)


def list_stores(folder: Path) -> list[Path]:
    """The folders in `folder` that are stores."""
    return [path.parent for path in folder.glob(f"*/{_RECIPE}") if not path.parent.name.startswith(".")]


def _newest_time(store: Path) -> float:
    """Of the newest shard; a store without one is older than any that has."""
    shards = [path for path in store.glob("shards/*.h5") if is_shard(path.name)]
    return max((path.stat().st_mtime for path in shards), default=0.0)
