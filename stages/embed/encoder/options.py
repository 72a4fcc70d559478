"""What a user may ask of stage one."""

from dataclasses import dataclass

from data.errors import CallError, UnknownName, suggest_name
from stages.embed.network.backends import AUTO

KEEP_CHOICES = ("cls", "mean", "max", "segments", "tokens")
LONG_CHOICES = ("windows", "head", "head-tail", "middle", "random", "sentences", "model")
# the ways with long documents in which neighbours may share tokens, and in which windows may be counted off
_STRIDES = ("windows", "model")
_COUNTED = ("windows", "sentences", "model")
DTYPES = ("float16", "bfloat16", "float32")
PRECISIONS = (AUTO, *DTYPES, "int8")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How documents are to be encoded. `device` and `batch_tokens` change no value; everything else is in the recipe.

    window: tokens of the document in a window, special tokens and prefix not counted; None for 254, or less where the
        encoder has fewer positions. stride: tokens that two neighbouring windows share.
    long: "windows" for all of a document; "head", "middle" or "random:SEED" for one window of it; "head-tail" for half
        a window at each end; "sentences" for windows that end where sentences do; "model" for all of it in windows of
        the encoder's own length. max_windows: windows a document at most.
    prefix: text set before every window (E5's "query: "); None for the model's own default prompt.
    keep: what is stored, of `KEEP_CHOICES`. segment: tokens per segment.
    layers: "last", "all", or numbers as in "-1,-4"; 0 is what the embeddings give, before the first layer.
    dtype: number type kept. precision: number type that the encoder computes in, "auto" for what the device does well.
    backend: the program that runs it, of `BACKENDS` in backends.py, or "auto". device: a name of torch's, or "auto" for
        the best kind present; `embed_source` also accepts several. batch_tokens: tokens per batch, padding included;
        None for what a trial finds.
    trust_remote_code: run Python code that comes with the model.
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
        """Raise CallError for a value that no encoder could serve."""
        for kind, value, known in (
            ("way with long documents", parse_long(self.long)[0], LONG_CHOICES),
            ("number type", self.dtype, DTYPES),
            ("number type", self.precision, PRECISIONS),
            *(("thing to keep", name, KEEP_CHOICES) for name in self.keep),
        ):
            if value not in known:
                raise UnknownName(f"There is no {kind} called '{value}'.{suggest_name(value, known)}")
        if not self.keep:
            raise CallError(f"Nothing is kept: name at least one of {', '.join(KEEP_CHOICES)}.")
        self._check_long()
        segment = int("segments" in self.keep)
        least = {"window": 1, "stride": 0, "max_windows": 1, "segment": segment, "batch_tokens": 1}
        for name, smallest in least.items():
            value = getattr(self, name)
            if value is not None and value < smallest:
                raise CallError(f"{name.replace('_', '-')} is {value}; the smallest is {smallest}.")

    def _check_long(self) -> None:
        long, _ = parse_long(self.long)
        if self.stride and long not in _STRIDES:
            raise CallError(f"stride is {self.stride}, but windows of --long {self.long} share nothing. Leave it out.")
        if self.max_windows is not None and long not in _COUNTED:
            raise CallError(
                f"max-windows is {self.max_windows}, but --long {self.long} takes a fixed number. Leave it out."
            )
        if self.window is not None and long == "model":
            raise CallError(
                f"window is {self.window}, but --long model takes the encoder's longest. Leave one of them out."
            )


def parse_long(text: str) -> tuple[str, int]:
    """What `--long random:7` asks for: the way, and its seed. Raises CallError for a seed too many or too few."""
    way, colon, seed = text.partition(":")
    if way in LONG_CHOICES and (
        bool(colon) != (way == "random") or (colon and not (seed.isascii() and seed.isdigit()))
    ):
        raise CallError(f"'{text}' is not understood: random takes a seed, as in random:7, and only random does.")
    return way, int(seed) if way == "random" else 0


def parse_keep(text: str, segment: int = 32) -> tuple[tuple[str, ...], int]:
    """What `--keep cls,mean,segments:32` asks for: the names in the order of `KEEP_CHOICES`, and the segment length."""
    names = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, colon, length = part.partition(":")
        if name not in KEEP_CHOICES:
            raise UnknownName(f"There is nothing to keep called '{name}'.{suggest_name(name, KEEP_CHOICES)}")
        if colon and (name != "segments" or not length.isascii() or not length.isdigit()):
            raise CallError(f"'{part}' is not understood: only segments takes a length, as in segments:32.")
        segment = int(length) if colon else segment
        names.add(name)
    return tuple(name for name in KEEP_CHOICES if name in names), segment


def parse_layers(text: str, layers: int) -> tuple[int, ...]:
    """The layers that `text` names, as negative numbers from the deepest up: "-4,-1" is (-4, -1).

    layers: how many the encoder has; -1 is the last of them, -layers-1 (or 0) is what its embeddings give.
    """
    if text == "last":
        return (-1,)
    if text == "all":
        return tuple(range(-layers - 1, 0))
    numbers = set()
    for part in text.split(","):
        try:
            number = int(part)
        except ValueError:
            raise CallError(f"'{part}' is not a layer: layers are 'last', 'all' or numbers as in '-1,-4'.") from None
        if not -layers - 1 <= number <= layers:
            raise CallError(f"There is no layer {number}: the encoder has {layers}, from -1 back to {-layers - 1}.")
        numbers.add(number if number < 0 else number - layers - 1)
    return tuple(sorted(numbers))
