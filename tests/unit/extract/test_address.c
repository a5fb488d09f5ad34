#include "tests/unit/test.h"
#include "worker/io/fetch_url.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const char *judge(const char *text)
{
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        return mr_address_forbidden((struct sockaddr *)&in);
    CHECK(inet_pton(AF_INET6, text, &in6.sin6_addr) == 1);
    return mr_address_forbidden((struct sockaddr *)&in6);
}

static void test_forbidden_addresses(void)
{
    static const char *const bad[] = {"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255",
        "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.1.2.3", "127.255.255.255", "169.254.0.1",
        "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1",
        "192.0.0.192", "192.0.2.7", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1",
        "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.255.255.250",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::2", "::127.0.0.1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1", "2001:20::1",
        "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "3fff::1", "5f00::1", "fc00::1",
        "fd00:ec2::254", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1",
        "4000::1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!judge(bad[i])) {
            fprintf(stderr, "# let through: %s\n", bad[i]);
            abort();
        }
}

static void test_public_addresses(void)
{
    static const char *const good[] = {"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1",
        "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1", "169.253.0.1",
        "172.15.0.1", "172.32.0.1", "192.0.1.1", "192.167.0.1", "192.169.0.1", "198.17.0.1",
        "198.20.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "2001:4860::8888",
        "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (judge(good[i])) {
            fprintf(stderr, "# refused: %s\n", good[i]);
            abort();
        }
}

static void test_hostile_urls(void)
{
    static const char *const bad[] = {"", "x", "http://example.com/", "HTTP://example.com/",
        "ftp://example.com/a", "file:///etc/passwd", "gopher://example.com:70/_x",
        "dict://example.com:11211/stat", "ldap://example.com/", "tftp://example.com/x",
        "smb://example.com/x", "scp://example.com/x", "telnet://example.com/", "data:text/plain,x",
        "javascript:alert(1)", "jar:https://example.com!/", "netdoc:///etc/passwd", "https:///path",
        "https://", "https://user@example.com/", "https://user:pw@example.com/",
        "https://:pw@example.com/", "https://example.com@127.0.0.1/",
        "https://example.com:80@127.0.0.1/", "https://example.com:22/", "https://example.com:25/",
        "https://example.com:6379/", "https://example.com:5432/", "https://example.com:80/",
        "https://example.com:0/", "https://example.com:65536/", "https://example.com:-1/",
        "https://example.com:443x/", "https://[fe80::1%25eth0]/", "https://[::1%25lo]/",
        "https://example.com/a b", "https://example.com/\r\nX: y", "https://exa\nmple.com/",
        "https://example.com\\@127.0.0.1/", "https:\\\\127.0.0.1/", "https://exam\tple.com/",
        "https://example.com/\x01", " https://example.com/", "https://[::1/", "https://::1/",
        "https://%31%32%37.0.0.1%00.example.com/", "//example.com/", "/etc/passwd", "https:/",
        "https://example.com:8080/", "unix:///var/run/docker.sock"};
    struct mr_fetch_rules rules = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        bool exempt;
        struct mr_err err = {0};
        if (mr_fetch_url_check(&rules, bad[i], &exempt, &err) == 0) {
            fprintf(stderr, "# let through: %s\n", bad[i]);
            abort();
        }
        CHECK_INT(err.class, MR_CLASS_INVALID);
        CHECK(err.msg[0]);
    }
}

static void test_good_urls(void)
{
    static const char *const good[] = {"https://example.com/", "https://example.com",
        "https://example.com:443/a.pdf?x=1#y", "https://example.com:8443/", "https://1.1.1.1/",
        "https://[2606:4700::1111]/", "HTTPS://EXAMPLE.COM/A.PDF", "https://example.com/%20a",
        "https://example.com/gr\xc3\xbc\xc3\x9f"};
    struct mr_fetch_rules rules = {0};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        bool exempt;
        struct mr_err err = {0};
        if (mr_fetch_url_check(&rules, good[i], &exempt, &err) != 0) {
            fprintf(stderr, "# refused: %s: %s\n", good[i], err.msg);
            abort();
        }
        CHECK(!exempt);
    }
    rules.http = true;
    bool exempt;
    struct mr_err err;
    CHECK_INT(mr_fetch_url_check(&rules, "http://example.com/", &exempt, &err), 0);
}

static void test_exemptions(void)
{
    char *items[] = {(char *)"files.intern", (char *)"10.1.0.0/16", (char *)"::1",
        (char *)"127.0.0.1", (char *)"fd00::/8"};
    struct mr_fetch_rules rules = {.http = true};
    struct mr_err err;
    bool exempt = false;
    CHECK_INT(mr_exempt_init(&rules.exempt, items, 5, &err), 0);
    CHECK_INT(mr_fetch_url_check(&rules, "https://Files.Intern:9000/a", &exempt, &err), 0);
    CHECK(exempt);
    CHECK_INT(mr_fetch_url_check(&rules, "http://127.0.0.1:4711/a", &exempt, &err), 0);
    CHECK(exempt);
    CHECK_INT(mr_fetch_url_check(&rules, "http://[::1]:4711/a", &exempt, &err), 0);
    CHECK(exempt);
    CHECK(mr_fetch_url_check(&rules, "http://127.0.0.2:4711/a", &exempt, &err) != 0);
    CHECK(mr_fetch_url_check(&rules, "http://10.2.0.1:4711/a", &exempt, &err) != 0);
    struct sockaddr_in in = {.sin_family = AF_INET};
    CHECK(inet_pton(AF_INET, "10.1.255.3", &in.sin_addr) == 1);
    CHECK(mr_exempt_address(&rules.exempt, (struct sockaddr *)&in));
    CHECK(inet_pton(AF_INET, "10.2.0.3", &in.sin_addr) == 1);
    CHECK(!mr_exempt_address(&rules.exempt, (struct sockaddr *)&in));
    mr_exempt_deinit(&rules.exempt);
    char *bad[] = {(char *)"10.0.0.0/33"};
    CHECK(mr_exempt_init(&rules.exempt, bad, 1, &err) != 0);
}

static void test_extension(void)
{
    char ext[16];
    mr_fetch_url_ext("https://example.com/a/B.PDF?x=y.z", ext, sizeof(ext));
    CHECK_STR(ext, "pdf");
    mr_fetch_url_ext("https://example.com/a.b/c", ext, sizeof(ext));
    CHECK_STR(ext, "");
    mr_fetch_url_ext("https://example.com/a.;rm", ext, sizeof(ext));
    CHECK_STR(ext, "");
    mr_fetch_url_ext("https://example.com/a.abcdefghijklmnopqrstuvw", ext, sizeof(ext));
    CHECK_STR(ext, "");
}

TEST_MAIN(TEST(test_forbidden_addresses), TEST(test_public_addresses), TEST(test_hostile_urls),
    TEST(test_good_urls), TEST(test_exemptions), TEST(test_extension))
