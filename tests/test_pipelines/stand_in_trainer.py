"""Stand-ins for DeepLabCut's processes in tests: `stand_in_trainer.py train JOB.json`, `… slim SOURCE OUT half`.

They import nothing of labsys, so that they start at once. The trainer leaves a snapshot whose text is its job, and
DeepLabCut's configuration with the project's body parts.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import yaml


def train(job_file: Path) -> None:
    """Two epochs of nothing."""
    job = json.loads(job_file.read_text(encoding="utf-8"))
    project = yaml.safe_load(Path(job["project_config"]).read_text(encoding="utf-8"))
    for epoch in (1, 2):
        text = f"Epoch {epoch}/2 (lr=0.001), train loss {0.5 / epoch:.5f}"
        sys.stdout.write(json.dumps({"kind": "note", "text": text}) + "\n")
    out = Path(job["out"])
    (out / "snapshot-002.pt").write_text(json.dumps(job), encoding="utf-8")
    metadata = {"project_path": project["project_path"], "bodyparts": project["bodyparts"]}
    (out / "pytorch_config.yaml").write_text(yaml.safe_dump({"metadata": metadata}), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(Path(sys.argv[2]))
    else:
        shutil.copyfile(sys.argv[2], sys.argv[3])
    sys.stdout.write('{"kind": "done"}\n')
