"""Model packs: whether those that the configured cameras need are here and are what their manifests say."""

from collections.abc import Iterator

from gateway.cli.doctor.finding import Finding, Probe, ok, parted
from gateway.cli.doctor.machine import Machine


def needed(machine: Machine) -> Iterator[Finding]:
    """Read and hash every pack that a configured camera uses, or that was chosen."""
    if machine.plan is None or not machine.plan.settings.camera:
        return
    from gateway.vision.packs import DETECTION, READING, PackError, choices, packs

    cameras = machine.plan.settings.camera
    tasks = {DETECTION, READING} if any(camera.vehicles for camera in cameras) else set()
    if any(camera.falling for camera in cameras):
        tasks.add("fall-verification")
    folder = machine.plan.models_folder
    try:
        chosen = {choice.name for choice in choices(folder).values()}
        wanted = [pack for pack in packs(folder) if pack.name in chosen or (pack.task in tasks and not pack.optional)]
    except PackError as error:
        yield parted(str(folder), str(error), "linli model list")
        return
    good = []
    for pack in wanted:
        try:
            pack.checked()
        except PackError as error:
            what, _, do = str(error).rpartition("; run: ")
            yield Finding("wrong", "", what, do)
        else:
            good.append(pack.title)
    for task in sorted(tasks - {pack.task for pack in wanted}):
        yield Finding("wrong", "", f"no model pack for {task} in {folder}", "install the gateway's models folder")
    if good:
        yield ok("", f"here and unchanged: {', '.join(good)}")


PROBES = (Probe("model packs", needed, 20.0),)
