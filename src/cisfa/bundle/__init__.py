"""Model bundles: a trained segmenter with the manifest that says what it is for (docs/bundle-format.md)."""
