"""What all pages share: the frame, the style, numbers and texts as people read them, axes of plots."""
