"""Why mail was not delivered: what the words of servers amount to.

For `report`. Servers say it in an enhanced status code (RFC 3463), in a reply code, or in words
alone; many give a code that says nothing, such as 5.0.0, beside words that do. Nothing raises.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

Reason = Literal[
    "unknown-user",
    "moved",
    "disabled",
    "mailbox-full",
    "unknown-domain",
    "network",
    "expired",
    "loop",
    "too-big",
    "policy",
    "spam",
    "virus",
    "authentication",
    "relaying",
    "rate",
    "content",
    "system",
    "unknown",
]
"""What was in the way: no such mailbox; it is elsewhere, switched off, or full; no such domain or
host; nobody to be reached; tried for too long; going in circles; the size; a rule of the receiver;
taken for spam or a virus; not proven by SPF, DKIM or DMARC; not a server for that domain; too much
at a time; what is in the message; trouble of the server; nobody knows."""

MAX_TEXT = 4096  # characters of a diagnostic that are looked at

_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_REPLY_CODE = re.compile(r"(?<![\d.:-])([45])[0-5]\d(?![\d.:]*\d)(?=[ \-,;:)#]|\Z)")

# In the order in which they are tried: what is more certain comes first.
_WORDS: tuple[tuple[Reason, str, str], ...] = (
    (
        "mailbox-full",
        ".2.2",
        r"(?:mail ?box|mail ?folder|account|inbox|user|disk|storage"
        r"|recipient'?s?)\W{1,3}(?:\S+ ){0,6}?"
        r"(?:is |are )?(?:full|over ?-?quota|exceed\w*|over its)|over[- ]?quota|quota[ -](?:exceed"
        r"|exhaust|"
        r"full|violat|would)\w*|exceed\w* (?:\S+ ){0,5}?(?:quota|storage|allotted|mailbox (?:size"
        r"|limit))"
        r"|not enough (?:storage|disk) space|insufficient (?:disk|storage|system storage)"
        r"|no space left"
        r"|out of (?:storage|disk) space|mailfolder is full|too full|quota ?\w* ?(?:reached|hit)"
        r"|postfach \S{0,10} ?(?:voll|überfüllt)|boîte (?:\S+ ){0,5}?(?:pleine|saturée)"
        r"|buzón (?:\S+ ){0,5}?lleno|casella (?:\S+ ){0,5}?piena|caixa (?:\S+ ){0,5}?cheia"
        r"|postbus (?:\S+ ){0,3}?vol\b|ящик (?:\S+ ){0,3}?(?:переполнен|заполнен)"
        r"|(?:邮|郵|信)箱.{0,4}(?:已?满|已?滿)|メールボックスが.{0,4}(?:一杯|いっぱい|満)",
    ),
    (
        "virus",
        ".7.1",
        r"\bvirus\b|\binfected\b|malware|\btrojan\b|worm detected",
    ),
    (
        "authentication",
        ".7.26",
        r"\bdmarc\b|\bdkim\b|\bspf\b|sender (?:id|policy framework)|unauthenticated (?:email"
        r"|sender|message)"
        r"|not authenticated|authenticat\w+ (?:required|checks?|failed)|5\.7\.(?:2[0-9]|509)"
        r"|sender not authorized",
    ),
    (
        "relaying",
        ".7.1",
        r"relay(?:ing)?(?: access)? (?:is |was )?(?:denied|not|prohibited|disallowed)|not? relay"
        r"|unable to relay"
        r"|cannot relay|relay not permitted|isn't in my list of allowed|we do not relay"
        r"|relaying mail"
        r"|not (?:in|on) (?:my|our) (?:list of )?allowed",
    ),
    (
        "loop",
        ".4.6",
        r"too many hops|hop count|mail loop|loops? back|routing loop|forwarding loop|mail-loop"
        r"|loop detected"
        r"|maximum hop|too many .?received",
    ),
    (
        "unknown-user",
        ".1.1",
        r"(?:user|mailbox|recipient|address|account|alias|addressee)\W{1,3}(?:\S+ ){0,6}?(?:is "
        r"|was |does |"
        r"has |could |can)?(?:unknown|not (?:be )?(?:known|found|exist|listed|valid|registered"
        r"|recogni[sz]ed)"
        r"|doesn'?t exist|n't exist|invalid|rejected|not? longer (?:valid|exists)"
        r"|unavailable: unknown|nonexistent)"
        r"|(?:no such|unknown|invalid|bad|nonexistent|non-existent|unrouteable|undeliverable"
        r"|illegal|not a valid|"
        r"not a known|no valid|unrecogni[sz]ed) "
        r"(?:\S+ ){0,2}?(?:user|mail ?box|recipient|address|account|alias|mail drop|person"
        r"|addressee|local part|"
        r"name)|not our customer|no mailbox (?:here|by that name|with)|does ?n[o']t (?:have|exist)"
        r"|\bunrouteable|"
        r"doesn't have a \S+ account|not listed in|no (?:recipients? )?match|user unknown"
        r"|recipient not found|"
        r"recip(?:ient)?notfound|addressnotfound|has no mailbox|no one by that name|isn't found"
        r"|who is this|"
        r"recipient rejected|not found in (?:directory|domain)|destination mailbox address"
        r"|can't find|"
        r"didn't find|recipient address rejected(?!.{0,60}(?:greylist|try again|policy|denied))|"
        r"wasn't found|no account|unknown or illegal alias|not a user|no such person"
        r"|not known at this|"
        r"#5\.1\.1|e-?mail address (?:you entered )?(?:couldn't|could not) be found"
        r"|\badresse inconnu"
        r"|(?:empfänger|benutzer|adresse) (?:\S+ ){0,3}?(?:unbekannt|nicht gefunden"
        r"|existiert nicht)"
        r"|unbekannter (?:empfänger|benutzer)|(?:utilisateur|destinataire) inconnu"
        r"|(?:usuario|destinatario) (?:desconocido|inexistente)|(?:utente|destinatario) sconosciuto"
        r"|onbekende gebruiker|(?:用户|收件人|地址)不存在|存在しません|見つかりません"
        r"|не существует|non existent|not allowed to receive|undefined alias|mailbox not found"
        r"|that address|not exist(?:s|ing)?\b",
    ),
    (
        "disabled",
        ".2.1",
        r"(?:account|mail ?box|user|recipient|address)\W{1,3}(?:\S+ ){0,5}?(?:disabled|inactive"
        r"|suspended|"
        r"deactivated|locked|blocked|discontinued|expired|terminated|frozen|closed)"
        r"|no longer (?:active|on|"
        r"accept|work|here|available|with us)|(?:disabled|inactive|suspended|deactivated) (?:user"
        r"|account|mailbox|"
        r"recipient|address)",
    ),
    (
        "moved",
        ".1.6",
        r"has moved|new address is|changed (?:his|her|their|its) address|please (?:use|try) <?\S+@",
    ),
    (
        "unknown-domain",
        ".1.2",
        r"host (?:or domain name )?(?:\S+ )?(?:unknown|not found)|unknown (?:host|domain"
        r"|mail server)|"
        r"(?:domain|host)\W{1,3}(?:\S+ ){0,4}?(?:not found|n[o']t exist|does ?n[o']t|is invalid"
        r"|isn't)|no such "
        r"(?:host|domain)|name service error|name or service not known|nxdomain|dns error|no mx"
        r"|bad destination "
        r"(?:host|system)|couldn'?t find any host|invalid (?:host|domain)|null mx"
        r"|does not accept mail|nullmx|"
        r"name server|unrouteable (?:mail )?domain|illegal host|badrdomain|domain name not found"
        r"|can'?t resolve"
        r"|dns (?:lookup|query|type)|lookup failed|all relevant mx records|mx (?:records? )?point",
    ),
    (
        "too-big",
        ".3.4",
        r"(?:message|mail|size|attachment)\W{1,3}(?:\S+ ){0,6}?(?:too (?:big|large|long)|exceed\w*"
        r"|larger|"
        r"over(?:size|limit))|too (?:big|large) (?:message|for)|(?:size|length) (?:limit|exceed"
        r"|restrict)\w*|"
        r"maximum (?:message|mail|allowed)? ?(?:\S+ )?size|message size"
        r"|exceeds? (?:\S+ ){0,4}?size|msg too",
    ),
    (
        "rate",
        ".7.28",
        r"rate[- ]limit\w*|too many (?:messages|connections|recipients|emails|concurrent|errors)"
        r"|too (?:fast|"
        r"much mail|often)|throttl\w*|unusual rate|greylist\w*|gr[ae]y-?list\w*|sending limit"
        r"|daily (?:\S+ )?limit|"
        r"exceeded the (?:maximum|max) (?:number|rate)|traffic|\[ts0\d\]|\[ir\]|sent too much",
    ),
    (
        "spam",
        ".7.1",
        r"\bspam\w*|unsolicited|\bjunk\b|\bbulk\b|blacklist\w*|black ?list\w*|blocklist\w*"
        r"|block ?list\w*|"
        r"\brbl\b|dnsbl|spamhaus|barracuda|spamcop|reputation|\buce\b|abus(?:e|ive)|sorbs"
        r"|poor reputation|"
        r"listed (?:at|by|in|on)|cloudmark|proofpoint|senderbase|bogon|phish\w*",
    ),
    (
        "expired",
        ".4.7",
        r"(?:delivery )?time[- ]?(?:out )?(?:expired|exceeded)|retry (?:timeout|time)|(?:too long"
        r"|expired) in (?:the )?"
        r"queue|expired|too old|giving up|for (?:\d+|several|too) (?:days|hours|long)"
        r"|been in the queue|timed? out "
        r"(?:in|while in) queue|retention|delivery period|been trying"
        r"|could not be delivered (?:within|for)|gave up",
    ),
    (
        "network",
        ".4.1",
        r"connect(?:ion|ed|ing)?\W{1,3}(?:\S+ ){0,8}?(?:refused|timed? ?out|timeout|lost|dropped"
        r"|reset|closed|failed|"
        r"broken|unreachable|died)|no route to|network (?:is )?unreachable"
        r"|host (?:is )?(?:unreachable|down)|"
        r"timed? ?out|unable to connect|could ?n[o']t connect|cannot connect|can't connect"
        r"|connect to|"
        r"wasn't able to establish|conversation with|establish an smtp connection|not respond\w*"
        r"|no answer|tls|ssl|"
        r"handshake|unable to (?:reach|contact|deliver to)|greeting|unreachable",
    ),
    (
        "content",
        ".6.0",
        r"(?:attachment|content|header|subject|body|8[- ]?bit|mime|format|charset|line too"
        r"|bare (?:lf|cr)|"
        r"syntax|url|uri|message-id|from:)\b.{0,60}?(?:not|reject|block|invalid|denied|illegal"
        r"|refuse|filter|error|bad|"
        r"missing|required|violat)\w*|content (?:reject|filter|polic)\w*|message content|non-?rfc"
        r"|rfc ?\d+",
    ),
    (
        "policy",
        ".7.1",
        r"polic(?:y|ies)|access denied|denied|not (?:permitted|allowed|authori[sz]ed|accept\w*"
        r"|welcome)|refused|"
        r"reject\w*|block\w*|prohibit\w*|forbidden|banned|restrict\w*|administrat\w+|members? only"
        r"|security|"
        r"not (?:a )?member|moderat\w*|do(?:es)? not (?:like|want|accept)|reverse (?:dns|lookup)"
        r"|ptr|helo|ehlo|sender",
    ),
    (
        "system",
        ".3.0",
        r"system|config\w*|temporar\w*|resource|server (?:error|busy)|internal|local (?:error"
        r"|problem)|try "
        r"(?:again )?later|not available|unavailable|service|i/o error|exec|unknown mailer error"
        r"|exit|disk|"
        r"software|transport|command|program|cannot|failed|error|busy|load",
    ),
)
_COMPILED = tuple(
    (reason, tail, re.compile(words, re.IGNORECASE)) for reason, tail, words in _WORDS
)

# RFC 3463 section 3, and RFC 7505, 7372; the registry of enhanced status codes.
_BY_STATUS: dict[str, Reason] = {
    "1.0": "unknown-user",
    "1.1": "unknown-user",
    "1.2": "unknown-domain",
    "1.3": "unknown-user",
    "1.4": "unknown-user",
    "1.6": "moved",
    "1.8": "policy",
    "1.7": "policy",
    "2.1": "disabled",
    "2.2": "mailbox-full",
    "2.3": "too-big",
    "2.4": "system",
    "3.1": "mailbox-full",
    "3.2": "system",
    "3.3": "system",
    "3.4": "too-big",
    "3.5": "system",
    "4.1": "network",
    "4.2": "network",
    "4.3": "unknown-domain",
    "4.4": "unknown-domain",
    "4.5": "system",
    "4.6": "loop",
    "4.7": "expired",
    "5.3": "rate",
    "6.1": "content",
    "6.2": "content",
    "6.3": "content",
    "7.1": "policy",
    "7.20": "authentication",
    "7.21": "authentication",
    "7.22": "authentication",
    "7.23": "authentication",
    "7.24": "authentication",
    "7.25": "policy",
    "7.26": "authentication",
    "7.27": "unknown-domain",
    "7.28": "rate",
}


def status_of(text: str, declared: str = "") -> str:
    """The enhanced status code that ``text`` and what was ``declared`` amount to, "" for none.

    A declared one counts, unless it leaves open what the text tells (RFC 3463 has x.0.0 for that).
    """
    text = text[:MAX_TEXT]
    found = _STATUS.search(declared)
    codes = [one for one in _STATUS.finditer(text) if one[1] != "2"]
    if found is not None:
        if found[0].endswith(".0.0"):
            better = (one[0] for one in codes if one[1] == found[1] and one[0] != found[0])
            return next(better, found[0])
        return found[0]
    if codes:
        return codes[0][0]
    if reply := _REPLY_CODE.search(text):
        reason, tail = _by_words(text)
        return reply[1] + (tail if reason not in ("unknown", "system", "policy") else ".0.0")
    return ""


def reason_of(text: str, status: str) -> Reason:
    """What was in the way, by the words of a server and its enhanced status code."""
    of_status = _BY_STATUS.get(status[2:])
    of_words = _by_words(text[:MAX_TEXT])[0]
    if of_status is None or (of_status in ("policy", "unknown-user") and status[2:] != "1.1"):
        # 5.7.1 and 5.1.0 are given for all and everything.
        vague = {"unknown", "system"} | (
            {"policy", "content"} if of_status == "unknown-user" else set()
        )
        return of_status or of_words if of_words in vague else of_words
    return of_status


def guessed_status(text: str, *, is_delayed: bool) -> str:
    """The code for words without any: of the class that they, or what became of it, tell."""
    reason, tail = _by_words(text[:MAX_TEXT])
    if reason in ("unknown", "system", "policy"):
        tail = ".0.0"
    passing = is_delayed or reason in ("network", "expired", "rate")
    return ("4" if passing else "5") + tail


@lru_cache(maxsize=64)  # asked twice or thrice of each, and many recipients have one text
def _by_words(text: str) -> tuple[Reason, str]:
    text = _STATUS.sub(" ", text)
    for reason, tail, words in _COMPILED:
        if words.search(text):
            return reason, tail
    return "unknown", ".0.0"
