"""The report on the sweep over all t: what is compared, what was found, its plots, its tables, its page."""
