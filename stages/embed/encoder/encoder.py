"""A frozen encoder: its recipe, known before torch is loaded, and its hidden states of a batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, ModelUnavailable
from featurestore import Recipe
from stages.embed.encoder.options import KEEP_CHOICES, Options, parse_layers, parse_long
from stages.embed.model_files.checkpoint import Config, read_config, weights_hash
from stages.embed.model_files.model_families import STATIC
from stages.embed.model_files.model_lookup import find_model
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

# what fits encoders of 256 positions, and costs little more a token than shorter ones
DEFAULT_WINDOW = 254


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Opened by `open_encoder`; the network is loaded when the first batch asks for it.

    dim: numbers a vector. open_network: a precision -> the network; a test may pass another one in.
    notes: sentences about the model that who embeds with it should read.
    """

    recipe: Recipe
    dim: int
    tokenizer: TextTokenizer
    windowing: Windowing
    pooling: Pooling
    opening: tuple[int, ...]  # ids before a window's own tokens: special ones, then the prefix
    closing: tuple[int, ...]
    pad_id: int
    device: str  # as asked, "auto" too
    batch_tokens: int | None  # None for what is remembered or found
    notes: tuple[str, ...] = ()
    open_network: Callable[[str], Network] = field(repr=False)

    @property
    def extra_positions(self) -> int:
        """Positions of a window that are not its own tokens."""
        return len(self.opening) + len(self.closing)

    @property
    def is_asynchronous(self) -> bool:
        """Whether the device computes by itself while the processor goes on, as a CUDA device does."""
        return self.recipe.backend == "torch" and resolve_device(self.device).startswith("cuda")

    @cached_property
    def network(self) -> Network:
        """The network in the precision of the recipe."""
        return self.open_network(self.recipe.precision)

    @cached_property
    def exact_network(self) -> Network:
        """The network in float32, for batches that the recipe's precision cannot hold."""
        return self.network if self.recipe.precision == "float32" else self.open_network("float32")

    def encode_batch(self, windows: Windows, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """What is kept of the windows numbered `rows`, and "mean" in any case; shapes as in `Pooling.pool`.

        With NaN or infinity in the recipe's precision they are encoded once more in float32; what then still is not
        finite is not finite in the result.
        """
        return self.start_batch(windows, rows)()

    def start_batch(self, windows: Windows, rows: NDArray[np.int64]) -> Callable[[], dict[str, NDArray[np.float32]]]:
        """Give a batch to the device; calling the result waits for what `encode_batch` gives of it."""
        pooled = self._start_network(self.network, windows, rows)

        def finished() -> dict[str, NDArray[np.float32]]:
            arrays = stack_layers(pooled)
            if not np.isfinite(arrays["mean"]).all() and self.exact_network is not self.network:
                return self.encode_batch_with(self.exact_network, windows, rows)
            return arrays

        return finished

    def encode_batch_with(
        self, network: Network, windows: Windows, rows: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        """As `encode_batch`, of `network` alone."""
        return stack_layers(self._start_network(network, windows, rows))

    def _start_network(
        self, network: Network, windows: Windows, rows: NDArray[np.int64]
    ) -> "Sequence[Mapping[str, torch.Tensor]]":
        import torch

        ids, lengths = map(torch.from_numpy, self.padded_batch(windows, rows))
        with torch.inference_mode():
            return [self.pooling.pool(layer, lengths) for layer in network(ids, lengths)]

    def padded_batch(self, windows: Windows, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids with special tokens, prefix and padding, int64 (rows, longest); each row's positions, int64 (rows,)."""
        own, first = windows.length[rows], len(self.opening)
        ids = np.full((len(rows), int(own.max()) + self.extra_positions), self.pad_id, dtype=np.int64)
        ids[:, :first] = self.opening
        row, column = np.repeat(np.arange(len(rows)), own), expand_ranges(np.full(len(rows), first), own)
        ids[row, column] = windows.ids[expand_ranges(windows.start[rows], own)]
        for place, special in enumerate(self.closing):
            ids[np.arange(len(rows)), first + own + place] = special
        return ids, own + self.extra_positions


def open_encoder(options: Options) -> Encoder:
    """Find a model, read its tokenizer and hash its weights.

    The precision "auto" is the usual one of the device, and the backend "auto" is torch here, or onnx for int8; to find
    the fastest takes a corpus (see trial.py). Raises ModelUnavailable, CallError for a window that the encoder has no
    positions for, and ExtraMissing for a backend that is not installed. Code that comes with the model runs only with
    `options.trust_remote_code`.
    """
    options.check()
    asked, options = options, _settled(options)
    if options.device not in ("auto", "cpu"):  # looking for others loads torch, which a finished store can do without
        resolve_device(options.device)
    model = read_sentence_transformers_folder(find_model(options.model, options.revision))
    folder = model.folder
    config = _config(folder, options)
    static = config.family == STATIC
    if static:
        options = _as_static(options, asked=asked.precision)
    if asked.prefix is None:
        options = replace(options, prefix=model.prefix)
    tokenizer = load_tokenizer(folder, options.prefix or "")
    if tokenizer.vocabulary > config.vocabulary:
        raise ModelUnavailable(
            f"{folder}: its tokenizer gives ids up to {tokenizer.vocabulary - 1:,}, but its encoder has rows for "
            f"{config.vocabulary:,}. They do not belong together: copy the model again."
        )
    opening, closing = (tokenizer.opening, tokenizer.closing) if options.special_tokens else ((), ())
    opening += tokenizer.prefix
    around = len(opening) + len(closing)
    windowing = _cutting(options, config, around, model.longest)
    recipe = _recipe(options, folder, config, tokenizer, windowing)
    network = partial(TorchNetwork, folder, recipe.layers, device=options.device, trust=bool(config.code))
    return Encoder(
        recipe=recipe,
        dim=config.dim,
        tokenizer=tokenizer,
        windowing=windowing,
        pooling=Pooling(recipe.keep, recipe.segment, len(opening), around, causal=config.causal),
        opening=opening,
        closing=closing,
        pad_id=config.pad_id,
        device=options.device,
        batch_tokens=options.batch_tokens,
        notes=tuple(_notes(options, model, config, windowing, prefix_asked=asked.prefix is not None)),
        open_network=network_factory(recipe, (lambda *_, **__: StaticNetwork(folder)) if static else network),
    )


def _settled(options: Options) -> Options:
    """With the precision and the backend that "auto" means."""
    precision = options.precision
    if precision == AUTO:  # backends other than torch compute in float32
        precision = default_precision(options.device if options.backend in (AUTO, "torch") else "cpu")
    return replace(options, precision=precision, backend=resolve_backend(options.backend, precision, options.device))


def _as_static(options: Options, *, asked: str) -> Options:
    """For a model that is a table of vectors: it has no layers for a card to compute, nor rows for special tokens that
    would say anything. asked: the precision."""
    precision = "float32" if asked == AUTO else options.precision
    return replace(options, device="cpu", precision=precision, special_tokens=False)


def _config(folder: Path, options: Options) -> Config:
    static = read_static_config(folder)
    if static is not None:
        return static
    config = resolve_remote_code(read_config(folder), trust=options.trust_remote_code)
    config.check()
    return config


def _notes(
    options: Options, model: SentenceTransformersFolder, config: Config, windowing: Windowing, *, prefix_asked: bool
) -> Iterator[str]:
    if config.family == STATIC:
        yield f"{options.model} is a static model: a token has one vector, whatever stands around it."
    if config.causal and "cls" in options.keep:
        yield f"{options.model} reads forwards only: cls is its last position, the one that has read the whole window."
    yield from model.notes(options.model, prefix_asked=prefix_asked, causal=config.causal)
    if model.longest is not None and options.window is None and windowing.window < DEFAULT_WINDOW:
        yield (
            f"The window is {windowing.window}: {options.model} was trained on texts of {model.longest} tokens. "
            "--window can be longer where it has the positions."
        )


def _cutting(options: Options, config: Config, around: int, trained: int | None) -> Windowing:
    """How windows are cut. trained: positions of the texts that the model was trained on, where its folder says so."""
    room = None if config.positions is None else config.positions - around
    if room is not None and room < 1:
        raise CallError(
            f"prefix and special tokens take {around} positions, and {options.model} has {config.positions}."
        )
    if options.long == "model" and room is None:
        raise CallError(
            f"{options.model} names no longest window of its own. Take --window in the place of --long model."
        )
    usual = DEFAULT_WINDOW if trained is None else min(DEFAULT_WINDOW, max(trained - around, 1))
    default = usual if room is None else room if options.long == "model" else min(usual, room)
    window = options.window or default
    if room is not None and window > room:
        raise CallError(
            f"window is {window}, but {options.model} has {config.positions} positions, {around} of them for special "
            f"tokens and prefix: the longest window is {room}."
        )
    return _cut(window, options.stride, options.max_windows, options.long)


def recipe_windowing(recipe: Recipe) -> Windowing:
    """How windows of a recipe are cut."""
    return _cut(recipe.window, recipe.stride, recipe.max_windows, recipe.long)


def _cut(window: int, stride: int, most: int | None, asked: str) -> Windowing:
    long, seed = parse_long(asked)
    if long in ("windows", "head", "model"):
        return Windowing(window, stride, 1 if long == "head" else most)
    return Windowing(window, most=most, long=long, seed=seed)


def _recipe(options: Options, folder: Path, config: Config, tokenizer: TextTokenizer, windowing: Windowing) -> Recipe:
    # what has no effect beside the other options has one value here, or equal features would have two recipes
    return Recipe(
        encoder=options.model,
        weights=weights_hash(folder),
        config=config.hash,
        tokenizer=tokenizer.hash,
        window=windowing.window,
        stride=windowing.stride,
        special_tokens=options.special_tokens,
        long=_long(options, windowing),
        max_windows=options.max_windows,
        prefix=options.prefix or "",
        layers=parse_layers(options.layers, config.layers),
        keep=tuple(name for name in KEEP_CHOICES if name in options.keep),
        segment=options.segment if "segments" in options.keep else 0,
        dtype=options.dtype,
        precision=options.precision,
        backend=options.backend,
    )


def _long(options: Options, windowing: Windowing) -> str:
    """The encoder's own window is one of its length; a seed has one spelling."""
    if options.long == "model":
        return "windows"
    return f"random:{windowing.seed}" if windowing.long == "random" else options.long
