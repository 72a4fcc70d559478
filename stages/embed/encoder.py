"""A frozen encoder: its recipe, known before torch is loaded, and its hidden states of a batch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, ModelUnavailable
from featurestore import Recipe
from stages.embed.checkpoint import Config, read_config, weights_hash
from stages.embed.cutting import Cutting
from stages.embed.models import find_model
from stages.embed.network import Network, TorchNetwork, find_device
from stages.embed.options import KEEPS, Options, parse_layers, parse_long
from stages.embed.pooling import Pooling, stacked
from stages.embed.tokens import TextTokenizer, load_tokenizer
from stages.embed.windows import Windows, ranges

BACKEND = "torch"
# what fits encoders of 256 positions, and costs little more a token than shorter ones
WINDOW = 254


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Opened by `open_encoder`; the network is loaded when the first batch asks for it.

    dim: numbers a vector. open_network: a precision -> the network; a test may pass another one in.
    """

    recipe: Recipe
    dim: int
    tokenizer: TextTokenizer
    cutting: Cutting
    pooling: Pooling
    opening: tuple[int, ...]  # ids before a window's own tokens: special ones, then the prefix
    closing: tuple[int, ...]
    pad_id: int
    device: str  # as asked, "auto" too
    budget: int | None  # None for what is remembered or found
    open_network: Callable[[str], Network] = field(repr=False)

    @property
    def around(self) -> int:
        """Positions of a window that are not its own tokens."""
        return len(self.opening) + len(self.closing)

    @cached_property
    def network(self) -> Network:
        """The network in the precision of the recipe."""
        return self.open_network(self.recipe.precision)

    @cached_property
    def exact_network(self) -> Network:
        """The network in float32, for batches that the recipe's precision cannot hold."""
        return self.network if self.recipe.precision == "float32" else self.open_network("float32")

    def pooled(self, windows: Windows, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """What is kept of the windows numbered `rows`, and "mean" in any case; shapes as in `Pooling.pool`.

        With NaN or infinity in the recipe's precision they are encoded once more in float32; what then still is not
        finite is not finite in the result.
        """
        ids, lengths = self.batch(windows, rows)
        pooled = self._run(self.network, ids, lengths)
        if self.exact_network is not self.network and not np.isfinite(pooled["mean"]).all():
            pooled = self._run(self.exact_network, ids, lengths)
        return pooled

    def _run(
        self, network: Network, ids: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> dict[str, NDArray[np.float32]]:
        import torch

        with torch.inference_mode():
            layers = network(torch.from_numpy(ids), torch.from_numpy(lengths))
            on_device = torch.from_numpy(lengths).to(layers[0].device)
            return stacked([self.pooling.pool(layer, on_device) for layer in layers])

    def batch(self, windows: Windows, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids with special tokens, prefix and padding, int64 (rows, longest); each row's positions, int64 (rows,)."""
        own, first = windows.length[rows], len(self.opening)
        ids = np.full((len(rows), int(own.max()) + self.around), self.pad_id, dtype=np.int64)
        ids[:, :first] = self.opening
        row, column = np.repeat(np.arange(len(rows)), own), ranges(np.full(len(rows), first), own)
        ids[row, column] = windows.ids[ranges(windows.start[rows], own)]
        for place, special in enumerate(self.closing):
            ids[np.arange(len(rows)), first + own + place] = special
        return ids, own + self.around


def open_encoder(options: Options) -> Encoder:
    """Find a model, read its tokenizer and hash its weights.

    Raises ModelUnavailable, and CallError for a window that the encoder has no positions for.
    """
    options.check()
    if options.device not in ("auto", "cpu"):  # looking for others loads torch, which a finished store can do without
        find_device(options.device)
    folder = find_model(options.model, options.revision)
    config = read_config(folder)
    tokenizer = load_tokenizer(folder, options.prefix)
    if tokenizer.vocabulary > config.vocabulary:
        raise ModelUnavailable(
            f"{folder}: its tokenizer gives ids up to {tokenizer.vocabulary - 1:,}, but its encoder has rows for "
            f"{config.vocabulary:,}. They do not belong together: copy the model again."
        )
    opening, closing = (tokenizer.opening, tokenizer.closing) if options.special_tokens else ((), ())
    opening += tokenizer.prefix
    cutting = _cutting(options, config, len(opening) + len(closing))
    recipe = _recipe(options, folder, config, tokenizer, cutting)
    return Encoder(
        recipe=recipe,
        dim=config.dim,
        tokenizer=tokenizer,
        cutting=cutting,
        pooling=Pooling(recipe.keep, recipe.segment, len(opening), len(opening) + len(closing)),
        opening=opening,
        closing=closing,
        pad_id=config.pad_id,
        device=options.device,
        budget=options.budget,
        open_network=lambda precision: TorchNetwork(folder, recipe.layers, precision, options.device),
    )


def _cutting(options: Options, config: Config, around: int) -> Cutting:
    room = None if config.positions is None else config.positions - around
    if room is not None and room < 1:
        raise CallError(
            f"prefix and special tokens take {around} positions, and {options.model} has {config.positions}."
        )
    if options.long == "model" and room is None:
        raise CallError(
            f"{options.model} names no longest window of its own. Take --window in the place of --long model."
        )
    default = WINDOW if room is None else room if options.long == "model" else min(WINDOW, room)
    window = options.window or default
    if room is not None and window > room:
        raise CallError(
            f"window is {window}, but {options.model} has {config.positions} positions, {around} of them for special "
            f"tokens and prefix: the longest window is {room}."
        )
    long, seed = parse_long(options.long)
    if long in ("windows", "head", "model"):
        return Cutting(window, options.stride, 1 if long == "head" else options.max_windows)
    return Cutting(window, most=options.max_windows, long=long, seed=seed)


def _recipe(options: Options, folder: Path, config: Config, tokenizer: TextTokenizer, cutting: Cutting) -> Recipe:
    # what has no effect beside the other options has one value here, or equal features would have two recipes
    return Recipe(
        encoder=options.model,
        weights=weights_hash(folder),
        config=config.hash,
        tokenizer=tokenizer.hash,
        window=cutting.window,
        stride=cutting.stride,
        special_tokens=options.special_tokens,
        long=_long(options, cutting),
        max_windows=options.max_windows,
        prefix=options.prefix,
        layers=parse_layers(options.layers, config.layers),
        keep=tuple(name for name in KEEPS if name in options.keep),
        segment=options.segment if "segments" in options.keep else 0,
        dtype=options.dtype,
        precision=options.precision,
        backend=BACKEND,
    )


def _long(options: Options, cutting: Cutting) -> str:
    """The encoder's own window is one of its length; a seed has one spelling."""
    if options.long == "model":
        return "windows"
    return f"random:{cutting.seed}" if cutting.long == "random" else options.long
