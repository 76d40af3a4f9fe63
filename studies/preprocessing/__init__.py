"""From a native T1-weighted scan to one on the atlas's grid: the paper's preprocessing (section 4.1).

Two steps a scan, each a job of its own: `register` finds the transforms to the atlas, `resample` applies
them after bias correction and masks the brain. The arithmetic is antspyx's (SyN: Avants et al. 2008; N4:
Tustison et al. 2010).
"""
