"""Packs: the working form of chips.

A GeoTIFF for each chip is the form in which chips are browsed and exchanged. Training reads the same chips thousands of
times, so a pack holds them decoded: records of equal size, one behind the other in a few large files that are mapped
into memory. A pack is made once from what a manifest names, compared with its checksums, and can be made again.
"""
