"""Where scans come from: the phantom, simulated scanners on real brains, a sheet of the user's own."""
