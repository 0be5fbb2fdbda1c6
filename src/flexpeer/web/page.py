"""What the report and the pages of organisations have in common."""

from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template


class KeyFigure(NamedTuple):
    """One number of the headline, with its side or unit below; `status` is good, warn, bad, or nothing to say."""

    label: str
    value: str
    about: str
    status: str = ""


def template(name: str) -> Template:
    """A page's template; whatever is put into it is escaped."""
    environment = Environment(
        loader=PackageLoader("flexpeer.web", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
