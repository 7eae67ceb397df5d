"""What all pages share: frame, style, numbers and texts as people read them, and axes of plots."""
