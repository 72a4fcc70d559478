"""A frozen encoder: its recipe, known before torch is loaded, and the vectors of a batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, ModelUnavailable
from featurestore import EncoderTraining, Recipe
from stages.embed.encoder.options import KEEP_CHOICES, Options, parse_layers, parse_long
from stages.embed.model_files.checkpoint import Config, read_config, weights_hash
from stages.embed.model_files.model_families import STATIC_FAMILY
from stages.embed.model_files.model_lookup import find_model, snapshot_commit
from stages.embed.model_files.saved_encoders import read_training
from stages.embed.model_files.sentence_transformers_folder import (
    SentenceTransformersFolder,
    read_sentence_transformers_folder,
)
from stages.embed.model_files.trust import resolve_remote_code
from stages.embed.network.backends import AUTO, resolve_backend
from stages.embed.network.graph_runtime import network_factory
from stages.embed.network.pooling import Pooling, stack_layers
from stages.embed.network.static import StaticNetwork, read_static_config
from stages.embed.network.torch_network import Network, TorchNetwork, default_precision, resolve_device
from stages.embed.windows.tokens import TextTokenizer, load_tokenizer
from stages.embed.windows.window_arrays import Windows, expand_ranges
from stages.embed.windows.windowing import Windowing

if TYPE_CHECKING:
    import torch

# fits encoders with 256 positions, and costs little more per token than shorter windows
DEFAULT_WINDOW = 254


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder that `open_encoder` has opened; its network is loaded for the first batch.

    Attributes:
        recipe: Everything that decides the vectors.
        dim: The size of a vector.
        opening: Token ids in front of a window's own tokens: special tokens, then the prefix.
        closing: Token ids behind them.
        device: The requested device, which may be "auto".
        batch_tokens: The requested tokens per batch, padding included; None to use the remembered value or a trial.
        notes: Sentences about the model that a user should read.
        training: What the encoder learned from, if this program trained it.
        open_network: Opens the network in a given precision; tests replace it.
    """

    recipe: Recipe
    dim: int
    tokenizer: TextTokenizer
    windowing: Windowing
    pooling: Pooling
    opening: tuple[int, ...]
    closing: tuple[int, ...]
    pad_id: int
    device: str
    batch_tokens: int | None
    notes: tuple[str, ...] = ()
    training: EncoderTraining | None = None
    open_network: Callable[[str], Network] = field(repr=False)

    @property
    def extra_positions(self) -> int:
        """Positions of a window that are not its own tokens."""
        return len(self.opening) + len(self.closing)

    @property
    def is_asynchronous(self) -> bool:
        """Whether the device computes while the CPU continues, as a CUDA device does."""
        return self.recipe.backend == "torch" and resolve_device(self.device).startswith("cuda")

    @property
    def is_compared_with_float32(self) -> bool:
        """Whether `embed` measures how far the vectors are from float32.

        Not on a GPU, which has half precision by default: a network in float32 would need twice its memory.
        """
        return self.recipe.precision != "float32" and not self.is_asynchronous

    @cached_property
    def network(self) -> Network:
        """The network in the recipe's precision."""
        return self.open_network(self.recipe.precision)

    @cached_property
    def exact_network(self) -> Network:
        """The network in float32, for batches that overflow in the recipe's precision."""
        return self.network if self.recipe.precision == "float32" else self.open_network("float32")

    def encode_batch(self, windows: Windows, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """Encode a batch of windows.

        If the recipe's precision gives NaN or infinity, the batch is encoded again in float32. Values that are still
        not finite are returned as they are.

        Args:
            windows: The windows of some documents.
            rows: int64, the numbers of the batch's windows.

        Returns:
            The vectors that the recipe keeps, and always "mean"; shapes as in `Pooling.pool`.
        """
        return self.start_batch(windows, rows)()

    def start_batch(self, windows: Windows, rows: NDArray[np.int64]) -> Callable[[], dict[str, NDArray[np.float32]]]:
        """Start a batch on the device; calling the result waits for it and returns what `encode_batch` returns."""
        pooled = self._run_network(self.network, windows, rows)

        def finish() -> dict[str, NDArray[np.float32]]:
            arrays = stack_layers(pooled)
            if not np.isfinite(arrays["mean"]).all() and self.exact_network is not self.network:
                return self.encode_batch_with(self.exact_network, windows, rows)
            return arrays

        return finish

    def encode_batch_with(
        self, network: Network, windows: Windows, rows: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        """Encode a batch as `encode_batch` does, but with one network and without a second try in float32.

        Args:
            network: `network` or `exact_network`.
            windows: The windows of some documents.
            rows: int64, the numbers of the batch's windows.
        """
        return stack_layers(self._run_network(network, windows, rows))

    def _run_network(
        self, network: Network, windows: Windows, rows: NDArray[np.int64]
    ) -> "Sequence[Mapping[str, torch.Tensor]]":
        import torch

        ids, lengths = map(torch.from_numpy, self.padded_batch(windows, rows))
        with torch.inference_mode():
            return [self.pooling.pool(layer, lengths) for layer in network(ids, lengths)]

    def padded_batch(self, windows: Windows, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Build the input of the network.

        Returns:
            Ids with special tokens, prefix and padding, int64 (rows, longest), and each row's positions, int64 (rows,).
        """
        tokens, first = windows.length[rows], len(self.opening)
        ids = np.full((len(rows), int(tokens.max()) + self.extra_positions), self.pad_id, dtype=np.int64)
        ids[:, :first] = self.opening
        row, column = np.repeat(np.arange(len(rows)), tokens), expand_ranges(np.full(len(rows), first), tokens)
        ids[row, column] = windows.ids[expand_ranges(windows.start[rows], tokens)]
        for number, special in enumerate(self.closing):
            ids[np.arange(len(rows)), first + tokens + number] = special
        return ids, tokens + self.extra_positions


def open_encoder(options: Options) -> Encoder:
    """Find a model, read its tokenizer and hash its weights, without loading the network.

    The precision "auto" is the device's default. The backend "auto" is torch, or onnx for int8; the fastest of each is
    chosen later, on a corpus (see backend_benchmark.py). Code that comes with the model runs only with
    `options.trust_remote_code`.

    Raises:
        ModelUnavailable: The model is missing, damaged or not a text encoder.
        CallError: An option has no valid value, such as a window longer than the encoder's positions.
        ExtraMissing: The backend is not installed.
    """
    options.check()
    requested, options = options, _resolve_auto(options)
    if options.device not in ("auto", "cpu"):  # this check imports torch, which a finished store does not need
        resolve_device(options.device)
    location = find_model(options.model, options.revision)
    folder = (model := read_sentence_transformers_folder(location)).folder
    config = _read_config(folder, options)
    if is_static := config.family == STATIC_FAMILY:
        options = _static_options(options, requested_precision=requested.precision)
    if requested.prefix is None:
        options = replace(options, prefix=model.prefix)
    tokenizer = load_tokenizer(folder, options.prefix or "")
    if tokenizer.vocab_size > config.vocab_size:
        raise ModelUnavailable(
            f"{folder}: the tokenizer has ids up to {tokenizer.vocab_size - 1:,}, but the encoder has only "
            f"{config.vocab_size:,} rows. They are from different models: copy the model again."
        )
    opening, closing = (tokenizer.opening, tokenizer.closing) if options.special_tokens else ((), ())
    opening += tokenizer.prefix
    extra_positions = len(opening) + len(closing)
    windowing = _windowing(options, config, extra_positions, model.max_length)
    recipe = replace(_recipe(options, folder, config, tokenizer, windowing), commit=snapshot_commit(location))
    open_torch = partial(TorchNetwork, folder, recipe.layers, device=options.device, trust=bool(config.code_hashes))
    return Encoder(
        recipe=recipe,
        dim=config.dim,
        tokenizer=tokenizer,
        windowing=windowing,
        pooling=Pooling(recipe.keep, recipe.segment, len(opening), extra_positions, causal=config.is_causal),
        opening=opening,
        closing=closing,
        pad_id=config.pad_id,
        device=options.device,
        batch_tokens=options.batch_tokens,
        notes=tuple(_notes(options, model, config, windowing, has_prefix=requested.prefix is not None)),
        training=read_training(location),
        open_network=network_factory(recipe, (lambda *_, **__: StaticNetwork(folder)) if is_static else open_torch),
    )


def _resolve_auto(options: Options) -> Options:
    """Replace the precision "auto" and the backend "auto" by what they mean."""
    precision = options.precision
    if precision == AUTO:  # backends other than torch run on the CPU
        precision = default_precision(options.device if options.backend in (AUTO, "torch") else "cpu")
    return replace(options, precision=precision, backend=resolve_backend(options.backend, precision, options.device))


def _static_options(options: Options, *, requested_precision: str) -> Options:
    """Adapt the options to a static model: no layers for a GPU to compute, and no special tokens with a meaning."""
    precision = "float32" if requested_precision == AUTO else options.precision
    return replace(options, device="cpu", precision=precision, special_tokens=False)


def _read_config(folder: Path, options: Options) -> Config:
    static_config = read_static_config(folder)
    if static_config is not None:
        return static_config
    config = resolve_remote_code(read_config(folder), trust=options.trust_remote_code)
    config.check()
    return config


def _notes(
    options: Options, model: SentenceTransformersFolder, config: Config, windowing: Windowing, *, has_prefix: bool
) -> Iterator[str]:
    if config.family == STATIC_FAMILY:
        yield f"{options.model} is a static model: a token has the same vector in every context."
    if config.is_causal and "cls" in options.keep:
        yield f"{options.model} is a causal model: cls is the last position, which has seen the whole window."
    yield from model.notes(options.model, has_prefix=has_prefix, causal=config.is_causal)
    if model.max_length is not None and options.window is None and windowing.window < DEFAULT_WINDOW:
        yield (
            f"The window is {windowing.window} tokens, because the maximum length of {options.model} is "
            f"{model.max_length}. --window can be longer, up to the encoder's positions."
        )
    is_default = options.window is None and options.long == "windows" and windowing.window == DEFAULT_WINDOW
    if config.family == "longformer" and is_default:
        yield (
            f"The windows have {windowing.window} tokens, but {options.model} can read {config.max_positions:,} "
            "positions at once: --long model."
        )


def _windowing(options: Options, config: Config, extra_positions: int, max_length: int | None) -> Windowing:
    """Return how windows are cut. max_length: positions that sentence-transformers allows, None if it sets no limit."""
    room = None if config.max_positions is None else config.max_positions - extra_positions
    if room is not None and room < 1:
        raise CallError(
            f"The prefix and the special tokens take {extra_positions} positions, but {options.model} has only "
            f"{config.max_positions}. Use a shorter --prefix."
        )
    if options.long == "model" and room is None:
        raise CallError(f"{options.model} has no longest window of its own. Use --window instead of --long model.")
    usual = DEFAULT_WINDOW if max_length is None else min(DEFAULT_WINDOW, max(max_length - extra_positions, 1))
    default = usual if room is None else room if options.long == "model" else min(usual, room)
    window = options.window or default
    if room is not None and window > room:
        raise CallError(
            f"window is {window}, but {options.model} has {config.max_positions} positions, {extra_positions} of them "
            f"for special tokens and prefix: the longest window is {room}."
        )
    return _parse_windowing(window, options.stride, options.max_windows, options.long)


def recipe_windowing(recipe: Recipe) -> Windowing:
    """Return how the windows of a recipe are cut."""
    return _parse_windowing(recipe.window, recipe.stride, recipe.max_windows, recipe.long)


def _parse_windowing(window: int, stride: int, max_windows: int | None, long: str) -> Windowing:
    strategy, seed = parse_long(long)
    if strategy in ("windows", "head", "model"):
        return Windowing(window, stride, 1 if strategy == "head" else max_windows)
    return Windowing(window, max_windows=max_windows, strategy=strategy, seed=seed)


def _recipe(options: Options, folder: Path, config: Config, tokenizer: TextTokenizer, windowing: Windowing) -> Recipe:
    # an option without effect has one fixed value, so that equal vectors have equal recipes
    return Recipe(
        encoder=options.model,
        revision=options.revision,
        weights=weights_hash(folder),
        config=config.hash,
        tokenizer=tokenizer.hash,
        window=windowing.window,
        stride=windowing.stride,
        special_tokens=options.special_tokens,
        long=_normalized_long(options, windowing),
        max_windows=options.max_windows,
        prefix=options.prefix or "",
        layers=parse_layers(options.layers, config.layers),
        keep=tuple(name for name in KEEP_CHOICES if name in options.keep),
        segment=options.segment if "segments" in options.keep else 0,
        dtype=options.dtype,
        precision=options.precision,
        backend=options.backend,
    )


def _normalized_long(options: Options, windowing: Windowing) -> str:
    """Return the strategy's only spelling: "model" is "windows" of that length, and a seed is written as a number."""
    if options.long == "model":
        return "windows"
    return f"random:{windowing.seed}" if windowing.strategy == "random" else options.long
