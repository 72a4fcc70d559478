"""Documents, labels, taxonomies and splits; readers of files and benchmarks; atomic writes; the tree of errors.

This folder knows text and labels as a user has them, and returns plain values. It knows no encoder, no store, no head
and no command line, and it prints nothing. Errors are in `data.errors`. Import the module that you need: this file
stays empty, because NumPy, which splits and targets need, would take half of the time that `embedonce --help` may take.
"""
