/* Gives each file of the folders that it is called with to the fuzzer that it is linked to. */

#include <dirent.h>
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

enum { INPUT_BYTES_MAX = 1024 * 1024 };

static void replay_file(const char *folder, const char *name)
{
    uint8_t *data = malloc(INPUT_BYTES_MAX), *exact;
    char path[4096];
    size_t size;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "r");
    CHECK(data && file);
    size = fread(data, 1, INPUT_BYTES_MAX, file);
    fclose(file);
    exact = malloc(size ? size : 1); /* so that a sanitizer sees a read past its end */
    CHECK(exact);
    memcpy(exact, data, size);
    free(data);
    fprintf(stderr, "%s\n", path); /* the last line before a crash names the input */
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int replay_folder(const char *folder)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;
    int count = 0;

    while (entries && (entry = readdir(entries))) {
        if (entry->d_name[0] == '.')
            continue;
        replay_file(folder, entry->d_name);
        count++;
    }
    if (entries)
        closedir(entries);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;

    for (int i = 1; i < argc; i++)
        count += replay_folder(argv[i]);
    printf("%d inputs\n", count);
    return count ? 0 : 1; /* no inputs: the folder is wrong */
}
