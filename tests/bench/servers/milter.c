/* A minimal milter in C: looks at the recipient and at one header field, and adds a field. */
#include <libmilter/mfapi.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

struct mail { int is_ours, has_subject; };

static sfsistat on_from(SMFICTX *ctx, char **argv) {
    struct mail *mail = smfi_getpriv(ctx);
    (void)argv;
    if (mail == NULL && (mail = malloc(sizeof *mail)) == NULL)
        return SMFIS_TEMPFAIL;
    memset(mail, 0, sizeof *mail);
    smfi_setpriv(ctx, mail);
    return SMFIS_NOREPLY;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv) {
    struct mail *mail = smfi_getpriv(ctx);
    mail->is_ours = strstr(argv[0], "@test.com") != NULL;
    return SMFIS_NOREPLY;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value) {
    struct mail *mail = smfi_getpriv(ctx);
    (void)value;
    if (strcasecmp(name, "Subject") == 0)
        mail->has_subject = 1;
    return SMFIS_NOREPLY;
}

static sfsistat on_end(SMFICTX *ctx) {
    struct mail *mail = smfi_getpriv(ctx);
    if (mail->is_ours && smfi_addheader(ctx, "X-Filtered", mail->has_subject ? "yes" : "no"))
        return SMFIS_TEMPFAIL;
    return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx) {
    free(smfi_getpriv(ctx));
    smfi_setpriv(ctx, NULL);
    return SMFIS_CONTINUE;
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2,
                             unsigned long f3, unsigned long *p0, unsigned long *p1,
                             unsigned long *p2, unsigned long *p3) {
    (void)ctx; (void)f2; (void)f3;
    *p0 = f0 & SMFIF_ADDHDRS;
    *p1 = f1 & (SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NODATA | SMFIP_NOUNKNOWN | SMFIP_NOEOH |
                SMFIP_NOBODY | SMFIP_NR_MAIL | SMFIP_NR_RCPT | SMFIP_NR_HDR);
    *p2 = *p3 = 0;
    return SMFIS_CONTINUE;
}

int main(int argc, char **argv) {
    struct smfiDesc filter = {
        "minimal", SMFI_VERSION, SMFIF_ADDHDRS, NULL, NULL, on_from, on_rcpt, on_header, NULL,
        NULL, on_end, NULL, on_close, NULL, NULL, on_negotiate};
    if (argc != 2 || smfi_setconn(argv[1]) || smfi_register(filter) || smfi_opensocket(0))
        return EX_UNAVAILABLE;
    return smfi_main();
}
