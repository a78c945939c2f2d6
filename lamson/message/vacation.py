"""How programs that answer for who is away name their answers.

For `autoreply` and `report`. A subject such as "Automatic reply: " is written by programs alone.
One such as "Out of office" people write too: it counts only where something else shows a program.
"""

from __future__ import annotations

import re

# What Exchange, Outlook, Gmail and others write before the subject that they answer.
_PREFIX = re.compile(
    r"(?:\[?auto(?:matic|mated|mat)?[- ]?(?:re(?:ply|sponse)|respon[ds]er?)\]?"
    r"|out of office auto[- ]?reply"
    r"|automatische (?:antwort|beantwortung|reactie)"
    r"|r[ée]ponse automatique(?: d'absence du bureau)?"
    r"|respuesta automática|respuesta automatica|risposta automatica|resposta automática"
    r"|resposta automatica|odpowiedź automatyczna|autoodpowiedź|automatická odpověď"
    r"|automatisch antwoord"
    r"|automatiskt svar|autosvar|automatisk svar|automaattinen vastaus|автоматический ответ"
    r"|автоответ|自動回覆|自动答复|自动回复|自動応答|自動返信|자동 회신|자동 응답"
    r"|otomatik yan\u0131t"
    r"|automatikus válasz|răspuns automat|automatinis atsakymas|αυτόματη απάντηση|תשובה אוטומטית"
    r"|رد تلقائي)\s*[:\uff1a]"
    r"|\[auto(?:matic|mated)?[- _]?(?:re(?:ply|sponse)|respon[ds]er?)\]"
    r"|\(auto(?:matic|mated)?[- _]?(?:re(?:ply|sponse)|respon[ds]er?)\)",
    re.IGNORECASE,
)
_NOTES = re.compile(r"auto:\s", re.IGNORECASE)  # "AUTO: Ann Lee is out of the office"
_ABSENCE = re.compile(
    r"\b(?:out[- ]of[- ](?:the[- ])?office|ooo|on vacation|vacation|away from (?:my|the) (?:mail"
    r"|office|desk)"
    r"|i am away|i'm away|away until|away from|on holiday|on leave|annual leave|auto[- ]?(?:reply"
    r"|response)"
    r"|automatic reply|abwesen(?:d|heit\w*)|im urlaub|nicht im büro|absen(?:t|ce) du bureau"
    r"|absence|en congés?|fuera de la oficina|ausente|ausencia|fuori (?:sede|ufficio)|assenza"
    r"|assente"
    r"|ausência|férias|fora do escritório|nieobecno\w+|poza biurem|afwezig\w*|frånvaro\w*"
    r"|fraværend?e"
    r"|fravær|poissa\w*|mimo kancelář|nepřítomnost|вне офиса|отсутств\w+|в отпуске)\b"
    r"|休暇|不在|외출|부재|外出|休假",
    re.IGNORECASE,
)
_MAX_SUBJECT = 1000  # characters that are looked at


def is_answer(subject: str) -> bool:
    """True for a subject that only a program writes which answers for somebody."""
    subject = subject[:_MAX_SUBJECT].lstrip()
    if _NOTES.match(subject) and _ABSENCE.search(subject):
        return True
    return _PREFIX.match(subject) is not None


def is_absence(subject: str) -> bool:
    """True for a subject of an answer for who is away, if a program wrote it."""
    subject = subject[:_MAX_SUBJECT]
    return is_answer(subject) or _ABSENCE.search(subject) is not None
