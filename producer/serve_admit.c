/* Who may come in. */
#include "producer/serve.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

/* Digests are of one length, so the comparison takes the same time whatever was sent. */
static bool same(const char *a, const char *b)
{
    unsigned char of_a[EVP_MAX_MD_SIZE], of_b[EVP_MAX_MD_SIZE];
    unsigned na = 0, nb = 0;
    return EVP_Digest(a, strlen(a), of_a, &na, EVP_sha256(), NULL) == 1 &&
           EVP_Digest(b, strlen(b), of_b, &nb, EVP_sha256(), NULL) == 1 && na == nb &&
           CRYPTO_memcmp(of_a, of_b, na) == 0;
}

static bool has_token(const struct mr_httpd_request *request, const struct mr_secret *token)
{
    const char *header = mr_httpd_header(request, "Authorization");
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    header += 7;
    return same(header + strspn(header, " "), mr_secret_reveal(token));
}

/* Without a token the loopback address is the only fence, and a web page can have a browser on this
 * machine climb it by pointing its own name here. Then Host has that name. */
static bool is_for_us(const struct mr_httpd_request *request)
{
    const char *host = mr_httpd_header(request, "Host");
    char name[MR_HOST_MAX];
    int port;
    struct mr_err ignored;
    return !host || (host[0] != '/' && mr_host_split(host, 80, name, &port, &ignored) == 0 &&
                        mr_host_is_local(name));
}

void mr_serve_admit(void *ctx, struct mr_httpd_request *request)
{
    struct mr_serve *serve = ctx;
    if (serve->token && !has_token(request, serve->token)) {
        mr_httpd_set_header(request, "WWW-Authenticate", "Bearer realm=\"millrace\"");
        mr_httpd_problem(
            request, 401, NULL, "a valid token must be sent: Authorization: Bearer ...");
    } else if (!serve->token && !is_for_us(request)) {
        mr_httpd_problem(request, 403, NULL,
            "without a token only requests for localhost are answered; set serve.token_file");
    }
}
