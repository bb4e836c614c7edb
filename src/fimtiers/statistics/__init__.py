"""Tests of the study's claims on tier ratios that are already measured; one idea per file.

Pure functions on observations, a tidy table with one row per system, point and seed (see
`fimtiers.statistics.observations`), or on plain arrays. No files, no measurement, no plotting.
"""
