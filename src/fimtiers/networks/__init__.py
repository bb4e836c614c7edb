"""What the substrates that are neural networks share: initialisation, stacks of networks, training.

Only code for torch networks lives here; one substrate per file lives in `fimtiers.substrates`.
"""
