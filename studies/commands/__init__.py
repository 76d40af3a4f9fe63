"""The verbs of `python -m studies`, one file each; see `core.jobs.command.Verb`."""
