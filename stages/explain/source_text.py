"""The words behind stored features: a store has none, so they come from the corpus's file and the encoder's tokenizer.

Both may have gone since. What is then missing is told, and what can still be said is.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.errors import BadData, EmbedOnceError, ModelUnavailable
from data.readers import read_corpus
from data.table import Columns
from featurestore import CorpusTable, Recipe, text_key
from stages.embed.model_files.model_lookup import find_local_model
from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder
from stages.embed.windows.tokens import TextTokenizer, load_tokenizer


@dataclass(frozen=True)
class SourceTexts:
    """texts: key -> the text, of those that were found. tokenizer: the recipe's own, where it is on this machine.

    notes: sentences on what was not found.
    """

    texts: Mapping[str, str]
    tokenizer: TextTokenizer | None
    notes: tuple[str, ...] = ()


def read_source_texts(
    table: CorpusTable,
    keys: Collection[str],
    recipe: Recipe,
    *,
    source: str | None = None,
    text: str | None = None,
    encoder: str | None = None,
) -> SourceTexts:
    """The texts of `keys` and the tokenizer that cut them.

    source: a file that has the texts, the one that `table` came from where None. text: its column of them, guessed
    where None. encoder: where the recipe's encoder is now, if it has moved.

    What a user named and cannot be had raises: as `read_corpus` does, BadData where `source` lacks a text,
    ModelUnavailable for another tokenizer. What nobody named is missing, and told in `notes`.
    """
    notes: list[str] = []
    texts: Mapping[str, str] = {}
    tokenizer = None
    try:
        texts = _texts(source or table.source, text, keys, table)
    except EmbedOnceError as error:
        if source is not None:
            raise
        notes.append(f"The text is not at hand: {error} --source names a file that has it.")
    try:
        tokenizer = _tokenizer(recipe, encoder or recipe.encoder)
    except ModelUnavailable as error:
        if encoder is not None:
            raise
        notes.append(f"The tokenizer is not at hand: {error} --encoder says where the model is now.")
    return SourceTexts(texts, tokenizer, tuple(notes))


def _texts(source: str, column: str | None, keys: Collection[str], table: CorpusTable) -> dict[str, str]:
    """By key, because ids may have been read from another column, or be the numbers of rows."""
    path = Path(source).expanduser()
    columns = Columns(text=column, label="", id="", split="", group="") if path.is_file() else Columns()
    wanted = set(keys)
    keyed = ((text_key(document.text), document.text) for document in read_corpus(source, columns).documents)
    found = {key: text for key, text in keyed if key in wanted}
    if lacking := wanted - found.keys():
        name = next(name for name, key in zip(table.ids, table.keys, strict=True) if key in lacking)
        raise BadData(
            f"{source} has no document of the text that was embedded as '{name}'. "
            "It was changed since, or another column holds the texts: name that with --text."
        )
    return found


def _tokenizer(recipe: Recipe, model: str) -> TextTokenizer:
    folder = find_local_model(model)
    if folder is None:
        raise ModelUnavailable(f"{model} is not on this machine.")
    tokenizer = load_tokenizer(read_sentence_transformers_folder(folder).folder, recipe.prefix)
    if tokenizer.hash != recipe.tokenizer:
        raise ModelUnavailable(f"{model} has another tokenizer now than the one that made these features.")
    return tokenizer
