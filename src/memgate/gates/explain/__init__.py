"""One sentence, word by word."""
