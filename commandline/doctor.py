"""`embedonce doctor`: the state of this installation and machine."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commandline.options import json_option, receives, runs_option, stores_option
from commandline.output import note, show_json, table
from data.text_format import format_bytes

if TYPE_CHECKING:
    from featurestore import Location
    from stages.doctor import Diagnosis, Folder


@dataclass(frozen=True, kw_only=True)
class DoctorOptions:
    """The arguments and options of `embedonce doctor`."""

    stores_folder: "Location"
    runs: Path
    as_json: bool


@click.command(short_help="Report versions, devices, folders and the model hub.")
@stores_option
@runs_option
@json_option
@receives(DoctorOptions)
def doctor(options: DoctorOptions) -> None:
    """Report what a support request needs: versions, devices, extras, folders, memory, and the model hub.

    Nothing is written. The hub has three seconds to answer, and gets no request if HF_HUB_OFFLINE is set.
    """
    from stages.doctor import diagnose

    diagnosis = diagnose(options.stores_folder, options.runs)
    if options.as_json:
        show_json(diagnosis.to_json())
        return
    versions = [(name, version or "not installed") for name, version in diagnosis.versions.items()]
    table(["package", "version"], versions, text_columns=2)
    table(["machine", ""], _machine_rows(diagnosis), text_columns=2)
    table(["folder", ""], map(_folder_row, diagnosis.folders), text_columns=2)
    extras = [
        (extra.extra, "installed" if extra.is_installed else f"missing: {', '.join(extra.missing)}")
        for extra in diagnosis.extras
    ]
    table(["extra", "state"], extras, text_columns=2)
    for problem in diagnosis.problems:
        note(problem)


def _machine_rows(diagnosis: "Diagnosis") -> list[tuple[str, str]]:
    rows = [("platform", diagnosis.platform)]
    if cpu := diagnosis.cpu:
        rows += [
            ("CPU", f"{cpu.model}, {cpu.usable_cores} of {cpu.cores} cores usable"),
            ("CPU features", ", ".join(cpu.features) or "none of those that encoders use"),
        ]
    for device in diagnosis.devices:
        memory = "shared memory" if device.memory is None else format_bytes(device.memory)
        bfloat16 = "bfloat16" if device.bfloat16 else "no bfloat16"
        rows.append((device.device, f"{device.name}, {memory}, {bfloat16}, precision auto is {device.precision}"))
    if not diagnosis.devices:
        rows.append(("GPU", "none that PyTorch can use"))
    free, total = (
        "unknown" if count is None else format_bytes(count) for count in (diagnosis.free_memory, diagnosis.total_memory)
    )
    rows.append(("memory", f"{free} free of {total}"))
    if hub := diagnosis.hub:
        state = {True: "reachable", False: "not reachable", None: "offline"}[hub.is_reachable]
        rows.append(("model hub", f"{hub.endpoint}: {state}; {hub.message}"))
    return rows


def _folder_row(folder: "Folder") -> tuple[str, str]:
    access = "writable" if folder.is_writable else "not writable"
    free = f"{format_bytes(folder.free_bytes)} free on its disk"
    if folder.bytes is None:
        return folder.purpose, f"{folder.path}: does not exist, {access}, {free}"
    size = format_bytes(folder.bytes) if folder.is_complete else f"over {format_bytes(folder.bytes)}"
    return folder.purpose, f"{folder.path}: {size}, {access}, {free}"
