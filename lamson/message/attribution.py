"""Lines that say whose words follow: "On Monday Ann wrote:", headers of answered mail, forwards.

For `fragments`. Mail programs write them in the language of their users. So a line is known by what
all have in common, a colon at the end, an address, a date, a time, and by the verbs and words of
some thirty languages. Only texts of bounded length are looked at, each in linear time.
"""

# ruff: noqa: RUF001 - other alphabets have letters that look like ours

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ATTRIBUTION = 400  # characters
_FEW_WORDS = 4
_ENOUGH_FIELDS = 3  # that a shown header has
_MAX_BLANKS, _MAX_FOLDS = 4, 2  # blank lines in one, and lines that go on with a field
MAX_LINES = 4  # that an attribution is wrapped to

_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_EMAIL = r"[^\s<>()\[\]:;,\"]{1,64}@[^\s<>()\[\]:;,\"@]{1,255}"
_ANY_EMAIL = re.compile(_EMAIL)
_BEGINS_WITH_EMAIL = re.compile(rf"[<(]{_EMAIL}[>)]")
_ENDS_IN_EMAIL = re.compile(
    rf"[<(\[]\s*(?:mailto:)?{_EMAIL}(?:<mailto:[^<>]{{1,300}}>)?\s*[>)\]]+\s*[:\uff1a]$"
)
_OTHER_DIGITS = (  # Arabic, Persian, Hindi, Bengali, Thai
    "[\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\u09e6-\u09ef\u0e50-\u0e59]"
)
_TIME = re.compile(
    r"(?<!\d)\d{1,2}\s?[:.h\u066b\uff1a]\s?[0-5]\d(?!\d)|\d{1,2}\s?(?:uhr|[ap]\.?m\b)|\d時"
    rf"|\d时|\d시|{_OTHER_DIGITS}{{1,2}}:{_OTHER_DIGITS}{{2}}",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?!\d)|(?<!\d)\d{1,2}[./-]\s?\d{1,2}[./-]\s?\d{2,4}"
    rf"|{_OTHER_DIGITS}{{4}}"
)

# How languages say "wrote", after or before the name.
_VERB = re.compile(
    r"\bwrote\b|\bwrites\b|\bwritten by\b|\bexcerpts from\b|\bthus spake\b"
    r"|^quoting\b|^zitat von\b|^citando a?\b|^selon\b"
    r"|\bschrieb(?:en)?\b|\bschreibt\b|\bgeschrieben\b"
    r"|\ba écrit\b|\bécrivait\b"
    r"|\bécrit\b|\bescribi[óo]\b|\bescribe\b|\bha scritto\b|\bscrive\b|\bscriveva\b"
    r"|\bescreveu\b|\bescreve\b"
    r"|\bschreef\b|\bgeschreven\b|\bskrev\b|\bskrifaði\b|\bkirjoitti\b|\bnapisał\b|\bnapisała\b"
    r"|napisał\(a\)|napisana przez|\bpisze\b"
    r"|\bnapsala?\b|napsal\(a\)|\bnapísala?\b|napísal\(a\)|\bnapisao\b|\bnapisala?\b"
    r"|\bje napisa|\bnapis[ao]\b"
    r"|написал|пишет"
    r"|пише|написа"
    r"|\bezt írta\b|\bírta\b|\ba scris\b|\bέγραψε\b"
    r"|\byazdı\b|şunları yazd|\bmenulis\b"
    r"|đã viết|เข\u0e35ยน|\bva escriure\b|\braksti?īja\b"
    r"|\bquoth\b|\bmissatge de\b|\bescribiu\b|\bisinulat ni\b|\bskribis\b|نوشت|लिखा"
    r"|\bkirjutas\b|\brašė\b|\bha escrit\b|\bidatzi\b"
    r"|写道|寫道|写到|書きました|書いた"
    r"|のメール|さんは|작성|쓴 글|씀|쓰셨|보내"
    r"|כתב|מאת|كتب|كتابة",
    re.IGNORECASE,
)
# What people put above a quote that is marked as one, and above much else.
_SAID = re.compile(r"\b(?:said|says)\b", re.IGNORECASE)
_COLON = re.compile(r"[:\uff1a]\s*$|^-{2,}\s.*\s-{2,}$")  # Zoho: "---- On Monday Ann wrote ----"
# With what an attribution may begin: words of the languages, a weekday, a date, a name.
# ">>> Ann Lee <ann@example.com> 1/2/26 3:04 PM >>>", ">>> On ..., in message <...>, Ann wrote:"
_GROUPWISE = re.compile(r">>>\s[^>].{0,250}(?:\s>>>|\bin message <.{1,200}\bwrote:)")
# What stands before each line of a quote, with some, in place of a ">": "AL> text", "| text".
_INITIALS = re.compile(r"[ \t]{0,8}[^\W\d_]{1,12}>(?=[>\s]|\Z)")
_BAR = re.compile(r"\|(?=\s|\Z)")
_STARTS = re.compile(
    r"[\u201c\"'<(\[*_~-]*+(?:on|am|den|le|el|il|em|no dia|op|v|dne|dňa|in data|în|pe"
    r"|στις|"
    r"на|в|pada|vào|em|ในว\u0e31น|dana|u|kl|il giorno"
    r"|בתאריך|في|在|\d{1,4}|"
    r"(?:mo|tu|we|th|fr|sa|su|di|mi|do|so|lu|ma|me|je|ve|пн|вт|ср"
    r"|чт|пт|сб|вс|pon|wt|śr|czw|pt|sob|niedz|"
    r"po|út|st|čt|pá|so|ne|man|tir|ons|tor|fre|lør|søn|mån|tis"
    r"|lör|sön|ti|ke|to|pe|la|su|нд)[a-zà-ž]*[.,]?\s)",
    re.IGNORECASE,
)

_FORWARDED_WORDS = (
    r"forwarded (?:message|mail|e-?mail)|begin forwarded message|weitergeleitete (?:nachricht"
    r"|e-?mail)"
    r"|anfang der weitergeleiteten (?:nachricht|e-?mail)|message transféré"
    r"|début du message (?:réexpédié|transféré)"
    r"|mensaje reenviado|inicio del mensaje reenviado|messaggio inoltrato"
    r"|inizio messaggio inoltrato|inizio del messaggio inoltrato"
    r"|mensagem (?:encaminhada|reencaminhada)|início da mensagem (?:encaminhada|reenviada"
    r"|reencaminhada)"
    r"|doorgestuurd bericht|begin doorgestuurd bericht|vidarebefordrat (?:meddelande|mejl|brev)"
    r"|vidarebefordrat"
    r"|början på vidarebefordrat (?:meddelande|mejl|brev)|videresendt (?:melding"
    r"|meddelelse|besked|e-?post)|start på videresendt (?:melding|besked|meddelelse|e-?post)"
    r"|starten på den videresendte|välitetty viesti|välitetty viesti alkaa"
    r"|wiadomość przekazana|przekazana wiadomość"
    r"|przekazywana wiadomość"
    r"|rozpoczęcie przekazywanej wiadomości|początek przekazywanej wiadomości"
    r"|přeposlaná zpráva|původní e-?mail"
    r"|začátek přepos\w+ zprávy"
    r"|přeposílan(?:á|é) zpráv(?:a|y)|preposlaná správa"
    r"|továbbított üzenet|továbbított levél|mesaj redirecționat"
    r"|redirected message"
    r"|пересылаемое"
    r" сообщение"
    r"|пересланное"
    r" сообщение"
    r"|начало"
    r" пересылаемого"
    r"|(?:начало )?переадресованн(?:ое|ого) сообщени[ея]"
    r"|початок пере\w+ повідомлення|továbbított (?:levél|üzenet) kezdete"
    r"|iletilmi\u015f (?:mesaj|ileti)"
    r"|переслане"
    r" повідомлення|forwarded by"
    r"|προωθημένο"
    r" μήνυμα"
    r"|iletilen (?:ileti|mesaj|e-?posta)|yönlendirilen (?:ileti|mesaj)|pesan (?:terusan"
    r"|diteruskan)|thư được chuyển tiếp"
    r"|转发(?:的)?(?:邮件|消息)|轉寄(?:的)?(?:郵件"
    r"|訊息)|轉發(?:的)?(?:郵件|訊息)"
    r"|以下是转发的邮件|开始转发的邮件"
    r"|転送(?:された)?メッセージ"
    r"|転送されたメール|전달된 메(?:시"
    r"|세)지|전달된 메일"
    r"|הודעה שהועברה"
    r"|הודעה מועברת"
    r"|رسالة معاد"
    r" توجيهها"
    r"|رسالة محولة"
)
_ORIGINAL_WORDS = (
    r"original (?:message|mail|e-?mail|appointment)|ursprüngliche (?:nachricht|mail|e-?mail)"
    r"|original-?nachricht"
    r"|message d'origine|message original|courriel original|mensaje original|messaggio originale"
    r"|mensagem original"
    r"|oorspronkelijk bericht|origineel bericht|ursprungligt meddelande|originalmeddelande"
    r"|ursprungligt mejl|opprinnelig (?:melding|e-?post)"
    r"|oprindelig (?:meddelelse|besked|e-?mail)|alkuperäinen viesti"
    r"|wiadomość oryginalna|oryginalna wiadomość"
    r"|původní zpráva|pôvodná správa|eredeti üzenet"
    r"|mesaj original|mesajul original"
    r"|исходное"
    r" (?:сообщение"
    r"|письмо)"
    r"|оригинальное"
    r" сообщение"
    r"|початкове"
    r" повідомлення"
    r"|оригінальне"
    r" повідомлення"
    r"|αρχικό μήνυμα|orijinal (?:ileti"
    r"|mesaj)|özgün (?:ileti|mesaj)|pesan asli|thư gốc"
    r"|原始邮件|原始郵件|原邮件|邮件原件"
    r"|原始訊息|元のメッセージ"
    r"|元のメール|원본 ?메(?:시|세)지"
    r"|원본 ?메일"
    r"|הודעה מקורית"
    r"|الرسالة الأصلية"
    r"|reply message|poruka izvornik|izvorna poruka"
)
# What help desks put above the text that is answered.
_ABOVE_THIS_LINE = re.compile(
    r".{0,40}(?:reply|type|write|respond|answer|antwort\w*|répon\w+|respond\w+|risp\w+|antwoord\w*)"
    r".{0,30}(?:above this line|oberhalb dieser (?:zeile|linie)|über dieser (?:zeile|linie)"
    r"|au[- ]dessus de cette ligne|encima de esta línea|acima desta linha|sopra questa (?:riga"
    r"|linea)"
    r"|boven deze (?:regel|lijn)).{0,40}",
    re.IGNORECASE,
)
_STROKES = r"[-_=*\u2010-\u2015\u2500]"
_RULED = rf"\s*{_STROKES}{{{{2,}}}}\s*(?:{{words}})[^-\n?!]{{{{0,60}}}}{_STROKES}{{{{0,}}}}\s*"
_FORWARD = re.compile(
    rf"(?:{_RULED.format(words=_FORWARDED_WORDS)}"
    rf"|\s*(?:{_FORWARDED_WORDS})\s?[:\uff1a\uff1a]\s*)",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(
    _RULED.format(words=rf"{_ORIGINAL_WORDS}|original(?=\s*{_STROKES}{{2}})"),
    re.IGNORECASE,  # QQ
)
_RULE = re.compile(rf"\s*(?:{_STROKES}{{5,}}|_{{20,}})\s*")

# The fields of a mail that is shown above it, by language.
_FROM = (
    "from|von|de|de la|da|van|från|fra|lähettäjä|od|nadawca|feladó|kimden"
    "|gönderen|от|от кого|від"
    "|από|"
    "dari|từ|expediteur|expéditeur|remitente|mittente|absender|expeditor"
    "|发件人|寄件者|寄件人|差出人"
    "|送信者|보낸 ?사람|보낸사람|발신자|"
    "מאת|من|จาก"
    "|від кого|saatja|nuo|no|frá|šalje|шаље|pošiljatelj|afzender|afsender|avsender|avsändare|sender"
    "|wysłane przez|odesílatel|odosielateľ|daripada|از|فرستنده|प्रेषक|nork"
)
_SENT = (
    "sent|date|gesendet|datum|envoyé|envoyé le|enviado|enviado el|enviada em|enviado em"
    "|fecha|data|inviato|verzonden|skickat|"
    "sendt|dato|lähetetty|päivämäärä|wysłano|odesláno"
    "|odoslané|elküldve|dátum|trimis|tarih|gönderildi|gönderme tarihi"
    "|отправлено|"
    "дата|надіслано"
    "|ημερομηνία"
    "|εστάλη|tanggal|terkirim|dikirim|ngày"
    "|đã gửi|发送时间|发送日期|日期"
    "|时间|寄件日期|傳送日期|日付|日時"
    "|送信日時|"
    "보낸 ?날짜|날짜|발신일|נשלח"
    "|תאריך|التاريخ"
    "|تاريخ|تم الإرسال"
    "|ว\u0e31นท\u0e35\u0e48|received|gesendet am|päiväys|enviat|poslano|poslato|послато|изпратено"
    "|saadetud|kuupäev|nosūtīts|datums|išsiųsta|ส\u0e48ง|dihantar|tarikh|تاریخ|भेजा गया|दिनांक"
    "|bidalia"
)
_TO = (
    "to|an|à|a|para|aan|till|til|vastaanottaja|do|komu|címzett|kime|alıcı"
    "|кому|към|до|προς|kepada|ke"
    "|đến|tới|"
    "destinataire|destinatario|pour|på|către|catre|收件人|收件者"
    "|宛先|받는 ?사람|수신자|אל|إلى"
    "|ถ\u0e36ง|cc|kopie|kopia|kopi|copie|cco|bcc|抄送|副本|ск"
    "|копия|копія|másolat|recipient|empfänger|geadresseerde|mottagare|mottaker|modtager|příjemce"
    "|príjemca|odbiorca|per a|prima|прима|prejemnik|za|adressaat|kam|به|प्रति|nori"
)
_SUBJECT = (
    "subject|betreff|objet|sujet|asunto|assunto|oggetto|onderwerp|ämne|emne|aihe|temat"
    "|předmět|predmet|tárgy|subiect|konu|"
    "тема|θέμα|subjek|perihal|chủ đề"
    "|主题|主旨|件名|제목|נושא"
    "|الموضوع|موضوع"
    "|เร\u0e37\u0e48อง|onderwerp|re|efni|assumpte|zadeva|naslov|teema|tēma|относно|विषय|gaia"
)
_LABEL = re.compile(
    rf"[>\s*_|]*+(?:(?P<sender>{_FROM})|(?P<sent>{_SENT})|(?P<to>{_TO})|(?P<subject>{_SUBJECT}))"
    r"[*_]*\s?[:\uff1a][*_]*(?=\s|$|[^\s/])",
    re.IGNORECASE,
)
_FORWARDS = re.compile(
    r"\s*(?:\[?fwd?|wg|tr|rv|enc|i|vb|vs|vl|pd|fs|doorst|ilt|továbbított|转发"
    r"|轉寄|転送|전달|ynt|πρθ"
    r"|הועבר|تحويل|trs)\s?[:\uff1a\]]",
    re.IGNORECASE,
)


def is_forward_subject(subject: str) -> bool:
    """True for a subject that mail programs give to forwarded mail, such as "Fwd: x"."""
    return _FORWARDS.match(subject[:100]) is not None


def is_forward_line(line: str) -> bool:
    """True for a line such as "---------- Forwarded message ---------"."""
    return _FORWARD.fullmatch(_plain(line)) is not None


def is_groupwise_line(line: str) -> bool:
    """True for what GroupWise writes above a mail, whose lines it may leave without a mark."""
    plain = _plain(line)
    if not _GROUPWISE.fullmatch(plain):
        return False
    return _DATE.search(plain) is not None and _TIME.search(plain) is not None


def quote_mark(line: str) -> re.Pattern[str] | None:
    """What the lines of a quote begin with, where this is the first of one without a ">"."""
    return next((mark for mark in (_INITIALS, _BAR) if mark.match(line)), None)


def is_original_line(line: str) -> bool:
    """True for a line such as "-----Original Message-----", which stands above what is answered."""
    plain = _plain(line)
    return bool(_ORIGINAL.fullmatch(plain) or _ABOVE_THIS_LINE.fullmatch(plain))


def is_rule(line: str) -> bool:
    """True for a line that separates, and says nothing."""
    return _RULE.fullmatch(line) is not None


def ends_in_colon(line: str) -> bool:
    return _COLON.search(_plain(line)) is not None


def begins(text: str) -> bool:
    """True for a text that begins as attributions do."""
    return _STARTS.match(_plain(text)) is not None


def may_begin(line: str, following: str) -> bool:
    """True where an attribution of several lines may begin, of which ``following`` is the next."""
    plain = _plain(line)
    return (
        _STARTS.match(plain) is not None
        or _ANY_EMAIL.search(plain) is not None
        or _BEGINS_WITH_EMAIL.match(_plain(following)) is not None
    )


def is_attribution(text: str) -> bool:
    """True for a text that says that somebody wrote what stands below, marked as quoted."""
    plain = _plain(text)
    if not _COLON.search(plain):
        return False
    has_date = _DATE.search(plain) is not None or _TIME.search(plain) is not None
    has_email = _ANY_EMAIL.search(plain) is not None
    if _VERB.search(plain) is None and _SAID.search(plain) is None:
        return has_date and has_email
    # "Ann wrote:", and no sentence of the writer's own that has the word in it.
    return has_date or has_email or plain.count(" ") < _FEW_WORDS


def is_sure_attribution(text: str) -> bool:
    """The same for what may stand below without a mark: who, when, and that he wrote."""
    plain = _plain(text)
    if not _COLON.search(plain):
        return False
    has_date, has_time = bool(_DATE.search(plain)), bool(_TIME.search(plain))
    if _ENDS_IN_EMAIL.search(plain):
        return has_date and (has_time or _VERB.search(plain) is not None)
    if _VERB.search(plain) is None:
        return False
    has_email = _ANY_EMAIL.search(plain) is not None
    return (has_email and (has_date or has_time)) or (has_date and has_time)


def role_of(line: str) -> str | None:
    """What a line says of a mail that is shown with its header: sender, sent, to or subject.

    "" for a line that says nothing, None for any other.
    """
    if not line.strip():
        return ""
    found = _LABEL.match(_plain(line))
    return found.lastgroup if found else None


def is_header_block(roles: Iterable[str | None]) -> bool:
    """True for lines of these roles where the fields of a mail begin, as programs show them."""
    known: set[str] = set()
    first = ""
    blanks = others = 0
    for role in roles:
        if not first:
            if not role:
                return False
            first = role
        elif role == "sender" and first == "sender":
            break
        if role is None:
            others += 1
        elif role:
            known.add(role)
            others = 0
        else:
            blanks += 1
        is_loose = first == "sender"
        if blanks > _MAX_BLANKS * is_loose or others > _MAX_FOLDS * is_loose:
            break
    if first != "sender":  # GMX begins with the date, T-Online with the subject
        return {"sender", "sent", "subject"} <= known
    return len(known) >= _ENOUGH_FIELDS and bool(known & {"subject", "sent"})


def _plain(text: str) -> str:
    return " ".join(
        _BIDI.sub("", text[:MAX_ATTRIBUTION]).replace("\xa0", " ").replace("\u202f", " ").split()
    )
