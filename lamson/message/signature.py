"""Signatures and footers: what stands below a text and was not written for this mail.

For `fragments`. A signature follows "-- " (RFC 3676 section 4.3), or is the line that a phone adds.
A footer is what lists, virus scanners and lawyers add. The words are those of many languages.
"""

# ruff: noqa: RUF001 - other alphabets have letters that look like ours

from __future__ import annotations

import re

MAX_LINES = 60  # of a signature
_MAX_PARAGRAPH = 8
_MAX_CARD = 80
_MAX_DEVICE = 160
_MAX_LINE = 200  # characters that are looked at

_DELIMITER = re.compile(r"--[ \xa0]?")
_OTHER_DELIMITER = re.compile(
    r"\s*(?:--|\u2014|\u2014\u2014|[-_]{2,4}|_{5,20}|-{5,20}|\*{3,}|~{3,})\s*"
)

_DEVICE = re.compile(
    r"[\s*_]*+(?:yahoo mail: search, organi[sz]e, conquer|sent on the (?:go|move|run)\b.{0,30}$"
    r"|sent (?:from|via) the samsung|verstuurd (?:vanaf|met|via|van|vanuit|door)"
    r"|(?:this (?:message|e-?mail) was )?sent (?:from|with|via|using|by) (?:my|an?|the)?"
    r" ?[^\s,;]{1,40}(?: [^\s,;]{1,20}){0,5}\s*$|sent from my|get outlook|get bluemail"
    r"|download outlook"
    r"|(?:von|vom) (?:meine[mr]|unterwegs|\S+ (?:gerät|handy|smartphone)).{0,40}gesendet"
    r"|gesendet (?:von|mit|über|aus)|diese (?:nachricht|mail) wurde (?:von|mit) mein"
    r"|holen sie sich outlook|outlook für"
    r"|envoyée? (?:de|depuis|à partir|avec|par|via)|obtenez outlook"
    r"|télécharge[rz] outlook|enviado (?:desde|con|de|do|a partir|pelo|via|através)"
    r"|enviada do|obtener outlook|obter o outlook|obtenha o outlook"
    r"|inviato (?:da|con|dal)|ottieni outlook|scarica outlook|verzonden (?:vanaf|met|via|van"
    r"|vanuit|door)|outlook voor|outlook downloaden|download outlook|skickat (?:från|med|via)"
    r"|hämta outlook|sendt (?:fra|med|via|på)|hent outlook|få outlook"
    r"|lähetetty (?:minun |iphone|ipad|samsung|android|outlook|puhelimesta|laitteesta)"
    r"|hanki outlook|wysłan[eoay] (?:z|ze|za|przy)|pobierz (?:program )?outlook"
    r"|odesláno (?:z|ze|pomocí)|odoslané (?:z|zo|pomocou)|získáte outlook"
    r"|küldve|elküldve az? |trimis (?:de pe|din|cu|de la)|obțineți outlook"
    r"|отправлено (?:с|из"
    r"|через)|скачать outlook"
    r"|надіслано (?:з|із)"
    r"|відправлено (?:з|із)"
    r"|изпратено от|послато са"
    r"|στάλθηκε από|απεσταλμένο από"
    r"|αποστολή από|dikirim dari"
    r"|(?:được |đã )?gửi từ|从我的.{1,30}发送"
    r"|发自我?的?|從我的.{1,30}傳送|發自我?的?"
    r"|傳送自|获取 outlook"
    r"|נשלח מ|أ\u064f?رسلت? من"
    r"|ส\u0e48งจาก|enviat des de|poslano (?:s|sa|z|iz)|saadetud"
    r"|nosūtīts|išsiųsta)"
    r"|[\s*_]*+\S{1,30}(?: \S{1,20})?から送信|[\s*_]*+(?:나의 "
    r"|내 )?\S{1,20}에서 (?:보냄|보낸|전송)"
    r"|[\s*_]*+.{1,30}(?:umdan|imden|ımdan|ümden|dan|den) gönderildi",
    re.IGNORECASE,
)
# Where the makers of mail programs have what their signatures link to.
_APP_LINK = re.compile(
    r"\s?[<(]\s?https?://(?:[\w-]{1,40}\.){0,4}(?:(?:proton|onelink|bluemail|missiveapp)\.me"
    r"|(?:yahoo|aol|protonmail|superhuman|sparkmailapp|getmailspring|airmailapp|tryshift|zoho"
    r"|getunibox|polymail|newtonhq|cloudmagic|fastmail|tutanota|tuta|shortwave|hey|front|frontapp"
    r"|readdle|onmail|thunderbird|samsung|apple|microsoft|outlook|google)\.com"
    r"|aka\.ms|sprh\.mn|canarymail\.io|mailbutler\.io|edison\.tech|k9mail\.app|thunderbird\.net)"
    r"(?:[/?#][^\s<>()]{0,400})?\s?[>)]",
    re.IGNORECASE,
)
_SENT_BY_APP = re.compile(r"[\s*_]*+sent (?:from|with|via|using|by)\s", re.IGNORECASE)
_MAX_APP = 600
_SENTENCE = re.compile(r"[.!?:;,。\uff01\uff1f\uff1a]$|^\s*[-*\u2022]\s")
# "Get Outlook for iOS", in any language, maybe with links.
_OUTLOOK = re.compile(
    r"(?!.*[.!?]\s*$)(?=.{0,60}(?<![a-z])outlook(?![a-z])).{0,60}(?<![a-z])(?:ios|android)(?![a-z]).{0,120}",
    re.IGNORECASE,
)
_FOOTER = re.compile(
    r"[\s*_>#-]*+(?:you (?:are receiving|received|have received) this (?:message|e-?mail"
    r"|mail) because|to unsubscribe (?:from this|,|send|and stop|click)|unsubscribe:? (?:from"
    r"|https?:|here)|"
    r"to (?:post to|view) this (?:group|discussion)|this (?:e-?mail|message|communication"
    r"|transmission)(?: message)?,?(?: and|,? including)? (?:any|all|its|the)? ?(?:attach\w+|files"
    r"|accompanying|"
    r"information)?.{0,60}(?:confidential|intended (?:only|solely)|privileged)|this (?:e-?mail"
    r"|message) (?:is|may be|may contain|contains?|was sent (?:to|by)|has been (?:scanned|checked"
    r"|sent))|"
    r"(?:confidentiality|disclaimer|legal|privacy|important) ?(?:notice|note|information"
    r"|disclaimer)?\s?:|confidentiality (?:notice|note)|disclaimer\b|the (?:information"
    r"|contents?)(?: contained)? (?:in|of) this (?:e-?mail|message|"
    r"communication|transmission)|the information (?:transmitted|in this)|(?:please|bitte"
    r"|before printing|think before|merci de) .{0,40}(?:environment|umwelt|printing (?:this|out)"
    r"|print this|impri)|virus-?free|virenfrei|sans virus|libre de virus|this "
    r"(?:e-?mail|message) has been|diese (?:e-?mail|nachricht) (?:enthält|wurde (?:auf"
    r"|von avast)|und|kann|ist)|der inhalt dieser e-?mail|sie (?:erhalten|haben) diese (?:e-?mail"
    r"|nachricht)|wenn sie (?:diese|nicht der)|ce (?:message|courriel|mail)(?:,| et| est| peut"
    r"| contient)|"
    r"cet e-?mail|les informations contenues|este (?:mensaje|correo"
    r"|e-?mail)(?: electrónico)? ?(?:y|,|es|puede|contiene|va|ha sido|se dirige)"
    r"|la información contenida|advertencia legal|aviso (?:legal|de confidencialidad)"
    r"|questo (?:messaggio|e-?mail)"
    r"|le informazioni contenute|(?:esta|a presente) mensagem|este e-?mail"
    r"|as informações contidas|dit (?:bericht|e-?mail)|deze e-?mail|de informatie (?:in"
    r"|verzonden)|det här (?:mejlet|meddelandet)|detta (?:meddelande|e-?post|mejl)"
    r"|denne (?:e-?mail|mail|melding|"
    r"e-?post)(?:en)?|tämä (?:viesti|sähköposti)|ta wiadomość"
    r"|niniejsza wiadomość|wiadomość ta|tato (?:zpráva|e-?mail)"
    r"|tento e-?mail|это (?:сообщение"
    r"|письмо)"
    r"|настоящее"
    r" (?:сообщение"
    r"|электронное)"
    r"|письмо проверено"
    r"|本邮件|此邮件|本郵件"
    r"|このメール(?:には|は|および)"
    r"|本メール|이 메일|본 (?:메일|이메일)"
    r"|bu (?:e-?posta|ileti|mesaj)|pesan ini|email ini)",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"confiden|privileged|intended|disclos|unsubscri|subscri|groups\.google|virus|malware|avast"
    r"|legal"
    r"|environment|umwelt|printing|before you print|disclaimer|liab|vertraulich|verschwiegen"
    r"|empfänger"
    r"|abmelden|abbestell|confidentiel|destinataire|environnement|désabonn|désinscri|confidenc"
    r"|destinatari|exclusiv|darse de baja|ambient|riservat|cancella|sigilo|vertrouwelijk"
    r"|geadresseerde"
    r"|afmeld|konfidentiell|mottagar|avsedd|fortrolig|mottaker|modtager|luottamuksel|vastaanottaj"
    r"|poufn|adresat|wirus|důvěrn|adresát|viry|конфиденциальн|адресат|получател|вирус|bizalmas"
    r"|címzett"
    r"|gizli|alıcı|機密|秘密|受信者|誤送信|保密|机密|收件人|기밀|비밀"
    r"|수신인|수신자|rahasia|because you",
    re.IGNORECASE,
)
# What gives a list away in the lines below a rule.
_OF_LIST = re.compile(
    r"mailing list|listinfo|/lists?/|unsubscribe|mailman|groups\.google|googlegroups|yahoo groups?"
    r"|abmelden|désabonn|désinscri|darse de baja|cancellar\w* l'iscrizione|afmelden|"
    r"@lists?\.|-request@|list-\w+@|to post|mailingliste|liste de diffusion|lista de (?:correo"
    r"|distribuição)|рассылк|sympa|topica|groups\.io",
    re.IGNORECASE,
)
_RULE = re.compile(r"\s*(?:_{10,}|-{3,}|={5,}|\*{5,}|--[ \xa0]?|~{4,}|-=-=.*)\s*")


def is_delimiter(line: str) -> bool:
    """True for the line that RFC 3676 puts above a signature."""
    return _DELIMITER.fullmatch(line) is not None


def may_delimit(line: str) -> bool:
    """True for a line that people put there instead."""
    return len(line) < 40 and _OTHER_DELIMITER.fullmatch(line) is not None


def is_sentence(line: str) -> bool:
    """True for a line as cards do not have them."""
    return len(line) > _MAX_CARD or _SENTENCE.search(line.rstrip()) is not None


def is_device(line: str) -> bool:
    """True for what a phone or program adds, such as "Sent from my iPhone"."""
    if len(line) > _MAX_APP:
        return False
    text = _APP_LINK.sub("", line)
    if len(text) > _MAX_DEVICE:
        return False
    if len(text) < len(line) and _SENT_BY_APP.match(text):
        return True
    whole = line if len(line) <= _MAX_DEVICE else text  # how a line ends tells a sentence
    return _DEVICE.match(text) is not None or _OUTLOOK.fullmatch(whole) is not None


def is_footer(lines: list[str]) -> bool:
    """True for lines with which a footer begins: its first words, and what such texts are about."""
    if not _FOOTER.match(lines[0][:_MAX_LINE]):
        return False
    paragraph: list[str] = []
    for line in lines[:_MAX_PARAGRAPH]:
        if not line.strip():
            break
        paragraph.append(line)
    return _ABOUT.search(" ".join(paragraph)) is not None


def is_list_footer(lines: list[str]) -> bool:
    """True where what a mailing list puts below begins: a rule, and below it where to write."""
    below = "\n".join(line[:_MAX_LINE] for line in lines[1:])
    return _RULE.fullmatch(lines[0][:_MAX_LINE]) is not None and _OF_LIST.search(below) is not None
