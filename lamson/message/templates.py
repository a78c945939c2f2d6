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
from lamson.message import sources
from lamson.message.html_text import text_of
from lamson.message.response import MailResponse
from lamson.message.styles import inlined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from lamson.message.attachment import Attachable
    from lamson.message.mailboxes import Addresses, Mailbox
    from lamson.message.sources import Kind

    _Lookups: TypeAlias = "dict[tuple[Kind, str | None], Any]"

# Names that Mako refuses, or has something of its own for, or needs in the code that it makes.
RESERVED = frozenset(
    {"STOP_RENDERING", "UNDEFINED", "buffer", "callable_", "caller", "capture", "context"}
    | {"filters", "local", "loop", "pageargs", "print", "self", "str", "tmpl"}
)

_SIBLINGS = (".html", ".mjml")  # of a text, in this order
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8}){0,6}")
# A stranger's mail may say which language is asked for: what is kept for each has an end.
_MOST_LANGUAGES = 64
_MOST_NAMES = 4096
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
        self._lookups: _Lookups = {}
        self._known: dict[str, bool] = {}

    def render(self, template: str, /, **variables: Any) -> str:
        """The text that ``template`` makes of ``variables``. Raises TemplateError.

        A template called ``.html``, ``.htm``, ``.xhtml`` or ``.mjml`` makes HTML; see `render_html`
        for others.
        """
        if sources.kind_of(template) == "html":
            return self._page(template, variables, None)
        return self._text(template, variables, None)

    def render_html(self, template: str, /, **variables: Any) -> str:
        """The HTML that ``template`` makes, whatever it is called. Raises TemplateError."""
        return self._page(template, variables, None)

    def _text(self, template: str, variables: Mapping[str, Any], language: str | None) -> str:
        kind: Kind = "source" if sources.is_markdown(template) else "text"
        return self._render(template, variables, kind, language)

    def _page(self, template: str, variables: Mapping[str, Any], language: str | None) -> str:
        """The HTML: what the template makes, or what MJML or Markdown make of that."""
        if sources.is_markdown(template):
            made = self._render(template, variables, "markdown", language)
            content = sources.from_markdown(made)
            frame = self._frame(template)
            if frame is None:
                return sources.framed(content, language)
            return self._render(frame, {**variables, "content": content}, "html", language)
        page = self._render(template, variables, "html", language)
        return sources.from_mjml(page, template) if sources.is_mjml(template) else page

    def _frame(self, template: str) -> str | None:
        """The nearest template that HTML made from Markdown is put into, from its own folder up."""
        for folder in PurePosixPath(template.lstrip("/")).parents:
            if self.has(name := str(folder / sources.FRAME)):
                return name
        return None

    def _render(
        self, template: str, variables: Mapping[str, Any], kind: Kind, language: str | None
    ) -> str:
        from mako.exceptions import MakoException

        if not RESERVED.isdisjoint(variables):
            names = ", ".join(sorted(RESERVED.intersection(variables)))
            raise TemplateError(
                f"{template}: {names} cannot be given to a template, which has a meaning of its own"
                " for it; take another name"
            )
        lookup = self._lookups.get((kind, language))
        if lookup is None:
            made = _mako_lookups(self, language)
            if len(self._lookups) >= _MOST_LANGUAGES * len(made):
                self._lookups = {}  # another thread may hold the old one
            self._lookups.update(made)
            lookup = made[kind, language]
        try:
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
        known = self._known
        if self._reload or template not in known:
            if len(known) >= _MOST_NAMES:
                known = self._known = {}  # another thread may hold the old one
            name = PurePosixPath(template.lstrip("/"))
            try:
                known[template] = ".." not in name.parts and any(
                    (directory / name).is_file() for directory in self.directories
                )
            except OSError:  # a name that no file can have
                return False
        return known[template]

    def in_language(self, template: str, language: str | None) -> str:
        """The template to take for ``language``: ``welcome.de.txt`` for ``welcome.txt``.

        The nearest one there is: for "de-AT" that for "de" where there is none of its own, and
        ``template`` itself where there is neither. Raises ValueError for what is no language tag.
        """
        if language is None:
            return template
        if not _LANGUAGE.fullmatch(language):
            raise ValueError(f"not a language such as de or pt-BR: {language[:40]!r}")
        path = PurePosixPath(template)
        tags = re.split("[-_]", language.lower())
        names = [path.with_suffix(f".{language}{path.suffix}")]
        names += [
            path.with_suffix(f".{'-'.join(tags[:size])}{path.suffix}")
            for size in range(len(tags), 0, -1)
        ]
        return next((str(name) for name in names if self.has(str(name))), template)

    def respond(
        self,
        template: str,
        variables: Mapping[str, Any],
        *,
        to: Addresses,
        sender: str | Mailbox,
        subject: str,
        cc: Addresses | None = None,
        html: str | None = None,
        headers: Mapping[str, Addresses] | None = None,
        attachments: Sequence[Attachable] = (),
        language: str | None = None,
    ) -> MailResponse:
        """A message whose body is ``template``, rendered.

        ``mail/hello.txt`` gets an HTML part from the template ``html``, or from ``mail/hello.html``
        or ``mail/hello.mjml`` where that exists. Either of those alone gives the HTML, and a text
        made from it; ``mail/hello.md`` gives both. Style sheets (``<style>``) become style
        attributes, which more readers understand. ``language`` is as in `in_language`, also for
        what is included, inherited or used. Raises TemplateError, and ValueError as MailResponse
        does.
        """
        template = self.in_language(template, language)
        body: str | None = None
        if sources.kind_of(template) == "html":
            html = html or template
        else:
            body = self._text(template, variables, language)
            if html is None:
                html = self._sibling(template)
        page = None
        if html is not None:
            html = self.in_language(html, language)
            page = self._page(html, variables, language)
            try:
                page = inlined(page)
            except ValueError as error:
                raise TemplateError(f"{html}: {error}") from error
            body = text_of(page) if body is None else body
        return MailResponse(
            to=to,
            sender=sender,
            subject=subject,
            cc=cc,
            body=body,
            html=page,
            headers=headers,
            attachments=attachments,
        )

    def _sibling(self, template: str) -> str | None:
        """What makes the HTML beside a text, if anything does."""
        if sources.is_markdown(template):
            return template
        path = PurePosixPath(template)
        names = (str(path.with_suffix(suffix)) for suffix in _SIBLINGS)
        return next(filter(self.has, names), None)

    def missing(self, template: str) -> TemplateError:
        """The error to raise for a template that is in none of the directories."""
        searched = ", ".join(map(str, self.directories)) or "no directory"
        hint = "; a text is given as body=" if len(template.split()) > 1 else ""
        return TemplateError(f"there is no template {template[:255]}; searched: {searched}{hint}")


def _mako_lookups(templates: Templates, language: str | None) -> _Lookups:
    """Mako's lookups of the templates, by what is made of them, for one language."""
    from mako.lookup import TemplateLookup

    class Lookup(TemplateLookup):  # type: ignore[misc]  # Mako has no type hints
        kind: Kind

        def get_template(self, uri: str) -> Any:
            name = templates.in_language(uri.lstrip("/"), language)
            if not templates.has(name):
                raise templates.missing(name)
            # What HTML includes is escaped, too, and so is HTML that a text includes.
            is_html = self.kind == "text" and sources.kind_of(name) == "html"
            lookup = lookups["html", language] if is_html else self
            return TemplateLookup.get_template(lookup, name)

    lookups: _Lookups = {}
    for kind, options in sources.OPTIONS.items():
        lookups[kind, language] = lookup = Lookup(
            directories=[str(directory) for directory in templates.directories],
            strict_undefined=True,
            input_encoding="utf-8",
            filesystem_checks=templates._reload,
            **options,
        )
        lookup.kind = kind
    return lookups


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
