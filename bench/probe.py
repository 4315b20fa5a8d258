#!/usr/bin/env python3
"""The table of docs/probe.md: of what `talkburst probe --json` said of each target.

    bench/probe.py 'baresip 1.0.0=called.json,calling.json' 'Kamailio 5.6.3=between.json'
"""

import json
import sys

MARKS = {"pass": "pass", "fail": "**fail**", "inconclusive": "?"}


def main(targets):
    names, titles, verdicts = [], {}, {}
    for target in targets:
        name, files = target.split("=", 1)
        names.append(name)
        for file in files.split(","):
            for line in open(file, encoding="utf-8"):
                played = json.loads(line)
                if "case" in played:
                    case = (played["target"], played["case"])
                    titles[case] = (played["title"], played["source"])
                    verdicts[case, name] = played["verdict"]
    print("| target | case | what | source | " + " | ".join(names) + " |")
    print("|---|---|---|---|" + "---|" * len(names))
    for case, (title, source) in titles.items():
        marks = [MARKS.get(verdicts.get((case, name)), "") for name in names]
        print("| " + " | ".join([*case, title, source, *marks]) + " |")
    totals = ["%d of %d" % (len([1 for (_, n), v in verdicts.items() if n == name and v == "pass"]),
                            len([1 for (_, n) in verdicts if n == name])) for name in names]
    print("| | | pass | | " + " | ".join(totals) + " |")


main(sys.argv[1:])
