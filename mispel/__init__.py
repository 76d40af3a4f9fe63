"""MISPEL: multi-scanner harmonization of paired brain images by structure preserving embedding learning.

Torbati et al., ICCV Workshops 2021. One 2-D U-Net a scanner makes L embeddings of a slice, one linear
decoder a scanner combines them into an image; Step 1 learns both, Step 2 changes the decoders alone, so
that the scanners' images come to agree while their structure stays.
"""
