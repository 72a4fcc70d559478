"""The command `embed`: from the source that a user names to a store that holds its vectors."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from data.documents import Corpus, Documents
from data.errors import EmbedOnceError, ModelUnavailable
from data.packed import StreamedTexts
from data.readers import file_sizes, is_read_at_once, report_reading
from data.text_format import format_bytes, join_words
from featurestore import FeatureStore, Location, Recipe, list_stores
from stages.embed.encoder.encoder import open_encoder
from stages.embed.model_files.model_lookup import find_model
from stages.embed.model_files.saved_encoders import encoders_folder
from stages.embed.pipeline.devices import Job, limit_to_cpu_share, parse_devices, run_in_processes
from stages.embed.pipeline.distinct_texts import DistinctTexts
from stages.embed.pipeline.embed_request import EmbedRequest
from stages.embed.pipeline.encode_corpus import EmbedProgress, EmbedReport, embed
from stages.embed.pipeline.encoding_choice import EncodingChoice, StoreLocation, resolve_encoding
from stages.embed.pipeline.engine_queue import embed_on_engine
from stages.embed.pipeline.estimate import Estimate, estimate
from stages.embed.pipeline.progress import Progress
from stages.embed.windows.corpus_part import WHOLE_CORPUS
from stages.engines import Engine, open_engine

LARGE_SOURCE = 10**9  # bytes of files, about a minute of reading

# called with the bytes of a source that have been read, and all of them; a large source is read more than once
Reading = Callable[[float, float], None]


def embed_source(
    request: EmbedRequest,
    *,
    notify: Callable[[str], None],
    progress: Callable[[EmbedProgress], None],
    reading: Reading = lambda *_: None,
) -> tuple[FeatureStore, EmbedReport]:
    """Read a corpus, open the encoder and the store, and encode what the store lacks.

    With an encoder that was cross-fitted, the encoders of its folds encode the corpus first, each into its own store.

    Args:
        request: what to encode, how, and into which store.
        notify: called with sentences for the user, as they arise.
        progress: called after each batch.
        reading: called while the source is read.

    Returns:
        The store of the encoder that was requested, and what was done for it.

    Raises:
        EmbedOnceError: of `resolve_encoding`, `resolve_fold_encoders`, `embed` and `run_in_processes`.
    """
    if request.on is not None:
        with open_engine(request.on) as engine:
            return _embed_all(request, engine, notify, progress, reading)
    return _embed_all(request, None, notify, progress, reading)


def _embed_all(
    request: EmbedRequest, engine: Engine | None, notify: Callable[[str], None], progress: Progress, reading: Reading
) -> tuple[FeatureStore, EmbedReport]:
    """Encode a corpus with each of its encoders, of which the last one is that of the request."""
    devices = parse_devices(request.options.device)
    _check_encoder(request)
    corpus, choice = _resolve(request, devices[0], notify, reading)
    folds = resolve_fold_encoders(corpus, choice, request.stores if request.store is None else request.store.parent)
    for number, fold in enumerate(folds, start=1):
        notify(f"Encoder {number} of {len(folds) + 1}: {fold.options.model}, which was trained without fold {number}.")
        _, report = _encode(request, corpus, fold, engine or devices, notify, progress)
        for sentence in replace(report, notes=()).sentences():
            notify(sentence)
    if folds:  # the last one, so that its store is the newest
        notify(f"Encoder {len(folds) + 1} of {len(folds) + 1}: {choice.options.model}.")
    return _encode(request, corpus, choice, engine or devices, notify, progress)


def resolve_fold_encoders(corpus: Corpus, choice: EncodingChoice, stores: Location) -> list[EncodingChoice]:
    """Open the encoders of the folds of an encoder that was cross-fitted, with the options of that encoder.

    Args:
        corpus: what is encoded.
        choice: the encoder, and how it encodes.
        stores: the folder of the stores.

    Returns:
        One choice per fold, none for another encoder.

    Raises:
        ModelUnavailable: an encoder is missing, or is not the one of that fold.
    """
    training, choices = choice.encoder.training, []
    for name, weights in ({} if training is None else training.fold_encoders).items():
        options, location = replace(choice.options, model=name, revision=None), StoreLocation(corpus.whole_name, stores)
        model, way_out = choice.options.model, "Copy it there, or make the encoder again with `embedonce adapt`."
        try:
            fold = resolve_encoding(corpus, options, location)
        except ModelUnavailable as error:
            raise ModelUnavailable(
                f"{model} was cross-fitted, and its fold encoder {name} is not in {encoders_folder()}. {way_out}"
            ) from error
        if fold.encoder.recipe.weights != weights:
            raise ModelUnavailable(
                f"{model} was cross-fitted, and {name} in {encoders_folder()} is another encoder. {way_out}"
            )
        choices.append(fold)
    return choices


def _encode(
    request: EmbedRequest,
    corpus: Corpus,
    choice: EncodingChoice,
    devices: list[str] | Engine,
    notify: Callable[[str], None],
    progress: Progress,
) -> tuple[FeatureStore, EmbedReport]:
    """Encode what the store of one encoder lacks, on some devices of this machine or on an engine."""
    part = request.part
    if not choice.store_exists:
        for sentence in related_store_notes(request.stores, choice.encoder.recipe):
            notify(sentence)
    target = FeatureStore.create(choice.folder, choice.encoder.recipe, choice.encoder.training)
    notify(f"The store is {target.location}.")
    if not isinstance(devices, list):
        request = replace(request, options=choice.options)
        return target, embed_on_engine(
            corpus, choice.encoder, target, request, devices, notify=notify, progress=progress
        )
    texts = DistinctTexts.of(corpus, part) if len(devices) > 1 else None
    if texts is None or not len(texts.missing(target)):
        return target, embed(corpus, choice.encoder, target, progress, part)
    notify(f"One process runs on each of {join_words(devices)}.")
    jobs = _create_jobs(replace(request, options=choice.options), target.location, devices)
    report = run_in_processes(jobs, progress)
    target.refresh()
    missing = texts.missing_in_other_parts(target)
    return target, replace(report, part="" if part == WHOLE_CORPUS else str(part), missing_in_other_parts=missing)


def _create_jobs(request: EmbedRequest, store: Location, devices: list[str]) -> dict[str, Job]:
    """One job per device, by name; each encodes an equal part of the request's part."""
    if isinstance(request.source, Corpus) and _has_streamed_texts(request.source):  # each process reads the files
        request = replace(request, source=request.source.source, spec=request.source.spec)
    jobs: dict[str, Job] = {}
    for number, (device, part) in enumerate(zip(devices, request.part.split(len(devices)), strict=True)):
        cpu_share = devices[:number].count("cpu"), devices.count("cpu")
        on_device = replace(request, options=replace(request.options, device=device), part=part)
        jobs[f"{device} (part {part})"] = partial(_encode_part, on_device, store, cpu_share)
    return jobs


def _has_streamed_texts(corpus: Corpus) -> bool:
    """Whether the texts of a corpus are read from its files at each use."""
    return isinstance(Documents.from_documents(corpus.documents).texts, StreamedTexts)


def _encode_part(request: EmbedRequest, store: Location, cpu_share: tuple[int, int], progress: Progress) -> EmbedReport:
    """In a process of its own, encode one part. cpu_share: see `limit_to_cpu_share`."""
    if request.options.device == "cpu":
        limit_to_cpu_share(*cpu_share)
    return embed(request.read(), open_encoder(request.options), FeatureStore.open(store), progress, request.part)


def estimate_source(
    request: EmbedRequest,
    *,
    notify: Callable[[str], None],
    inspect: Callable[[Corpus], None] = lambda _: None,
    reading: Reading = lambda *_: None,
) -> tuple[Location, Estimate]:
    """Estimate what `embed_source` would do for the same request, and in which folder; nothing is written there.

    inspect: called with the corpus as soon as it is read. reading: called while it is read.
    """
    devices = parse_devices(request.options.device)
    corpus, choice = _resolve(request, devices[0], notify, reading, inspect)
    folds = resolve_fold_encoders(corpus, choice, request.stores if request.store is None else request.store.parent)
    choices = [choice, *folds]
    stores = [FeatureStore.open(each.folder) if each.store_exists else None for each in choices]
    texts = DistinctTexts.of(corpus, request.part) if folds else None
    missing = [0 if texts is None else len(texts.missing(store)) for store in stores]
    most = missing.index(max(missing))
    estimated = estimate(corpus, choices[most].encoder, stores[most], request.part).scaled_to(devices)
    if folds:
        estimated = estimated.scaled_to_encoders(len(choices), sum(missing) / max(missing[most], 1))
    return choice.folder, estimated


def _check_encoder(request: EmbedRequest) -> None:
    """Refuse options and a model that cannot be used before the source is read, which may take hours."""
    request.options.check()
    if request.store is None:  # else the model may be that of the store
        find_model(request.options.model, request.options.revision, with_weights=False)


def _resolve(
    request: EmbedRequest,
    device: str,
    notify: Callable[[str], None],
    reading: Reading,
    inspect: Callable[[Corpus], None] = lambda _: None,
) -> tuple[Corpus, EncodingChoice]:
    sizes = file_sizes(request.source, request.spec) if isinstance(request.source, str) else {}
    if sum(sizes.values()) > LARGE_SOURCE:
        notify(_size_note(str(request.source), sizes))
    with report_reading(sizes, reading):
        corpus = request.read()
    options = replace(request.options, device=device)
    inspect(corpus)
    for note in corpus.notes:
        notify(note)
    location = StoreLocation(corpus.whole_name, request.stores, request.store)
    choice = resolve_encoding(corpus, options, location, request.explicit)
    for reason in choice.reasons:
        notify(reason)
    return corpus, choice


def _size_note(source: str, sizes: Mapping[Path, int]) -> str:
    """A sentence before a source is read that takes minutes to read, and on memory if a file of it is read at once."""
    size = format_bytes(sum(sizes.values()))
    file = next((file for file in sizes if is_read_at_once(file)), None)
    memory = "" if file is None else f"; {file} is in memory meanwhile, which JSON Lines or Parquet would not be"
    return f"{source} has {size}, all of which is read before the first text is encoded{memory}"


def related_store_notes(stores: Location, recipe: Recipe) -> Iterator[str]:
    """Yield a sentence for each store in `stores` that keeps all vectors of `recipe` and more, or only some of them."""
    for folder in sorted(list_stores(stores)):
        try:
            other = FeatureStore.open(folder).recipe
        except EmbedOnceError:  # damaged or of another format: reported to those who name it
            continue
        if other == recipe:  # of another corpus
            continue
        if other.covers(recipe):
            yield f"{folder} has all of this, and also {other.surplus(recipe)}; --store {folder} adds to it instead"
        elif recipe.covers(other):
            yield (
                f"{folder} has some of this, without {recipe.surplus(other)}; "
                "a store never mixes recipes, so its documents are encoded again"
            )
