"""Templates: what an answer says is written outside of the code that decides to send it.

For `Delivery.reply` and handlers. Mako renders; names that a template uses and nobody gave are
errors. What is rendered for HTML is escaped, whatever the template is called, with all that it
includes, inherits or takes from namespaces; what is rendered for text is not. Templates make bodies
only: addresses and the subject are arguments, so that no text of a stranger gets near a header.

Whatever is wrong with a template raises `TemplateError`, naming file, line and problem. Exceptions
of the objects a template uses pass through, with a note saying where in the template it was.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lamson.errors import TemplateError
from lamson.message.html_text import text_of
from lamson.message.response import MailResponse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lamson.message.mailboxes import Addresses, Mailbox

# Names that Mako refuses, or has something of its own for, or needs in the code that it makes.
RESERVED = frozenset(
    {"STOP_RENDERING", "UNDEFINED", "buffer", "callable_", "caller", "capture", "context"}
    | {"filters", "local", "loop", "pageargs", "print", "self", "str", "tmpl"}
)

_HTML = (".html", ".htm")
_UNDEFINED = re.compile(r"'(\w+)' is not defined")  # Mako's; Python says "name 'x' is not defined"
_MAKO_WHERE = re.compile(r" (?:in file '.*)?at line: \d+ char: \d+", re.DOTALL)


class Templates:
    """The templates in some directories, the first one that has a template wins.

    Templates are kept compiled; with ``reload`` an edited one is compiled anew. Mako is imported
    when the first one is rendered.
    """

    def __init__(self, directories: Sequence[Path | str], *, reload: bool = False) -> None:
        self.directories = tuple(Path(directory).absolute() for directory in directories)
        self._reload = reload
        self._lookup: Any = None
        self._known: dict[str, bool] = {}

    def render(self, template: str, /, **variables: Any) -> str:
        """The text that ``template`` makes of ``variables``. Raises TemplateError.

        A template called ``.html`` or ``.htm`` makes HTML; see `render_html` for others.
        """
        return self._render(template, variables, is_html=_is_html(template))

    def render_html(self, template: str, /, **variables: Any) -> str:
        """The HTML that ``template`` makes, whatever it is called. Raises TemplateError."""
        return self._render(template, variables, is_html=True)

    def _render(self, template: str, variables: Mapping[str, Any], *, is_html: bool) -> str:
        from mako.exceptions import MakoException

        if not RESERVED.isdisjoint(variables):
            names = ", ".join(sorted(RESERVED.intersection(variables)))
            raise TemplateError(
                f"{template}: {names} cannot be given to a template, which has a meaning of its own"
                " for it; take another name"
            )
        if self._lookup is None:
            self._lookup = _mako_lookup(self)
        try:
            lookup = self._lookup.by_kind[is_html]
            return str(lookup.get_template(template).render_unicode(**variables))
        except (MakoException, SyntaxError) as error:
            raise _not_compiled(error, template) from error
        except Exception as error:
            undefined = isinstance(error, NameError) and _UNDEFINED.fullmatch(str(error))
            where = _where(error, undefined[1] if undefined else "")
            if undefined:
                given = ", ".join(sorted(variables)) or "nothing"
                raise TemplateError(f"{where}: {error}; given were: {given}") from error
            if isinstance(error, TemplateError) and where:
                raise TemplateError(f"{where}: {error}") from error
            if where:
                error.add_note(f"in template {where}")
            raise

    def has(self, template: str) -> bool:
        """True where one of the directories holds ``template``."""
        if self._reload or template not in self._known:
            name = PurePosixPath(template.lstrip("/"))
            try:
                self._known[template] = ".." not in name.parts and any(
                    (directory / name).is_file() for directory in self.directories
                )
            except OSError:  # a name that no file can have
                return False
        return self._known[template]

    def respond(
        self,
        template: str,
        variables: Mapping[str, Any],
        *,
        to: Addresses,
        sender: str | Mailbox,
        subject: str,
        html: str | None = None,
        headers: Mapping[str, Addresses] | None = None,
    ) -> MailResponse:
        """A message whose body is ``template``, rendered.

        ``mail/hello.txt`` gets an HTML part from the template ``html``, or from ``mail/hello.html``
        where that exists. ``mail/hello.html`` alone gives the HTML, and a text made from it. Style
        sheets (``<style>``) become style attributes, which more readers understand, where the
        package css-inline is installed. Raises TemplateError, and ValueError as MailResponse does.
        """
        body: str | None = None
        if _is_html(template):
            html = html or template
        else:
            body = self.render(template, **variables)
            sibling = str(PurePosixPath(template).with_suffix(".html"))
            if html is None and self.has(sibling):
                html = sibling
        page = None
        if html is not None:
            page = _styles_inlined(self.render_html(html, **variables), html)
            body = text_of(page) if body is None else body
        return MailResponse(
            to=to, sender=sender, subject=subject, body=body, html=page, headers=headers
        )

    def missing(self, template: str) -> TemplateError:
        """The error to raise for a template that is in none of the directories."""
        searched = ", ".join(map(str, self.directories)) or "no directory"
        return TemplateError(f"there is no template {template[:255]}; searched: {searched}")


def _mako_lookup(templates: Templates) -> Any:
    """Mako's lookup of the templates: ``by_kind[True]`` has those that escape what they show."""
    from mako.lookup import TemplateLookup

    class Lookup(TemplateLookup):  # type: ignore[misc]  # Mako has no type hints
        by_kind: dict[bool, Lookup]
        is_html: bool

        def get_template(self, uri: str) -> Any:
            name = uri.lstrip("/")
            if not templates.has(name):
                raise templates.missing(name)
            # What HTML includes is escaped, too, and so is HTML that a text includes.
            lookup = self.by_kind[self.is_html or _is_html(name)]
            return super(Lookup, lookup).get_template(name)

    by_kind = {
        is_html: Lookup(
            directories=[str(directory) for directory in templates.directories],
            default_filters=["h"] if is_html else None,
            strict_undefined=True,
            input_encoding="utf-8",
            filesystem_checks=templates._reload,
        )
        for is_html in (False, True)
    }
    for is_html, lookup in by_kind.items():
        lookup.by_kind, lookup.is_html = by_kind, is_html
    return by_kind[False]


def _not_compiled(error: Exception, template: str) -> TemplateError:
    file, line = getattr(error, "filename", None) or template, getattr(error, "lineno", None)
    if isinstance(error, SyntaxError):  # of the Python that Mako made: its lines are not ours
        file, line = template, None
    problem = _MAKO_WHERE.sub("", str(error))
    return TemplateError(f"{file}:{line}: {problem}" if line else f"{file}: {problem}")


def _where(error: Exception, name: str) -> str | None:
    """``file:line`` in the innermost template of the traceback.

    An undefined name is found out at the start of a template; with ``name`` the line is the first
    one that uses it.
    """
    from mako.exceptions import RichTraceback

    for *_, file, line, _, source in reversed(RichTraceback(error, error.__traceback__).records):
        if file is None:
            continue
        if name:
            uses = re.compile(rf"\b{name}\b")
            lines = enumerate(str(source).splitlines(), start=1)
            line = next((number for number, text in lines if uses.search(text)), line)
        return f"{file}:{line}"
    return None


def _is_html(template: str) -> bool:
    return template.lower().endswith(_HTML)


def _styles_inlined(page: str, template: str) -> str:
    if "<style" not in page.lower():
        return page
    try:
        import css_inline
    except ImportError:
        return page
    try:
        return css_inline.inline(page, load_remote_stylesheets=False, keep_at_rules=True)
    except css_inline.InlineError as error:
        raise TemplateError(f"{template}: its styles cannot be inlined: {error}") from error
