"""Comparison of runs: which run to take, and what a reader must know before.

`selection` finds the runs and the metric that ranks them, `table` makes the rows, `notes` the sentences, and
`report_views` what the report page shows of each run.
"""
