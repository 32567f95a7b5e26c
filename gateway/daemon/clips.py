"""What alarms have cameras keep: a clip of the seconds around the moment they are raised."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.contract import Clock, Draft
from gateway.daemon.drafts import vision_draft
from gateway.rules import Transition
from gateway.settings import AlarmSettings, ClipAction
from gateway.vision.events import lost_event

if TYPE_CHECKING:
    from gateway.vision.camera import Camera

log = logging.getLogger("linli.actions")


def seconds_before(alarms: Iterable[AlarmSettings], camera: str) -> float:
    """How many seconds before an alarm a camera has to remember; 0 when no alarm asks it for a clip."""
    actions = (action for alarm in alarms for action in alarm.do if isinstance(action, ClipAction))
    return max((max(action.before, 0.1) for action in actions if action.clip == camera), default=0.0)


def ask_for_clips(cameras: Iterable["Camera"], clock: Clock, transition: Transition) -> list[Draft]:
    """Have the clips made that an alarm names when it is raised; each follows as ``linli.media.ready.v1``.

    Records of those that are not made.
    """
    state = transition.state
    if transition.kind != "raised" or state.occurrence is None:
        return []
    known = {camera.name: camera for camera in cameras}
    lost = []
    for action in transition.alarm.do:
        if isinstance(action, ClipAction):
            camera = known.get(action.clip)
            if camera is None or not camera.clip(action.before, action.after, state.occurrence):
                why = f"camera {action.clip} shows nothing now, or may not (see linli check)"
                log.warning("alarm %s has no clip: %s", state.name, why)
                if camera is not None:
                    now, wall = clock.monotonic(), clock.wall()
                    event = lost_event(camera.name, camera.name, state.occurrence, "refused", why, wall, now)
                    lost.append(vision_draft(replace(event, purpose=camera.purpose), {}))
    return lost
