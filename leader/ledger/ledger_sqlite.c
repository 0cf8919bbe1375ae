/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite - the embedded ledger: one file, leader.db, for one leader.
 *
 * An entity's row holds its newest version as msgpack. A delete leaves its row as a tombstone until
 * LEDGER_CHANGES_KEPT revisions later; `forgotten` in meta is the newest revision of a tombstone that is gone.
 * So whatever changed after any revision from `forgotten` on is found in this table.
 */
#include "leader/ledger/ledger_sqlite.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/file.h"
#include "common/file_lock.h"

#define SCHEMA_VERSION 4 /* LEDGER_SQLITE_VERSION */
#define UNSETTLED      5 /* LEDGER_SQLITE_UNSETTLED: of this version too */
#define TEXT_(number)  #number
#define TEXT(number)   TEXT_(number)

static const char schema[] =
	"CREATE TABLE meta (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE entity (kind INTEGER NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL,"
	" deleted INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;"
	"CREATE INDEX entity_revision ON entity (revision);"
	"CREATE INDEX entity_deleted ON entity (revision) WHERE deleted;"
	"CREATE TABLE member (name TEXT PRIMARY KEY, process TEXT NOT NULL, boot TEXT NOT NULL, url TEXT NOT "
	"NULL,"
	" zone TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL, revision INTEGER NOT NULL,"
	" seen INTEGER NOT NULL, lost INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE key_usage (apikey TEXT NOT NULL, window TEXT NOT NULL, calls INTEGER NOT NULL,"
	" bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, PRIMARY KEY (apikey, window)) WITHOUT ROWID;"
	"CREATE INDEX key_usage_window ON key_usage (window);"
	"CREATE TABLE repository_usage (name TEXT PRIMARY KEY, pulls INTEGER NOT NULL, pushes INTEGER NOT "
	"NULL,"
	" bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('revision', 0), ('forgotten', 0);"
	"PRAGMA user_version = 1;";

/* `finished` of a boot: 1 when it is over, 2 when its grants are folded too. */
static const char counts[] =
	"CREATE TABLE pushed (boot TEXT PRIMARY KEY, worker TEXT NOT NULL, seq INTEGER NOT NULL,"
	" number INTEGER NOT NULL, finished INTEGER NOT NULL, gone INTEGER NOT NULL, seen INTEGER NOT NULL)"
	" WITHOUT ROWID;"
	"CREATE INDEX pushed_finished ON pushed (boot) WHERE finished = 1;"
	"CREATE INDEX pushed_gone ON pushed (seen) WHERE gone = 1;"
	"CREATE TABLE held_grant (day TEXT NOT NULL, apikey TEXT NOT NULL, boot TEXT NOT NULL,"
	" granted INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (day, apikey, boot)) WITHOUT ROWID;"
	"CREATE INDEX held_grant_boot ON held_grant (boot);"
	"CREATE TABLE life (place INTEGER PRIMARY KEY, id TEXT NOT NULL, dealings INTEGER NOT NULL, heard "
	"INTEGER NOT NULL);"
	"PRAGMA user_version = 2;";

/* Version 1 knew reports and grants by worker and boot. */
static const char to_counts_before[] = "ALTER TABLE pushed RENAME TO pushed_1;"
				       "ALTER TABLE held_grant RENAME TO held_grant_1;";
static const char to_counts_after[] =
	"INSERT INTO held_grant SELECT day, apikey, iif(finished, '', boot),"
	" sum(min(granted, " TEXT(LEDGER_GRANT_MAX) ")), sum(min(used, " TEXT(
		LEDGER_GRANT_MAX) "))"
				  " FROM held_grant_1 GROUP BY 1, 2, 3;"
				  "INSERT INTO pushed SELECT boot, max(worker), max(seq), 0,"
				  " iif(boot IN (SELECT boot FROM held_grant_1 WHERE finished), 2, 0), 0, "
				  "max(seen) FROM pushed_1 GROUP BY boot;"
				  "DROP TABLE pushed_1; DROP TABLE held_grant_1;";

/* Version 2 did not know which calls were part of a grant: those that a grant can explain are taken for it. */
static const char ungranted[] = "ALTER TABLE key_usage ADD COLUMN ungranted INTEGER NOT NULL DEFAULT 0;"
				"UPDATE key_usage SET ungranted = max(0, calls - ifnull((SELECT sum(used)"
				" FROM held_grant WHERE day = window AND held_grant.apikey = "
				"key_usage.apikey), 0));"
				"PRAGMA user_version = 3;";

/* Version 3 knew no quotas of a month: none of its calls was part of a grant of them, nor any byte. */
static const char of_months[] =
	"UPDATE key_usage SET ungranted = calls WHERE length(window) = 7;"
	"INSERT INTO key_usage (apikey, window, calls, bytes_in, bytes_out, ungranted) SELECT apikey,"
	" window || '#bytes', min(bytes_in, 1 << 61) + min(bytes_out, 1 << 61), 0, 0,"
	" min(bytes_in, 1 << 61) + min(bytes_out, 1 << 61) FROM key_usage"
	" WHERE length(window) = 7 AND (bytes_in > 0 OR bytes_out > 0);"
	"PRAGMA user_version = 4;";

/* Whose it is, which states it has had, and whom members serve. The program before reads a ledger that has these, and does not
 * write them: then nothing is known of before its last write. The index of revisions, which it made, cost a page of its own with each write. */
static const char histories[] =
	"CREATE TABLE IF NOT EXISTS cluster (id TEXT NOT NULL, generation INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS pair (revision INTEGER NOT NULL, digest BLOB NOT NULL,"
	" PRIMARY KEY (revision, digest)) WITHOUT ROWID;"
	"CREATE TABLE IF NOT EXISTS member_tenants (name TEXT PRIMARY KEY, tenants TEXT NOT NULL) WITHOUT "
	"ROWID;"
	"DROP INDEX IF EXISTS entity_revision;"
	"DELETE FROM pair WHERE (SELECT max(revision) FROM pair) <"
	" (SELECT number FROM meta WHERE name = 'revision');";

/* Open. */

static bool read_number(struct sqlite *db, const char *name, uint64_t *ret, struct error *err)
{
	struct sql q = sql_of(db, "SELECT number FROM meta WHERE name = ?");
	uint64_t number = 0;

	sql_text(&q, name);
	while (sql_next(&q))
		number = sql_column_count(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret = number;
	return true;
}

static bool read_version(struct sqlite *db, int64_t *ret, struct error *err)
{
	struct sql q = sql_of(db, "PRAGMA user_version");
	int64_t version = 0;

	while (sql_next(&q))
		version = sql_column_int(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret = version;
	return true;
}

static bool make_counts(struct sqlite *db, int64_t version, struct error *err)
{
	if (!version)
		return sqlite_exec(db, schema, err) && sqlite_exec(db, counts, err);
	return sqlite_exec(db, to_counts_before, err) && sqlite_exec(db, counts, err) &&
	       sqlite_exec(db, to_counts_after, err);
}

static bool make_cluster(struct sqlite *db, struct error *err)
{
	struct sql q = sql_of(db, "INSERT INTO cluster SELECT ?, 1 WHERE NOT EXISTS (SELECT * FROM cluster)");
	char id[HISTORY_CLUSTER_SIZE];

	random_hex(id, (HISTORY_CLUSTER_SIZE - 1) / 2);
	sql_text(&q, id);
	return sql_run(&q, err);
}

static bool make_tables(struct sqlite *db, int64_t version, struct error *err)
{
	if (version < 2 && !make_counts(db, version, err))
		return false;
	if (version < 3 && !sqlite_exec(db, ungranted, err))
		return false;
	return sqlite_exec(db, of_months, err);
}

static bool make_schema(struct sqlite *db, struct error *err)
{
	int64_t version;

	if (!read_version(db, &version, err))
		return false;
	if (version > UNSETTLED)
		return error_set(err, ERROR_INVALID, NULL,
			"made by a newer zot-leader (version %" PRId64
			" of the tables, this one, " ZOT_VERSION
			", knows %d): start the newer one, or put back the copy of before the upgrade",
			version, SCHEMA_VERSION);
	if (version >= SCHEMA_VERSION)
		return true;
	if (!sqlite_begin(db, err))
		return false;
	if (!make_tables(db, version, err)) {
		sqlite_rollback(db);
		return false;
	}
	return sqlite_commit(db, err);
}

static bool read_history(struct sqlite *db, struct history *ret, struct error *err)
{
	struct sql q = sql_of(db, "SELECT id, generation FROM cluster");
	struct history history = { 0 };
	bool good = false;

	while (sql_next(&q))
		good = history_set(&history, str_of(sql_column_text(&q, 0)), sql_column_count(&q, 1));
	if (!sql_end(&q, err))
		return false;
	*ret = history;
	return good || error_set(err, ERROR_INVALID, NULL, "its table \"cluster\" is damaged");
}

/* Usage and reports of long ago. */
static bool prune(struct sqlite *db, struct error *err)
{
	int64_t then = clock_wall_s() - (int64_t)LEDGER_DAYS_KEPT * 86400;
	char day[11];

	clock_day(then, day);
	struct sql windows = sql_of(db, "DELETE FROM key_usage WHERE window < ?");
	sql_text(&windows, day);
	if (!sql_run(&windows, err))
		return false;
	struct sql pushed = sql_of(db, "DELETE FROM pushed WHERE seen < ?");
	sql_int(&pushed, then);
	if (!sql_run(&pushed, err))
		return false;
	clock_day(clock_wall_s() - (int64_t)2 * 86400, day);
	struct sql grants = sql_of(db, "DELETE FROM held_grant WHERE NOT " LEDGER_SQLITE_SINCE
				       " OR (day = 'second' AND granted = 0)");
	sql_text(&grants, day);
	return sql_run(&grants, err);
}

static void close_ledger(struct ledger *ledger)
{
	struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;

	sqlite_free(own->db);
	if (own->lock_fd >= 0)
		(void)close(own->lock_fd);
	free(own);
}

/* Entities. */

static bool decode(struct str bytes, struct entity **ret, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;

	return pack_parse(bytes, &doc, err) && entity_decode(pack_root(doc), ret, err);
}

static const char *kind_text(int64_t kind)
{
	return kind >= 0 && kind < ENTITY_KINDS ? entity_kind_name((enum entity_kind)kind)
						: "of a kind that a newer version has";
}

static bool load_entities(
	struct ledger *ledger, ledger_entity_f *fn, void *arg, struct ledger_loaded *ret, struct error *err)
{
	struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	struct sql q = sql_of(own->db, "SELECT kind, id, body FROM entity");
	bool ok = true;

	while (ok && sql_next(&q)) {
		AUTO(entity) *entity = NULL;

		if (!decode(sql_column_bytes(&q, 2), &entity, err)) {
			(void)error_add(err, "entity %s %s", kind_text(sql_column_int(&q, 0)),
				sql_column_text(&q, 1));
			ok = false;
		} else if (!fn(arg, entity)) {
			break;
		}
	}
	if (!sql_end(&q, ok ? err : NULL) || !ok)
		return false;
	*ret = (struct ledger_loaded){
		.revision = own->revision, .forgotten = own->forgotten, .history = own->history
	};
	return true;
}

bool ledger_sqlite_revision(
	struct sqlite *db, const struct entity *entity, bool deleted, uint64_t *ret, struct error *err)
{
	struct sql q = sql_of(db, "SELECT revision FROM entity WHERE kind = ? AND id = ? AND deleted <= ?");
	uint64_t revision = 0;

	sql_int(&q, entity_kind(entity));
	sql_str(&q, entity_id(entity));
	sql_int(&q, deleted);
	while (sql_next(&q))
		revision = sql_column_count(&q, 0);
	if (!sql_end(&q, err))
		return false;
	*ret = revision;
	return true;
}

bool ledger_sqlite_put_entity(
	struct sqlite *db, const struct entity *entity, uint64_t revision, struct error *err)
{
	AUTO(entity) *stamped = entity_with_revision(entity, revision);
	AUTO_FINI(buf) body = buf_limit(LEDGER_ENTITY_ROOM);

	if (!ledger_entity_encode(stamped, &body, err))
		return false;
	struct sql q = sql_of(db, "INSERT OR REPLACE INTO entity VALUES (?, ?, ?, ?, ?)");
	sql_int(&q, entity_kind(entity));
	sql_str(&q, entity_id(entity));
	sql_count(&q, revision);
	sql_int(&q, entity_is_deleted(entity));
	sql_bytes(&q, buf_str(&body));
	return sql_run(&q, err);
}

bool ledger_sqlite_put_number(struct sqlite *db, const char *name, uint64_t number, struct error *err)
{
	struct sql q = sql_of(db, "UPDATE meta SET number = ? WHERE name = ?");

	sql_count(&q, number);
	sql_text(&q, name);
	return sql_run(&q, err);
}

/* *ret_forgotten is raised to the newest tombstone that went. */
static bool forget_tombstones(struct sqlite *db, uint64_t upto, uint64_t *ret_forgotten, struct error *err)
{
	struct sql newest = sql_of(db, "SELECT max(revision) FROM entity WHERE deleted AND revision <= ?");
	uint64_t forgotten = 0;

	sql_count(&newest, upto);
	while (sql_next(&newest))
		forgotten = sql_column_count(&newest, 0);
	if (!sql_end(&newest, err))
		return false;
	if (!forgotten)
		return true;
	struct sql gone = sql_of(db, "DELETE FROM entity WHERE deleted AND revision <= ?");
	sql_count(&gone, upto);
	if (!sql_run(&gone, err) || !ledger_sqlite_put_number(db, "forgotten", forgotten, err))
		return false;
	*ret_forgotten = forgotten;
	return true;
}

static enum ledger_result check_all(struct ledger_sqlite *own, const struct ledger_change *changes,
	size_t len, uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	uint64_t stored;

	for (size_t i = 0; i < len; i++) {
		if (!changes[i].check)
			continue;
		if (!ledger_sqlite_revision(own->db, changes[i].entity, false, &stored, err))
			return LEDGER_FAILED;
		if (stored != changes[i].expected) {
			*ret_revision = stored;
			*ret_at = i;
			return LEDGER_STALE;
		}
	}
	return LEDGER_WRITTEN;
}

static bool put_name(struct sqlite *db, const struct entity *entity, struct error *err)
{
	return entity_kind(entity) != ENTITY_APIKEY || entity_is_deleted(entity) ||
	       ledger_sqlite_put_name(db, entity, err);
}

/* Pairs. */

static bool load_pairs(struct ledger *ledger, ledger_pair_f *fn, void *arg, struct error *err)
{
	const struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	struct sql q =
		sql_of(own->db, "SELECT revision, digest FROM pair WHERE revision <= ? ORDER BY revision");
	bool more = true;

	sql_count(&q, own->revision);
	while (more && sql_next(&q)) {
		struct str digest = sql_column_bytes(&q, 1);
		struct ledger_pair pair = { .revision = sql_column_count(&q, 0) };

		if (digest.len != sizeof(pair.digest))
			continue;
		memcpy(pair.digest, digest.at, digest.len);
		more = fn(arg, &pair);
	}
	return sql_end(&q, err);
}

static bool put_pair(struct ledger *ledger, const struct ledger_pair *pair, struct error *err)
{
	struct sql q = sql_of(ledger_sqlite_db(ledger), "INSERT OR IGNORE INTO pair VALUES (?, ?)");

	sql_count(&q, pair->revision);
	sql_bytes(&q, str_from((const char *)pair->digest, sizeof(pair->digest)));
	return sql_run(&q, err);
}

bool ledger_sqlite_remember_pair(struct ledger_sqlite *own, const struct ledger_pair *pair, struct error *err)
{
	struct sql gone = sql_of(own->db, "DELETE FROM pair WHERE revision <= ?");

	if (!put_pair(&own->ledger, pair, err))
		return false;
	if (pair->revision <= LEDGER_CHANGES_KEPT)
		return true;
	sql_count(&gone, pair->revision - LEDGER_CHANGES_KEPT);
	return sql_run(&gone, err);
}

/* Writing. */

static bool put_all(struct ledger_sqlite *own, const struct ledger_change *changes, size_t len,
	const struct ledger_pair *pair, uint64_t *ret_forgotten, struct error *err)
{
	uint64_t revision = pair->revision;

	for (size_t i = 0; i < len; i++)
		if (!ledger_sqlite_put_entity(own->db, changes[i].entity, revision, err) ||
			!put_name(own->db, changes[i].entity, err) ||
			(changes[i].audit &&
				!ledger_sqlite_put_audit_row(own->db, changes[i].audit, revision, err)))
			return false;
	/* One that is forgotten before an older entity of its name is settled would bring that back. */
	if (revision > LEDGER_CHANGES_KEPT && !own->unsettled &&
		!forget_tombstones(own->db, revision - LEDGER_CHANGES_KEPT, ret_forgotten, err))
		return false;
	return ledger_sqlite_remember_pair(own, pair, err) &&
	       ledger_sqlite_put_number(own->db, "revision", revision, err);
}

static enum ledger_result write_batch(struct ledger *ledger, const struct ledger_change *changes, size_t len,
	const uint8_t digest[ENTITY_HASH_BYTES], uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	struct ledger_sqlite *own = (struct ledger_sqlite *)ledger;
	struct ledger_pair pair = { .revision = own->revision + 1 };
	uint64_t forgotten = own->forgotten;
	enum ledger_result result;

	memcpy(pair.digest, digest, sizeof(pair.digest));
	if (!sqlite_begin(own->db, err))
		return LEDGER_FAILED;
	result = own->unsettled ? LEDGER_WRITTEN : check_all(own, changes, len, ret_revision, ret_at, err);
	if (result == LEDGER_WRITTEN && !put_all(own, changes, len, &pair, &forgotten, err))
		result = LEDGER_FAILED;
	if (result != LEDGER_WRITTEN) {
		sqlite_rollback(own->db);
		return result;
	}
	if (!sqlite_commit(own->db, err))
		return LEDGER_FAILED;
	own->forgotten = forgotten;
	*ret_revision = ++own->revision;
	return LEDGER_WRITTEN;
}

static const struct ledger_driver driver = {
	.close = close_ledger,
	.load_entities = load_entities,
	.load_members = ledger_sqlite_load_members,
	.load_grants = ledger_sqlite_load_grants,
	.load_pairs = load_pairs,
	.put_pair = put_pair,
	.write = write_batch,
	.stage_begin = ledger_sqlite_stage_begin,
	.stage_put = ledger_sqlite_stage_put,
	.stage_publish = ledger_sqlite_stage_publish,
	.stage_drop = ledger_sqlite_stage_drop,
	.is_settled = ledger_sqlite_is_settled,
	.settle = ledger_sqlite_settle,
	.load_gone = ledger_sqlite_load_gone,
	.begin_life = ledger_sqlite_begin_life,
	.put_heard = ledger_sqlite_put_heard,
	.boot = ledger_sqlite_boot,
	.merge_usage = ledger_sqlite_merge_usage,
	.fold = ledger_sqlite_fold,
	.put_member = ledger_sqlite_put_member,
	.delete_member = ledger_sqlite_delete_member,
	.calls = ledger_sqlite_calls,
	.list_keys = ledger_sqlite_list_keys,
	.sum_keys = ledger_sqlite_sum_keys,
	.list_repositories = ledger_sqlite_list_repositories,
	.put_audit = ledger_sqlite_put_audit,
	.expired = ledger_sqlite_expired,
	.put_expired = ledger_sqlite_put_expired,
	.list_audit = ledger_sqlite_list_audit,
	.sweep_audit = ledger_sqlite_sweep_audit,
};

/* What SQLite makes beside it gets the file's mode. */
static bool keep_private(const char *path, struct error *err)
{
	static const char *const beside[] = { "-wal", "-shm", "-journal" };

	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		AUTO_FINI(buf) other = buf_limit(4096);

		buf_format(&other, "%s%s", path, beside[i]);
		if (!other.failed)
			file_tighten(buf_text(&other));
	}
	return file_keep_private(path, err);
}

bool ledger_sqlite_lock(const char *folder, int *ret_fd, struct error *err)
{
	struct error why;

	if (file_lock_folder(folder, "leader.lock", 0, ret_fd, &why) || why.kind == ERROR_UNAVAILABLE)
		return true;
	return error_set(err, ERROR_UNAVAILABLE, NULL,
		"%s: another process, a running zot-leader, has this folder", folder);
}

bool ledger_sqlite_prepare(struct sqlite *db, bool new, struct ledger_loaded *ret, struct error *err)
{
	struct ledger_loaded loaded;
	int64_t version;

	if (!read_version(db, &version, err))
		return false;
	if (!version && !new)
		return error_set(err, ERROR_INVALID, NULL, "not a leader's store: it has no tables of ours");
	if (!make_schema(db, err) || !sqlite_exec(db, histories, err) || !make_cluster(db, err) ||
		!ledger_sqlite_make_audit(db, err) || !ledger_sqlite_make_names(db, err) ||
		!ledger_sqlite_settle_all(db, err) || !read_number(db, "revision", &loaded.revision, err) ||
		!read_number(db, "forgotten", &loaded.forgotten, err) ||
		!read_history(db, &loaded.history, err))
		return false;
	*ret = loaded;
	return true;
}

static bool open_db(const char *folder, struct sqlite **ret_db, struct ledger_loaded *ret, struct error *err)
{
	AUTO(sqlite) *db = NULL;
	AUTO_FINI(buf) path = buf_limit(4096);

	buf_format(&path, "%s/leader.db", folder);
	if (!buf_check(&path, "path of the store", err) || !keep_private(buf_text(&path), err) ||
		!sqlite_open(&db, buf_text(&path), err))
		return false;
	if (!ledger_sqlite_prepare(db, true, ret, err) || !prune(db, err) ||
		!ledger_sqlite_open_names(db, err) || !file_sync_folder(folder, err))
		return error_add(err, "%s", buf_text(&path));
	*ret_db = TAKE(db);
	return true;
}

bool ledger_open_sqlite(struct ledger **ret_ledger, const char *folder, struct error *err)
{
	struct ledger_loaded loaded;
	struct ledger_sqlite *own;
	AUTO(sqlite) *db = NULL;
	AUTO_FD lock = -1;

	if (!file_make_folders(folder, 0700, err) || !ledger_sqlite_lock(folder, &lock, err) ||
		!open_db(folder, &db, &loaded, err))
		return false;
	own = xnew(struct ledger_sqlite);
	own->ledger.driver = &driver;
	own->db = TAKE(db);
	own->lock_fd = TAKE_FD(lock);
	own->revision = loaded.revision;
	own->forgotten = loaded.forgotten;
	own->history = loaded.history;
	*ret_ledger = &own->ledger;
	return true;
}
