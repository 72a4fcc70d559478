"""The feature store: a folder of immutable shards that one recipe made, each named by the hash of its content.

The folder is on a local disk or in a bucket, see `featurestore.storage`.

    stores/reuters52--all-MiniLM-L6-v2-1f3a9c0e/
      recipe.json            what these features are; written once, before the first shard
      encoder_training.json  what the encoder learned from, if this program trained it
      shards/<sha256>.h5     committed by a rename; its name is the hash of its bytes
      corpora/NAME.csv       id, key, split, group, label; a user may edit it
      unencodable/           keys of texts without finite vectors
      records/               one record per run of `embed`

There is no journal and no manifest: a shard with a correct name is complete. Only compactions have a lock.
`.tmp-*` are temporary files of active or dead writers, and are not read.
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from data.errors import BadData, CallError, FileMissing, RecipeMismatch, StoreDamaged, suggest_name
from featurestore.shards.keys import KeyIndex
from featurestore.shards.layout import FORMAT, check_format
from featurestore.shards.selection import Selection
from featurestore.shards.shard import Shard, bags_from_shards
from featurestore.shards.shard_content import ShardContent
from featurestore.storage.location import Location, parse_location
from featurestore.storage.places import child_folders, storage_at
from featurestore.storage.storage import Progress, Storage, read
from featurestore.store import corpora, unencodable
from featurestore.store.corpora import CorpusTable
from featurestore.store.inspection import count_contents, find_problems, is_shard
from featurestore.store.shard_folder import ShardFolder
from featurestore.vectors.bags import Bags
from featurestore.vectors.encoder_training import TRAINING_FILE, EncoderTraining
from featurestore.vectors.recipe import Recipe

if TYPE_CHECKING:
    import pyarrow

RECIPE_FILE = "recipe.json"


class FeatureStore:
    """Features in a folder or a bucket: made by `create`, opened by `open`, pickled as its path or URL.

    location: the folder or the URL. storage: its files. shard_folder: its shards.

    Shards are opened on first use; shards committed later are seen after `refresh` or a `commit` of this object. If two
    shards hold one key, the first by name is read.
    """

    def __init__(self, storage: Storage, recipe: Recipe) -> None:
        self.storage = storage
        self.location = storage.location
        self.recipe = recipe
        self.shard_folder = ShardFolder(storage, recipe)

    @classmethod
    def create(cls, location: str | Location, recipe: Recipe, training: EncoderTraining | None = None) -> Self:
        """Open the store at a path or URL, and make it first if it does not exist.

        If two processes make it at once, the recipe of one stays. training: what the encoder learned from, see
        `training`. Raises RecipeMismatch, which lists the fields, if an existing store has another recipe;
        StorageFailed, BucketFailed.
        """
        storage = storage_at(parse_location(location))
        if storage.state(RECIPE_FILE) is None:
            storage.subfolder("shards").prepare()
            if training is not None:  # before the recipe: a store is never without it
                storage.write_if_absent(TRAINING_FILE, training.to_bytes())
            storage.write_if_absent(RECIPE_FILE, (json.dumps(recipe.to_file(FORMAT), indent=1) + "\n").encode())
        store = cls.open(storage.location)
        if differences := store.recipe.differences(recipe):
            options = store.recipe.options(recipe)
            alternative = f", or {options} to add to this one" if options else ""
            surplus = ", which holds all of the requested features and more" if store.recipe.covers(recipe) else ""
            raise RecipeMismatch(f"{store.name}: {'; '.join(differences)}. Name another --store{alternative}{surplus}.")
        for folder in (storage_at(storage.location.parent), storage, *map(storage.subfolder, ("shards", "corpora"))):
            folder.sync()
        return store

    @classmethod
    def open(cls, location: str | Location) -> Self:
        """Open the store at a path or URL; no shard is read yet.

        Raises FileMissing if there is none, StoreDamaged if its recipe cannot be read, BadData for another format,
        BucketFailed.
        """
        storage = storage_at(parse_location(location))
        return cls(storage, _read_recipe(storage))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.location,)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.location.resolve().name

    @property
    def folder(self) -> Path:
        """The folder of a store on a local disk. Raises CallError for a store in a bucket."""
        if not isinstance(self.location, Path):
            raise CallError(f"{self.location} is in a bucket, and this needs a folder. Name a store on a local disk.")
        return self.location

    @property
    def stores(self) -> tuple[Self, ...]:
        """This store, as `JoinedStores` has several."""
        return (self,)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipe as a tuple of one, as `JoinedStores` has one per store."""
        return (self.recipe,)

    @cached_property
    def training(self) -> EncoderTraining | None:
        """What the encoder learned from, if this program trained it. Raises StoreDamaged if that cannot be read."""
        try:
            return EncoderTraining.from_bytes(read(self.storage, TRAINING_FILE))
        except FileNotFoundError:
            return None
        except (OSError, BadData) as error:
            path = self.location / TRAINING_FILE
            raise StoreDamaged(f"{path} cannot be read ({error}). Embed into a new store.") from error

    @property
    def trainings(self) -> tuple[EncoderTraining, ...]:
        """What encoders that this program trained learned from; `JoinedStores` may have several."""
        return () if self.training is None else (self.training,)

    @property
    def documents(self) -> int:
        """The number of distinct texts that have features."""
        return len(self.keys)

    @property
    def keys(self) -> KeyIndex:
        """The keys of all documents that have features. Raises StoreDamaged if a shard is damaged."""
        return self.shard_folder.index

    def refresh(self) -> None:
        """See the shards that any process has committed since. Raises StoreDamaged if one is damaged."""
        self.shard_folder.refresh()

    def shard_names(self) -> list[str]:
        """The names of the shards that any process has committed by now; none of them is opened."""
        return self.shard_folder.names()

    def shards(self, progress: Progress | None = None) -> list[Shard]:
        """Open the shards, sorted by name; those of a bucket are downloaded into a cache.

        progress: called with the bytes downloaded and the bytes to download. Raises StoreDamaged; BucketFailed;
        StorageFailed if the cache is full.
        """
        return self.shard_folder.shards(progress)

    def missing_keys(self, keys: Sequence[str]) -> list[str]:
        """Return the keys without features, in their order."""
        return [keys[row] for row in np.flatnonzero(~self.keys.contains(keys)).tolist()]

    def unencodable(self, keys: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each key is of a text that `embed` found no finite vectors for: bool (keys,)."""
        failed = unencodable.load_keys(self.storage.subfolder("unencodable"))
        if not failed:
            return np.zeros(len(keys), dtype=bool)
        return np.array([key in failed for key in keys], dtype=bool) & ~self.keys.contains(keys)

    def save_unencodable(self, keys: Collection[str]) -> None:
        """Keep the keys of texts without finite vectors. Raises StorageFailed."""
        unencodable.save_keys(keys, self.storage.subfolder("unencodable"))

    def select(self, keys: Sequence[str] | None = None) -> Selection:
        """Select the documents of `keys` in their order, or every document, as stored; nothing is read yet.

        Raises BadData, with their number, if some of `keys` have no features.
        """
        if keys is None:
            shards = self.shards()
            return Selection.of_all(self.recipe, shards, self.keys)
        self._check_known(keys)  # before shards are downloaded
        shards = self.shards()
        self._check_known(keys, are_any=bool(shards))
        return Selection.of_keys(self.recipe, shards, self.keys, keys)

    def _check_known(self, keys: Sequence[str], *, are_any: bool = True) -> None:
        known = self.keys.contains(keys)
        if known.all() and are_any:
            return
        missing, failed = int((~known).sum()), int(self.unencodable(keys).sum())
        if missing == failed > 0:
            raise BadData(f"{self.name}: {missing:,} of {len(keys):,} documents have no finite vectors.")
        raise BadData(
            f"{self.name}: {missing - failed:,} of {len(keys):,} documents have no features. "
            "Run the same `embedonce embed` again to encode them."
        )

    def bags(self, keys: Sequence[str], keep: str | Iterable[str] | None = None, layer: int | None = -1) -> Bags:
        """Return the documents of `keys`, in their order; a vector is read when it is used.

        Args:
            keys: The documents' keys.
            keep: One or several of the views "cls", "mean", "max", "segments", "tokens", "token_ids"; None is all.
            layer: The layer; None is all, with items (layers, dim) in the recipe's order if several are kept.

        Raises:
            BadData: Some documents have no features; their number is given.
            UnknownName: The layer or a view is not kept.
        """
        selection = self.select(keys)
        bags = bags_from_shards(selection.shards, selection.shard_index, selection.row, layer)
        return bags if keep is None else bags.select_views(keep)

    def to_arrow(self, keys: Sequence[str] | None = None) -> "pyarrow.Table":
        """Return the documents of `keys`, or all, as an Arrow table: key, and one column per view; see arrow.py.

        Raises ExtraMissing without pyarrow, BadData if some of `keys` have no features.
        """
        from featurestore.shards.arrow import to_table

        selection = self.select(keys)
        return to_table([*selection.by_shard()] if keys is None else [selection])

    def commit(self, content: ShardContent) -> str:
        """Write one shard, and return its name once it is on the disk or in the bucket. Raises StorageFailed."""
        return self.shard_folder.commit(content)

    def save_corpus(self, table: CorpusTable) -> None:
        """Write the table of a corpus; an older one with its name is replaced. Raises StorageFailed."""
        corpora.save(table, self.storage.subfolder("corpora"))

    def has_corpus(self, table: CorpusTable) -> bool:
        """Whether the store has a corpus identical to this one."""
        return corpora.is_saved(table, self.storage.subfolder("corpora"))

    def corpus(self, name: str) -> CorpusTable:
        """Read a corpus. Raises UnknownName; StoreDamaged if its table cannot be read."""
        return corpora.load(name, self.storage.subfolder("corpora"))

    def corpora(self) -> list[str]:
        """The names of the corpora, sorted."""
        return corpora.list_names(self.storage.subfolder("corpora"))

    def save_record(self, name: str, content: Mapping[str, Any]) -> None:
        """Write the record of a run as records/NAME-TIME.json. Raises StorageFailed."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        file = f"{name}-{stamp}-{os.getpid()}.json"
        self.storage.subfolder("records").replace(file, text.encode(errors="surrogatepass"), None)

    def info(self) -> dict[str, Any]:
        """Describe the store and its content in plain values. Raises StoreDamaged if a shard is damaged."""
        about = {"store": str(self.location), "fingerprint": self.recipe.fingerprint, "recipe": self.recipe.to_json()}
        return about | count_contents(self.shards(), self.documents) | {"corpora": self.corpora()}

    def verify(self, progress: Progress | None = None) -> list[str]:
        """Hash and check every shard and corpus, and return one sentence per problem.

        progress: called with the bytes done and the total bytes.
        """
        return find_problems(self.storage, self.recipe, self.shard_folder.verified, progress)


def _read_recipe(storage: Storage) -> Recipe:
    folder, path = storage.location, storage.location / RECIPE_FILE
    try:
        content = json.loads(read(storage, RECIPE_FILE))
        version, recipe_json, fingerprint = content["format"], content["recipe"], content["fingerprint"]
        hub = content.get("hub", {})
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileMissing(f"{folder} is not a feature store.{_suggest_store(folder)}") from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise StoreDamaged(f"{path} cannot be read ({error}). Embed into a new store.") from error
    check_format(str(folder), version)
    try:
        recipe = Recipe.from_json({**recipe_json, **hub})
    except (BadData, TypeError) as error:
        raise StoreDamaged(f"{path} cannot be read ({str(error).rstrip('.')}). Embed into a new store.") from error
    if recipe.fingerprint != fingerprint:
        raise StoreDamaged(f"{path} was changed: its fingerprint belongs to another recipe. Embed into a new store.")
    return recipe


def _suggest_store(folder: Location) -> str:
    if inside := sorted(str(store) for store in list_stores(folder)):
        return f" It holds {', '.join(inside)}."
    similar = suggest_name(folder.name, (store.name for store in list_stores(folder.parent)))
    return similar or " Make one with `embedonce embed FILE`."


def newest_store(folder: Location, corpus: str | None = None) -> FeatureStore | None:
    """Open the store in `folder` with the newest shard, if any. Raises as `FeatureStore.open` does.

    corpus: a corpus that it must have.
    """
    stores = [store for store in list_stores(folder) if corpus is None or _has_corpus(store, corpus)]
    latest = max(stores, key=lambda store: (_newest_time(store), store.name), default=None)
    return None if latest is None else FeatureStore.open(latest)


def is_store(location: Location) -> bool:
    """Whether there is a store at this path or URL. Raises BucketFailed."""
    return storage_at(location).state(RECIPE_FILE) is not None


def list_stores(folder: Location) -> list[Location]:
    """List the folders in `folder` that are stores. Raises BucketFailed."""
    return [child for child in child_folders(folder) if is_store(child)]


def _has_corpus(store: Location, name: str) -> bool:
    return name in corpora.list_names(storage_at(store).subfolder("corpora"))


def _newest_time(store: Location) -> float:
    """The modification time of the newest shard; 0 without shards."""
    folder = storage_at(store).subfolder("shards")
    return max((state.modified for name, state in folder.states().items() if is_shard(name)), default=0.0)
