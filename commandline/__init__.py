"""What the commands in cli.py share: options, settings from embedonce.toml, and what a terminal shows.

Nothing here computes; nothing below knows of it.
"""
