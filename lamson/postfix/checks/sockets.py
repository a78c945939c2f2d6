"""Sockets of ours that Postfix's user may not open: they, or a directory above, are closed to him.

Who runs the doctor is root, and opens anything. Looked at are the modes, as the kernel does for a
process of Postfix, which has the group of its user and no other (set_ugid of Postfix); what has an
access control list is taken for open.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from lamson import private
from lamson.postfix import ours
from lamson.postfix.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamson.postfix.site import Site
    from lamson.settings.listening import Listening

_ACL = "system.posix_acl_access"
_PASS = stat.S_IXOTH
_OPEN = stat.S_IROTH | stat.S_IWOTH


def findings(site: Site) -> Iterator[Finding]:
    """Each socket that is there. Where Lamson runs elsewhere, there is none to be looked at."""
    settings = site.settings
    servers: list[tuple[Listening, str]] = [
        (settings.lmtp, "mail for us stays in the queue: connect: Permission denied")
    ]
    if settings.socketmap.listen and ours.has_socketmap(site):
        servers.append(
            (settings.socketmap, "all mail for us is deferred: Temporary lookup failure")
        )
    if settings.has_milter:
        why = "all mail is deferred, or passes unfiltered: as milter_default_action says"
        servers.append((settings.milter, why))
    try:
        owner = pwd.getpwnam(site.get("mail_owner"))
    except KeyError:
        return
    for server, why in servers:
        path = server.unix_path
        closed = _closed(Path(os.path.realpath(path)), owner) if path else None
        if path and closed:
            problem = f"Postfix's user {owner.pw_name} cannot open {path}: {_shown(closed)}"
            yield Finding("socket-closed", problem, why, _fix(path, closed, server, owner))


def _closed(path: Path, owner: pwd.struct_passwd) -> Path | None:
    """What keeps that user out, from the root on; None where nothing does, or it is not there."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return None
        for one in (*reversed(path.parents), path):
            if not _may(os.stat(one), owner, _OPEN if one == path else _PASS):
                return None if _ACL in os.listxattr(one) else one
    except OSError:
        return None
    return None


def _may(status: os.stat_result, owner: pwd.struct_passwd, wanted: int) -> bool:
    mode = status.st_mode
    if owner.pw_uid == 0:
        return True
    if status.st_uid == owner.pw_uid:
        mode >>= 6
    elif status.st_gid == owner.pw_gid:
        mode >>= 3
    return mode & wanted == wanted


def _shown(closed: Path) -> str:
    status = os.stat(closed)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    mode = f"{stat.S_IMODE(status.st_mode):04o}"
    return f"{closed} has mode {mode}, {private.owner(status)}, group {group}"


def _fix(path: Path, closed: Path, server: Listening, owner: pwd.struct_passwd) -> str:
    """To open a home directory, or another of the site's, is nothing that we propose."""
    if closed not in (path, path.parent):
        return "put the project, or the socket, where every user may enter, such as below /srv"
    group = grp.getgrgid(owner.pw_gid).gr_name
    if server.socket_group == group:
        return f"lamson restart, as a user who is a member of the group {group}"
    return f'socket_group="{group}" for it in config/settings.py, then lamson restart'
