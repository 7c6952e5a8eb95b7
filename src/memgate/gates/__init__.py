"""What gates do: statistics, profiles, timescales, gradients, interventions."""
