# SPDX-License-Identifier: GPL-2.0-or-later
"""Does tree-sitter's grammar of PowerShell take these files? Not PowerShell's own parser.

usage: powershell.py FILE…      exit status 1 where one has an error; it says where
"""

import sys

import tree_sitter_powershell
from tree_sitter import Language, Parser


def errors(node):
    if node.type == "ERROR" or node.is_missing:
        yield node
    for child in node.children:
        yield from errors(child)


def main(paths):
    parser = Parser(Language(tree_sitter_powershell.language()))
    bad = 0
    for path in paths:
        with open(path, "rb") as file:
            tree = parser.parse(file.read())
        for node in errors(tree.root_node):
            print(f"{path}:{node.start_point[0] + 1}: {node.type} {node.text[:60]!r}")
            bad = 1
    return bad


sys.exit(main(sys.argv[1:]))
