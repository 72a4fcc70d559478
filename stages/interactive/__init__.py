"""What a Python user holds: an embedded corpus, a fitted run, a comparison of runs. `embedonce/` makes them.

These objects call the other stages and keep no logic of their own. Nothing here knows the command line. A progress bar
is the only thing that is ever printed.
"""
