"""The command `embed`: from what a user names to a store that holds its features."""

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import replace
from functools import partial
from pathlib import Path

from data.documents import Corpus
from data.errors import EmbedOnceError
from data.readers import read_corpus
from data.table import Columns
from data.train_test_split import assign_splits
from featurestore import FeatureStore, Recipe, list_stores
from stages.embed.batching.backend_benchmark import choose_backend
from stages.embed.encoder.encoder import Encoder, open_encoder
from stages.embed.encoder.options import Options
from stages.embed.network.backends import AUTO, BACKENDS
from stages.embed.network.torch_network import default_precision
from stages.embed.pipeline.devices import limit_to_cpu_share, parse_devices, run_in_processes
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.encode_corpus import EmbedProgress, EmbedReport, embed
from stages.embed.pipeline.estimate import Estimate, estimate
from stages.embed.pipeline.progress import Progress
from stages.embed.windows.corpus_part import WHOLE_CORPUS, CorpusPart

# options that are no part of a recipe
_FREE = frozenset({"device", "batch_tokens", "revision", "trust_remote_code"})
_KEPT = "Precision {}, in which the store that is there was made."


def embed_source(
    source: str,
    columns: Columns,
    options: Options,
    *,
    explicit: Set[str] = frozenset(),
    store: Path | None = None,
    stores: Path = Path("stores"),
    seed: int = 0,
    part: CorpusPart = WHOLE_CORPUS,
    notify: Callable[[str], None],
    progress: Callable[[EmbedProgress], None],
) -> tuple[FeatureStore, EmbedReport]:
    """Read `source`, open the encoder and the store, and encode what the store lacks.

    explicit: the fields of `options` that the user asked for; the others follow the recipe of a `store` that is there.
    Without `store`, one in `stores` is named for the corpus, the encoder and the recipe.
    """
    devices = parse_devices(options.device)
    options = replace(options, device=devices[0])
    corpus, encoder, folder = _opened(source, columns, options, explicit, store, stores, seed, notify)
    if not (folder / "recipe.json").exists():
        for sentence in related_store_notes(stores, encoder.recipe):
            notify(sentence)
    home = FeatureStore.create(folder, encoder.recipe)
    notify(f"The store is {home.folder}.")
    texts = DistinctTexts.of(corpus, part) if len(devices) > 1 else None
    if texts is None or not len(texts.missing(home)):
        return home, embed(corpus, encoder, home, progress, part)
    notify(f"A process for each of {', '.join(devices)}.")
    made = options_from_recipe(encoder.recipe)
    jobs = {}
    for place, (device, each) in enumerate(zip(devices, part.split(len(devices)), strict=True)):
        taken = {name: getattr(options, name) for name in _FREE} | {"device": device}
        share = devices[:place].count("cpu"), devices.count("cpu")
        jobs[f"{device} (part {each})"] = partial(
            _encode_part, source, columns, replace(made, **taken), home.folder, seed, each, share
        )
    report = run_in_processes(jobs, progress)
    home.refresh()
    elsewhere = texts.missing_in_other_parts(home)
    return home, replace(report, part="" if part == WHOLE_CORPUS else str(part), missing_in_other_parts=elsewhere)


def _encode_part(
    source: str,
    columns: Columns,
    options: Options,
    store: Path,
    seed: int,
    part: CorpusPart,
    share: tuple[int, int],
    progress: Progress,
) -> EmbedReport:
    """In a process of its own: `part` of what is embedded on several devices. share: which, from 0, of how many shares
    of the processor is taken by a process that computes there."""
    if options.device == "cpu":
        limit_to_cpu_share(*share)
    corpus = assign_splits(read_corpus(source, columns), seed)
    return embed(corpus, open_encoder(options), FeatureStore.open(store), progress, part)


def estimate_source(
    source: str,
    columns: Columns,
    options: Options,
    *,
    explicit: Set[str] = frozenset(),
    store: Path | None = None,
    stores: Path = Path("stores"),
    seed: int = 0,
    part: CorpusPart = WHOLE_CORPUS,
    notify: Callable[[str], None],
) -> tuple[Path, Estimate]:
    """What `embed_source` would do with the same arguments, and in which folder; nothing is written there."""
    devices = parse_devices(options.device)
    options = replace(options, device=devices[0])
    corpus, encoder, folder = _opened(source, columns, options, explicit, store, stores, seed, notify)
    home = FeatureStore.open(folder) if (folder / "recipe.json").exists() else None
    return folder, estimate(corpus, encoder, home, part).on(devices)


def _opened(
    source: str,
    columns: Columns,
    options: Options,
    explicit: Set[str],
    store: Path | None,
    stores: Path,
    seed: int,
    notify: Callable[[str], None],
) -> tuple[Corpus, Encoder, Path]:
    corpus = assign_splits(read_corpus(source, columns), seed)
    for note in corpus.notes:
        notify(note)
    if store is not None and (store / "recipe.json").is_file():
        made = FeatureStore.open(store).recipe
        if options.precision == AUTO and made.precision != "float32":
            notify(_KEPT.format(made.precision))
        options = follow_recipe(made, options, explicit)
    asked = options.precision
    # in float32 a store that is there is found without asking torch what the device does well
    encoder = open_encoder(replace(options, precision="float32") if asked == AUTO else options)
    for sentence in encoder.notes:
        notify(sentence)

    def place(encoder: Encoder) -> Path:
        return store or stores / f"{corpus.name}--{recipe_label(encoder)}"

    if asked == AUTO:
        encoder = _usual(encoder, place, notify)
        options = replace(options, precision=encoder.recipe.precision)
    if options.backend == AUTO and encoder.recipe.backend == "torch":
        encoder = fastest(encoder, options, corpus, place, notify)
    return corpus, encoder, place(encoder)


def _usual(encoder: Encoder, place: Callable[[Encoder], Path], notify: Callable[[str], None]) -> Encoder:
    """`encoder`, which is in float32, or in the precision of the store that is there, or in the device's usual one."""
    if made_with(encoder, BACKENDS, place) is not None or encoder.recipe.backend != "torch":
        return encoder
    halves = [replace(encoder, recipe=replace(encoder.recipe, precision=name)) for name in ("bfloat16", "float16")]
    made = next((half for half in halves if (place(half) / "recipe.json").is_file()), None)
    if made is not None:
        notify(_KEPT.format(made.recipe.precision))
        return made
    precision = default_precision(encoder.device)
    if precision != "float32":
        notify(f"Precision {precision}, which this device does well. --precision float32 is exact, and slower.")
    return replace(encoder, recipe=replace(encoder.recipe, precision=precision))


def made_with(encoder: Encoder, backends: Iterable[str], place: Callable[[Encoder], Path]) -> str | None:
    """The first backend of which there is a store of this encoder; `place` says where that would be."""
    recipes = ((name, replace(encoder.recipe, backend=name)) for name in backends)
    places = ((name, place(replace(encoder, recipe=recipe))) for name, recipe in recipes)
    return next((name for name, folder in places if (folder / "recipe.json").is_file()), None)


def fastest(
    encoder: Encoder,
    options: Options,
    corpus: Corpus,
    place: Callable[[Encoder], Path],
    notify: Callable[[str], None],
) -> Encoder:
    """`encoder`, in torch, or the same in a faster backend.

    place: an encoder -> its store. One that is there decides: torch and another backend differ in last bits, so a store
    keeps to one.
    """

    def reopened(backend: str) -> Encoder:
        return encoder if backend == "torch" else open_encoder(replace(options, backend=backend))

    backend = made_with(encoder, BACKENDS, place)
    if backend is None:
        texts = list(dict.fromkeys(document.text for document in corpus.documents))
        backend, why = choose_backend(texts, encoder, options.device, reopened)
        made = made_with(encoder, BACKENDS, place)  # by another process, while this one was trying
        if made is None:
            if why:
                notify(why)
            return reopened(backend)
        backend = made
    if backend != "torch":
        notify(f"Backend {backend}, which made the store that is there.")
    return reopened(backend)


def related_store_notes(stores: Path, recipe: Recipe) -> Iterator[str]:
    """A sentence for each store in `stores` that holds more of the same than `recipe` keeps, or a part of it."""
    for folder in sorted(list_stores(stores)):
        try:
            other = FeatureStore.open(folder).recipe
        except EmbedOnceError:  # damaged or of another format: whoever names it is told
            continue
        if other == recipe:  # of another corpus
            continue
        if other.covers(recipe):
            yield f"{folder} holds all of this, and {other.surplus(recipe)} too: --store {folder} adds to it instead"
        elif recipe.covers(other):
            yield (
                f"{folder} holds a part of this, without {recipe.surplus(other)}; "
                "a store never mixes recipes, so its documents are encoded again"
            )


def recipe_label(encoder: Encoder) -> str:
    """A recipe's name for people and folders: all-MiniLM-L6-v2-1f3a9c0e."""
    return f"{Path(encoder.recipe.encoder).name}-{encoder.recipe.short}"


def follow_recipe(recipe: Recipe, options: Options, explicit: Set[str]) -> Options:
    """The options that `recipe` was made with, but for those that the user asked for.

    Of backend and precision, "auto" asks for what the store has.
    """
    made = options_from_recipe(recipe)
    if "long" in explicit and options.long != recipe.long:  # what goes with the store's way may not go with another
        made = replace(made, window=None if options.long == "model" else made.window, stride=0, max_windows=None)
    taken = explicit | _FREE
    taken -= {name for name in ("backend", "precision") if getattr(options, name) == AUTO}
    return replace(made, **{name: getattr(options, name) for name in taken})


def options_from_recipe(recipe: Recipe) -> Options:
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
