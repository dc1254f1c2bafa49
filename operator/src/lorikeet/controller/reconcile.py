"""One pass over one server, on one screen: observe, lay out, decide, carry out, report."""

from __future__ import annotations

import logging

from lorikeet.api.ref import Ref
from lorikeet.controller.carry_out import carry_out
from lorikeet.controller.decide import decide
from lorikeet.controller.layout import lay_out
from lorikeet.controller.leftovers import leftovers
from lorikeet.controller.observe import observe
from lorikeet.controller.report import report
from lorikeet.controller.tell import tell, tell_left
from lorikeet.controller.world import World

log = logging.getLogger(__name__)


async def reconcile(ref: Ref, world: World) -> float | None:
    """Bring server `ref` nearer to what its objects ask. Returns seconds until the next pass is due; None at rest."""
    lines = world.lines[ref]
    async with world.turn(lines):
        seen = observe(ref, world)
        layout = lay_out(seen)
        plan = decide(seen, layout, world.installation)
    done = await carry_out(ref, plan, world)
    await tell_left(ref, leftovers(seen), world)
    async with world.turn(lines):
        tells = report(seen, layout, done, world.now())
    due = await tell(ref, tells, world)
    if done.applied and not done.failed:
        return 0.0
    dues = (due, lines.lingering.due(), lines.again(bool(done.failed)))
    return min((each for each in dues if each is not None), default=None)
