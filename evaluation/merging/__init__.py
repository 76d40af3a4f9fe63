"""Several studies in one table: what a finished run found, bundled to be sent, and runs and bundles merged."""
