"""The hash of a tokenizer: of tokenizer.json, else of the model's own files and of the token ids of some texts.

transformers makes a fast tokenizer of older files. How it writes that down differs between its versions, while the
token ids do not. So the hash has the files and the ids: it changes only if a feature's value could change.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from stages.embed.model_files.checkpoint import canonical_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# without one of these, transformers would create a tokenizer of five tokens
_VOCABULARIES = ("vocab.*", "*.model", "*.tiktoken")
_OTHER_FILES = ("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# of tokenizer_config.json: where the tokenizer came from, and how a text would be cut or padded, which embedonce does
_IGNORED_SETTINGS = frozenset(
    {
        *("name_or_path", "special_tokens_map_file", "tokenizer_file", "transformers_version", "processor_class"),
        *("model_max_length", "max_length", "max_len", "truncation_side", "truncation_strategy", "padding_side"),
        *("stride", "pad_to_multiple_of", "chat_template", "clean_up_tokenization_spaces"),
    }
)
# texts on which tokenizers differ: case, accents, numbers, white space, scripts, rare and composed characters
_PROBE = (
    "",
    "The quick brown fox jumps over the lazy dog.",
    "Don't re-read it's U.S. e-mail: a@b.com, https://x.org/y?z=1&w=%20 #tag @name",
    "ÉCOLE école e\u0301cole Straße İstanbul ŁÓDŹ ﬁnance ＡＢＣ ½ ² Ⅻ",
    "3.14159 1,000,000 12345678901234567890 -7 $5 €6 50% 2024-01-31",
    "  two  spaces\ttab\nline\r\n\n\u00a0hard\u200bzero\u3000wide ",
    "def f(x):\n    return {'a': [x ** 2, x != 3]}  # <b>&amp;</b>",
    "[CLS] [SEP] [MASK] <s> </s> <unk> <pad> <|endoftext|> ## ▁ Ġ",
    "Съешь же ещё этих мягких французских булок",
    "Η γρήγορη καφέ αλεπού",
    "השועל החום המהיר שָׁלוֹם",
    "الثعلب البني السريع مَرْحَبًا",
    "तेज़ भूरी लोमड़ी हिन्दी",
    "สุนัขจิ้งจอกสีน้ำตาล",
    "我能吞下玻璃而不伤身体。漢字",
    "いろはにほへと カタカナ ｶﾀｶﾅ 日本語",
    "다람쥐 헌 쳇바퀴 한국어",
    "😀 👩\u200d👩\u200d👧 🇩🇪 ❤\ufe0f 𝔘𝔫𝔦 \ufffd",
    "supercalifragilisticexpialidocious " + "a" * 120 + " zzzzqqqq",
)


def definition_hash(definition: str) -> str:
    """Return the hex sha256 of the content of tokenizer.json, without truncation and padding."""
    relevant = {key: value for key, value in json.loads(definition).items() if key not in {"truncation", "padding"}}
    return hashlib.sha256(canonical_json(relevant)).hexdigest()


def has_vocabulary(folder: Path) -> bool:
    """Whether a folder has a vocabulary that transformers makes a tokenizer of."""
    return any(True for pattern in _VOCABULARIES for _ in folder.glob(pattern))


def files_hash(folder: Path, backend: "Tokenizer") -> str:
    """Return the hex sha256 of a folder's tokenizer files, and of the ids that the tokenizer gives to the probe.

    Args:
        folder: A model folder without tokenizer.json.
        backend: The tokenizer that was made of its files, without truncation and padding.
    """
    paths = {path for pattern in (*_VOCABULARIES, *_OTHER_FILES) for path in folder.glob(pattern)}
    files = {path.name: _file_hash(path) for path in paths}
    return hashlib.sha256(
        canonical_json({"files": files, "probe": [backend.encode(text).ids for text in _PROBE]})
    ).hexdigest()


def _file_hash(path: Path) -> str:
    content = path.read_bytes()
    if path.name == "tokenizer_config.json":
        settings = json.loads(content)
        content = canonical_json({key: value for key, value in settings.items() if key not in _IGNORED_SETTINGS})
    return hashlib.sha256(content).hexdigest()
