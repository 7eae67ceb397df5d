"""The page on what a training set leaves out: near duplicates, what filters say, what could not be had."""
