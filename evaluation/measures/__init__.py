"""The measures, one file a family; `registry` says what each one is called and which way is better."""
