"""Gates clamped, replaced, resampled; paths cut."""
