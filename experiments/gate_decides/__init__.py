"""The study behind docs/how-the-gate-decides.md."""
