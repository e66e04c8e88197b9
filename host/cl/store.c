#include "cl/store.h"

#include "base/file.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Another process may write, to a slow disk: wait so long for it, in milliseconds. */
enum { PATIENCE = 10000 };

struct store {
    sqlite3 *database;
    size_t limit; /* bytes of programs */
};

/* A journal beside the database lets readers go on while one writes; a write that a crash of the
 * machine loses is compiled again. */
static const char schema[] = "PRAGMA journal_mode = WAL;"
                             "PRAGMA synchronous = NORMAL;"
                             "CREATE TABLE IF NOT EXISTS programs ("
                             "  key TEXT PRIMARY KEY,"
                             "  used INTEGER NOT NULL,"            /* the day */
                             "  state INTEGER NOT NULL DEFAULT 0," /* enum state */
                             "  checksum INTEGER NOT NULL,"
                             "  bytes INTEGER NOT NULL,"
                             "  program BLOB NOT NULL);"
                             "CREATE TABLE IF NOT EXISTS tunings ("
                             "  device TEXT NOT NULL," /* device_key */
                             "  kernel TEXT NOT NULL," /* and so on as in struct tuning */
                             "  problem TEXT NOT NULL,"
                             "  source INTEGER NOT NULL," /* the hash's bits */
                             "  chosen TEXT NOT NULL,"
                             "  seconds REAL NOT NULL,"
                             "  seconds_before REAL NOT NULL,"
                             "  origin INTEGER NOT NULL,"
                             "  PRIMARY KEY (device, kernel, problem));";

/* A program was kept, was handed out to a driver, was taken by it. */
enum state { STATE_KEPT, STATE_TRIED, STATE_PROVEN };

#define TODAY "CAST(julianday('now') AS INTEGER)"

/* ---- opening ---- */

/* SQLite's code; what was opened is to be closed in any case. Of several processes that make the
 * database at once all but one are refused the journal, and SQLite's own timeout does not wait
 * for that. */
static int connect(sqlite3 **database, const char *path) {
    enum { PAUSE = 5 };
    int code = sqlite3_open(path, database);
    if (code == SQLITE_OK)
        code = sqlite3_exec(*database, schema, NULL, NULL, NULL);
    for (int waited = 0; code == SQLITE_BUSY && waited < PATIENCE; waited += PAUSE) {
        (void)sqlite3_sleep(PAUSE);
        code = sqlite3_exec(*database, schema, NULL, NULL, NULL);
    }
    return code == SQLITE_OK ? sqlite3_busy_timeout(*database, PATIENCE) : code;
}

static void remove_database(const char *path) {
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char *file = sqlite3_mprintf("%s%s", path, endings[i]);
        if (file)
            (void)remove(file);
        sqlite3_free(file);
    }
}

static sqlite3 *open_database(const char *path) {
    sqlite3 *database = NULL;
    int code = connect(&database, path);
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
        (void)sqlite3_close(database);
        remove_database(path);
        code = connect(&database, path);
    }
    if (code == SQLITE_OK)
        return database;
    (void)sqlite3_close(database);
    return NULL;
}

struct store *store_open(const char *path) {
    char *own = NULL;
    if (!path)
        path = getenv("CLNET_STORE");
    if (!path && file_cache_path(&own, "store.sqlite") == 0)
        path = own;
    struct store *store = path && path[0] ? calloc(1, sizeof *store) : NULL;
    if (store)
        *store = (struct store){.database = open_database(path), .limit = STORE_PROGRAM_BYTES};
    free(own);
    if (store && !store->database) {
        free(store);
        store = NULL;
    }
    return store;
}

void store_close(struct store *store) {
    if (!store)
        return;
    (void)sqlite3_close(store->database);
    free(store);
}

void store_set_limit(struct store *store, size_t bytes) {
    store->limit = bytes;
}

/* ---- programs ---- */

/* A statement about the program of a key, its first parameter; NULL where that fails. */
static sqlite3_stmt *prepare(struct store *store, const char *sql, const char *key) {
    sqlite3_stmt *statement = NULL;
    if (!store || sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL) != SQLITE_OK)
        return NULL;
    (void)sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    return statement;
}

/* Runs it, whether or not it works, and frees it. */
static void finish(sqlite3_stmt *statement) {
    (void)sqlite3_step(statement);
    (void)sqlite3_finalize(statement);
}

/* SQLite would hand out a damaged page as it is, and a driver might run it. */
static sqlite3_int64 checksum_of(const void *program, size_t bytes) {
    return (sqlite3_int64)XXH3_64bits(program, bytes);
}

/* A program from a row of state, checksum and program, if it is whole and did no harm before. */
static unsigned char *copy_program(sqlite3_stmt *row, size_t *bytes) {
    const void *program = sqlite3_column_blob(row, 2);
    size_t size = (size_t)sqlite3_column_bytes(row, 2);
    if (!program || size == 0 || sqlite3_column_int(row, 0) == STATE_TRIED ||
        checksum_of(program, size) != sqlite3_column_int64(row, 1))
        return NULL;
    unsigned char *copy = malloc(size);
    if (copy)
        memcpy(copy, program, size);
    *bytes = size;
    return copy;
}

static void set_state(struct store *store, const char *key, enum state state) {
    sqlite3_stmt *update =
        prepare(store, "UPDATE programs SET state = ?2, used = " TODAY " WHERE key = ?1", key);
    (void)sqlite3_bind_int(update, 2, state);
    finish(update);
}

unsigned char *store_find_program(struct store *store, const char *key, size_t *bytes) {
    sqlite3_stmt *row = prepare(
        store, "SELECT state, checksum, program, used < " TODAY " FROM programs WHERE key = ?",
        key);
    if (!row || sqlite3_step(row) != SQLITE_ROW) {
        (void)sqlite3_finalize(row);
        return NULL;
    }
    unsigned char *program = copy_program(row, bytes);
    int is_proven = sqlite3_column_int(row, 0) == STATE_PROVEN, is_old = sqlite3_column_int(row, 3);
    (void)sqlite3_finalize(row);
    if (!program)
        store_drop_program(store, key);
    else if (!is_proven)
        set_state(store, key, STATE_TRIED);
    else if (is_old)
        set_state(store, key, STATE_PROVEN);
    return program;
}

void store_prove_program(struct store *store, const char *key) {
    finish(prepare(store, "UPDATE programs SET state = 2 WHERE key = ? AND state <> 2", key));
}

/* Makes room: what was used last stays, as much of it as there is room for. */
static void prune(struct store *store) {
    sqlite3_stmt *statement = NULL;
    (void)sqlite3_prepare_v2(
        store->database,
        "DELETE FROM programs WHERE key IN (SELECT key FROM (SELECT key, sum(bytes) OVER "
        "(ORDER BY used DESC, rowid DESC) AS total FROM programs) WHERE total > ?)",
        -1, &statement, NULL);
    (void)sqlite3_bind_int64(statement, 1, (sqlite3_int64)store->limit);
    finish(statement);
}

void store_keep_program(struct store *store, const char *key, const unsigned char *program,
                        size_t bytes) {
    sqlite3_stmt *statement =
        prepare(store,
                "INSERT OR REPLACE INTO programs (key, used, checksum, bytes, program) "
                "VALUES (?1, " TODAY ", ?2, ?3, ?4)",
                key);
    if (!statement)
        return;
    (void)sqlite3_bind_int64(statement, 2, checksum_of(program, bytes));
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)bytes);
    (void)sqlite3_bind_blob64(statement, 4, program, bytes, SQLITE_STATIC);
    finish(statement);
    prune(store);
}

void store_drop_program(struct store *store, const char *key) {
    finish(prepare(store, "DELETE FROM programs WHERE key = ?", key));
}

/* ---- tunings ---- */

int store_keep_tuning(struct store *store, const char *device, const struct tuning *tuning) {
    sqlite3_stmt *insert = prepare(
        store, "INSERT OR REPLACE INTO tunings VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", device);
    if (!insert)
        return 0;
    (void)sqlite3_bind_text(insert, 2, tuning->kernel, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(insert, 3, tuning->problem, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(insert, 4, (sqlite3_int64)tuning->source);
    (void)sqlite3_bind_text(insert, 5, tuning->values, -1, SQLITE_STATIC);
    (void)sqlite3_bind_double(insert, 6, tuning->seconds);
    (void)sqlite3_bind_double(insert, 7, tuning->seconds_before);
    (void)sqlite3_bind_int(insert, 8, tuning->origin);
    int code = sqlite3_step(insert);
    (void)sqlite3_finalize(insert);
    return code == SQLITE_DONE;
}

/* A text that is too long for its place is cut, and then names nothing. */
static void copy_text(char *to, size_t size, sqlite3_stmt *row, int column) {
    const unsigned char *text = sqlite3_column_text(row, column);
    (void)snprintf(to, size, "%s", text ? (const char *)text : "");
}

static struct tuning read_tuning(sqlite3_stmt *row) {
    struct tuning tuning = {.source = (uint64_t)sqlite3_column_int64(row, 2),
                            .seconds = sqlite3_column_double(row, 4),
                            .seconds_before = sqlite3_column_double(row, 5)};
    int origin = sqlite3_column_int(row, 6);
    copy_text(tuning.kernel, sizeof tuning.kernel, row, 0);
    copy_text(tuning.problem, sizeof tuning.problem, row, 1);
    copy_text(tuning.values, sizeof tuning.values, row, 3);
    tuning.origin = origin >= 0 && origin <= ORIGIN_FULL ? (enum origin)origin : ORIGIN_IMPORTED;
    return tuning;
}

int store_find_tunings(struct store *store, const char *device, struct tunings *tunings) {
    sqlite3_stmt *row = prepare(store,
                                "SELECT kernel, problem, source, chosen, seconds, seconds_before, "
                                "origin FROM tunings WHERE device = ?",
                                device);
    int rc = 0;
    while (rc == 0 && row && sqlite3_step(row) == SQLITE_ROW) {
        struct tuning tuning = read_tuning(row);
        rc = tunings_set(tunings, &tuning);
    }
    (void)sqlite3_finalize(row);
    return rc;
}
