"""BIDS datasets: which T1-weighted images there are, of whom, and from which scanner.

Read by their names and folders alone. pybids would do, but it cuts a label at the first character that is
neither letter nor digit, so that two acquisitions become one, and leaves out misnamed images without a word.
"""
