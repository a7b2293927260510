"""Builds what is uploaded: the functions' zips and the analytics zip, byte for byte reproducible."""
