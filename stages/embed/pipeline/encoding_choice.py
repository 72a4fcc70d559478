"""Resolves how a corpus is encoded and into which store, before the store is opened and the network is loaded.

An existing store decides first: it keeps one precision and one backend, because others differ in the last bits. Only
without one do the device and a benchmark on the corpus decide.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from pathlib import Path

from data.documents import Corpus
from data.errors import CallError, ModelUnavailable
from featurestore import FeatureStore, Location, Recipe, is_store
from stages.embed.batching.backend_benchmark import Variant, choose_variant, variants_to_compare
from stages.embed.encoder.encoder import Encoder, open_encoder
from stages.embed.encoder.options import Options
from stages.embed.network.backends import AUTO, BACKENDS, BFLOAT16, FLOAT32, PRECISIONS
from stages.embed.network.torch_network import default_precision
from stages.embed.pipeline.distinct_texts import DistinctTexts

# options that are not part of a recipe
_FREE_OPTIONS = frozenset({"device", "batch_tokens", "revision", "trust_remote_code"})
_PRECISION_OF_STORE = "Precision {}, as in the existing store."


@dataclass(frozen=True, kw_only=True)
class EncodingChoice:
    """How a corpus is encoded: the model, precision, backend, device and token budget, none of them open but "auto".

    options: the options that lead to the same choice in another process; a device "auto" and a budget of None remain,
    which torch and a tuner resolve when the network runs.
    encoder: opened with these options; its network is not loaded yet.
    folder: of the store, which may not exist yet.
    reasons: sentences on why, and on the model.
    """

    options: Options
    encoder: Encoder
    folder: Location
    reasons: tuple[str, ...]

    @property
    def store_exists(self) -> bool:
        """Whether there is a store in `folder`."""
        return is_store(self.folder)


@dataclass(frozen=True)
class StoreLocation:
    """Where a store of a corpus is: `store` if the user named one, else a folder in `stores` named for its content."""

    corpus: str
    stores: Location
    store: Location | None = None

    def folder(self, recipe: Recipe) -> Location:
        """The folder of the store with `recipe`."""
        return self.store or self.stores / f"{self.corpus}--{name_recipe(recipe)}"

    def exists(self, recipe: Recipe) -> bool:
        """Whether the store with `recipe` exists. Raises as `FeatureStore.open` does if the user named it."""
        if self.store is None or not is_store(self.store):
            return is_store(self.folder(recipe))
        return FeatureStore.open(self.store).recipe.fingerprint == recipe.fingerprint


def resolve_encoding(
    corpus: Corpus, requested: Options, location: StoreLocation, explicit: Set[str] = frozenset()
) -> EncodingChoice:
    """Resolve every "auto" of the options.

    Args:
        corpus: on a sample of its texts the backends are compared, if there is a choice.
        requested: the options of the user.
        location: where the store is or will be.
        explicit: the fields of `requested` that the user set; the others follow the recipe of an existing store.

    Raises:
        CallError: the options do not fit the model, the device or each other.
        ModelUnavailable: the model cannot be found or read.
    """
    if requested.revision is not None and Path(requested.model).expanduser().is_dir():
        raise CallError(f"{requested.model} is a folder, and a folder has no revisions. Leave --revision out.")
    options, recipe, reasons = _follow_named_store(requested, location.store, explicit)
    # with float32 an existing store is found without loading torch to ask for the device's precision
    exact = replace(options, precision=FLOAT32) if options.precision == AUTO else options
    encoder = open_encoder(exact) if recipe is None else open_recorded_encoder(recipe, exact)
    options = replace(options, revision=encoder.recipe.commit)  # the commit of a branch may change meanwhile
    reasons += encoder.notes
    if AUTO in (options.precision, options.backend):
        encoder, why = _resolve_auto(encoder, options, corpus, location)
        reasons = [*reasons, *why]
    return EncodingChoice(
        options=_with_free_options(options_from_recipe(encoder.recipe), options),
        encoder=replace(encoder, recipe=replace(encoder.recipe, revision=requested.revision)),
        folder=location.folder(encoder.recipe),
        reasons=tuple(filter(None, reasons)),
    )


def open_recorded_encoder(recipe: Recipe, options: Options) -> Encoder:
    """Open the encoder of a recipe at its commit; if that is not available, another copy of the model.

    Args:
        recipe: the recipe of a store or a run.
        options: how to open it. Their model and revision count if they differ from the recipe's encoder.

    Returns:
        The encoder, whose recipe may differ.

    Raises:
        ModelUnavailable: neither is available; and what `open_encoder` raises.
    """
    if recipe.commit is None or options.model != recipe.encoder or options.revision is not None:
        return open_encoder(options)
    try:
        return open_encoder(replace(options, revision=recipe.commit))
    except ModelUnavailable as error:
        try:
            return open_encoder(options)
        except ModelUnavailable:
            raise error from None


def _follow_named_store(
    options: Options, store: Location | None, explicit: Set[str]
) -> tuple[Options, Recipe | None, list[str | None]]:
    if store is None or not is_store(store):
        return options, None, []
    recipe = FeatureStore.open(store).recipe
    is_reason = options.precision == AUTO and recipe.precision != FLOAT32
    reasons: list[str | None] = [_PRECISION_OF_STORE.format(recipe.precision)] if is_reason else []
    return follow_recipe(recipe, options, explicit), recipe, reasons


def _resolve_auto(
    encoder: Encoder, options: Options, corpus: Corpus, location: StoreLocation
) -> tuple[Encoder, list[str | None]]:
    """The encoder in the backend and the precision that the options leave open, and the reasons.

    encoder: in float32 if the precision is open, and in torch (onnx for int8) if the backend is.
    """

    def reopen(variant: Variant) -> Encoder:
        if variant.backend == encoder.recipe.backend:
            return replace(encoder, recipe=replace(encoder.recipe, precision=variant.precision))
        return open_encoder(replace(options, backend=variant.backend, precision=variant.precision))

    stored, reasons = _variant_of_store(encoder.recipe, options, location), list[str | None]()
    if stored is None:
        chosen, reason = _choose(encoder, options, corpus, reopen)
        stored = _variant_of_store(encoder.recipe, options, location)  # another process may have made a store meanwhile
        if stored is None:
            return reopen(chosen), [reason]
    if options.precision == AUTO and stored.precision != FLOAT32:
        reasons.append(_PRECISION_OF_STORE.format(stored.precision))
    if options.backend == AUTO and stored.backend != encoder.recipe.backend:
        reasons.append(f"Backend {stored.backend}, as in the existing store.")
    return reopen(stored), reasons


def _choose(
    encoder: Encoder, options: Options, corpus: Corpus, reopen: Callable[[Variant], Encoder]
) -> tuple[Variant, str | None]:
    """The variant for a new store: the default of a GPU, or on a CPU the fastest in a trial."""
    if options.precision == AUTO and encoder.recipe.backend == "torch":
        precision = default_precision(encoder.device)
        if precision != FLOAT32:
            reason = f"Precision {precision}, which is fast on this device. --precision float32 is exact, but slower."
            return Variant("torch", precision), reason
    others = variants_to_compare(encoder, backend=options.backend, precision=options.precision)
    if not others:
        return Variant.of(encoder.recipe), None
    texts = DistinctTexts.of(corpus)
    sample = texts.sample(texts.rows)
    share = len(sample) / max(len(texts.rows), 1)
    if corpus.sample_of is not None:
        share *= len(corpus.documents) / corpus.sample_of.documents
    return choose_variant(sample, encoder, others, reopen, share)


def _variant_of_store(recipe: Recipe, options: Options, location: StoreLocation) -> Variant | None:
    """The first variant that the options allow and in which a store exists; float32 first."""
    precisions = (FLOAT32, BFLOAT16, "float16") if options.precision == AUTO else (recipe.precision,)
    backends = BACKENDS if options.backend == AUTO else (recipe.backend,)
    variants = [Variant(backend, kind) for kind in precisions for backend in backends if kind in PRECISIONS[backend]]
    exists = (location.exists(replace(recipe, backend=each.backend, precision=each.precision)) for each in variants)
    return next((variant for variant, is_there in zip(variants, exists, strict=True) if is_there), None)


def name_recipe(recipe: Recipe) -> str:
    """A name of a recipe for people and folders: all-MiniLM-L6-v2-1f3a9c0e."""
    return f"{Path(recipe.encoder).name}-{recipe.short}"


def follow_recipe(recipe: Recipe, options: Options, explicit: Set[str]) -> Options:
    """The options that `recipe` was made with, except for those that the user set.

    For backend and precision, "auto" means the value of the recipe.
    """
    made = options_from_recipe(recipe)
    if "long" in explicit and options.long != recipe.long:  # options of the store's strategy may not fit another one
        made = replace(made, window=None if options.long == "model" else made.window, stride=0, max_windows=None)
    kept = explicit - {name for name in ("backend", "precision") if getattr(options, name) == AUTO}
    return _with_free_options(replace(made, **{name: getattr(options, name) for name in kept}), options)


def _with_free_options(options: Options, source: Options) -> Options:
    """`options` with the values of `source` that are not part of a recipe."""
    return replace(options, **{name: getattr(source, name) for name in _FREE_OPTIONS})


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
        segment=recipe.segment or Options.segment,  # 0 if no segments are kept
        layers=",".join(map(str, recipe.layers)),
        dtype=recipe.dtype,
        precision=recipe.precision,
        backend=recipe.backend,
    )
