"""The options of stage one."""

from dataclasses import dataclass

from data.errors import CallError, UnknownName, suggest_name
from data.ranges import MAX_COUNT, MAX_SEED, check_whole_number
from stages.embed.network.backends import AUTO

KEEP_CHOICES = ("cls", "mean", "max", "segments", "tokens")
LONG_CHOICES = ("windows", "head", "head-tail", "middle", "random", "sentences", "model")
# the strategies whose windows may overlap, and those whose number of windows may be limited
_WITH_STRIDE = ("windows", "model")
_WITH_MAX_WINDOWS = ("windows", "sentences", "model")
DTYPES = ("float16", "bfloat16", "float32")
PRECISIONS = (AUTO, *DTYPES, "int8")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How documents are encoded. `device` and `batch_tokens` change no value; everything else is in the recipe.

    Attributes:
        model: A folder, an installed encoder, or a name on the hub.
        revision: A branch, tag or commit on the hub.
        window: Tokens per window, without special tokens and prefix; None for 254, or fewer if the encoder has fewer
            positions.
        stride: Tokens that two neighboring windows share.
        max_windows: Windows per document at most.
        long: Strategy for long documents. "windows" encodes all of a document; "head", "middle" and "random:SEED" one
            window of it; "head-tail" half a window at each end; "sentences" windows that end with a sentence; "model"
            all of it, in windows of the encoder's maximum length.
        special_tokens: Whether windows have special tokens, as in the encoder's training.
        prefix: Text in front of every window (E5's "query: "); None for the model's default prompt.
        keep: The vectors that are stored, of `KEEP_CHOICES`.
        segment: Tokens per segment.
        layers: "last", "all", or numbers as in "-1,-4"; 0 is the output of the embeddings, before the first layer.
        dtype: The number type that is stored.
        precision: The number type that the encoder computes in; "auto" for the device's default, or for a trial on a
            CPU with instructions for bfloat16.
        backend: The program that runs the encoder, of `BACKENDS` in backends.py; "auto" for the fastest.
        device: A device name of PyTorch; "auto" for the best kind available. `embed_source` also accepts several.
        batch_tokens: Tokens per batch, padding included; None for the result of a trial.
        trust_remote_code: Whether to run Python code that comes with the model.
    """

    model: str = "all-MiniLM-L6-v2"
    revision: str | None = None
    window: int | None = None
    stride: int = 0
    max_windows: int | None = None
    long: str = "windows"
    special_tokens: bool = True
    prefix: str | None = None
    keep: tuple[str, ...] = ("cls", "mean", "max", "segments")
    segment: int = 32
    layers: str = "last"
    dtype: str = "float16"
    precision: str = AUTO
    backend: str = "auto"
    device: str = "auto"
    batch_tokens: int | None = None
    trust_remote_code: bool = False

    def check(self) -> None:
        """Raise CallError if an option has no valid value for any encoder."""
        for kind, value, choices in (
            ("strategy for long documents", parse_long(self.long)[0], LONG_CHOICES),
            ("number type", self.dtype, DTYPES),
            ("precision", self.precision, PRECISIONS),
            *(("kind of vector to keep", name, KEEP_CHOICES) for name in self.keep),
        ):
            if value not in choices:
                raise UnknownName(f"There is no {kind} called '{value}'.{suggest_name(value, choices)}")
        if not self.keep:
            raise CallError(f"keep is empty: name at least one of {', '.join(KEEP_CHOICES)}.")
        self._check_long()
        segment = int("segments" in self.keep)
        minimums = {"window": 1, "stride": 0, "max_windows": 1, "segment": segment, "batch_tokens": 1}
        for name, minimum in minimums.items():
            value = getattr(self, name)
            if value is not None:
                check_whole_number(name.replace("_", "-"), value, minimum, MAX_COUNT)

    def _check_long(self) -> None:
        strategy, _ = parse_long(self.long)
        if self.stride and strategy not in _WITH_STRIDE:
            raise CallError(
                f"stride is {self.stride}, but the windows of --long {self.long} do not overlap. Leave --stride out."
            )
        if self.max_windows is not None and strategy not in _WITH_MAX_WINDOWS:
            raise CallError(
                f"max-windows is {self.max_windows}, but --long {self.long} has a fixed number of windows. "
                "Leave --max-windows out."
            )
        if self.window is not None and strategy == "model":
            raise CallError(
                f"window is {self.window}, but --long model uses the encoder's longest window. "
                "Leave --window or --long out."
            )


def parse_long(text: str) -> tuple[str, int]:
    """Parse the value of `--long`, such as "random:7", into a strategy and its seed (0 for strategies without one).

    Raises CallError if "random" has no seed, or another strategy has one.
    """
    strategy, colon, seed = text.partition(":")
    if strategy in LONG_CHOICES:
        is_random, is_number = strategy == "random", seed.isascii() and seed.isdigit()
        if bool(colon) != is_random or (is_random and not is_number):
            raise CallError(f"--long {text} is not valid: random needs a seed, as in random:7, and no other does.")
    if strategy != "random":
        return strategy, 0
    check_whole_number("the seed of --long random", int(seed[:99]), 0, MAX_SEED)
    return strategy, int(seed)


def parse_keep(text: str, segment: int = 32) -> tuple[tuple[str, ...], int]:
    """Parse the value of `--keep`, such as "cls,mean,segments:32".

    Args:
        text: Names of `KEEP_CHOICES`, separated by commas.
        segment: Tokens per segment if the text does not say.

    Returns:
        The names in the order of `KEEP_CHOICES`, and the tokens per segment.

    Raises:
        UnknownName: A name is not one of `KEEP_CHOICES`.
        CallError: A name other than segments has a length, or the length is not a number.
    """
    names = set()
    for item in filter(None, (item.strip() for item in text.split(","))):
        name, colon, length = item.partition(":")
        if name not in KEEP_CHOICES:
            raise UnknownName(f"There is no kind of vector to keep called '{name}'.{suggest_name(name, KEEP_CHOICES)}")
        if colon and (name != "segments" or not length.isascii() or not length.isdigit()):
            raise CallError(f"--keep {item} is not valid: only segments has a length, as in segments:32.")
        segment = int(length[:99]) if colon else segment
        names.add(name)
    return tuple(name for name in KEEP_CHOICES if name in names), segment


def parse_layers(text: str, layers: int) -> tuple[int, ...]:
    """Parse the value of `--layers`.

    Args:
        text: "last", "all", or numbers such as "-4,-1".
        layers: The number of layers of the encoder; -1 is the last, and -layers-1 (or 0) the embeddings.

    Returns:
        Negative numbers in rising order: "-4,-1" is (-4, -1).

    Raises:
        CallError: A part is not a number, or there is no such layer.
    """
    if text == "last":
        return (-1,)
    if text == "all":
        return tuple(range(-layers - 1, 0))
    numbers = set()
    for item in text.split(","):
        try:
            number = int(item)
        except ValueError:
            raise CallError(f"'{item}' is not a layer: use 'last', 'all' or numbers such as '-1,-4'.") from None
        if not -layers - 1 <= number <= layers:
            raise CallError(
                f"There is no layer {number}: the encoder has {layers}, from -1 to {-layers}, and its embeddings are "
                f"{-layers - 1}."
            )
        numbers.add(number if number < 0 else number - layers - 1)
    return tuple(sorted(numbers))
