"""Comparison of runs: which run to take, and what a reader must know before.

`selection` finds the runs and the metric that ranks them. `entries` makes one configuration of several seeds,
`significance` compares each with the best one, `choice` names the one to take, and `table` makes the rows. `notes` and
`checks` have the sentences, and `report_views` what the report page shows of each run.
"""
