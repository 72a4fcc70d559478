"""Windows: texts to token ids, and token ids to the windows that an encoder reads.

Tokenization, the strategies for long documents, flat arrays of windows, and the parts of a corpus. Nothing here knows a
network or a store, and nothing imports torch.
"""
