"""BIDS datasets: which T1-weighted images there are, of whom, and from which scanner.

pybids finds them: it is the reference implementation, knows the inheritance of sidecars (which
ancpbids 0.4 leaves out for one at the dataset's root) and takes 7 MB (bids2table brings pyarrow, 170 MB).
What it passes over without a word, misnamed images, is looked for and refused.
"""
