"""The verbs of `python -m baselines`, one file each; see `core.jobs.command.Verb`."""
