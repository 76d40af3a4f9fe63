"""What Snakemake runs: rules, schemas, report captions, and the reading of the configuration."""
