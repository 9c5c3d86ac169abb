/*
 * scan.c: walks the hooks folder; see scan.h. What cannot be walked or read (a loop of links, a name that cannot be, a
 * folder without permission) is an entry with its error, so that the rest of the folder still loads.
 * Owns: what it returns. Runs in: keeper, check, routes. Fails: only when the folder itself cannot be opened.
 */
#include "load/scan.h"
#include "base/fd.h"
#include "base/panic.h"
#include "base/slice.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 32

/* The folders from the root to the one being read: meeting one of them again is a loop. */
struct level {
    const struct level *up;
    dev_t device;
    ino_t inode;
    unsigned depth;
};

static struct scan_file *add_file(struct scan *s, const char *path, bool module)
{
    /* Grown at powers of two: the count tells when the room is used up. */
    if ((s->count & (s->count - 1)) == 0)
        s->files = need_realloc(s->files, (s->count ? s->count * 2 : 1) * sizeof *s->files);
    struct scan_file *f = &s->files[s->count++];
    *f = (struct scan_file){.path = need_strdup(path), .module = module};
    return f;
}

static struct scan_file *add_fault(struct scan *s, const char *path, bool module, const char *why)
{
    struct scan_file *f = add_file(s, path, module);
    f->error = need_strdup(why);
    return f;
}

/* A folder that is not entered. */
static void add_folder(struct scan *s, const char *path, bool module, const char *why)
{
    add_fault(s, path, module, why)->folder = true;
}

/* What stands in it is not known: that is not the same as nothing. */
static void add_closed(struct scan *s, const char *path, bool module, int why)
{
    struct buf words = {0};
    buf_addf(&words, "this folder cannot be read: %s", strerror(why));
    struct scan_file *f = add_fault(s, path, module, buf_text(&words));
    f->folder = f->closed = s->closed = true;
    buf_free(&words);
}

static void add_name(char ***names, size_t *count, const char *path)
{
    if ((*count & (*count - 1)) == 0)
        *names = need_realloc(*names, (*count ? *count * 2 : 1) * sizeof **names);
    (*names)[(*count)++] = need_strdup(path);
}

/* Why a file's name cannot be used, or NULL. */
static const char *name_fault(const char *name, bool module)
{
    for (const char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return "its name holds a control character";
    struct slice bare = {name, strlen(name)};
    if (slice_ends(bare, SLICE(".lua")))
        bare.len -= 4;
    if (module && slice_find(bare, '.') != SIZE_MAX)
        return "a module's name cannot hold a dot: require \"_lib.x\" reads it as a folder";
    return NULL;
}

static void stamp_of(const struct stat *st, uint64_t stamp_out[4])
{
    stamp_out[0] = st->st_dev;
    stamp_out[1] = st->st_ino;
    stamp_out[2] = (uint64_t)st->st_ctim.tv_sec * 1000000000u + (uint64_t)st->st_ctim.tv_nsec;
    stamp_out[3] = (uint64_t)st->st_size;
}

static void visit_file(struct scan *s, int folder, const char *name, const char *path, bool module,
                       const struct stat *st)
{
    struct scan_file *f = add_file(s, path, module);
    stamp_of(st, f->stamp);
    const char *why = name_fault(name, module);
    if (why == NULL && !S_ISREG(st->st_mode))
        why = "not a regular file";
    if (why == NULL && st->st_size > (off_t)SCAN_FILE_MAX)
        why = "larger than 1MiB";
    if (why == NULL && faccessat(folder, name, R_OK, AT_EACCESS) != 0)
        why = strerror(errno);
    if (why != NULL)
        f->error = need_strdup(why);
}

static int visit_folder(struct scan *s, int fd, const char *path, bool module, const struct level *level);

static void enter(struct scan *s, int folder, const char *name, const char *path, bool module, const struct stat *st,
                  const struct level *level)
{
    struct level below = {level, st->st_dev, st->st_ino, level->depth + 1};
    for (const struct level *l = level; l != NULL; l = l->up)
        if (l->device == st->st_dev && l->inode == st->st_ino) {
            add_folder(s, path, module, "this link leads back to a folder above it");
            return;
        }
    if (below.depth > DEPTH_MAX) {
        add_folder(s, path, module, "more than 32 folders within each other");
        return;
    }
    const char *why = name_fault(name, module);
    if (why != NULL) {
        add_folder(s, path, module, why);
        return;
    }
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || visit_folder(s, fd, path, module, &below) != 0)
        add_closed(s, path, module, errno);
}

/* What was listed cannot be looked at. Gone since then: as if it had not been there; a dangling link is still there. */
static void visit_unknown(struct scan *s, const struct dirent *d, const char *path, bool module, bool lua, bool link)
{
    int why = errno;
    if (why != ENOENT && why != ENOTDIR && (d->d_type == DT_DIR || (link && !lua)))
        add_closed(s, path, module, why);
    else if (lua && why != ENOENT && why != ENOTDIR)
        add_fault(s, path, module, strerror(why));
    else if (lua && link)
        add_fault(s, path, module, "a link that leads nowhere");
}

static bool is_link(int folder, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN)
        return d->d_type == DT_LNK;
    return fstatat(folder, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

static void visit(struct scan *s, int folder, const char *parent, const struct dirent *d, bool module,
                  const struct level *level)
{
    const char *name = d->d_name;
    bool top = parent[0] == '\0';
    if (name[0] == '.' || (name[0] == '_' && !module && !(top && strcmp(name, "_lib") == 0)))
        return;
    bool lua = slice_ends(slice_of(name), SLICE(".lua")) && strlen(name) > 4, link = is_link(folder, d);
    struct stat st;
    struct buf path = {0};
    buf_addf(&path, "%s%s%s", parent, top ? "" : "/", name);
    if (link)
        add_name(&s->links, &s->link_count, buf_text(&path));
    if (fstatat(folder, name, &st, 0) != 0) {
        visit_unknown(s, d, buf_text(&path), module, lua, link);
    } else if (S_ISDIR(st.st_mode)) {
        enter(s, folder, name, buf_text(&path), module || name[0] == '_', &st, level);
    } else if (lua) {
        visit_file(s, folder, name, buf_text(&path), module, &st);
    }
    buf_free(&path);
}

/* Takes the descriptor. -1 with errno when it cannot be read to its end. */
static int visit_folder(struct scan *s, int fd, const char *path, bool module, const struct level *level)
{
    DIR *dir = fdopendir(fd);
    NEED(dir != NULL);
    add_name(&s->folders, &s->folder_count, path);
    for (;;) {
        errno = 0;
        struct dirent *d = readdir(dir);
        if (d == NULL)
            break;
        visit(s, dirfd(dir), path, d, module, level);
    }
    int why = errno;
    closedir(dir);
    errno = why;
    return why == 0 ? 0 : -1;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct scan_file *)a)->path, ((const struct scan_file *)b)->path);
}

int scan_folder(const char *hooks, struct scan *scan_out, struct error *err)
{
    *scan_out = (struct scan){0};
    struct stat st;
    int fd = open(hooks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, "hooks folder %s", hooks);
    NEED(fstat(fd, &st) == 0);
    struct level root = {NULL, st.st_dev, st.st_ino, 0};
    if (visit_folder(scan_out, fd, "", false, &root) != 0) {
        error_errno(err, "hooks folder %s", hooks);
        scan_free(scan_out);
        return -1;
    }
    if (scan_out->count > 0)
        qsort(scan_out->files, scan_out->count, sizeof *scan_out->files, by_path);
    return 0;
}

void scan_free(struct scan *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->files[i].path);
        free(s->files[i].error);
    }
    free(s->files);
    for (size_t i = 0; i < s->folder_count; i++)
        free(s->folders[i]);
    free(s->folders);
    for (size_t i = 0; i < s->link_count; i++)
        free(s->links[i]);
    free(s->links);
    *s = (struct scan){0};
}

bool scan_is_closed(const struct scan *s, const char *path)
{
    for (size_t i = 0; s->closed && i < s->count; i++) {
        size_t len = strlen(s->files[i].path);
        if (s->files[i].closed && strncmp(path, s->files[i].path, len) == 0 && path[len] == '/')
            return true;
    }
    return false;
}

bool scan_is_same(const char *hooks, const struct scan_file *f)
{
    struct stat st;
    uint64_t stamp[4];
    struct buf path = {0};
    buf_addf(&path, "%s/%s", hooks, f->path);
    bool there = stat(buf_text(&path), &st) == 0;
    buf_free(&path);
    if (!there)
        return false;
    stamp_of(&st, stamp);
    return memcmp(stamp, f->stamp, sizeof stamp) == 0;
}

int scan_read(const char *hooks, const struct scan_file *f, struct buf *into, struct error *err)
{
    if (f->error != NULL)
        return error_set(err, "%s: %s", f->path, f->error);
    struct buf path = {0};
    buf_addf(&path, "%s/%s", hooks, f->path);
    int done = fd_read_file(buf_text(&path), SCAN_FILE_MAX, into, err);
    buf_free(&path);
    return done;
}

char *scan_script_name(const char *path)
{
    struct slice bare = slice_of(path);
    if (slice_ends(bare, SLICE(".lua")))
        bare.len -= 4;
    return slice_dup(bare);
}

char *scan_module_name(const char *path)
{
    char *name = scan_script_name(path);
    for (char *c = name; *c != '\0'; c++)
        if (*c == '/')
            *c = '.';
    return name;
}
