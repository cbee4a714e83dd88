"""The cases of a training: where they lie, what their labels mean, and whether they can be used."""
