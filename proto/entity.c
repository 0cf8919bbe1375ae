/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity - one block of memory holds an entity and all that it points to.
 *
 * Making one is a deep copy that runs twice: first without memory, to learn the size, then into a
 * block of just that size. So a million entities are a million allocations, and freeing is one call.
 */
#include "proto/entity.h"

#include <stdalign.h>
#include <stdatomic.h>

#include "common/check.h"
#include "proto/entity_priv.h"

struct entity {
	atomic_uint refs;
	enum entity_kind kind;
	size_t size; /* of `bytes` */
	uint64_t revision;
	const void *body; /* NULL: a tombstone */
	struct str id;    /* terminated */
	atomic_bool has_hash;
	_Atomic uint64_t hash[ENTITY_HASH_LANES]; /* where has_hash; all compute the same */
	alignas(8) char bytes[];
};

bool texts_have(const struct texts *texts, struct str text)
{
	for (size_t i = 0; i < texts->len; i++)
		if (str_is(text, texts->at[i]))
			return true;
	return false;
}

/* ---- the deep copy ---- */

struct block {
	char *at; /* NULL while measuring */
	size_t used;
};

static void *block_take(struct block *block, size_t size, size_t align)
{
	size_t start = (block->used + align - 1) / align * align;

	block->used = start + size;
	return block->at ? block->at + start : NULL;
}

static const char *block_text(struct block *block, struct str s)
{
	char *into = block_take(block, s.len + 1, 1);

	if (into) {
		if (s.len)
			memcpy(into, s.at, s.len);
		into[s.len] = '\0';
	}
	return into;
}

static void copy_texts(struct block *block, const struct texts *from, struct texts *into)
{
	const char **at = block_take(block, from->len * sizeof(*at), alignof(char *));

	for (size_t i = 0; i < from->len; i++) {
		const char *text = block_text(block, str_of(from->at[i]));

		if (at)
			at[i] = text;
	}
	if (into)
		*into = (struct texts){ from->len ? at : NULL, from->len };
}

static void copy_pairs(struct block *block, const struct pairs *from, struct pairs *into)
{
	struct pair *at = block_take(block, from->len * sizeof(*at), alignof(struct pair));

	for (size_t i = 0; i < from->len; i++) {
		const char *key = block_text(block, str_of(from->at[i].key));
		const char *value = block_text(block, str_of(from->at[i].value));

		if (at)
			at[i] = (struct pair){ key, value };
	}
	if (into)
		*into = (struct pairs){ from->len ? at : NULL, from->len };
}

static void copy_body(struct block *block, const struct table *table, const void *from, void *into);

static void copy_rows(struct block *block, const struct field *field, const void *from, void *into)
{
	size_t len = field_rows_len(field, from);
	char *at = block_take(block, len * field->rows->size, 8);

	for (size_t i = 0; i < len; i++)
		copy_body(block, field->rows, field_row(field, from, i),
			at ? at + i * field->rows->size : NULL);
	if (into)
		field_set_rows(field, into, len ? at : NULL, len);
}

static void copy_field(struct block *block, const struct field *field, const void *from, void *into)
{
	const char *text;

	switch (field->type) {
	case FIELD_TEXT:
		text = block_text(block, str_of(field_text(field, from)));
		if (into)
			*(const char **)field_into(field, into) = text;
		break;
	case FIELD_TEXTS:
		copy_texts(block, field_texts(field, from), into ? field_into(field, into) : NULL);
		break;
	case FIELD_PAIRS:
		copy_pairs(block, field_pairs(field, from), into ? field_into(field, into) : NULL);
		break;
	case FIELD_ROWS:
		copy_rows(block, field, from, into);
		break;
	case FIELD_BOOL:
	case FIELD_NUMBER:
	case FIELD_TIME:
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		break; /* copied with the struct */
	}
}

static void copy_body(struct block *block, const struct table *table, const void *from, void *into)
{
	if (into)
		memcpy(into, from, table->size);
	for (size_t i = 0; i < table->len; i++)
		copy_field(block, &table->fields[i], from, into);
}

/* Fills `entity` when there is one, else only measures. */
static size_t lay_out(struct entity *entity, enum entity_kind kind, struct str id, const void *body)
{
	const struct table *table = entity_table(kind);
	struct block block = { .at = entity ? entity->bytes : NULL };
	void *into = body ? block_take(&block, table->size, 8) : NULL;
	const char *name = block_text(&block, id);

	if (entity) {
		entity->body = into;
		entity->id = str_from(name, id.len);
	}
	if (body)
		copy_body(&block, table, body, into);
	return block.used;
}

static struct entity *entity_copy(enum entity_kind kind, struct str id, uint64_t revision, const void *body)
{
	size_t size = lay_out(NULL, kind, id, body);
	struct entity *entity = check_alloc(1, sizeof(*entity) + size);

	atomic_init(&entity->refs, 1);
	entity->kind = kind;
	entity->size = size;
	entity->revision = revision;
	CHECK(lay_out(entity, kind, id, body) == size);
	return entity;
}

/* ---- life ---- */

struct entity *entity_new(enum entity_kind kind, struct str id, uint64_t revision, const void *body)
{
	CHECK(body);
	return entity_copy(kind, id, revision, body);
}

struct entity *entity_new_deleted(enum entity_kind kind, struct str id, uint64_t revision)
{
	return entity_copy(kind, id, revision, NULL);
}

struct entity *entity_with_revision(const struct entity *entity, uint64_t revision)
{
	return entity_copy(entity->kind, entity->id, revision, entity->body);
}

bool entity_make(enum entity_kind kind, struct str id, uint64_t revision, const void *body,
	struct entity **ret, struct error *err)
{
	if (!entity_check_id(kind, id, err) || (body && !entity_check_body(kind, body, err)))
		return false;
	if (lay_out(NULL, kind, id, body) > ENTITY_BYTES_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "larger than %u bytes", ENTITY_BYTES_MAX);
	*ret = entity_copy(kind, id, revision, body);
	return true;
}

struct entity *entity_ref(struct entity *entity)
{
	if (entity)
		atomic_fetch_add_explicit(&entity->refs, 1, memory_order_relaxed);
	return entity;
}

void entity_free(struct entity *entity)
{
	if (entity && atomic_fetch_sub_explicit(&entity->refs, 1, memory_order_acq_rel) == 1)
		free(entity);
}

/* ---- looking ---- */

enum entity_kind entity_kind(const struct entity *entity)
{
	return entity->kind;
}

struct str entity_id(const struct entity *entity)
{
	return entity->id;
}

size_t entity_bytes(const struct entity *entity)
{
	return sizeof(*entity) + entity->size;
}

uint64_t entity_revision(const struct entity *entity)
{
	return entity->revision;
}

bool entity_is_deleted(const struct entity *entity)
{
	return !entity->body;
}

const void *entity_body(const struct entity *entity)
{
	return entity->body;
}

/* ---- the hash ---- */

void entity_keep_hash(struct entity *entity, const struct entity_hash *hash)
{
	for (unsigned i = 0; i < ENTITY_HASH_LANES; i++)
		atomic_store_explicit(&entity->hash[i], hash->lanes[i], memory_order_relaxed);
	atomic_store_explicit(&entity->has_hash, true, memory_order_release);
}

static struct entity_hash kept_hash(const struct entity *entity)
{
	struct entity_hash hash;

	for (unsigned i = 0; i < ENTITY_HASH_LANES; i++)
		hash.lanes[i] = atomic_load_explicit(&entity->hash[i], memory_order_relaxed);
	return hash;
}

struct entity_hash entity_hash(struct entity *entity)
{
	AUTO_FINI(buf) encoded = buf_limit(ENTITY_ENCODED_MAX);
	struct entity_hash hash;

	if (atomic_load_explicit(&entity->has_hash, memory_order_acquire))
		return kept_hash(entity);
	entity_encode(entity, &encoded);
	CHECK(!encoded.failed);
	hash = entity_hash_bytes(buf_str(&encoded));
	entity_keep_hash(entity, &hash);
	return hash;
}

/* ---- bodies ---- */

static const void *body_of(const struct entity *entity, enum entity_kind kind)
{
	CHECK(entity->kind == kind);
	return entity->body;
}

#define KIND(constant, name, plural, noun, ...)                                                              \
	const struct noun *entity_##name(const struct entity *entity)                                        \
	{                                                                                                    \
		return body_of(entity, ENTITY_##constant);                                                   \
	}
#include "proto/entity_kinds.def"
#undef KIND

/* ---- kinds ---- */

static const struct {
	const char *name;
	unsigned flags;
} kinds[ENTITY_KINDS] = {
#define KIND(constant, name, plural, noun, flags, ...) { #name, flags },
#include "proto/entity_kinds.def"
#undef KIND
};

const char *entity_kind_name(enum entity_kind kind)
{
	CHECK((unsigned)kind < ENTITY_KINDS);
	return kinds[kind].name;
}

unsigned entity_kind_flags(enum entity_kind kind)
{
	CHECK((unsigned)kind < ENTITY_KINDS);
	return kinds[kind].flags;
}

bool entity_kind_is_leaders(enum entity_kind kind)
{
	return entity_kind_flags(kind) & ENTITY_OF_LEADERS;
}

bool entity_kind_parse(struct str name, enum entity_kind *ret)
{
	for (unsigned i = 0; i < ENTITY_KINDS; i++) {
		if (str_is(name, kinds[i].name)) {
			*ret = (enum entity_kind)i;
			return true;
		}
	}
	return false;
}
