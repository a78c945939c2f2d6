"""One decision of many verdicts: what becomes of a mail at SMTP time, stage by stage.

Pure: filters are run by whoever is given as ``ask``, so that the milter's callbacks and the tests
of filters share every rule.
"""
