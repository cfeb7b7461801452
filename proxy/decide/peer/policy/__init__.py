"""The policy rules, one file each. Adding a rule is a new file and one row in ``rules.RULES``."""
