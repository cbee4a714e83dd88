"""What the module CISFATraining is made of."""
