"""How good predictions are: overlap, surface distances, statistics over cases, and the report that shows them."""
