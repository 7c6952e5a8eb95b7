"""What is built on memgate as a user would build it, outside the wheel."""
