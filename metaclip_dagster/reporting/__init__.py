"""What people read: data cards, the sweep, lists of entries and coverage, as JSON, plots and pages."""
