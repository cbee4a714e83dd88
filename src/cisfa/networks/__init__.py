"""The networks of CISFA. Slices are (batch, channels, rows, columns), z-scored intensities."""
