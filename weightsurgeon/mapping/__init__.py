"""The mapping language: YAML to rules, names to names, rules to a Plan."""
