"""Public data sets, from the folders they unpack to into folders that training and scoring read.

Each set's layout has a module of its own; :mod:`cisfa.data_sets.preparation` reads, checks and writes the cases of any.
"""
