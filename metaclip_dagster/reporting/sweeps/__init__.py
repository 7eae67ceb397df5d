"""The sweep over all t: what is compared, what was found, its plots, its table, its page."""
