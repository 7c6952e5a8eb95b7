"""What the gates do."""
