"""Names for corpora."""

import re


def file_name(words: str) -> str:
    """`words` with what a file name cannot hold everywhere turned to '-'; at most 80 characters, never empty."""
    return re.sub(r"[^\w.-]+", "-", words)[:80].strip("-.") or "corpus"
