/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_json - the JSON of the admin API, in both directions.
 *
 * Reading starts from the defaults, or for a merge patch from the base's body, puts what the
 * document has over it (new values live in a scratch arena) and has the result checked as a whole.
 */
#include "common/clock.h"
#include "common/crypto.h"
#include "common/password.h"
#include "proto/arena.h"
#include "proto/entity_priv.h"
#include "proto/timestamp.h"

#define PASSWORD_MIN 8
#define SECRET_MIN   16
#define SECRET_MAX   512

static bool wrong_type(const struct json *node, const char *wanted, struct error *err)
{
	return error_set(
		err, ERROR_INVALID, NULL, "must be %s, not %s", wanted, json_kind_name(json_kind(node)));
}

static bool too_large(struct error *err)
{
	return error_set(err, ERROR_TOO_LARGE, NULL, "larger than %u bytes", ENTITY_BYTES_MAX);
}

/* ---- values in ---- */

static bool read_text(struct arena *arena, const struct json *node, const char **ret, struct error *err)
{
	struct str s;

	if (!json_get_str(node, &s))
		return wrong_type(node, "a text", err);
	if (s.len && memchr(s.at, '\0', s.len))
		return error_set(err, ERROR_INVALID, NULL, "must not contain NUL");
	*ret = arena_text(arena, s);
	return *ret || too_large(err);
}

/* A text that is an object, as this program writes JSON. */
static bool read_object(
	struct arena *arena, const struct json *node, size_t max, const char **ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(max);
	struct json_writer writer = json_writer(&text);

	if (json_kind(node) != JSON_OBJECT)
		return wrong_type(node, "an object", err);
	json_value_node(&writer, node);
	if (text.failed)
		return error_set(err, ERROR_TOO_LARGE, NULL, "has more than %zu bytes", max);
	*ret = arena_text(arena, buf_str(&text));
	return *ret || too_large(err);
}

static bool read_count(const struct json *node, size_t *ret, struct error *err)
{
	*ret = json_len(node);
	return *ret <= ENTITY_ITEMS_MAX ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "has %zu items; at most %d are allowed", *ret,
		       ENTITY_ITEMS_MAX);
}

static bool read_texts(struct arena *arena, const struct json *node, struct texts *into, struct error *err)
{
	const char **at;
	size_t len;

	if (json_kind(node) != JSON_ARRAY)
		return wrong_type(node, "a list of texts", err);
	if (!read_count(node, &len, err))
		return false;
	at = arena_take(arena, len * sizeof(*at));
	if (!at)
		return too_large(err);
	for (size_t i = 0; i < len; i++) {
		if (!read_text(arena, json_at(node, i), &at[i], err))
			return error_add(err, "[%zu]", i);
	}
	*into = (struct texts){ at, len };
	return true;
}

/* Merges, as RFC 7396 has it: what is there stays unless named, null removes. */
static bool read_pairs(struct arena *arena, const struct json *node, struct pairs *into, struct error *err)
{
	const struct json *value;
	struct pair *at;
	struct str key;
	size_t len;
	size_t kept = 0;

	if (json_kind(node) != JSON_OBJECT)
		return wrong_type(node, "an object of texts", err);
	if (!read_count(node, &len, err))
		return false;
	at = arena_take(arena, (into->len + len) * sizeof(*at));
	if (!at)
		return too_large(err);
	for (size_t i = 0; i < into->len; i++) {
		if (!json_find(node, into->at[i].key))
			at[kept++] = into->at[i];
	}
	for (void *it = NULL; json_next(node, &it, &key, &value);) {
		if (json_kind(value) == JSON_NULL)
			continue;
		at[kept].key = arena_text(arena, key);
		if (!at[kept].key)
			return too_large(err);
		if (!read_text(arena, value, &at[kept].value, err))
			return error_add(err, "\"%.60s\"", at[kept].key);
		kept++;
	}
	*into = (struct pairs){ at, kept };
	return true;
}

static bool read_time(const struct json *node, int64_t *into, struct error *err)
{
	if (json_kind(node) == JSON_INTEGER)
		return json_get_int(node, into);
	if (json_kind(node) != JSON_STRING)
		return wrong_type(
			node, "an RFC 3339 time (\"2026-11-20T12:00:00Z\"), a number of seconds, or 0", err);
	return timestamp_parse(json_str(node), into, err);
}

static bool read_plain(const struct json *node, size_t min, size_t max, struct str *ret, struct error *err)
{
	if (!json_get_str(node, ret))
		return wrong_type(node, "a text", err);
	if (ret->len < min || ret->len > max)
		return error_set(err, ERROR_INVALID, NULL, "has %zu bytes; allowed are %zu to %zu", ret->len,
			min, max);
	return true;
}

static bool read_password(struct arena *arena, const struct json *node, const char **ret, struct error *err)
{
	char hash[PASSWORD_HASH_MAX];
	struct str plain;

	if (!read_plain(node, PASSWORD_MIN, PASSWORD_NEW_MAX, &plain, err) ||
		!password_hash(plain, hash, err))
		return false;
	*ret = arena_text(arena, str_of(hash));
	return *ret || too_large(err);
}

static bool read_secret(struct arena *arena, const struct json *node, const char **ret, struct error *err)
{
	uint8_t hash[HASH_MAX];
	char hex[2 * 32 + 1];
	struct str plain;

	if (!read_plain(node, SECRET_MIN, SECRET_MAX, &plain, err))
		return false;
	hash_bytes(HASH_SHA256, plain.at, plain.len, hash);
	str_hex(hash, 32, hex);
	*ret = arena_text(arena, str_of(hex));
	return *ret || too_large(err);
}

static bool read_members(struct arena *arena, const struct table *table, const struct json *node, void *body,
	struct error *err);

static bool read_rows(struct arena *arena, const struct field *field, const struct json *node, void *body,
	struct error *err)
{
	size_t len;
	char *rows;

	if (json_kind(node) != JSON_ARRAY)
		return wrong_type(node, "a list of objects", err);
	if (!read_count(node, &len, err))
		return false;
	rows = arena_take(arena, len * field->rows->size);
	if (!rows)
		return too_large(err);
	for (size_t i = 0; i < len; i++) {
		void *row = rows + i * field->rows->size;

		table_defaults(field->rows, row);
		if (!read_members(arena, field->rows, json_at(node, i), row, err))
			return error_add(err, "[%zu]", i);
	}
	field_set_rows(field, body, rows, len);
	return true;
}

static bool read_field(struct arena *arena, const struct field *field, const struct json *node, void *body,
	struct error *err)
{
	void *into = field_into(field, body);

	switch (field->type) {
	case FIELD_TEXT:
		if (field->flags & FIELD_OBJECT)
			return read_object(arena, node, (size_t)field->max, into, err);
		return read_text(arena, node, into, err);
	case FIELD_TEXTS:
		return read_texts(arena, node, into, err);
	case FIELD_BOOL:
		return json_get_bool(node, into) || wrong_type(node, "true or false", err);
	case FIELD_NUMBER:
		return json_get_int(node, into) || wrong_type(node, "a whole number", err);
	case FIELD_TIME:
		return read_time(node, into, err);
	case FIELD_PAIRS:
		return read_pairs(arena, node, into, err);
	case FIELD_ROWS:
		return read_rows(arena, field, node, body, err);
	case FIELD_PASSWORD:
		return read_password(arena, node, into, err);
	case FIELD_SECRET:
		return read_secret(arena, node, into, err);
	}
	return false;
}

/* ---- members in ---- */

static bool unknown_member(const struct table *table, struct str key, struct error *err)
{
	const char *nearest = table_nearest(table, key);
	int len = (int)(key.len < 60 ? key.len : 60);

	if (nearest)
		return error_set(err, ERROR_INVALID, NULL, "unknown member \"%.*s\"; did you mean \"%s\"?",
			len, key.at, nearest);
	return error_set(err, ERROR_INVALID, NULL, "unknown member \"%.*s\"; the first known is \"%s\"", len,
		key.at, table->fields[0].name);
}

/* Two rows of the table may lead into one member ("password", "passwordHash"): only one may be given. */
static bool check_only_way(
	const struct table *table, const struct field *field, const struct json *node, struct error *err)
{
	for (size_t i = 0; i < table->len; i++) {
		const struct field *other = &table->fields[i];

		if (other != field && other->offset == field->offset && json_find(node, other->name))
			return error_set(
				err, ERROR_INVALID, NULL, "give either %s or %s", other->name, field->name);
	}
	return true;
}

/* null: back to the default. A plain row's default is that of the row that it leads into. */
static void read_null(const struct table *table, const struct field *field, void *body)
{
	for (size_t i = 0; i < table->len; i++)
		if (table->fields[i].offset == field->offset)
			field_default(&table->fields[i], body);
}

static bool read_member(struct arena *arena, const struct table *table, const struct json *node,
	struct str key, const struct json *value, void *body, struct error *err)
{
	const struct field *field = table_find(table, key);

	if (!field)
		return unknown_member(table, key, err);
	if (!check_only_way(table, field, node, err))
		return false;
	if (json_kind(value) == JSON_NULL) {
		read_null(table, field, body);
		return true;
	}
	return read_field(arena, field, value, body, err) || error_add(err, "%s", field->name);
}

static bool read_members(struct arena *arena, const struct table *table, const struct json *node, void *body,
	struct error *err)
{
	const struct json *value;
	struct str key;

	if (json_kind(node) != JSON_OBJECT)
		return wrong_type(node, "an object", err);
	for (void *it = NULL; json_next(node, &it, &key, &value);) {
		if (!read_member(arena, table, node, key, value, body, err))
			return false;
	}
	return true;
}

/* ---- the whole in ---- */

/* What entity_to_json() puts beside the fields. *ret_mine: the member is one of those. */
static bool read_name(const struct json *value, struct str key, enum entity_kind kind, struct str id,
	bool *ret_mine, struct error *err)
{
	bool is_id = str_is(key, "id");

	*ret_mine = is_id || str_is(key, "kind") || str_is(key, "revision");
	if (!*ret_mine || str_is(key, "revision"))
		return true;
	if (str_equal(json_str(value), is_id ? id : str_of(entity_kind_name(kind))))
		return true;
	return error_set(err, ERROR_INVALID, NULL, "%s: must be \"%.*s\", as in the path",
		is_id ? "id" : "kind", is_id ? (int)(id.len < 100 ? id.len : 100) : 64,
		is_id ? id.at : entity_kind_name(kind));
}

static bool read_body(struct arena *arena, enum entity_kind kind, struct str id, const struct json *node,
	void *body, struct error *err)
{
	const struct json *value;
	struct str key;
	bool mine;

	if (json_kind(node) != JSON_OBJECT)
		return wrong_type(node, "an object", err);
	for (void *it = NULL; json_next(node, &it, &key, &value);) {
		if (!read_name(value, key, kind, id, &mine, err))
			return false;
		if (!mine && !read_member(arena, entity_table(kind), node, key, value, body, err))
			return false;
	}
	return true;
}

static bool check_immutable(const struct table *table, const void *old, const void *body, struct error *err)
{
	for (size_t i = 0; i < table->len; i++) {
		const struct field *field = &table->fields[i];

		if ((field->flags & FIELD_IMMUTABLE) && field->type == FIELD_TEXT &&
			strcmp(field_text(field, old), field_text(field, body)))
			return error_set(err, ERROR_INVALID, NULL, "%s: cannot be changed; it is \"%.100s\"",
				field->name, field_text(field, old));
	}
	return true;
}

bool entity_from_json(enum entity_kind kind, struct str id, const struct json *node,
	const struct entity *base, struct entity **ret, struct error *err)
{
	const struct table *table = entity_table(kind);
	const void *old = base ? entity_body(base) : NULL;
	AUTO_FINI(arena) arena = arena_limit(ENTITY_BYTES_MAX);
	union entity_body body;

	if (old)
		memcpy(&body, old, table->size);
	else
		table_defaults(table, &body);
	if (!read_body(&arena, kind, id, node, &body, err) ||
		(old && !check_immutable(table, old, &body, err)) ||
		!entity_make(kind, id, base ? entity_revision(base) : 0, &body, ret, err))
		return error_add(
			err, "%s \"%.*s\"", entity_kind_name(kind), (int)(id.len < 60 ? id.len : 60), id.at);
	return true;
}

/* ---- out ---- */

static void write_texts(const struct texts *texts, struct json_writer *writer)
{
	json_open_array(writer);
	for (size_t i = 0; i < texts->len; i++)
		json_value_str(writer, str_of(texts->at[i]));
	json_close_array(writer);
}

static void write_pairs(const struct pairs *pairs, struct json_writer *writer)
{
	json_open_object(writer);
	for (size_t i = 0; i < pairs->len; i++)
		json_put_str(writer, pairs->at[i].key, str_of(pairs->at[i].value));
	json_close_object(writer);
}

static void write_time(int64_t seconds, struct json_writer *writer)
{
	char text[CLOCK_RFC3339_SIZE];

	if (!seconds) {
		json_value_int(writer, 0);
		return;
	}
	clock_rfc3339(seconds * 1000, text);
	json_value_str(writer, str_of(text));
}

/* Empty: null. */
static void write_object(const char *text, struct json_writer *writer)
{
	AUTO(json_doc) *doc = NULL;

	json_value_node(writer, *text && json_parse_own(str_of(text), &doc, NULL) ? json_root(doc) : NULL);
}

/* hidden: fields of which it is one, flags, are left out. */
static void write_members(
	const struct table *table, const void *body, unsigned hidden, struct json_writer *writer);

static void write_rows(
	const struct field *field, const void *body, unsigned hidden, struct json_writer *writer)
{
	json_open_array(writer);
	for (size_t i = 0; i < field_rows_len(field, body); i++) {
		json_open_object(writer);
		write_members(field->rows, field_row(field, body, i), hidden, writer);
		json_close_object(writer);
	}
	json_close_array(writer);
}

static void write_field(
	const struct field *field, const void *body, unsigned hidden, struct json_writer *writer)
{
	switch (field->type) {
	case FIELD_TEXT:
		if (field->flags & FIELD_OBJECT)
			write_object(field_text(field, body), writer);
		else
			json_value_str(writer, str_of(field_text(field, body)));
		break;
	case FIELD_TEXTS:
		write_texts(field_texts(field, body), writer);
		break;
	case FIELD_BOOL:
		json_value_bool(writer, field_bool(field, body));
		break;
	case FIELD_NUMBER:
		json_value_int(writer, field_number(field, body));
		break;
	case FIELD_TIME:
		write_time(field_number(field, body), writer);
		break;
	case FIELD_PAIRS:
		write_pairs(field_pairs(field, body), writer);
		break;
	case FIELD_ROWS:
		write_rows(field, body, hidden, writer);
		break;
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		break; /* write-only */
	}
}

void entity_write_field(const struct field *field, const void *body, struct json_writer *writer)
{
	write_field(field, body, FIELD_WRITE_ONLY, writer);
}

static void write_members(
	const struct table *table, const void *body, unsigned hidden, struct json_writer *writer)
{
	for (size_t i = 0; i < table->len; i++) {
		const struct field *field = &table->fields[i];

		if ((field->flags & hidden) || field_is_plain(field))
			continue;
		json_key(writer, str_of(field->name));
		write_field(field, body, hidden, writer);
	}
}

void entity_to_json(const struct entity *entity, struct json_writer *writer)
{
	json_open_object(writer);
	json_put_str(writer, "id", entity_id(entity));
	json_put_int(writer, "revision", (int64_t)entity_revision(entity));
	if (entity_is_deleted(entity))
		json_put_bool(writer, "deleted", true);
	else
		write_members(
			entity_table(entity_kind(entity)), entity_body(entity), FIELD_WRITE_ONLY, writer);
	json_close_object(writer);
}

void entity_template_to_json(enum entity_kind kind, struct json_writer *writer)
{
	union entity_body body;

	table_defaults(entity_table(kind), &body);
	json_open_object(writer);
	json_put_text(writer, "id", "");
	write_members(entity_table(kind), &body, FIELD_WRITE_ONLY, writer);
	json_close_object(writer);
}

void entity_to_json_whole(const struct entity *entity, struct json_writer *writer)
{
	json_open_object(writer);
	json_put_text(writer, "kind", entity_kind_name(entity_kind(entity)));
	json_put_str(writer, "id", entity_id(entity));
	json_put_int(writer, "revision", (int64_t)entity_revision(entity));
	write_members(entity_table(entity_kind(entity)), entity_body(entity), 0, writer);
	json_close_object(writer);
}
