"""How far the arms bring scanners together: segmentation, measures, statistics, tables, figures."""
