"""Many fits: plan, run, search, report, Linzen et al. (2016)."""
