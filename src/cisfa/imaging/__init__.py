"""Volumes, label maps and their geometry: reading, writing, and preparing slices for a network."""
