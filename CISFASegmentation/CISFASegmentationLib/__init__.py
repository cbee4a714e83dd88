"""What is behind CISFA Segmentation's panel."""
