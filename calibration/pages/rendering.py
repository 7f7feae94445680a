"""The pages' templates: strict about names, escaping whatever they are given."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

_ENVIRONMENT = Environment(
    loader=PackageLoader("calibration", "pages/templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_template(name: str, **values: object) -> str:
    """One page of this package's templates with its values.

    Raises:
        jinja2.UndefinedError: the template uses a name that was not given.
    """
    return _ENVIRONMENT.get_template(name).render(**values)
