"""What stands where in a run's folder.

``config.json`` settings · ``data.json`` counts, modalities and fingerprints of the cases · ``environment.json``
versions and hardware · ``state.json`` how far it is · ``request.json`` what somebody wants of it · ``events.jsonl``
progress · ``metrics.csv`` losses · ``validation.csv`` scores that need no target label · ``tensorboard/`` the same as
curves · ``previews/`` pictures · ``checkpoints/`` resumable state · ``candidates/`` weights that a bundle may be made
of · ``trained.json`` seconds spent · ``.lock`` held while it trains. No file name, path, or name of a patient or a
computer is recorded anywhere in it.
"""

CONFIG = "config.json"
DATA = "data.json"
ENVIRONMENT = "environment.json"
STATE = "state.json"
REQUEST = "request.json"
EVENTS = "events.jsonl"
METRICS = "metrics.csv"
VALIDATION = "validation.csv"
TRAINED = "trained.json"
LOCK = ".lock"
TENSORBOARD = "tensorboard"
PREVIEWS = "previews"
CHECKPOINTS = "checkpoints"
CANDIDATES = "candidates"

SCHEMA = 1
# of config.json; a higher one was written by a newer version
