"""The page that answers what another t would keep, while a slider moves."""
