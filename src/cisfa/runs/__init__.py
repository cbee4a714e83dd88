"""What a run folder tells, in words that a program without torch can read: state, requests, curves."""
