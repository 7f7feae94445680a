"""axe-core looks at a page in the browser: what people who see, hear or move differently could not use."""

from __future__ import annotations

import json
from pathlib import Path

from tests.test_api.chromium import Tab

_AXE = Path(__file__).parents[1] / "vendor" / "axe-core" / "axe.min.js"
_GRAVE = ("serious", "critical")


def find_barriers(tab: Tab) -> list[str]:
    """Every serious or critical finding on the page that is open: the rule, and the first place that breaks it."""
    # Through the protocol: the page's own policy lets no strange script in.
    tab.evaluate(_AXE.read_text(encoding="utf-8") + "; true")
    found = json.loads(
        tab.evaluate("axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations))")
    )
    return [
        f"{v['impact']}: {v['id']} at {node['target']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for v in found
        if v["impact"] in _GRAVE
        for node in v["nodes"][:2]
    ]
