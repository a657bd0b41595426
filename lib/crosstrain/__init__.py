"""Does training data made for one machine-learned interatomic potential help another?"""
