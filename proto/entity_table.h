/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_table - the description of entities' bodies, made from entity_fields.def: what the generic
 * loops that copy, check, encode and show them run over.
 *
 * A field knows where its value lies in the body's struct; the accessors below are the only places
 * that turn this into a pointer.
 *
 * Thread  any; constant.
 */
#pragma once

#include "proto/entity.h"

enum field_type {
	FIELD_TEXT,     /* const char * */
	FIELD_TEXTS,    /* struct texts */
	FIELD_BOOL,     /* bool */
	FIELD_NUMBER,   /* int64_t */
	FIELD_TIME,     /* int64_t, wall seconds */
	FIELD_PAIRS,    /* struct pairs */
	FIELD_ROWS,     /* struct row *, and a size_t beside it */
	FIELD_PASSWORD, /* JSON only: a plain password, hashed into a FIELD_TEXT's member */
	FIELD_SECRET,   /* JSON only: a plain secret, its SHA-256 into a FIELD_TEXT's member */
};

#define FIELD_REQUIRED 1u   /* empty is refused */
#define FIELD_WRITE_ONLY 2u /* never shown in JSON */
#define FIELD_IMMUTABLE 4u  /* a merge patch may not change it */
#define FIELD_OBJECT 16u    /* of a text: it is a JSON object, and JSON shows and takes it as one; empty: null */
#define FIELD_SPARSE 8u     /* a number or time of default 0, left out of msgpack while it is 0: an entity from before the field keeps its hash */

/* What a policy or a scope may allow. */
#define ENTITY_ACTIONS "read, create, update, delete, detectManifestCollision"

typedef bool field_check_f(struct str text, struct error *err);

struct field {
	const char *name;
	enum field_type type;
	unsigned flags;
	size_t offset, len_offset; /* len_offset: rows only */
	int64_t min, max;          /* of a number; of the bytes of a text */
	int64_t number;            /* default of a number or a bool */
	const char *text;          /* default of a text */
	const char *choices;       /* "a, b, c", or NULL */
	field_check_f *check;      /* of a text or of each item, or NULL */
	const struct table *rows;
	const char *about;         /* one sentence for people */
};

struct table {
	const struct field *fields;
	size_t len;
	size_t size; /* of the struct */
};

const struct table *entity_table(enum entity_kind kind);
const struct field *table_find(const struct table *table, struct str name);
/* The known name nearest to an unknown one, or NULL. */
const char *table_nearest(const struct table *table, struct str name);
/* All defaults. `body` has table->size bytes. */
void table_defaults(const struct table *table, void *body);

/* Not a row of its own in the struct: another row shows, packs and checks the member. */
static inline bool field_is_plain(const struct field *field)
{
	return field->type == FIELD_PASSWORD || field->type == FIELD_SECRET;
}

static inline const void *field_at(const struct field *field, const void *body)
{
	return (const char *)body + field->offset;
}
static inline void *field_into(const struct field *field, void *body)
{
	return (char *)body + field->offset;
}
static inline const char *field_text(const struct field *field, const void *body)
{
	return *(const char *const *)field_at(field, body);
}
static inline const struct texts *field_texts(const struct field *field, const void *body)
{
	return field_at(field, body);
}
static inline const struct pairs *field_pairs(const struct field *field, const void *body)
{
	return field_at(field, body);
}
static inline int64_t field_number(const struct field *field, const void *body)
{
	return *(const int64_t *)field_at(field, body);
}
static inline bool field_bool(const struct field *field, const void *body)
{
	return *(const bool *)field_at(field, body);
}
static inline size_t field_rows_len(const struct field *field, const void *body)
{
	return *(const size_t *)((const char *)body + field->len_offset);
}
const void *field_row(const struct field *field, const void *body, size_t at);
/* Nothing for a plain one. */
void        field_default(const struct field *field, void *body);
void        field_set_rows(const struct field *field, void *body, void *rows, size_t len);
