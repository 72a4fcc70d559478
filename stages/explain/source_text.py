"""The texts behind stored features: a store keeps none, so they come from the source file and the encoder's tokenizer.

Either may be unavailable. Notes then say what is missing, and an explanation shows what is still known.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from data.errors import BadData, EmbedOnceError, ModelUnavailable
from data.readers import read_corpus
from data.readers.inputs import MEMORY_PREFIX
from data.source_spec import SourceSpec
from featurestore import CorpusTable, Recipe, text_key
from stages.embed.model_files.model_lookup import find_local_model, find_recorded_model
from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder
from stages.embed.windows.tokens import TextTokenizer, load_tokenizer


@dataclass(frozen=True)
class SourceTexts:
    """Texts and tokenizer, as far as they are available.

    Attributes:
        texts: key -> text.
        tokenizer: the tokenizer of the recipe; None if it is not on this machine.
        notes: sentences about what is missing.
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
    requested: SourceSpec | None = None,
    encoder: str | None = None,
) -> SourceTexts:
    """Read the texts of documents, and load the tokenizer that split them.

    Args:
        table: the corpus.
        keys: keys of the documents.
        recipe: the recipe of their features.
        source: file that has the texts; None for the one that was embedded.
        requested: what the user said about the source; None if nothing: it is read as it was embedded.
        encoder: where the encoder is now; None if it has not moved.

    Returns:
        What is available; `notes` say what is missing.

    Raises:
        BadData: `source` was given and lacks a text, or cannot be read.
        ModelUnavailable: `encoder` was given and has another tokenizer, or none.
    """
    notes: list[str] = []
    texts: Mapping[str, str] = {}
    tokenizer = None
    try:
        texts = read_texts(table, keys, source or table.source, requested or SourceSpec())
    except EmbedOnceError as error:
        if source is not None:
            raise
        notes.append(f"The text is not available: {error} Name a file that has it with --source.")
    try:
        tokenizer = _load_tokenizer(recipe, encoder)
    except ModelUnavailable as error:
        if encoder is not None:
            raise
        notes.append(f"The tokenizer is not available: {error} Name the current place of the encoder with --encoder.")
    return SourceTexts(texts, tokenizer, tuple(notes))


def read_texts(table: CorpusTable, keys: Collection[str], source: str, requested: SourceSpec) -> dict[str, str]:
    """Read texts of a corpus by key, because ids may come from another column or be row numbers.

    Args:
        table: the corpus.
        keys: keys of the texts.
        source: file that has them.
        requested: what the user said about the source, in addition to what the corpus knows.

    Raises:
        BadData: the source lacks a text, or was in memory; and what `read_corpus` raises.
    """
    if source == table.source and source.startswith(MEMORY_PREFIX):
        raise BadData(f"{table.name} was in memory when it was embedded, and a store keeps no texts.")
    known = table.spec if source == table.source else table.spec.for_file(source, table.source)
    known = replace(known, tabular=None)
    requested = replace(requested, label="", id="", split="", group="")
    wanted = set(keys)
    keyed = ((text_key(document.text), document.text) for document in read_corpus(source, requested, known).documents)
    texts = {key: text for key, text in keyed if key in wanted}
    if missing := wanted - texts.keys():
        name = next(name for name, key in zip(table.ids, table.keys, strict=True) if key in missing)
        raise BadData(
            f"{source} does not have the text that was embedded as '{name}'. Either the file has changed, or another "
            "column has the texts: name that with --text."
        )
    return texts


def _load_tokenizer(recipe: Recipe, model: str | None) -> TextTokenizer:
    folder = find_recorded_model(recipe) if model is None else find_local_model(model)
    name = model or recipe.encoder
    if folder is None:
        raise ModelUnavailable(f"{name} is not on this machine.")
    tokenizer = load_tokenizer(read_sentence_transformers_folder(folder).folder, recipe.prefix)
    if tokenizer.hash != recipe.tokenizer:
        raise ModelUnavailable(f"{name} has a different tokenizer than the one that these features were made with.")
    return tokenizer
