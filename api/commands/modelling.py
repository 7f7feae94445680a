"""`labsys model`: networks that find landmarks in video, and what they can give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.commands.terminal import JsonOption, LabOption, QuietOption, Terminal
from labsys.core.errors import LabsysError

if TYPE_CHECKING:
    from labsys.core.landmark_contract import LandmarkContract
    from labsys.storage.models import StoredModel

model_app = typer.Typer(no_args_is_help=True, help="Models that find landmarks in video (DeepLabCut).")


@model_app.command("list")
def list_packs(lab: LabOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Every model of the lab, with the tier that it reaches.

    \b
    Example: labsys model list
    """
    from labsys.storage.models import list_models, load_model
    from pipelines.pose.public import PUBLIC_MODELS

    terminal = Terminal(lab, as_json, quiet)
    folder = terminal.open_lab()
    stored, damaged = [], {}
    for name in list_models(folder):
        try:
            stored.append(load_model(folder, name))
        except LabsysError as error:
            damaged[name] = str(error)
    lines = [f"{s.identity}  {_tier(_contract(s))}, {len(s.model.body_parts)} landmarks" for s in stored]
    document: dict[str, Any] = {
        "models": [{"name": s.name, "sha256": s.model.digest, "tier": _tier(_contract(s))} for s in stored]
    }
    document["unreadable"] = [{"name": name, "reason": reason} for name, reason in damaged.items()]
    addable = sorted(set(PUBLIC_MODELS) - {s.name for s in stored} - set(damaged))
    document["addable"] = addable
    lines += [f"{name}  cannot be read: {reason}" for name, reason in damaged.items()]
    lines = lines or ["no models; copy a model pack into models/ of the lab"]
    lines += [f"{name}  public, not in this lab: labsys model add {name}" for name in addable]
    terminal.give(document, "\n".join(lines))


@model_app.command("check")
def check_pack(
    model: Annotated[str, typer.Argument(metavar="NAME")],
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check a model's files against their hashes, and say which metrics it will not give and why.

    \b
    Example: labsys model check runner37
    """
    from labsys.storage.models import verify_model
    from pipelines.dlc import find_model

    terminal = Terminal(lab, as_json, quiet)
    stored = find_model(terminal.open_lab(), model)
    verify_model(stored)
    terminal.give(_document(stored), f"{contract_text(stored)}\nfiles: as they were packed{_details(stored)}")


@model_app.command("add")
def add_pack(
    model: Annotated[str, typer.Argument(metavar="NAME", help="superanimal_humanbody.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Where its two files lie; else labsys's cache of this machine."),
    ] = None,
    detect_every: Annotated[
        int,
        typer.Option(
            "--detect-every", metavar="N", help="Frames from one look of the detector to the next: 4, 8, … 256."
        ),
    ] = 16,
    lab: LabOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a public model a model of the lab, from its published files; which, and where to get them, is said.

    \b
    Example: labsys model add superanimal_humanbody --from downloads
    """
    from labsys.core.errors import UnknownNameError
    from pipelines.pose.public import PUBLIC_MODELS, add_public_model, public_folder

    terminal = Terminal(lab, as_json, quiet)
    if model not in PUBLIC_MODELS:
        raise UnknownNameError("public model", model, valid=PUBLIC_MODELS)
    public = PUBLIC_MODELS[model]
    stored = add_public_model(terminal.open_lab(), public, source or public_folder(public), detect_every=detect_every)
    hashes = {"snapshot": stored.model.snapshot_sha256, "detector": stored.model.detector_sha256}
    lines = [contract_text(stored), *(f"SHA-256 of {what}: {found}" for what, found in hashes.items())]
    if not public.pose.sha256_starts:
        lines.append(f"compare that of the snapshot with the one that {public.pose.source} is published with")
    terminal.give({**_document(stored), "files_sha256": hashes}, "\n".join(lines))


def contract_text(stored: StoredModel) -> str:
    """What a model gives and what it does not, for a person."""
    contract = _contract(stored)
    lines = [f"model {stored.identity}: {len(stored.model.body_parts)} landmarks, {_tier(contract)}"]
    if stored.model.knows:
        lines.append(f"knows: {stored.model.knows}")
    if contract.unknown:
        lines.append(f"not used, as labsys does not know them: {', '.join(contract.unknown)}")
    by_reason: dict[str, list[str]] = {}
    for metric in sorted(contract.missing, key=lambda m: m.tier):
        by_reason.setdefault(metric.reason, []).append(metric.id)
    lines += [f"will be missing ({reason}): {', '.join(ids)}" for reason, ids in by_reason.items()]
    if not contract.missing:
        lines.append("no metric will be missing for lack of landmarks")
    return "\n".join(lines)


def _details(stored: StoredModel) -> str:
    lines = [f"{name}: {value:g}" for name, value in stored.model.evaluation.items()]
    lines += [f"recipe, {key}: {text}" for key, text in stored.model.recipe.items()]
    return "".join(f"\n{line}" for line in lines)


def _contract(stored: StoredModel) -> LandmarkContract:
    from labsys.core.landmark_contract import check_landmarks

    return check_landmarks(stored.model.landmarks)


def _tier(contract: LandmarkContract) -> str:
    return "gives no measure" if contract.tier is None else f"tier {contract.tier.name}"


def _document(stored: StoredModel) -> dict[str, Any]:
    contract = _contract(stored)
    return {
        "name": stored.name,
        "sha256": stored.model.digest,
        "tier": None if contract.tier is None else contract.tier.name,
        "landmarks": list(stored.model.landmarks),
        "unknown": list(contract.unknown),
        "missing": [{"metric": m.id, "reason": m.reason} for m in contract.missing],
        "knows": stored.model.knows,
        "evaluation": dict(stored.model.evaluation),
        "recipe": dict(stored.model.recipe),
    }
