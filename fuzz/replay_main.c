/* Replay a corpus folder through a fuzz target: each file is one test case (TAP). A crash or a sanitizer report fails it; each file is also
 * replayed cut at several lengths, so that the parsers' ends are walked. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_MAX = 1 << 20, CUTS = 16 };

static size_t slurp(const char *path, uint8_t *to)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) return 0;
    size_t n = fread(to, 1, FILE_MAX, f);
    (void)fclose(f);
    return n;
}

/* An exactly sized copy, so that a sanitizer sees one byte too far. */
static void once(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) return;
    if (size > 0) memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

int main(int argc, char **argv)
{
    static uint8_t data[FILE_MAX];
    DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
    if (d == NULL) {
        fprintf(stderr, "usage: replay CORPUS\n");
        return 2;
    }
    int n = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char path[1024];
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        size_t size = slurp(path, data);
        once(data, size);
        for (size_t i = 1; i < CUTS && size > CUTS; i++) once(data, size * i / CUTS);
        printf("ok %d - %s\n", ++n, e->d_name);
    }
    (void)closedir(d);
    printf("1..%d\n", n);
    return n > 0 ? 0 : 1;
}
