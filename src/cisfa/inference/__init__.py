"""From a bundle and a volume to a label map."""
