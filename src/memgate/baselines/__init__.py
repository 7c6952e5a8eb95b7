"""What needs no syntax."""
