"""A frozen encoder: its recipe, known before torch is loaded, and its hidden states of a batch."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.errors import CallError, ModelUnavailable
from featurestore import Recipe
from stages.embed.backends import opener, settled
from stages.embed.checkpoint import Config, read_config, weights_hash
from stages.embed.models import find_model
from stages.embed.network import Network, TorchNetwork, find_device
from stages.embed.options import KEEPS, Options, parse_layers
from stages.embed.pooling import Pooling, stacked
from stages.embed.tokens import Cutting, TextTokenizer, Windows, load_tokenizer, ranges

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
    budget: int
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
        pooled = self.pooled_by(self.network, windows, rows)
        if not np.isfinite(pooled["mean"]).all() and self.exact_network is not self.network:
            pooled = self.pooled_by(self.exact_network, windows, rows)
        return pooled

    def pooled_by(self, network: Network, windows: Windows, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
        """As `pooled`, of `network` alone."""
        import torch

        ids, lengths = self.batch(windows, rows)
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

    The backend "auto" is torch here, or onnx for int8; to find the fastest takes a corpus (see trial.py). Raises
    ModelUnavailable, CallError for a window that the encoder has no positions for, and ExtraMissing for a backend that
    is not installed.
    """
    options.check()
    options = replace(options, backend=settled(options.backend, options.precision, options.device))
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
        budget=options.budget,
        open_network=opener(recipe, partial(TorchNetwork, folder, recipe.layers, device=options.device)),
    )


def _cutting(options: Options, config: Config, around: int) -> Cutting:
    room = None if config.positions is None else config.positions - around
    if room is not None and room < 1:
        raise CallError(
            f"prefix and special tokens take {around} positions, and {options.model} has {config.positions}."
        )
    window = options.window or (WINDOW if room is None else min(WINDOW, room))
    if room is not None and window > room:
        raise CallError(
            f"window is {window}, but {options.model} has {config.positions} positions, {around} of them for special "
            f"tokens and prefix: the longest window is {room}."
        )
    cutting = Cutting(window, options.stride, options.max_windows)
    return Cutting(window, most=1) if options.long == "head" else cutting


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
        long=options.long,
        max_windows=None if options.long == "head" else options.max_windows,
        prefix=options.prefix,
        layers=parse_layers(options.layers, config.layers),
        keep=tuple(name for name in KEEPS if name in options.keep),
        segment=options.segment if "segments" in options.keep else 0,
        dtype=options.dtype,
        precision=options.precision,
        backend=options.backend,
    )
