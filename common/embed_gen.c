/* Runs at build time: embed_gen OUTPUT ROOT NAME... writes C source that holds the files ROOT/NAME
 * and defines mr_embedded_all. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_LEN 4096

static int embed_file(FILE *out, const char *root, const char *name, int index)
{
    char path[PATH_LEN];
    int n = snprintf(path, sizeof(path), "%s/%s", root, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        return -ENAMETOOLONG;
    FILE *in = fopen(path, "re");
    if (!in)
        return -errno;
    fprintf(out, "static const unsigned char file_%d[] = {", index);
    size_t count = 0;
    for (int c; (c = getc(in)) != EOF; count++)
        fprintf(out, "%s%d,", count % 24 == 0 ? "\n    " : " ", c);
    fputs("\n    0};\n", out);
    int rc = ferror(in) ? -EIO : 0;
    fclose(in);
    return rc;
}

static void embed_table(FILE *out, char **names, int count)
{
    fputs("static const struct mr_embedded files[] = {\n", out);
    for (int i = 0; i < count; i++)
        fprintf(out, "    {\"%s\", (const char *)file_%d, sizeof(file_%d) - 1},\n", names[i], i, i);
    fputs("};\n\nconst struct mr_embedded *mr_embedded_all(size_t *ret_count)\n{\n"
          "    *ret_count = sizeof(files) / sizeof(files[0]);\n    return files;\n}\n",
        out);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: embed_gen OUTPUT ROOT NAME...\n");
        return 2;
    }
    FILE *out = fopen(argv[1], "we");
    if (!out) {
        fprintf(stderr, "embed_gen: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    fputs("#include \"common/embed.h\"\n\n", out);
    for (int i = 3; i < argc; i++) {
        int rc = embed_file(out, argv[2], argv[i], i - 3);
        if (rc < 0) {
            fprintf(stderr, "embed_gen: %s: %s\n", argv[i], strerror(-rc));
            return 1;
        }
    }
    embed_table(out, argv + 3, argc - 3);
    if (fclose(out) != 0) {
        fprintf(stderr, "embed_gen: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    return 0;
}
