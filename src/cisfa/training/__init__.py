"""Training: cases to slices, a method's steps, and the run folder that holds everything a run leaves behind."""
