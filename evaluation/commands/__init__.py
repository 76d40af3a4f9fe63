"""The verbs of `python -m evaluation`, one file each; see `core.jobs.command.Verb`."""
