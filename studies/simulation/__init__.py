"""The digital travelling-subject phantom: people whose tissue fractions are known, on simulated scanners.

`options` says what can be asked for, `physics` and `physics.yaml` hold tissues and scanners; `people`,
`deformation` and `anatomy` make somebody up from the `atlas_maps`, `real_people` takes a real brain;
`signal` is the contrast of a sequence, `scanner` makes a scan, `truth` the files.
Everything made here is simulated, and everything that shows it says so.

The anatomy derives from the ICBM152 2009a atlas, (C) 1993-2009 Louis Collins, McConnell Brain Imaging
Center, Montreal Neurological Institute, McGill University; its notice is in `LICENSE-ICBM152.txt`.
"""
