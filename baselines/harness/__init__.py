"""What fits, applies, saves and checks any method, and finds them all; `baselines/` itself holds the methods."""
