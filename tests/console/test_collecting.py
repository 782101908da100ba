"""Garbage is collected once the console is painted, and never among start-up objects."""

import gc

from amp_console.console.main import collect_garbage


def test_what_a_start_makes_is_looked_through_no_more() -> None:
    gc.disable()
    try:
        collect_garbage()
        assert gc.isenabled()
        assert gc.get_freeze_count() > len(gc.get_objects())
    finally:
        gc.unfreeze()
        gc.enable()
