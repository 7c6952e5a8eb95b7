"""How numbers are shown: terminal tables, figures, pages."""
