/*
 * test_sqlite.c: whose file it is, and what becomes of one that is foreign, damaged, newer, locked, moved or replaced.
 * The other side is the sqlite3 shell.
 */
#include "base/fd.h"
#include "operate.h"
#include "store/sqlite_kv.h"
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[64], path[128];

static int remove_one(const char *name, const struct stat *st, int kind, struct FTW *ftw)
{
    return remove(name);
}

static int begin(void **state)
{
    begin_loop();
    strcpy(folder, "/tmp/crescent-store-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/x.db", folder);
    store = NULL;
    return 0;
}

static int end(void **state)
{
    if (store != NULL)
        close_store();
    end_loop();
    return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_it(bool may_create)
{
    open_store(&(struct store_place){.driver = &sqlite_kv_driver, .path = path, .may_create = may_create});
    UNTIL(turns.up + turns.away > 0);
}

static void opens(void)
{
    open_it(true);
    if (turns.up != 1)
        print_message("%s\n", turns.why);
    assert_int_equal(turns.up, 1);
}

static void refuses(const char *words)
{
    open_it(true);
    assert_int_equal(turns.away, 1);
    if (strstr(turns.why, words) == NULL)
        print_message("%s\n", turns.why);
    assert_non_null(strstr(turns.why, words));
    assert_non_null(strstr(turns.why, path));
    assert_int_equal(set("a", "x", 0), KV_NOT_DONE);
    close_store();
}

/* What the sqlite3 shell says to a text; the caller's to free. */
static char *shell(const char *text)
{
    char command[600];
    struct buf out = {0};
    char bytes[512];
    size_t got;
    snprintf(command, sizeof(command), "sqlite3 '%s' \"%s\" 2>&1", path, text);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    while ((got = fread(bytes, 1, sizeof(bytes), p)) > 0)
        buf_add(&out, bytes, got);
    pclose(p);
    while (out.len > 0 && out.at[out.len - 1] == '\n')
        out.len--;
    return buf_take(&out);
}

static void shell_says(const char *text, const char *answer)
{
    char *got = shell(text);
    assert_string_equal(got, answer);
    free(got);
}

static void put_file(const char *name, const char *bytes, size_t len)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

static void it_is_a_file_that_sqlite_shows(void **state)
{
    struct stat st;
    opens();
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    set("text", "words", 0);
    incr("count", 3);
    set("short", "lived", 60000);
    shell_says("SELECT bucket, key, kind, value, expires IS NULL FROM kv ORDER BY key", /* while it is open */
               "|count|number|3|1\n|short|string|lived|0\n|text|string|words|1");
    shell_says("SELECT count(*) FROM calls", "1");
    shell_says("PRAGMA journal_mode; PRAGMA integrity_check", "wal\nok");
    close_store();
    shell_says("PRAGMA application_id; PRAGMA user_version; SELECT value FROM crescent", "1129465171\n1\n1");
    opens();
    assert_string_equal(get("text"), "words");
    assert_true(incr("count", 1) == 4);
}

static void an_empty_file_is_taken(void **state)
{
    put_file(path, "", 0);
    opens();
    assert_int_equal(set("a", "x", 0), KV_DONE);
}

static void what_is_not_ours_is_refused_and_left_alone(void **state)
{
    struct buf before = {0}, after = {0};
    put_file(path, "#!/bin/sh\nexit\n", 15);
    refuses("is no SQLite database");
    unlink(path);
    free(shell("CREATE TABLE orders (id); INSERT INTO orders VALUES (7)"));
    assert_int_equal(fd_read_file(path, 1 << 20, &before, NULL), 0);
    refuses("is a database of another program");
    assert_int_equal(fd_read_file(path, 1 << 20, &after, NULL), 0);
    assert_true(slice_equal(buf_slice(&before), buf_slice(&after)));
    shell_says("PRAGMA journal_mode; SELECT * FROM orders", "delete\n7");
    buf_free(&before);
    buf_free(&after);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    refuses("Is a directory");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuses("is no regular file");
}

static void a_newer_schema_is_used_where_it_says_so_and_refused_where_not(void **state)
{
    opens();
    set("a", "x", 0);
    close_store();
    free(shell("ALTER TABLE kv ADD COLUMN more; CREATE TABLE events (id); UPDATE crescent SET value = 1; PRAGMA "
               "user_version = 2"));
    opens();
    assert_string_equal(get("a"), "x");
    assert_int_equal(set("b", "y", 0), KV_DONE);
    close_store();
    shell_says("PRAGMA user_version", "2"); /* it stays what it is */
    free(shell("UPDATE crescent SET value = 2; PRAGMA user_version = 3"));
    refuses("was made by a newer version of crescent (its schema is 3, this version knows 1)");
    free(shell("DELETE FROM crescent"));
    refuses("was made by a newer version of crescent");
}

static void a_damaged_file_is_refused(void **state)
{
    struct buf bytes = {0};
    opens();
    for (int i = 0; i < 300; i++) {
        char key[32];
        snprintf(key, sizeof(key), "a key of some length %d", i);
        set(key, "a value that fills pages", 0);
    }
    close_store();
    assert_int_equal(fd_read_file(path, 4 << 20, &bytes, NULL), 0);
    char *whole = malloc(bytes.len);
    memcpy(whole, bytes.at, bytes.len);
    memset(bytes.at + 4096, 0xa5, bytes.len - 4096); /* all but the first page */
    put_file(path, bytes.at, bytes.len);
    open_it(true);
    assert_int_equal(turns.away, 1);
    assert_non_null(strstr(turns.why, path));
    assert_true(strstr(turns.why, "malformed") != NULL || strstr(turns.why, "damaged") != NULL);
    assert_null(strchr(turns.why, '\n'));
    assert_string_equal(get("x"), "(end 3)");
    put_file(path, whole, bytes.len); /* put right: it is found within a moment */
    UNTIL(turns.up == 1);
    assert_string_equal(get("a key of some length 7"), "a value that fills pages");
    close_store();
    put_file(path, whole, bytes.len / 2); /* cut short */
    open_it(true);
    assert_int_equal(turns.away, 1);
    close_store();
    memset(whole, 0, 100); /* no header */
    put_file(path, whole, bytes.len);
    refuses("is no SQLite database, or its beginning was overwritten");
    free(whole);
    buf_free(&bytes);
}

static void two_servers_do_not_share_a_file(void **state)
{
    char words[128];
    int ready[2], leave[2];
    char byte;
    assert_true(pipe(ready) == 0 && pipe(leave) == 0);
    pid_t other = fork();
    if (other == 0) {
        struct error err;
        struct store_place place = {.driver = &sqlite_kv_driver, .path = path, .may_create = true};
        struct store_db *db = sqlite_kv_driver.open(&place, &err);
        close(leave[1]); /* the test's end is this one's, too */
        (void)!write(ready[1], db != NULL ? "y" : "n", 1);
        (void)!read(leave[0], &byte, 1);
        _exit(0); /* without closing anything */
    }
    assert_true(read(ready[0], &byte, 1) == 1 && byte == 'y');
    snprintf(words, sizeof(words), "is in use by another server (its process %d has it)", (int)other);
    refuses(words);
    char link[128]; /* by another name it is the same file */
    snprintf(link, sizeof(link), "%s/link.db", folder);
    assert_int_equal(symlink(path, link), 0);
    snprintf(path, sizeof(path), "%s", link);
    open_it(true);
    assert_int_equal(turns.away, 1);
    assert_non_null(strstr(turns.why, "/x.db is in use by another server"));
    close_store();
    snprintf(path, sizeof(path), "%s/x.db", folder);
    kill(other, SIGKILL);
    assert_int_equal(waitpid(other, NULL, 0), other);
    opens(); /* at once: the lock has gone with the process */
    close(ready[0]), close(ready[1]), close(leave[0]), close(leave[1]);
}

static void what_was_committed_survives_a_kill(void **state)
{
    int report[2];
    char byte;
    assert_int_equal(pipe(report), 0);
    pid_t writer = fork();
    if (writer == 0) {
        struct error err;
        struct store_place place = {.driver = &sqlite_kv_driver, .path = path, .may_create = true};
        struct store_db *db = sqlite_kv_driver.open(&place, &err);
        const struct store_row row = {.value = {.kind = KV_STRING, .bytes = SLICE("kept")}};
        bool good = db != NULL && sqlite_kv_driver.begin(db, true, &err) == 0 &&
                    sqlite_kv_driver.put(db, SLICE(""), SLICE("k"), &row, &err) == 0 &&
                    sqlite_kv_driver.commit(db, &err) == 0 && sqlite_kv_driver.begin(db, true, &err) == 0 &&
                    sqlite_kv_driver.put(db, SLICE(""), SLICE("half"), &row, &err) == 0;
        (void)!write(report[1], good ? "y" : "n", 1);
        pause();
    }
    assert_true(read(report[0], &byte, 1) == 1 && byte == 'y');
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    open_it(false);
    assert_int_equal(turns.up, 1);
    assert_string_equal(get("k"), "kept");
    assert_string_equal(get("half"), "(nothing)");
    close(report[0]), close(report[1]);
}

static void a_file_that_moves_is_noticed_and_none_is_made_in_its_place(void **state)
{
    char aside[160], log[160];
    opens();
    set("a", "x", 0);
    snprintf(aside, sizeof(aside), "%s/aside.db", folder);
    snprintf(log, sizeof(log), "%s-wal", path);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(set("a", "y", 0), KV_UNKNOWN); /* it went into a file that nobody will look for */
    UNTIL(turns.away == 1);
    assert_non_null(strstr(turns.why, "was moved, removed or replaced while it was open"));
    assert_int_equal(set("a", "z", 0), KV_NOT_DONE);
    usleep(1500000);
    assert_int_equal(access(path, F_OK), -1);
    assert_string_equal(get("a"), "(end 3)");
    assert_int_equal(rename(aside, path), 0);
    UNTIL(turns.up == 2);
    assert_int_equal(set("a", "z", 0), KV_DONE);
    assert_string_equal(get("a"), "z");
    assert_int_equal(unlink(log), 0); /* its log alone */
    assert_int_equal(set("a", "w", 0), KV_UNKNOWN);
    UNTIL(turns.up == 3);
    assert_int_equal(set("b", "1", 0), KV_DONE);
}

static void one_that_was_there_is_not_made_anew(void **state)
{
    open_it(false);
    assert_int_equal(turns.away, 1);
    assert_non_null(strstr(turns.why, "has gone; it was there when the server started"));
    assert_int_equal(access(path, F_OK), -1);
}

/* Somebody works on it by hand: we wait, but not for ever. */
static void a_writer_beside_us_is_waited_for(void **state)
{
    char command[256];
    opens();
    set("a", "x", 0);
    snprintf(command, sizeof(command),
             "(echo 'BEGIN IMMEDIATE;'; sleep 1; echo \"UPDATE kv SET value = 'by hand'; COMMIT;\") | sqlite3 '%s'",
             path);
    FILE *p = popen(command, "r");
    usleep(400000);
    assert_int_equal(set("b", "y", 0), KV_DONE);
    pclose(p);
    assert_string_equal(get("a"), "by hand");
    assert_int_equal(turns.away, 0);
}

/* Whoever reads it is told; the store stays, for all others. */
static void what_we_would_never_write_is_no_value(void **state)
{
    static const char *const changes[] = {"kind = 'odd'", "kind = 'number'", "kind = 'number', value = 9e999",
                                          "value = 7", "value = printf('%1048577d', 1)"};
    char command[256];
    opens();
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        set("a", "x", 0);
        snprintf(command, sizeof(command), "UPDATE kv SET %s WHERE key = 'a'", changes[i]);
        free(shell(command));
        assert_int_equal(simple(KV_GET, "a"), KV_SPOILED);
        assert_true(incr("a", 1) == -1000 - (double)KV_NOT_A_NUMBER);
        assert_int_equal(set("b", "y", 0), KV_DONE);
    }
    assert_int_equal(turns.away, 0);
}

/* As a worker does it, whose calls are answered after a while: a row stays small. */
static void answers_outlive_the_keeper_and_take_little_room(void **state)
{
    struct operation o, again;
    opens();
    uint64_t first = calls + 1;
    for (int i = 0; i < 300; i++) {
        make(&o, i % 2 == 0 ? KV_INCR : KV_ADD, i % 2 == 0 ? "n" : "once", NULL, 1);
        o.op.settled = o.op.number > first + 64 ? o.op.number - 64 : 0;
        run(&o);
    }
    shell_says("SELECT count(*), max(length(answer)) < 1200 FROM calls", "1|1");
    close_store();
    opens();
    make(&again, KV_INCR, "n", NULL, 1);
    again.op.number = o.op.number - 1;
    run(&again);
    assert_true(again.op.answer.number == 150);
    make(&again, KV_ADD, "once", NULL, 1);
    again.op.number = o.op.number;
    run(&again);
    assert_int_equal(again.op.answer.kind, KV_FALSE);
    assert_string_equal(get("n"), "150");
    free(shell("UPDATE calls SET answer = x'00'")); /* what we would never write */
    close_store();
    opens();
    assert_true(incr("n", 1) == -1000 - KV_NOT_DONE);
    assert_non_null(strstr(turns.why, "the answers that are kept for a worker's calls cannot be read"));
    life++;
    UNTIL(turns.up == 2);
    assert_true(incr("n", 1) == 151);
}

static bool in_calls(const char *count)
{
    char *got = shell("SELECT count(*) FROM calls");
    bool equal = strcmp(got, count) == 0;
    free(got);
    return equal;
}

static void answers_are_forgotten_after_their_minute(void **state)
{
    opens();
    for (int i = 0; i < 20; i++)
        life++, incr("n", 1);
    free(shell("INSERT INTO calls VALUES (x'00112233445566778899aabbccddeeff', 1, x'00')")); /* an earlier version's */
    free(shell("UPDATE calls SET done = done - 61000"));
    UNTIL(in_calls("0")); /* though nobody asks */
    for (int i = 0; i < 10; i++)
        life++, incr("n", 1);
    free(shell("UPDATE calls SET done = done + 3600000")); /* the clock was set back by an hour */
    UNTIL(in_calls("0"));
    assert_true(incr("n", 0) == 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_a_file_that_sqlite_shows, begin, end),
        cmocka_unit_test_setup_teardown(an_empty_file_is_taken, begin, end),
        cmocka_unit_test_setup_teardown(what_is_not_ours_is_refused_and_left_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_newer_schema_is_used_where_it_says_so_and_refused_where_not, begin, end),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(two_servers_do_not_share_a_file, begin, end),
        cmocka_unit_test_setup_teardown(what_was_committed_survives_a_kill, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_moves_is_noticed_and_none_is_made_in_its_place, begin, end),
        cmocka_unit_test_setup_teardown(one_that_was_there_is_not_made_anew, begin, end),
        cmocka_unit_test_setup_teardown(a_writer_beside_us_is_waited_for, begin, end),
        cmocka_unit_test_setup_teardown(what_we_would_never_write_is_no_value, begin, end),
        cmocka_unit_test_setup_teardown(answers_outlive_the_keeper_and_take_little_room, begin, end),
        cmocka_unit_test_setup_teardown(answers_are_forgotten_after_their_minute, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
