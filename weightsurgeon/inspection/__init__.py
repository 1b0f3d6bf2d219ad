"""The wing that looks: statistics, health, differences, branches, pictures, one report.

It may know everything left of the verbs; nothing but the command line and the table of public names
knows it.
"""
