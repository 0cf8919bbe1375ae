# SPDX-License-Identifier: Apache-2.0
"""What an expression of Prometheus asks for, and whether that is ever told.

No grammar: enough for the expressions of ours, whose syntax promtool has looked at.
"""
import re

WORDS = {"and", "or", "unless", "offset", "bool"}
LISTS = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"
NAME = re.compile(r'(?<![\w:"$])([a-zA-Z_:][\w:]*)(?![\w:])\s*(\{[^}]*\})?(?!\s*\()')
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
PROMETHEUS_OWN = {"instance", "job"}


def blank(expr, pattern):
    """As long as before, without what matches."""
    return re.sub(pattern, lambda match: " " * len(match[0]), expr)


def selectors(expr):
    """(name, [(label, operator, value)]) of each series that is asked for."""
    expr = blank(blank(expr, LISTS), r"\[[^\]]*\]")
    for match in NAME.finditer(blank(expr, r'(?<=")[^"]*(?=")')):
        if match[1] not in WORDS:
            yield match[1], MATCHER.findall(expr[match.start(2):match.end(2)] if match[2] else "")


def grouped(expr):
    """Labels that are grouped or matched by."""
    return {label.strip() for names in re.findall(LISTS, expr) for label in names.split(",") if label.strip()}


def samples(*texts_parsed):
    """{name of a sample: [its labels as a dict]} of what programs told, with Prometheus' own `up`."""
    told = {"up": [{"job": "zot-worker"}, {"job": "zot-leader"}]}
    for families in texts_parsed:
        for name, family in families.items():
            for suffix, labels in family.samples:
                told.setdefault(name + suffix, []).append(dict(labels))
    return told


def unknown(expr, told):
    """What is asked for and never told, in words."""
    labels = set(PROMETHEUS_OWN)
    for name, matchers in selectors(expr):
        if name not in told:
            yield f"no metric {name}"
            continue
        labels |= {label for row in told[name] for label in row}
        wanted = {label: (how, value) for label, how, value in matchers if label not in PROMETHEUS_OWN}
        if not any(all(label in row and (how != "=" or row[label] == value) for label, (how, value) in wanted.items()) for row in told[name]):
            yield f"no {name} with {wanted}"
    yield from (f"no label {label}" for label in sorted(grouped(expr) - labels))
