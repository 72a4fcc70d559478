"""Readers: a file, a folder a class or a named benchmark becomes a Corpus. A format is a module; `read` chooses."""

from data.readers.read import read, read_by_id

__all__ = ["read", "read_by_id"]
