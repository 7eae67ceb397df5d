"""Describe a dataset or a model to those who take it up: dataset card, Croissant, datasheet, citation."""
