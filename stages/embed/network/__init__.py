"""Networks: token ids of a batch to hidden states, and hidden states to pooled vectors.

The backends (PyTorch, ONNX Runtime, OpenVINO), the export of a graph, faster layers, padding and pooling. Nothing here
knows a text or decides what a batch contains.
"""
