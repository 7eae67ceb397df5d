"""Answer what people and reports ask of the lake."""
