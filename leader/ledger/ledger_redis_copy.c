/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_copy - what lies in Redis becomes an SQLite file, while others write.
 *
 * It is read bit by bit, and then the commands of the entries since the place from before the first bit are carried out in the file: so it
 * is of the moment of the last of them. Sets and zsets that are there to find something else are left out.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/file.h"
#include "leader/ledger/ledger_redis.h"
#include "leader/ledger/ledger_rows.h"
#include "leader/ledger/ledger_sqlite.h"

#define PAGE 500

/* A hash: which rows its fields are. */
struct source {
	enum ledger_table table;
	char *key;       /* without the prefix */
	struct str part; /* of its rows: a window, or "<day>:<boot>"; in key */
};

struct ledger_redis_copy {
	struct ledger_redis *own;
	struct sqlite *db;
	struct source *sources;
	size_t sources_len, at;
	char cursor[24];
	uint64_t audit_after[2]; /* the newest that was read of changes and refusals */
	unsigned stage;
	struct ledger_redis_place place;
	struct ledger_whole whole;
	struct ledger_life *lives;
	size_t lives_len;
	char token[17];     /* of a large write that is published and not settled; "": there is none */
	uint64_t import_at; /* its revision */
};

/* Rows of texts. */

static bool damaged(struct error *err, const char *key)
{
	return error_set(err, ERROR_INVALID, NULL, "a value of %s in Redis is none of ours", key);
}

static bool parse_numbers(struct str *text, uint64_t *numbers, size_t len)
{
	struct str word;

	for (size_t i = 0; i < len; i++) {
		if (!str_until(text, ' ', &word)) {
			word = *text;
			*text = STR("");
		}
		if (!str_to_number(word, INT64_MAX, &numbers[i]))
			return false;
	}
	return true;
}

static bool member_row(struct str value, struct arena *arena, struct ledger_row *row)
{
	AUTO(pack_doc) *doc = NULL;
	struct ledger_member m;

	if (!pack_parse(value, &doc, NULL) || !ledger_redis_member_decode(pack_root(doc), arena, &m, NULL))
		return false;
	const char *const texts[] = { m.name, m.process, m.boot, m.url, m.zone, m.version, m.state };
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		row->texts[i] = str_of(texts[i]);
	row->numbers[0] = m.revision;
	row->numbers[1] = m.seen_wall_s > 0 ? (uint64_t)m.seen_wall_s : 0;
	row->numbers[2] = m.lost_wall_s > 0 ? (uint64_t)m.lost_wall_s : 0;
	return true;
}

static bool named_row(const struct source *source, struct str field, struct str value, struct arena *arena,
	struct ledger_row *row)
{
	struct str part = source->part, day;

	row->texts[0] = field;
	switch (source->table) {
	case LEDGER_ENTITIES:
		row->texts[0] = value;
		return true;
	case LEDGER_NAMES:
		row->texts[2] = value;
		return str_until(&row->texts[2], ' ', &row->texts[1]);
	case LEDGER_MEMBERS:
		return member_row(value, arena, row);
	case LEDGER_BOOTS:
		if (!parse_numbers(&value, row->numbers, 5))
			return false;
		row->texts[1] = value;
		return true;
	case LEDGER_GRANTS:
		row->texts[1] = field;
		row->texts[2] = part;
		if (!str_until(&row->texts[2], ':', &day))
			return false;
		row->texts[0] = day;
		return parse_numbers(&value, row->numbers, 2);
	case LEDGER_USAGE:
		row->texts[1] = part;
		return parse_numbers(&value, row->numbers, 4);
	default:
		return parse_numbers(&value, row->numbers, 4);
	}
}

static bool put_field(struct ledger_redis_copy *copy, const struct source *source, struct str field,
	struct str value, struct error *err)
{
	AUTO_FINI(arena) arena = arena_limit(LEDGER_REDIS_ENTRY_MAX);
	struct ledger_row row = { .table = source->table };

	if (!named_row(source, field, value, &arena, &row))
		return damaged(err, source->key);
	return ledger_sqlite_put_row(copy->db, &row, err);
}

static bool entity_named(struct str field, struct ledger_row *row)
{
	enum entity_kind kind;
	struct str name;

	row->texts[0] = field;
	if (!str_until(&row->texts[0], ':', &name) || !entity_kind_parse(name, &kind))
		return false;
	row->numbers[0] = kind;
	return true;
}

static bool drop_field(
	struct ledger_redis_copy *copy, const struct source *source, struct str field, struct error *err)
{
	AUTO_FINI(arena) arena = arena_limit(4096);
	struct ledger_row row = { .table = source->table };
	bool ok = true;

	if (source->table == LEDGER_ENTITIES)
		ok = entity_named(field, &row);
	else if (source->table == LEDGER_GRANTS)
		ok = named_row(source, field, STR("0 0"), &arena, &row);
	else
		row.texts[0] = field;
	return ok ? ledger_sqlite_drop_row(copy->db, &row, err) : damaged(err, source->key);
}

/* Which rows are in a hash of this name? False: none. */
static bool source_of(const char *key, struct source *ret)
{
	static const struct {
		const char *key;
		enum ledger_table table;
		bool parts;
	} known[] = { { "entities", LEDGER_ENTITIES, false }, { "names", LEDGER_NAMES, false },
		{ "members", LEDGER_MEMBERS, false }, { "boots", LEDGER_BOOTS, false },
		{ "repositories", LEDGER_REPOSITORIES, false }, { "usage:", LEDGER_USAGE, true },
		{ "grants:", LEDGER_GRANTS, true } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct str rest = str_of(key);

		if (!str_skip(&rest, known[i].key) || (!known[i].parts && rest.len))
			continue;
		*ret = (struct source){ .table = known[i].table, .part = rest };
		return true;
	}
	return false;
}

/* The others: pairs, lives, audit, the head. */

static bool put_pair(struct ledger_redis_copy *copy, struct str name, struct error *err)
{
	struct ledger_row row = { .table = LEDGER_PAIRS };
	uint8_t digest[ENTITY_HASH_BYTES];

	if (!parse_numbers(&name, row.numbers, 1) || !str_unhex(name, digest, sizeof(digest)))
		return damaged(err, "pairs");
	row.texts[0] = str_from(digest, sizeof(digest));
	return ledger_sqlite_put_row(copy->db, &row, err);
}

static bool put_audit(struct ledger_redis_copy *copy, struct str id, struct str packed, struct error *err)
{
	AUTO_FINI(arena) arena = arena_limit(LEDGER_REDIS_AUDIT_MAX);
	struct ledger_row row = { .table = LEDGER_AUDIT };
	struct ledger_audit audit;
	struct str number;

	if (!str_until(&id, '-', &number) || !str_to_number(number, INT64_MAX, &row.numbers[0]) ||
		!ledger_redis_audit_decode(packed, &arena, &audit))
		return damaged(err, "changes or refusals");
	const char *const texts[] = { audit.user, audit.apikey, audit.from, audit.kind, audit.id, audit.how,
		audit.detail };
	for (size_t i = 0; i < LEDGER_ROW_TEXTS; i++)
		row.texts[i] = str_of(texts[i]);
	row.numbers[1] = audit.at_ms > 0 ? (uint64_t)audit.at_ms : 0;
	row.numbers[2] = audit.revision;
	row.numbers[3] = audit.count;
	row.numbers[4] = audit.refused;
	return ledger_sqlite_put_row(copy->db, &row, err);
}

static void add_life(struct ledger_redis_copy *copy)
{
	copy->lives = reallocarray(copy->lives, copy->lives_len + 1, sizeof(*copy->lives));
	CHECK(copy->lives);
	copy->lives[copy->lives_len++] = (struct ledger_life){ 0 };
}

static bool set_life(struct ledger_redis_copy *copy, struct str text, struct error *err)
{
	struct ledger_life *life = copy->lives_len ? &copy->lives[copy->lives_len - 1] : NULL;
	uint64_t numbers[2];
	struct str id;

	if (!life || !str_until(&text, ' ', &id) || !str_copy(id, life->id, sizeof(life->id)) ||
		!parse_numbers(&text, numbers, 2))
		return damaged(err, "lives");
	life->dealings = numbers[0];
	life->heard = numbers[1];
	return true;
}

static void set_whole(struct ledger_redis_copy *copy, struct str field, struct str value)
{
	const struct {
		const char *name;
		uint64_t *into;
	} known[] = { { "revision", &copy->whole.loaded.revision },
		{ "forgotten", &copy->whole.loaded.forgotten }, { "expired", &copy->whole.expired },
		{ "audit", &copy->whole.audit } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_is(field, known[i].name))
			(void)!str_to_number(value, INT64_MAX, known[i].into);
}

static void set_import(struct ledger_redis_copy *copy, struct str field, struct str value)
{
	if (str_is(field, "token"))
		(void)!str_copy(value, copy->token, sizeof(copy->token));
	if (str_is(field, "at"))
		(void)!str_to_number(value, INT64_MAX, &copy->import_at);
}

/* Commands of the log, carried out in the file. */

static struct str word_at(const struct pack_node *command, size_t at)
{
	struct str word = STR_NONE;

	(void)!pack_get_str(pack_at(command, at), &word);
	return word;
}

static bool redo_hash(struct ledger_redis_copy *copy, const struct pack_node *command, const char *key,
	bool puts, struct error *err)
{
	struct source source = { 0 };
	bool rows = source_of(key, &source), ok = true;

	source.key = (char *)(uintptr_t)key;
	for (size_t i = 2; ok && i < pack_len(command); i += puts ? 2 : 1) {
		if (strcmp(key, "import") == 0)
			set_import(copy, word_at(command, i), word_at(command, i + 1));
		else if (!rows)
			set_whole(copy, word_at(command, i), word_at(command, i + 1));
		else if (puts)
			ok = put_field(copy, &source, word_at(command, i), word_at(command, i + 1), err);
		else
			ok = drop_field(copy, &source, word_at(command, i), err);
	}
	return ok;
}

static bool redo(struct ledger_redis_copy *copy, const struct pack_node *command, struct error *err)
{
	struct str name = word_at(command, 0), full = word_at(command, 1);
	AUTO_STR *key = NULL;

	if (!str_skip(&full, ledger_redis_key(copy->own, "%s", "").text))
		return damaged(err, "log");
	key = str_dup(full);
	if (str_is(name, "HSET"))
		return redo_hash(copy, command, key, true, err);
	if (str_is(name, "HDEL"))
		return redo_hash(copy, command, key, false, err);
	if (str_is(name, "ZADD") && strcmp(key, "pairs") == 0)
		return put_pair(copy, word_at(command, 3), err);
	if (str_is(name, "XADD"))
		return put_audit(copy, word_at(command, 2), word_at(command, 4), err);
	if (str_is(name, "DEL") && strcmp(key, "import") == 0)
		copy->token[0] = '\0';
	if (str_is(name, "RPUSH"))
		add_life(copy);
	return !str_is(name, "LSET") || set_life(copy, word_at(command, 3), err);
}

static bool redo_entry(void *arg, struct ledger_redis_raw *raw, struct error *err)
{
	struct ledger_redis_copy *copy = arg;
	AUTO(pack_doc) *doc = NULL;

	if (raw->place.n != copy->place.n + 1 || strcmp(raw->before, copy->place.mark) != 0)
		return error_set(err, ERROR_CONFLICT, NULL,
			"the log in Redis moved on too fast while it was copied: try again");
	if (!pack_parse(raw->effects, &doc, err))
		return false;
	for (size_t i = 0; i < pack_len(pack_root(doc)); i++)
		if (!redo(copy, pack_at(pack_root(doc), i), err))
			return false;
	copy->place = raw->place;
	return true;
}

/* Reading what is there. */

static bool read_whole(struct ledger_redis_copy *copy, struct error *err)
{
	static const char *const fields[] = { "n", "mark", "revision", "forgotten", "cluster", "generation",
		"expired", "audit" };
	AUTO(redis_call) *call = ledger_redis_call(copy->own, "HMGET", "head");
	AUTO(redis_reply) *reply = NULL;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		redis_call_text(call, fields[i]);
	if (!redis_run(copy->own->redis, call, &reply, err))
		return false;
	copy->place.n = redis_reply_number(redis_reply_at(reply, 0));
	copy->whole.loaded.revision = redis_reply_number(redis_reply_at(reply, 2));
	copy->whole.loaded.forgotten = redis_reply_number(redis_reply_at(reply, 3));
	copy->whole.expired = redis_reply_number(redis_reply_at(reply, 6));
	copy->whole.audit = redis_reply_number(redis_reply_at(reply, 7));
	return (str_copy(redis_reply_str(redis_reply_at(reply, 1)), copy->place.mark,
			sizeof(copy->place.mark)) &&
		       history_set(&copy->whole.loaded.history, redis_reply_str(redis_reply_at(reply, 4)),
			       redis_reply_number(redis_reply_at(reply, 5)))) ||
	       damaged(err, "head");
}

static bool read_import(struct ledger_redis_copy *copy, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(copy->own, "HMGET", "import");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, "token");
	redis_call_text(call, "at");
	if (!redis_run(copy->own->redis, call, &reply, err))
		return false;
	set_import(copy, STR("token"),
		redis_reply_is_nil(redis_reply_at(reply, 0)) ? STR("")
							     : redis_reply_str(redis_reply_at(reply, 0)));
	copy->import_at = redis_reply_number(redis_reply_at(reply, 1));
	return true;
}

static void add_source(struct ledger_redis_copy *copy, struct str begin, struct str rest)
{
	AUTO_FINI(buf) key = buf_limit(1024);
	struct source source = { 0 };

	buf_add(&key, begin);
	buf_add(&key, rest);
	copy->sources = reallocarray(copy->sources, copy->sources_len + 1, sizeof(source));
	CHECK(copy->sources);
	char *owned = check_strdup(buf_text(&key));
	CHECK(source_of(owned, &source));
	source.key = owned;
	copy->sources[copy->sources_len++] = source;
}

static bool add_parts(struct ledger_redis_copy *copy, const char *set, struct str begin, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(copy->own, "SMEMBERS", set);
	AUTO(redis_reply) *reply = NULL;

	if (!redis_run(copy->own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; i < redis_reply_len(reply); i++) {
		AUTO_STR *part = str_dup(redis_reply_str(redis_reply_at(reply, i)));
		char *blank = strchr(part, ' ');

		if (blank)
			*blank = ':'; /* "<day> <boot>" */
		add_source(copy, begin, str_of(part));
	}
	return true;
}

static bool find_sources(struct ledger_redis_copy *copy, struct error *err)
{
	static const char *const hashes[] = { "entities", "names", "members", "boots", "repositories" };

	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
		add_source(copy, str_of(hashes[i]), STR(""));
	return add_parts(copy, "windows", STR("usage:"), err) &&
	       add_parts(copy, "grants", STR("grants:"), err);
}

static bool read_lists(struct ledger_redis_copy *copy, struct error *err)
{
	AUTO(redis_call) *lives = ledger_redis_call(copy->own, "LRANGE", "lives");
	AUTO(redis_call) *pairs = ledger_redis_call(copy->own, "ZRANGE", "pairs");
	AUTO(redis_reply) *lives_reply = NULL;
	AUTO(redis_reply) *pairs_reply = NULL;
	bool ok = true;

	redis_call_text(lives, "0");
	redis_call_text(lives, "-1");
	redis_call_text(pairs, "0");
	redis_call_text(pairs, "-1");
	if (!redis_run(copy->own->redis, lives, &lives_reply, err) ||
		!redis_run(copy->own->redis, pairs, &pairs_reply, err))
		return false;
	for (size_t i = 0; ok && i < redis_reply_len(lives_reply); i++) {
		add_life(copy);
		ok = set_life(copy, redis_reply_str(redis_reply_at(lives_reply, i)), err);
	}
	for (size_t i = 0; ok && i < redis_reply_len(pairs_reply); i++)
		ok = put_pair(copy, redis_reply_str(redis_reply_at(pairs_reply, i)), err);
	return ok;
}

/* Stages; *ret_more: the next one's turn has not come yet. */

static bool step_hashes(struct ledger_redis_copy *copy, bool *ret_more, struct error *err)
{
	const struct source *source = &copy->sources[copy->at];
	AUTO(redis_call) *call = ledger_redis_call(copy->own, "HSCAN", source->key);
	AUTO(redis_reply) *reply = NULL;
	const struct redis_reply *page;

	redis_call_text(call, copy->cursor);
	redis_call_text(call, "COUNT");
	redis_call_number(call, PAGE);
	if (!redis_run(copy->own->redis, call, &reply, err))
		return false;
	page = redis_reply_at(reply, 1);
	for (size_t i = 0; i + 1 < redis_reply_len(page); i += 2)
		if (!put_field(copy, source, redis_reply_str(redis_reply_at(page, i)),
			    redis_reply_str(redis_reply_at(page, i + 1)), err))
			return false;
	if (!str_copy(redis_reply_str(redis_reply_at(reply, 0)), copy->cursor, sizeof(copy->cursor)))
		return damaged(err, source->key);
	if (strcmp(copy->cursor, "0") == 0)
		copy->at++;
	*ret_more = copy->at < copy->sources_len;
	return true;
}

static bool step_stream(struct ledger_redis_copy *copy, unsigned which, bool *ret_more, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(copy->own, "XRANGE", which ? "refusals" : "changes");
	AUTO(redis_reply) *reply = NULL;

	redis_call_number(call, copy->audit_after[which] + 1);
	redis_call_text(call, "+");
	redis_call_text(call, "COUNT");
	redis_call_number(call, PAGE);
	if (!redis_run(copy->own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; i < redis_reply_len(reply); i++) {
		const struct redis_reply *entry = redis_reply_at(reply, i);
		struct str id = redis_reply_str(redis_reply_at(entry, 0)), number;

		if (!put_audit(copy, id, redis_reply_str(redis_reply_at(redis_reply_at(entry, 1), 1)), err))
			return false;
		if (str_until(&id, '-', &number))
			(void)!str_to_number(number, INT64_MAX, &copy->audit_after[which]);
	}
	*ret_more = redis_reply_len(reply) == PAGE;
	return true;
}

static bool step_changes(struct ledger_redis_copy *copy, bool *ret_more, struct error *err)
{
	return step_stream(copy, 0, ret_more, err);
}

static bool step_refusals(struct ledger_redis_copy *copy, bool *ret_more, struct error *err)
{
	return step_stream(copy, 1, ret_more, err);
}

static bool put_piece(
	struct ledger_redis_copy *copy, const struct redis_reply *page, size_t at, struct error *err)
{
	struct sql q = sql_of(copy->db, "INSERT OR REPLACE INTO staged (place, rows) VALUES (?, ?)");
	uint64_t place;

	if (!str_to_number(redis_reply_str(redis_reply_at(page, at)), INT64_MAX - 1, &place))
		return damaged(err, "staged");
	sql_count(&q, place + 1);
	sql_bytes(&q, redis_reply_str(redis_reply_at(page, at + 1)));
	return sql_run(&q, err);
}

static bool scan_piece(void *arg, const struct redis_reply *page, size_t at, struct error *err)
{
	return put_piece(arg, page, at, err);
}

/* A large write that is not settled is copied as it lies there: who opens the file settles it. */
static bool copy_pieces(struct ledger_redis_copy *copy, struct error *err)
{
	struct sql q = sql_of(copy->db, "DELETE FROM staged");
	char key[32];

	(void)snprintf(key, sizeof(key), "staged:%s", copy->token);
	return sql_run(&q, err) && ledger_redis_scan(copy->own, key, scan_piece, copy, err);
}

static bool step_log(struct ledger_redis_copy *copy, bool *ret_more, struct error *err)
{
	uint64_t before;

	if (!ledger_redis_read(copy->own, copy->place.n, redo_entry, copy, ret_more, err))
		return false;
	if (*ret_more || !*copy->token)
		return true;
	/* Where somebody settles it meanwhile, what they settled is in the log. */
	before = copy->place.n;
	if (!copy_pieces(copy, err) ||
		!ledger_redis_read(copy->own, copy->place.n, redo_entry, copy, ret_more, err))
		return false;
	*ret_more = copy->place.n != before;
	return true;
}

static bool put_rest(struct ledger_redis_copy *copy, struct error *err)
{
	for (size_t i = 0; i < copy->lives_len; i++) {
		const struct ledger_life *life = &copy->lives[i];
		const struct ledger_row row = { .table = LEDGER_LIVES,
			.texts = { str_of(life->id) },
			.numbers = { i + 1, life->dealings, life->heard } };

		if (i + LEDGER_LIVES_KEPT + 1 >= copy->lives_len &&
			!ledger_sqlite_put_row(copy->db, &row, err))
			return false;
	}
	if (*copy->token && !ledger_sqlite_mark_unsettled(copy->db, copy->import_at, err))
		return false;
	return ledger_sqlite_put_whole(copy->db, &copy->whole, err);
}

static bool (*const stages[])(struct ledger_redis_copy *copy, bool *ret_more,
	struct error *err) = { step_hashes, step_changes, step_refusals, step_log };
#define STAGES (sizeof(stages) / sizeof(stages[0]))

bool ledger_redis_copy_step(struct ledger_redis_copy *copy, bool *ret_more, struct error *err)
{
	bool more = false, last = copy->stage == STAGES - 1;

	if (!sqlite_begin(copy->db, err))
		return false;
	if (!stages[copy->stage](copy, &more, err) || (last && !more && !put_rest(copy, err))) {
		sqlite_rollback(copy->db);
		return false;
	}
	copy->stage += !more;
	*ret_more = more || !last;
	return sqlite_commit(copy->db, err);
}

void ledger_redis_copy_free(struct ledger_redis_copy *copy)
{
	if (!copy)
		return;
	for (size_t i = 0; i < copy->sources_len; i++)
		free(copy->sources[i].key);
	free(copy->sources);
	free(copy->lives);
	sqlite_free(copy->db);
	free(copy);
}

static bool prepare(struct ledger_redis_copy *copy, const char *path, struct error *err)
{
	struct ledger_loaded empty;

	ledger_sqlite_remove(path);
	copy->cursor[0] = '0';
	return file_keep_private(path, err) && sqlite_open(&copy->db, path, err) &&
	       ledger_sqlite_prepare(copy->db, true, &empty, err) &&
	       ledger_sqlite_open_names(copy->db, err) && read_whole(copy, err) && read_import(copy, err) &&
	       find_sources(copy, err) && read_lists(copy, err);
}

bool ledger_redis_copy_new(
	struct ledger_redis_copy **ret_copy, struct ledger_redis *own, const char *path, struct error *err)
{
	struct ledger_redis_copy *copy = xnew(struct ledger_redis_copy);

	copy->own = own;
	if (!ledger_redis_may_read(own, err) || !prepare(copy, path, err)) {
		ledger_redis_copy_free(copy);
		return false;
	}
	*ret_copy = copy;
	return true;
}
