/* Sends mail over LMTP or SMTP as fast as it can; no message is like another.
 *
 *   source PORT MESSAGES SESSIONS SIZE RECIPIENTS DOMAIN KEPT PIPELINED SMTP FIRST
 *
 * Each message has a Received field with a long queue id, a Message-ID and an author of its own;
 * each session has recipients of its own in DOMAIN. FIRST is the number of the first author, so that
 * two senders at a time need not be of the same ones. Without PIPELINED it speaks as smtp-source(1) does, one
 * command after the other; with it as Postfix's lmtp(8): XFORWARD and pipelining where the server
 * offers them. Prints when the first message began, when the last reply came (seconds of
 * CLOCK_MONOTONIC), and median and 99th percentile of the seconds that a message took, from its
 * first command to its last reply (with new connections: from connecting). It exits with 1 and says
 * why at the first reply that is not positive.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ID "0000000000001zJ9Gr" /* stands in the header until it is written over */
#define AUTHOR "author00000@sender.test"
#define MAX_SESSIONS 1000

enum { GREETING, HELLO, COMMANDS, CONTENT, QUIT };

struct session {
    int fd, number, state, step, waiting, length;
    int pipelining, xforward;
    double began;
    char id[sizeof ID], author[sizeof AUTHOR + 8];
    char line[1024]; /* a reply of which the end is still to come */
};

static const char header[] =
    "Received: from client.sender.test (client.sender.test [192.0.2.1])\r\n"
    "\tby mail.bench.test (Postfix) with ESMTPS id " ID "\r\n"
    "\tfor <someone@bench.test>; Sun, 22 Nov 2026 19:20:01 +0000 (UTC)\r\n"
    "Received: from [192.0.2.77] (unknown [192.0.2.77])\r\n"
    "\tby client.sender.test (Postfix) with ESMTPSA id 4hXfPm3xkSzJ9Gr\r\n"
    "\tfor <someone@bench.test>; Sun, 22 Nov 2026 19:20:00 +0000 (UTC)\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=sender.test; s=mail;\r\n"
    "\tt=1795372800; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n"
    "\th=From:To:Subject:Date:Message-ID; b=dGhpcyBpcyBub3QgYSBzaWduYXR1cmU=\r\n"
    "Date: Sun, 22 Nov 2026 19:20:00 +0000\r\n"
    "From: An Author <" AUTHOR ">\r\n"
    "To: someone@bench.test\r\n"
    "Subject: A message of the benchmark\r\n"
    "Message-ID: <" ID "@sender.test>\r\n"
    "User-Agent: Benchmark\r\n"
    "MIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 7bit\r\n"
    "X-Mailer: none\r\n"
    "List-Help: <mailto:nobody@sender.test>\r\n"
    "\r\n";
static const char filling[] =
    "The quick brown fox jumps over the lazy dog, and so on, and on, and on.\r\n";
static const char digits[] = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"; /* base 52 */

static int port, messages, sessions, size, recipients, kept, pipelined, smtp, first_author;
static int begun, greeted, finished;
static double *seconds, first, last;
static char *content, *domain, nonce[8];
static size_t content_length;
static struct session all[MAX_SESSIONS];
static struct pollfd polled[MAX_SESSIONS];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void make_content(void)
{
    unsigned char random[sizeof nonce];
    content = malloc(size + sizeof header + sizeof filling + 8);
    memcpy(content, header, sizeof header - 1);
    char *end = content + sizeof header - 1;
    while (end < content + size - 2) {
        memcpy(end, filling, sizeof filling - 1);
        end += sizeof filling - 1;
    }
    if (end > content + size - 2 && size > (int)sizeof header)
        end = content + size - 2;
    memcpy(end, "\r\n.\r\n", 5);
    content_length = end + 5 - content;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        err(1, "getrandom");
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = digits[random[i] % (sizeof digits - 2)]; /* no "z", which ends the time */
}

static void transmit(struct session *session, const char *data, size_t length, int replies)
{
    session->waiting = replies;
    while (length) {
        ssize_t written = send(session->fd, data, length, MSG_NOSIGNAL);
        if (written < 0)
            err(1, "send");
        data += written;
        length -= written;
    }
}

static void hang_on(struct session *session)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    session->began = now();
    session->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (session->fd < 0 || connect(session->fd, (struct sockaddr *)&address, sizeof address))
        err(1, "connect");
    setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    polled[session->number] = (struct pollfd){.fd = session->fd, .events = POLLIN};
    session->state = GREETING;
    session->waiting = 1;
    session->length = session->pipelining = session->xforward = 0;
}

static void name_message(struct session *session)
{
    int number = begun++, rest = number;
    strcpy(session->id, ID);
    memcpy(session->id, nonce, sizeof nonce);
    for (int i = 12; i >= (int)sizeof nonce; i--, rest /= 51)
        session->id[i] = digits[rest % 51];
    snprintf(session->author, sizeof session->author, "author%05d@sender.test",
        (first_author + number % 50000) % 100000);
}

/* Step 0 and 1 are XFORWARD, 2 is MAIL, then each RCPT, DATA is the last. Gives what to say. */
static int command(struct session *session, char *text, size_t room)
{
    int step = session->step++;
    if (step == 0)
        return snprintf(text, room, "XFORWARD NAME=client.sender.test ADDR=192.0.2.1 PORT=40000\r\n");
    if (step == 1)
        return snprintf(text, room,
            "XFORWARD PROTO=ESMTP HELO=client.sender.test IDENT=%s SOURCE=REMOTE\r\n", session->id);
    if (step == 2)
        return snprintf(text, room, "MAIL FROM:<%s>\r\n", session->author);
    if (step < 3 + recipients)
        return snprintf(text, room, "RCPT TO:<s%dr%d@%s>\r\n", session->number,
            step - 3, domain);
    return snprintf(text, room, "DATA\r\n");
}

static void say_commands(struct session *session)
{
    static char text[1 << 20];
    int length = 0, replies = 0, after = 4 + recipients;
    do {
        length += command(session, text + length, sizeof text - length);
        replies++;
    } while (session->pipelining && session->step < after);
    transmit(session, text, length, replies);
}

static void say_content(struct session *session)
{
    static char *places[3];
    if (!places[0]) {
        places[0] = strstr(content, ID);
        places[1] = strstr(places[0] + 1, ID);
        places[2] = strstr(content, AUTHOR);
    }
    memcpy(places[0], session->id, sizeof ID - 1);
    memcpy(places[1], session->id, sizeof ID - 1);
    memcpy(places[2], session->author, sizeof AUTHOR - 1);
    session->state = CONTENT;
    transmit(session, content, content_length, smtp ? 1 : recipients);
}

static void quit(struct session *session)
{
    session->state = QUIT;
    transmit(session, "QUIT\r\n", 6, 1);
}

static void begin_message(struct session *session)
{
    if (begun == messages) {
        quit(session);
        return;
    }
    name_message(session);
    if (kept)
        session->began = now();
    session->state = COMMANDS;
    session->step = session->xforward ? 0 : 2;
    say_commands(session);
}

static void begin_together(void)
{
    /* The clock starts when every session is through its greeting. */
    if (++greeted < sessions)
        return;
    first = now();
    for (int i = 0; i < sessions; i++)
        begin_message(&all[i]);
}

static void end_message(struct session *session)
{
    last = now();
    seconds[finished++] = last - session->began;
    if (kept)
        begin_message(session);
    else
        quit(session);
}

static void answered(struct session *session)
{
    switch (session->state) {
    case GREETING:
        session->state = HELLO;
        if (smtp)
            transmit(session, "EHLO client.test\r\n", 18, 1);
        else
            transmit(session, "LHLO client.test\r\n", 18, 1);
        return;
    case HELLO:
        if (kept)
            begin_together();
        else
            begin_message(session);
        return;
    case COMMANDS:
        if (session->step < 4 + recipients)
            say_commands(session);
        else
            say_content(session);
        return;
    case CONTENT:
        end_message(session);
        return;
    case QUIT:
        close(session->fd);
        polled[session->number].fd = -1;
        if (begun < messages)
            hang_on(session);
        else
            sessions--;
    }
}

static void replied(struct session *session, char *line)
{
    if (*line != '2' && *line != '3')
        errx(1, "refused: %s", line);
    if (pipelined && session->state == HELLO) {
        session->pipelining |= !strcmp(line + 4, "PIPELINING");
        session->xforward |= !strncmp(line + 4, "XFORWARD", 8);
    }
    if (line[3] != '-' && --session->waiting == 0)
        answered(session);
}

static void hear(struct session *session)
{
    char data[65536];
    ssize_t length = recv(session->fd, data, sizeof data, 0);
    if (length <= 0)
        errx(1, "the server hung up");
    for (char *next = data; next < data + length; next++) {
        if (*next == '\n') {
            session->line[session->length ? session->length - 1 : 0] = 0;
            session->length = 0;
            replied(session, session->line);
        } else if (session->length < (int)sizeof session->line - 1) {
            session->line[session->length++] = *next;
        }
    }
}

static int ascending(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

int main(int count, char **arguments)
{
    int *numbers[] = {&port, &messages, &sessions, &size, &recipients, &kept, &pipelined, &smtp,
        &first_author};
    if (count != 11)
        errx(2, "PORT MESSAGES SESSIONS SIZE RECIPIENTS DOMAIN KEPT PIPELINED SMTP FIRST");
    domain = arguments[6];
    for (int i = 0; i < 9; i++)
        *numbers[i] = atoi(arguments[i + (i < 5 ? 1 : 2)]);
    if (sessions > messages)
        sessions = messages;
    if (sessions < 1 || sessions > MAX_SESSIONS)
        errx(2, "1 to %d sessions", MAX_SESSIONS);
    make_content();
    seconds = calloc(messages, sizeof *seconds);
    first = now();
    int opened = sessions;
    for (int i = 0; i < opened; i++) {
        all[i].number = i;
        hang_on(&all[i]);
    }
    while (sessions) {
        if (poll(polled, opened, 60000) <= 0)
            errx(1, "no reply within a minute");
        for (int i = 0; i < opened; i++)
            if (polled[i].fd >= 0 && polled[i].revents)
                hear(&all[i]);
    }
    qsort(seconds, messages, sizeof *seconds, ascending);
    printf("%.9f %.9f %.9f %.9f\n", first, last, seconds[messages / 2],
        seconds[(int)(messages * 0.99)]);
    return 0;
}
