"""Write what people read: data cards, the sweep and pages on entries, as JSON, plots and HTML."""
