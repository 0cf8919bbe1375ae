/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_pack - the msgpack of snapshots and of the leader's ledger.
 *
 *   {kind:"user", id:"alice", revision:42, body:{groups:[...], ...}}      a tombstone has no body
 *
 * Empty texts and lists are left out, and zeros of sparse fields. Reading gives defaults for what is missing and ignores
 * members it does not know, so a newer leader may add some; everything else is checked as JSON is.
 */
#include "proto/arena.h"
#include "proto/entity_priv.h"

/* ---- out ---- */

static bool is_empty(const struct field *field, const void *body)
{
	switch (field->type) {
	case FIELD_TEXT:
		return !*field_text(field, body);
	case FIELD_TEXTS:
		return !field_texts(field, body)->len;
	case FIELD_PAIRS:
		return !field_pairs(field, body)->len;
	case FIELD_ROWS:
		return !field_rows_len(field, body);
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		return true;
	case FIELD_NUMBER:
	case FIELD_TIME:
		return field->flags & FIELD_SPARSE && !field_number(field, body);
	case FIELD_BOOL:
		return false;
	}
	return true;
}

static void write_body(const struct table *table, const void *body, struct buf *into);

static void write_pairs(const struct pairs *pairs, struct buf *into)
{
	pack_map(into, pairs->len);
	for (size_t i = 0; i < pairs->len; i++) {
		pack_str(into, str_of(pairs->at[i].key));
		pack_str(into, str_of(pairs->at[i].value));
	}
}

static void write_texts(const struct texts *texts, struct buf *into)
{
	pack_array(into, texts->len);
	for (size_t i = 0; i < texts->len; i++)
		pack_str(into, str_of(texts->at[i]));
}

static void write_rows(const struct field *field, const void *body, struct buf *into)
{
	size_t len = field_rows_len(field, body);

	pack_array(into, len);
	for (size_t i = 0; i < len; i++)
		write_body(field->rows, field_row(field, body, i), into);
}

static void write_field(const struct field *field, const void *body, struct buf *into)
{
	switch (field->type) {
	case FIELD_TEXT:
		pack_str(into, str_of(field_text(field, body)));
		break;
	case FIELD_TEXTS:
		write_texts(field_texts(field, body), into);
		break;
	case FIELD_BOOL:
		pack_bool(into, field_bool(field, body));
		break;
	case FIELD_NUMBER:
	case FIELD_TIME:
		pack_int(into, field_number(field, body));
		break;
	case FIELD_PAIRS:
		write_pairs(field_pairs(field, body), into);
		break;
	case FIELD_ROWS:
		write_rows(field, body, into);
		break;
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		break; /* another row's member */
	}
}

static void write_body(const struct table *table, const void *body, struct buf *into)
{
	size_t len = 0;

	for (size_t i = 0; i < table->len; i++)
		len += !is_empty(&table->fields[i], body);
	pack_map(into, len);
	for (size_t i = 0; i < table->len; i++) {
		if (is_empty(&table->fields[i], body))
			continue;
		pack_str(into, str_of(table->fields[i].name));
		write_field(&table->fields[i], body, into);
	}
}

void entity_encode(const struct entity *entity, struct buf *into)
{
	const void *body = entity_body(entity);

	pack_map(into, body ? 4 : 3);
	pack_str(into, STR("kind"));
	pack_str(into, str_of(entity_kind_name(entity_kind(entity))));
	pack_str(into, STR("id"));
	pack_str(into, entity_id(entity));
	pack_str(into, STR("revision"));
	pack_uint(into, entity_revision(entity));
	if (body) {
		pack_str(into, STR("body"));
		write_body(entity_table(entity_kind(entity)), body, into);
	}
}

/* ---- in ---- */

static bool wrong_type(const char *wanted, struct error *err)
{
	return error_set(err, ERROR_INVALID, NULL, "must be %s", wanted);
}

static bool too_large(struct error *err)
{
	return error_set(err, ERROR_TOO_LARGE, NULL, "larger than %u bytes", ENTITY_BYTES_MAX);
}

static bool read_text(struct arena *arena, const struct pack_node *node, const char **ret, struct error *err)
{
	struct str s;

	if (!pack_get_str(node, &s))
		return wrong_type("a text", err);
	if (s.len && memchr(s.at, '\0', s.len))
		return error_set(err, ERROR_INVALID, NULL, "must not contain NUL");
	*ret = arena_text(arena, s);
	return *ret || too_large(err);
}

/* Zeroed room for what the array or map holds, or NULL. */
static void *take_items(struct arena *arena, const struct pack_node *node, size_t size)
{
	return pack_len(node) <= ENTITY_ITEMS_MAX ? arena_take(arena, pack_len(node) * size) : NULL;
}

static bool read_texts(
	struct arena *arena, const struct pack_node *node, struct texts *into, struct error *err)
{
	const char **at;

	if (!pack_is_array(node))
		return wrong_type("a list of texts", err);
	at = take_items(arena, node, sizeof(*at));
	if (!at)
		return too_large(err);
	for (size_t i = 0; i < pack_len(node); i++) {
		if (!read_text(arena, pack_at(node, i), &at[i], err))
			return error_add(err, "[%zu]", i);
	}
	*into = (struct texts){ at, pack_len(node) };
	return true;
}

static bool read_pairs(
	struct arena *arena, const struct pack_node *node, struct pairs *into, struct error *err)
{
	struct pair *at;

	if (!pack_is_map(node))
		return wrong_type("a map of texts", err);
	at = take_items(arena, node, sizeof(*at));
	if (!at)
		return too_large(err);
	for (size_t i = 0; i < pack_len(node); i++) {
		const struct pack_node *key;
		const struct pack_node *value;

		pack_pair(node, i, &key, &value);
		if (!read_text(arena, key, &at[i].key, err) || !read_text(arena, value, &at[i].value, err))
			return error_add(err, "[%zu]", i);
	}
	*into = (struct pairs){ at, pack_len(node) };
	return true;
}

static bool read_body(struct arena *arena, const struct table *table, const struct pack_node *node,
	void *body, struct error *err);

static bool read_rows(struct arena *arena, const struct field *field, const struct pack_node *node,
	void *body, struct error *err)
{
	char *rows;

	if (!pack_is_array(node))
		return wrong_type("a list of maps", err);
	rows = take_items(arena, node, field->rows->size);
	if (!rows)
		return too_large(err);
	for (size_t i = 0; i < pack_len(node); i++) {
		if (!read_body(arena, field->rows, pack_at(node, i), rows + i * field->rows->size, err))
			return error_add(err, "[%zu]", i);
	}
	field_set_rows(field, body, rows, pack_len(node));
	return true;
}

static bool read_field(struct arena *arena, const struct field *field, const struct pack_node *node,
	void *body, struct error *err)
{
	void *into = field_into(field, body);

	switch (field->type) {
	case FIELD_TEXT:
		return read_text(arena, node, into, err);
	case FIELD_TEXTS:
		return read_texts(arena, node, into, err);
	case FIELD_BOOL:
		return pack_get_bool(node, into) || wrong_type("a bool", err);
	case FIELD_NUMBER:
	case FIELD_TIME:
		return pack_get_int(node, into) || wrong_type("a number", err);
	case FIELD_PAIRS:
		return read_pairs(arena, node, into, err);
	case FIELD_ROWS:
		return read_rows(arena, field, node, body, err);
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		return true; /* another row's member */
	}
	return true;
}

static bool read_body(struct arena *arena, const struct table *table, const struct pack_node *node,
	void *body, struct error *err)
{
	if (!pack_is_map(node))
		return wrong_type("a map", err);
	table_defaults(table, body);
	for (size_t i = 0; i < table->len; i++) {
		const struct field *field = &table->fields[i];
		const struct pack_node *value = field_is_plain(field) ? NULL : pack_find(node, field->name);

		if (value && !read_field(arena, field, value, body, err))
			return error_add(err, "%s", field->name);
	}
	return true;
}

bool entity_decode_name(
	const struct pack_node *node, enum entity_kind *ret_kind, struct str *ret_id, struct error *err)
{
	struct str kind;

	if (!pack_is_map(node))
		return error_set(err, ERROR_INVALID, NULL, "an entity must be a map");
	if (!pack_get_str(pack_find(node, "kind"), &kind) || !entity_kind_parse(kind, ret_kind))
		return error_set(err, ERROR_INVALID, NULL, "an entity's kind is missing or unknown");
	if (!pack_get_str(pack_find(node, "id"), ret_id))
		return error_set(err, ERROR_INVALID, NULL, "an entity's id is missing or no text");
	return true;
}

static bool read_name(const struct pack_node *node, enum entity_kind *ret_kind, struct str *ret_id,
	uint64_t *ret_revision, struct error *err)
{
	if (!entity_decode_name(node, ret_kind, ret_id, err))
		return false;
	if (!pack_get_uint(pack_find(node, "revision"), ret_revision) || *ret_revision > INT64_MAX)
		return error_set(err, ERROR_INVALID, NULL, "an entity's revision is missing or no number");
	return true;
}

bool entity_decode(const struct pack_node *node, struct entity **ret, struct error *err)
{
	AUTO_FINI(arena) arena = arena_limit(ENTITY_BYTES_MAX);
	const struct pack_node *map;
	union entity_body body;
	enum entity_kind kind;
	struct str id;
	uint64_t revision;

	if (!read_name(node, &kind, &id, &revision, err))
		return false;
	map = pack_find(node, "body");
	if ((map && !read_body(&arena, entity_table(kind), map, &body, err)) ||
		!entity_make(kind, id, revision, map ? &body : NULL, ret, err))
		return error_add(
			err, "%s \"%.*s\"", entity_kind_name(kind), (int)(id.len < 60 ? id.len : 60), id.at);
	return true;
}

bool entity_decode_told(const struct pack_node *node, struct entity **ret, struct error *err)
{
	AUTO_FINI(buf) told = buf_limit(ENTITY_ENCODED_MAX);
	AUTO(entity) *entity = NULL;
	struct entity_hash hash;

	if (!entity_decode(node, &entity, err))
		return false;
	pack_again(&told, node);
	if (!buf_check(&told, "entity", err))
		return false;
	hash = entity_hash_bytes(buf_str(&told));
	entity_keep_hash(entity, &hash);
	*ret = TAKE(entity);
	return true;
}
