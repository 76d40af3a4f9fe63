"""Whether an arm harmonizes, and how sure that is: its gain beyond its controls, and what of the person it keeps.

Three questions, each with an answer of its own:

- removed: are scans of different scanners nearer to each other than RAW's, than those of the same method fitted on
  permuted scanner labels, and than RAW's blurred until they are as smooth? A gain counts only where its interval
  lies beyond a tenth of what there is to gain, beyond all three (an intersection-union test, so that no correction
  for three comparisons is due: Berger 1982), and where the arm isn't more alike between scanners than two scans of
  one scanner are: that is smoothing, invention or a look at the person's other scans.
- kept: is of the person what RAW has?
- nearer: are images or volumes nearer the truth, where it is known?

Everything is about ONE primary endpoint that the configuration names; the other measures are exploratory.
"""
