"""The commands that cli.py groups: one module per command, and the options, the output and the defaults they share.

A command reads its options, calls functions of stages, and shows the result; it computes nothing. Results go to stdout,
everything else to stderr. Nothing in the layers below may import from here.
"""
