"""Synthetic abdomens with labels, CT-like and MR-like: cases to try, test and teach with that belong to no patient."""
