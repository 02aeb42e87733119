"""Templates of this package: everything that is filled in is escaped, and nothing may be missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined


def rendered(template: str, content: Mapping[str, object]) -> Iterator[str]:
    """The filled-in template, piece by piece."""
    environment = Environment(
        loader=PackageLoader("campaign.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(template).generate(content)
