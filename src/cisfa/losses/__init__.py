"""The losses of CISFA, each beside its equation. All are computed in float32."""
