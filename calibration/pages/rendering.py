"""Pages from templates: strict about names, escaping whatever they are given."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def open_templates(package: str, folder: str) -> Environment:
    """The templates in a package's folder."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


_ENVIRONMENT = open_templates("calibration", "pages/templates")


def render_template(name: str, **values: object) -> str:
    """One page of this package's templates with its values.

    Raises:
        jinja2.UndefinedError: the template uses a name that was not given.
    """
    return _ENVIRONMENT.get_template(name).render(**values)
