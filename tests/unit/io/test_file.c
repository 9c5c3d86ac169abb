/*
 * Promises of files beneath a folder: no path, link or rename leads out of it; FIFOs and devices are refused without a
 * wait; a save is there as a whole or not at all, replaces nothing unasked, and leaves nothing behind when it fails, is
 * dropped, or its process is killed; a full disk and a size limit are told apart.
 */
#include "base/fd.h"
#include "base/panic.h"
#include "io/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char base[64], root[80]; /* root is base/files; base/secret lies beside it */
static struct error err;

static const char *at(const char *name)
{
    static _Thread_local char room[4][512];
    static _Thread_local int turn;
    turn = (turn + 1) % 4;
    snprintf(room[turn], sizeof(room[turn]), "%s/%s", base, name);
    return room[turn];
}

static void put(const char *name, const char *text)
{
    int fd = open(at(name), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_not_equal(fd, -1);
    assert_int_equal(fd_write_all(fd, slice_of(text)), 0);
    close(fd);
}

static void assert_text(const char *name, const char *text)
{
    struct buf got = {0};
    assert_int_equal(fd_read_file(at(name), 1 << 20, &got, &err), 0);
    assert_string_equal(buf_text(&got), text);
    buf_free(&got);
}

/* A file system without O_TMPFILE, as some network ones are: this is the openat that file_save.c is linked with. */
static bool no_nameless_files;

int openat(int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = va_arg(args, mode_t);
    va_end(args);
    if (no_nameless_files && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}

static int entries(const char *name)
{
    DIR *dir = opendir(at(name));
    int count = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static int set_up(void **state)
{
    strcpy(base, "/tmp/crescent-file-XXXXXX");
    assert_non_null(mkdtemp(base));
    snprintf(root, sizeof(root), "%s/files", base);
    assert_int_equal(mkdir(root, 0700), 0);
    put("secret", "outside");
    put("files/plain", "inside");
    assert_int_equal(mkdir(at("files/sub"), 0700), 0);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    return remove(path);
}

static int tear_down(void **state)
{
    return nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static enum file_code try_open(const char *path)
{
    int fd;
    struct file_facts facts;
    enum file_code code = file_open(root, path, &fd, &facts, &err);
    assert_int_equal(code == FILE_OK, fd != -1);
    fd_close(&fd);
    return code;
}

static enum file_code save(const char *path, const char *text, bool overwrite, bool mkdirs)
{
    struct file_save s;
    enum file_code code = file_save_open(&s, root, path, overwrite, mkdirs, &err);
    if (code == FILE_OK)
        code = file_save_write(&s, slice_of(text), &err);
    if (code != FILE_OK)
        file_save_drop(&s);
    else
        code = file_save_finish(&s, &err);
    assert_int_equal(s.fd, -1);
    assert_int_equal(s.folder, -1);
    return code;
}

/* --- paths and what they lead to --- */

static void a_path_that_could_mean_harm_is_refused_before_the_disk(void **state)
{
    char long_path[5000], long_name[300];
    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    for (size_t i = 0; i < sizeof(long_path); i++)
        long_path[i] = i % 2 == 0 ? 'a' : '/';
    const struct slice bad[] = {SLICE(""),          SLICE("/"),     SLICE("/etc/passwd"), SLICE(".."),
                                SLICE("../secret"), SLICE("a/.."),  SLICE("a/../b"),      SLICE("."),
                                SLICE("./a"),       SLICE("a//b"),  SLICE("a/"),          SLICE("a\0b"),
                                SLICE("a\nb"),      SLICE("a\x7f"), slice_of(long_name),  {long_path, 4999}};
    const struct slice good[] = {SLICE("a"),      SLICE("a/b/c.txt"), SLICE("..a"),
                                 SLICE("a.."),    SLICE(".hidden"),   SLICE("\xff\xfe"),
                                 SLICE("sp ace"), {long_name, 255},   {long_path, 4095}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(file_check_path(bad[i], &err), FILE_BAD_PATH);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(file_check_path(good[i], &err), FILE_OK);
}

static void links_are_followed_inside_and_never_out(void **state)
{
    assert_int_equal(symlink("plain", at("files/inside")), 0);
    assert_int_equal(symlink("../plain", at("files/sub/up")), 0);
    assert_int_equal(symlink("../secret", at("files/out")), 0);
    assert_int_equal(symlink(at("secret"), at("files/absolute")), 0);
    assert_int_equal(symlink(at("files/plain"), at("files/absolute_inside")), 0);
    assert_int_equal(symlink("..", at("files/sub/parent")), 0);
    assert_int_equal(symlink("../..", at("files/sub/grandparent")), 0);
    assert_int_equal(symlink("round", at("files/round")), 0);
    assert_int_equal(symlink("/proc/self/root", at("files/magic")), 0);
    assert_int_equal(try_open("plain"), FILE_OK);
    assert_int_equal(try_open("inside"), FILE_OK);
    assert_int_equal(try_open("sub/up"), FILE_OK);
    assert_int_equal(try_open("sub/parent/plain"), FILE_OK);
    assert_int_equal(try_open("out"), FILE_OUTSIDE);
    assert_int_equal(try_open("absolute"), FILE_OUTSIDE);
    assert_int_equal(try_open("absolute_inside"), FILE_OUTSIDE);
    assert_int_equal(try_open("sub/grandparent/secret"), FILE_OUTSIDE);
    assert_int_equal(try_open("magic/etc/passwd"), FILE_OUTSIDE);
    assert_int_equal(try_open("round"), FILE_OUTSIDE);
    assert_int_equal(try_open("none"), FILE_NOT_FOUND);
    assert_int_equal(try_open("plain/x"), FILE_NOT_A_FILE);
    assert_int_equal(save("sub/grandparent/new", "x", true, true), FILE_OUTSIDE);
    assert_int_equal(save("sub/parent/through", "x", false, true), FILE_OK);
    assert_text("files/through", "x");
    assert_int_equal(entries(""), 2);
}

static void what_is_no_regular_file_is_refused_without_a_wait(void **state)
{
    assert_int_equal(mkfifo(at("files/fifo"), 0600), 0);
    assert_int_equal(try_open("fifo"), FILE_NOT_A_FILE);
    assert_int_equal(try_open("sub"), FILE_NOT_A_FILE);
    if (geteuid() == 0 && mknod(at("files/null"), S_IFCHR | 0600, makedev(1, 3)) == 0) {
        enum file_code code = try_open("null");
        assert_true(code == FILE_NOT_A_FILE || code == FILE_DENIED); /* denied: mounted nodev */
    }
}

static void the_facts_are_the_opened_files_and_a_short_file_reads_as_such(void **state)
{
    int fd;
    struct file_facts facts;
    struct stat st;
    char bytes[8] = "";
    assert_int_equal(file_open(root, "plain", &fd, &facts, &err), FILE_OK);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(facts.size, 6);
    assert_int_equal(facts.inode, st.st_ino);
    assert_int_equal(facts.modified_ns, st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                {.tv_sec = 10413792000}}; /* 2300, past what nanoseconds reach */
    assert_int_equal(utimensat(AT_FDCWD, at("files/plain"), times, 0), 0);
    int again;
    assert_int_equal(file_open(root, "plain", &again, &facts, &err), FILE_OK);
    assert_true(facts.modified_ns > 9000000000 * 1000000000); /* or where the file system ends: after 2255 */
    fd_close(&again);
    put("files/other", "new text");
    assert_int_equal(rename(at("files/other"), at("files/plain")), 0);
    assert_true(file_read(fd, 2, bytes, 4)); /* the old one goes on */
    assert_memory_equal(bytes, "side", 4);
    assert_false(file_read(fd, 4, bytes, 3));
    assert_false(file_read_cached(fd, 4, bytes, 3));
    if (file_read_cached(fd, 0, bytes, 6)) /* just written, so most likely in memory: then right */
        assert_memory_equal(bytes, "inside", 6);
    fd_close(&fd);
}

static void no_right_is_told_from_no_file(void **state)
{
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
    else
        assert_int_equal(chmod(base, 0), 0);
    enum file_code read_code = try_open("plain"), save_code = save("new", "x", false, false);
    if (geteuid() == 65534)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(base, 0700), 0);
    assert_int_equal(read_code, FILE_DENIED);
    assert_int_equal(save_code, FILE_DENIED);
    assert_string_equal(file_code_name(FILE_DENIED), "denied");
}

/* --- saving --- */

static void a_save_is_whole_and_replaces_nothing_unasked(void **state)
{
    struct file_save s;
    assert_int_equal(file_save_open(&s, root, "sub/new", false, false, &err), FILE_OK);
    assert_int_equal(file_save_write(&s, SLICE("one "), &err), FILE_OK);
    assert_int_equal(entries("files/sub"), 0); /* nobody sees it */
    assert_int_equal(file_save_write(&s, SLICE("two"), &err), FILE_OK);
    assert_int_equal(file_save_finish(&s, &err), FILE_OK);
    file_save_drop(&s);
    assert_text("files/sub/new", "one two");
    assert_int_equal(save("sub/new", "x", false, false), FILE_EXISTS);
    assert_text("files/sub/new", "one two");
    assert_int_equal(save("sub/new", "x", true, false), FILE_OK);
    assert_text("files/sub/new", "x");
    assert_int_equal(save("sub/fresh", "y", true, false), FILE_OK);
    assert_int_equal(entries("files/sub"), 2);
    assert_int_equal(save("sub", "x", true, false), FILE_NOT_A_FILE);
    assert_int_equal(save("sub", "x", false, false), FILE_NOT_A_FILE);
    assert_int_equal(save("", "x", false, false), FILE_BAD_PATH);
}

static void of_two_saves_to_one_name_one_wins(void **state)
{
    struct file_save a, b;
    assert_int_equal(file_save_open(&a, root, "same", false, false, &err), FILE_OK);
    assert_int_equal(file_save_open(&b, root, "same", false, false, &err), FILE_OK);
    assert_int_equal(file_save_write(&a, SLICE("a"), &err), FILE_OK);
    assert_int_equal(file_save_write(&b, SLICE("b"), &err), FILE_OK);
    assert_int_equal(file_save_finish(&b, &err), FILE_OK);
    assert_int_equal(file_save_finish(&a, &err), FILE_EXISTS);
    assert_text("files/same", "b");
    assert_int_equal(entries("files"), 3);
}

static void a_link_in_the_place_is_replaced_not_followed(void **state)
{
    assert_int_equal(symlink("../secret", at("files/link")), 0);
    assert_int_equal(save("link", "x", false, false), FILE_EXISTS);
    assert_int_equal(save("link", "x", true, false), FILE_OK);
    assert_text("files/link", "x");
    assert_text("secret", "outside");
}

static void folders_are_made_where_that_is_asked_for(void **state)
{
    assert_int_equal(save("a/b/c/new", "x", false, false), FILE_NOT_FOUND);
    assert_int_equal(save("a/b/c/new", "x", false, true), FILE_OK);
    assert_int_equal(save("a/b/d/new", "x", false, true), FILE_OK);
    assert_int_equal(save("plain/b/new", "x", false, true), FILE_NOT_A_FILE);
    assert_text("files/a/b/c/new", "x");
    assert_text("files/a/b/d/new", "x");
    assert_int_equal(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    assert_int_equal(try_open("plain"), FILE_NO_FOLDER);
    assert_int_equal(save("first", "x", false, false), FILE_OK); /* the root itself */
    assert_text("files/first", "x");
}

static void what_is_dropped_or_killed_leaves_nothing(void **state)
{
    for (int overwrite = 0; overwrite <= 1; overwrite++) {
        struct file_save s;
        assert_int_equal(file_save_open(&s, root, "sub/new", overwrite, false, &err), FILE_OK);
        assert_int_equal(file_save_write(&s, SLICE("x"), &err), FILE_OK);
        file_save_drop(&s);
        assert_int_equal(entries("files/sub"), 0);
        pid_t child = fork();
        if (child == 0) {
            if (file_save_open(&s, root, "sub/new", overwrite, false, NULL) == FILE_OK &&
                file_save_write(&s, SLICE("x"), NULL) == FILE_OK)
                raise(SIGKILL);
            _exit(1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(entries("files/sub"), 0);
    }
}

static void without_nameless_files_the_same_holds_but_for_a_kill(void **state)
{
    struct file_save s;
    no_nameless_files = true;
    assert_int_equal(save("sub/new", "one", false, false), FILE_OK);
    assert_int_equal(save("sub/new", "x", false, false), FILE_EXISTS);
    assert_text("files/sub/new", "one");
    assert_int_equal(save("sub/new", "two", true, false), FILE_OK);
    assert_text("files/sub/new", "two");
    assert_int_equal(entries("files/sub"), 1);
    assert_int_equal(file_save_open(&s, root, "dropped", false, false, &err), FILE_OK);
    assert_int_equal(entries("files"), 3);
    file_save_drop(&s);
    assert_int_equal(entries("files"), 2);
    of_two_saves_to_one_name_one_wins(state);
    no_nameless_files = false;
}

/* --- races, and disks that are full --- */

static atomic_bool swapping;

/* files/sub is now a folder (for a moment, or nobody would ever meet one), now a link out of the root. */
static void *swap(void *cookie)
{
    const struct timespec moment = {.tv_nsec = 20000};
    while (atomic_load(&swapping)) {
        nanosleep(&moment, NULL);
        CHECK(rename(at("files/sub"), at("files/kept")) == 0);
        CHECK(symlink("..", at("files/sub")) == 0);
        CHECK(unlink(at("files/sub")) == 0);
        CHECK(rename(at("files/kept"), at("files/sub")) == 0);
    }
    return NULL;
}

static void a_folder_swapped_for_a_link_meanwhile_leads_nowhere(void **state)
{
    pthread_t thread;
    int saved = 0;
    char name[32];
    atomic_store(&swapping, true);
    assert_int_equal(pthread_create(&thread, NULL, swap, NULL), 0);
    for (int i = 0; i < 400; i++) {
        struct file_save s;
        snprintf(name, sizeof(name), "sub/n%d", i);
        saved += file_save_open(&s, root, name, i % 2, false, &err) == FILE_OK;
        if (s.fd != -1)
            assert_int_equal(file_save_finish(&s, &err), FILE_OK);
        assert_int_not_equal(try_open("sub/secret"), FILE_OK);
    }
    atomic_store(&swapping, false);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(entries(""), 2); /* the secret and the root */
    assert_text("secret", "outside");
    assert_true(saved > 0);
}

static void a_limit_on_size_is_said_and_nothing_is_left(void **state)
{
    struct rlimit before, small = {4096, 4096};
    struct file_save s;
    char bytes[8192];
    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN); /* helper threads have it blocked */
    assert_int_equal(file_save_open(&s, root, "sub/big", false, false, &err), FILE_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum file_code code = file_save_write(&s, (struct slice){bytes, sizeof(bytes)}, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(code, FILE_TOO_LARGE);
    file_save_drop(&s);
    assert_int_equal(entries("files/sub"), 0);
}

static void a_full_disk_is_said_and_nothing_is_left(void **state)
{
    static char bytes[128 << 10];
    struct file_save s;
    if (mount("none", at("files/sub"), "tmpfs", MS_NODEV, "size=64k") != 0) {
        print_message("no right to mount: skipped\n");
        skip();
    }
    enum file_code code = file_save_open(&s, root, "sub/big", false, false, &err);
    if (code == FILE_OK)
        code = file_save_write(&s, (struct slice){bytes, sizeof(bytes)}, &err);
    file_save_drop(&s);
    int left = entries("files/sub");
    enum file_code after = save("sub/small", "x", false, false);
    assert_int_equal(umount(at("files/sub")), 0);
    assert_int_equal(code, FILE_NO_SPACE);
    assert_int_equal(left, 0);
    assert_int_equal(after, FILE_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_path_that_could_mean_harm_is_refused_before_the_disk),
        TEST(links_are_followed_inside_and_never_out),
        TEST(what_is_no_regular_file_is_refused_without_a_wait),
        TEST(the_facts_are_the_opened_files_and_a_short_file_reads_as_such),
        TEST(no_right_is_told_from_no_file),
        TEST(a_save_is_whole_and_replaces_nothing_unasked),
        TEST(of_two_saves_to_one_name_one_wins),
        TEST(a_link_in_the_place_is_replaced_not_followed),
        TEST(folders_are_made_where_that_is_asked_for),
        TEST(what_is_dropped_or_killed_leaves_nothing),
        TEST(without_nameless_files_the_same_holds_but_for_a_kill),
        TEST(a_folder_swapped_for_a_link_meanwhile_leads_nowhere),
        TEST(a_limit_on_size_is_said_and_nothing_is_left),
        TEST(a_full_disk_is_said_and_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
