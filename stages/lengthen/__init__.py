"""Longer inputs: an encoder of the BERT or RoBERTa family as a Longformer of more positions.

tensors.py converts weights and config, folder.py the files around them, and lengthen.py checks, writes and compares.
"""
