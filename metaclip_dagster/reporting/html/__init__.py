"""What all pages share: frame, style, numbers, intervals and texts as people read them, and axes of plots."""
