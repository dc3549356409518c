"""How good detection is, measured on labelled data, beside what others published."""
