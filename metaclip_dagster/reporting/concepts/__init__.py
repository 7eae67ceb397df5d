"""The report on concepts: how the accuracy of a class follows the number of pairs whose texts have its name."""
