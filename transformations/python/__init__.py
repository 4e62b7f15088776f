"""Python scripts: what they may say (policy), reach (guards, modules), and how they run (program)."""
