"""The verbs of `python -m mispel`, one file each; see `core.jobs.command.Verb`."""
