"""The Sigma engine behind `detectors.sigma` and `detectors.match`; nothing else imports it.

``condition``  the rule and its condition tree, as plain data (what the parse cache holds)
``documents``  the YAML documents of a rule file
``aggregation`` what Sigma 1 had after a pipe, and what to write for it now
``parse``      pySigma's objects to that tree, or the reason why not
``values``     one canonical text and one case folding for every value
``leaves``     one detection item as a predicate over a field's value; the reference evaluator
``witness``    which rules an event can match at all
``access``     fields and text of plain events
``codegen``    a rule as one generated Python expression
``explain``    why a rule matched, for an analyst
"""
