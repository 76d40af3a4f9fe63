"""A run's own files: read once it is finished, its status and provenance, two runs compared."""
