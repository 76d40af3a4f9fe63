"""How large a brain is, with its CSF, in mL."""

POSSIBLE_ML = (600.0, 2500.0)
"""What the voxels above 0 of a skull-stripped head may add up to; a head with its skull has more. Else refused."""

USUAL_ML = (800.0, 2200.0)
"""An adult's; a mask of another size took the skull in or lost some brain. Else flagged."""
