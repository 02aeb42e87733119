"""A pytest plugin: hypothesis need not find the smallest failure when any will do."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), deadline=None)
settings.load_profile("mutants")
