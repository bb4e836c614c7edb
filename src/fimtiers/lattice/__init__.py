"""Lattice gauge fields in four dimensions: geometry, updates and forces of one field at a time.

Only what the lattice substrates share or compile lives here; settings and states do not.
"""
