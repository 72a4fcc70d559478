"""The command `embed`: from what a user names to a store that holds its features."""

from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from pathlib import Path

from data import Columns, Corpus, read, with_split
from data.errors import EmbedOnceError
from featurestore import FeatureStore, Recipe, stores
from stages.embed.backends import AUTO, BACKENDS
from stages.embed.encoder import Encoder, open_encoder
from stages.embed.estimate import Estimate, estimate
from stages.embed.loop import EmbedProgress, EmbedReport, embed
from stages.embed.options import Options
from stages.embed.part import WHOLE, Part
from stages.embed.trial import choose


def embed_source(
    source: str,
    columns: Columns,
    options: Options,
    *,
    given: Set[str] = frozenset(),
    store: Path | None = None,
    features: Path = Path("features"),
    seed: int = 0,
    part: Part = WHOLE,
    tell: Callable[[str], None],
    progress: Callable[[EmbedProgress], None],
) -> tuple[FeatureStore, EmbedReport]:
    """Read `source`, open the encoder and the store, and encode what the store lacks.

    given: the fields of `options` that the user asked for; the others follow the recipe of a `store` that is there.
    Without `store`, one in `features` is named for the corpus, the encoder and the recipe.
    """
    corpus, encoder, folder = _opened(source, columns, options, given, store, features, seed, tell)
    if not (folder / "recipe.json").exists():
        for sentence in kin(features, encoder.recipe):
            tell(sentence)
    home = FeatureStore.create(folder, encoder.recipe)
    tell(f"The store is {home.folder}.")
    return home, embed(corpus, encoder, home, progress, part)


def estimate_source(
    source: str,
    columns: Columns,
    options: Options,
    *,
    given: Set[str] = frozenset(),
    store: Path | None = None,
    features: Path = Path("features"),
    seed: int = 0,
    part: Part = WHOLE,
    tell: Callable[[str], None],
) -> tuple[Path, Estimate]:
    """What `embed_source` would do with the same arguments, and in which folder; nothing is written there."""
    corpus, encoder, folder = _opened(source, columns, options, given, store, features, seed, tell)
    home = FeatureStore.open(folder) if (folder / "recipe.json").exists() else None
    return folder, estimate(corpus, encoder, home, part)


def _opened(
    source: str,
    columns: Columns,
    options: Options,
    given: Set[str],
    store: Path | None,
    features: Path,
    seed: int,
    tell: Callable[[str], None],
) -> tuple[Corpus, Encoder, Path]:
    corpus = with_split(read(source, columns), seed)
    for note in corpus.notes:
        tell(note)
    if store is not None and (store / "recipe.json").is_file():
        options = following(FeatureStore.open(store).recipe, options, given)
    encoder = open_encoder(options)
    for sentence in encoder.notes:
        tell(sentence)

    def place(encoder: Encoder) -> Path:
        return store or features / f"{corpus.name}--{label(encoder)}"

    if options.backend == AUTO and encoder.recipe.backend == "torch":
        encoder = fastest(encoder, options, corpus, place, tell)
    return corpus, encoder, place(encoder)


def fastest(
    encoder: Encoder,
    options: Options,
    corpus: Corpus,
    place: Callable[[Encoder], Path],
    tell: Callable[[str], None],
) -> Encoder:
    """`encoder`, in torch, or the same in a faster backend.

    place: an encoder -> its store. One that is there decides: torch and another backend differ in last bits, so a store
    keeps to one.
    """

    def reopened(backend: str) -> Encoder:
        return encoder if backend == "torch" else open_encoder(replace(options, backend=backend))

    def there() -> str | None:
        recipes = ((name, replace(encoder.recipe, backend=name)) for name in BACKENDS)
        stores = ((name, place(replace(encoder, recipe=recipe))) for name, recipe in recipes)
        return next((name for name, folder in stores if (folder / "recipe.json").is_file()), None)

    backend = there()
    if backend is None:
        texts = list(dict.fromkeys(document.text for document in corpus.documents))
        backend, why = choose(texts, encoder, options.device, reopened)
        made = there()  # by another process, while this one was trying
        if made is None:
            if why:
                tell(why)
            return reopened(backend)
        backend = made
    if backend != "torch":
        tell(f"Backend {backend}, which made the store that is there.")
    return reopened(backend)


def kin(features: Path, recipe: Recipe) -> Iterator[str]:
    """A sentence for each store in `features` that holds all of what `recipe` keeps, or a part of it."""
    for folder in sorted(stores(features)):
        try:
            other = FeatureStore.open(folder).recipe
        except EmbedOnceError:  # damaged or of another format: whoever names it is told
            continue
        if other.covers(recipe):
            yield f"{folder} holds all of this, and {other.surplus(recipe)} too: --store {folder} adds to it instead"
        elif recipe.covers(other):
            yield (
                f"{folder} holds a part of this, without {recipe.surplus(other)}; "
                "a store never mixes recipes, so its documents are encoded again"
            )


def label(encoder: Encoder) -> str:
    """A recipe's name for people and folders: all-MiniLM-L6-v2-1f3a9c0e."""
    return f"{Path(encoder.recipe.encoder).name}-{encoder.recipe.short}"


def following(recipe: Recipe, options: Options, given: Set[str]) -> Options:
    """The options that `recipe` was made with, but for those that the user asked for.

    Of the backend, "auto" asks for the one that the store has.
    """
    made = options_of(recipe)
    if "long" in given and options.long != recipe.long:  # what goes with the store's way may not go with another
        made = replace(made, window=None if options.long == "model" else made.window, stride=0, max_windows=None)
    taken = given | {"device", "budget", "revision", "trust_remote_code"}
    if options.backend == AUTO:
        taken -= {"backend"}
    return replace(made, **{name: getattr(options, name) for name in taken})


def options_of(recipe: Recipe) -> Options:
    """The options that lead to `recipe`."""
    return Options(
        model=recipe.encoder,
        window=recipe.window,
        stride=recipe.stride,
        max_windows=recipe.max_windows,
        long=recipe.long,
        special_tokens=recipe.special_tokens,
        prefix=recipe.prefix,
        keep=recipe.keep,
        segment=recipe.segment,
        layers=",".join(map(str, recipe.layers)),
        dtype=recipe.dtype,
        precision=recipe.precision,
        backend=recipe.backend,
    )
