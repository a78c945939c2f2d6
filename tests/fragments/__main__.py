"""``python -m tests.fragments``: the figures of both halves; ``--wrong`` lists what is wrong.

The half that was kept back is measured with ``--all`` only.
"""

from __future__ import annotations

import sys

from tests.fragments.measure import kinds, others, ours, score
from tests.fragments.messages import messages


def main(arguments: list[str]) -> None:
    every = list(messages())
    halves = {"looked at": [one for one in every if not one.is_kept_back]}
    if "--all" in arguments:
        halves["kept back"] = [one for one in every if one.is_kept_back]
    for name, half in halves.items():
        print(f"{name}: {len(half)} messages of {len(every)}")
        for parser, new_text in {"ours": ours, **others()}.items():
            found = score(half, new_text)
            print(f"  {parser:20} precision {found.precision:6.1%}  recall {found.recall:6.1%}")
            if "--wrong" in arguments and parser == "ours":
                print("   ", *found.wrong, sep="\n    ")
        for kind, (precision, recall) in kinds(half).items():
            print(f"    {kind:18} precision {precision:6.1%}  recall {recall:6.1%}")


if __name__ == "__main__":
    main(sys.argv[1:])
