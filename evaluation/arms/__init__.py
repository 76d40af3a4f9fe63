"""An arm's steps after it was applied: its range, segmentation and measures, and all arms' parts joined."""
