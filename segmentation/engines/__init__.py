"""The segmentation engines: one module each, found by its file name.

An engine is a module with one function::

    def segment(image, mask, voxel_sizes, threads, partial_volumes) -> Segmentation

It gets what `segmentation.interface.segment` has checked: ``image`` float32
(X, Y, Z), with intensities as they were given; ``mask`` bool (X, Y, Z), true only where the
image is above 0; ``voxel_sizes`` three sizes in mm; ``threads`` the threads it may use;
``partial_volumes`` whether to estimate these, if it can; a module that can't says
``PARTIAL_VOLUMES = False``. A module whose program may be missing has ``check()``, asked while a run is
planned, which raises ``InputError`` then. One that has an atlas's priors says ``ON_ATLAS = True``
and gets ``affine``, voxel to mm (4, 4), by name. It returns classes in the order CSF, GM, WM, with 0 outside the mask.
"""
